"""Adjustment of prices for splits and cash dividends: the table of them, and what it makes of stored bars."""
