"""Reading of candles into other tools: pandas, polars, Arrow, DuckDB."""
