"""Exports of candles in the files of other tools, each whole or not at all."""
