"""Forms of candle files: text in columns, JSON, Arrow tables and vendors' binary records, each read block by block."""
