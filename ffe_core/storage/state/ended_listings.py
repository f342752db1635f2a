"""Ended listings: until when an instrument was listed, read from a state file without the libraries that keep it.

A command that only looks at watermarks starts in a third of a second because it loads none of them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from ffe_core import times
from ffe_core.errors import StorageError
from ffe_core.instruments.model import SeriesFacts

DATABASE_FILE = "console.db"
"""The name of the state database in the data directory."""
_BUSY_SECONDS = 5.0
_TABLES = ("instruments", "series_facts")
_DELISTED = "SELECT delisted FROM instruments WHERE provider = ? AND name = ? AND status = 'delisted'"
_LAST_BARS = (
    "SELECT timeframe, last_bar FROM series_facts WHERE provider = ? AND asset_pair = ? AND last_bar IS NOT NULL"
)
Ended = dict[tuple[str, str], Mapping[str, SeriesFacts]]


def ended_listings(file: Path, wanted: Collection[tuple[str, str]]) -> Ended:
    """Of these providers and stored names those that were delisted, and what is known of their end.

    Empty without a database, or with one of a release that knew no instruments. StorageError if it cannot be read.
    """
    if not wanted or not file.is_file():
        return {}
    try:
        with closing(sqlite3.connect(file.absolute(), timeout=_BUSY_SECONDS)) as connection:
            known = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            return {one: found for one in wanted if (found := _end(connection, one))} if known >= {*_TABLES} else {}
    except sqlite3.Error as error:
        raise StorageError(f"{file} cannot be read ({error}), so what was delisted may look late") from None


def end_of_day(day: str | None) -> int | None:
    """The last second of a day of the market, which may end after that of UTC only where it opens no bar."""
    try:
        return None if day is None else times.parse_instant(day, end=True) - 1
    except ValueError:
        return None


def until(found: Mapping[str, SeriesFacts], end: int | None) -> Mapping[str, SeriesFacts]:
    """What is known of an instrument that was delisted: nothing opens after that day, where it is known."""
    every = replace(found.get("", SeriesFacts()), last_bar=end)
    return {**found, "": every}


def _end(connection: sqlite3.Connection, one: tuple[str, str]) -> Mapping[str, SeriesFacts]:
    row = connection.execute(_DELISTED, one).fetchone()
    if row is None:
        return {}
    last_bars = {timeframe: SeriesFacts(last_bar=last) for timeframe, last in connection.execute(_LAST_BARS, one)}
    return until(last_bars, end_of_day(row[0]))
