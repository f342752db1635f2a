"""Candle files: opened, their forms told apart, and read as columns with the place of each row."""
