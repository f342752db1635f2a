"""Named lists of pairs and timeframes at a provider, used wherever series are chosen."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from ffe_core.errors import InputError
from ffe_core.instruments.names import normalize_pair
from ffe_core.series import Series
from ffe_core.storage.state.database import Database, metadata
from ffe_core.timeframes import seconds

_table = sa.Table(
    "watchlists",
    metadata,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("provider", sa.String, nullable=False),
    sa.Column("pairs", sa.JSON, nullable=False),
    sa.Column("timeframes", sa.JSON, nullable=False),
    sa.Column("actor", sa.String, nullable=False),
    sa.Column("saved_at", sa.Float, nullable=False),
)
_LONGEST_NAME = 60


@dataclass(frozen=True, slots=True)
class Watchlist:
    """Pairs (stored names) and timeframes at one provider, under a name."""

    name: str
    provider: str
    pairs: tuple[str, ...]
    timeframes: tuple[str, ...]

    def series(self) -> list[Series]:
        """Every series on the list."""
        return [Series(pair, timeframe, self.provider) for pair in self.pairs for timeframe in self.timeframes]


class Watchlists:
    """Reads and writes watchlists."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def save(self, name: str, provider: str, pairs: Sequence[str], timeframes: Sequence[str], actor: str) -> Watchlist:
        """Save under a name, replacing the list of that name. InputError for an empty or bad list."""
        clean = name.strip()
        if not clean or len(clean) > _LONGEST_NAME:
            raise InputError(f"give a name of 1 to {_LONGEST_NAME} characters, for example 'Majors'", field="name")
        if not pairs or not timeframes:
            raise InputError("choose at least one pair and one timeframe", field="watchlist")
        for timeframe in timeframes:
            seconds(timeframe)
        stored = dict.fromkeys(normalize_pair(pair, provider) for pair in pairs)
        saved = Watchlist(clean, provider, tuple(stored), tuple(timeframes))
        values = {
            "name": clean,
            "provider": provider,
            "pairs": list(saved.pairs),
            "timeframes": list(saved.timeframes),
            "actor": actor,
            "saved_at": time.time(),
        }
        with self._database.write() as connection:
            connection.execute(_table.delete().where(_table.c.name == clean))
            connection.execute(_table.insert().values(**values))
        return saved

    def all(self) -> list[Watchlist]:
        """Every watchlist, by name."""
        with self._database.read() as connection:
            rows = connection.execute(sa.select(_table).order_by(sa.func.lower(_table.c.name), _table.c.name))
            return [Watchlist(r.name, r.provider, tuple(r.pairs), tuple(r.timeframes)) for r in rows]

    def get(self, name: str) -> Watchlist | None:
        """The watchlist of this name, if there is one."""
        return next((watchlist for watchlist in self.all() if watchlist.name == name), None)

    def delete(self, name: str) -> None:
        """Remove a watchlist; the series on it are not touched."""
        with self._database.write() as connection:
            connection.execute(_table.delete().where(_table.c.name == name))
