"""Acknowledged gaps: ranges of missing bars with a reason, and what was asked for twice without an answer.

A marked gap is a range whose missing bars somebody has explained. It hides nothing: where data appears it no longer
counts, and it stays listed until it is taken back.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import sqlalchemy as sa

from ffe_core.errors import InputError
from ffe_core.intervals import NONE, Times, intersect, minus, union
from ffe_core.series import Series
from ffe_core.storage.rows import portions
from ffe_core.storage.state.database import ID, Database, metadata

NO_TRADES, VENUE_OUTAGE, NOT_OFFERED, OTHER = "no trades", "venue outage", "not offered by the provider", "other"
REASONS = (NO_TRADES, VENUE_OUTAGE, NOT_OFFERED, OTHER)
"""Why bars may be missing for good."""


def _series_columns() -> list[sa.Column[str]]:
    return [sa.Column(name, sa.String, nullable=False) for name in ("asset_pair", "timeframe", "provider")]


acknowledged = sa.Table(
    "marked_holes",
    metadata,
    sa.Column("id", ID, primary_key=True),
    *_series_columns(),
    sa.Column("start", sa.BigInteger, nullable=False),
    sa.Column("end", sa.BigInteger, nullable=False),
    sa.Column("candles", sa.BigInteger, nullable=False),
    sa.Column("reason", sa.String, nullable=False),
    sa.Column("note", sa.String, nullable=False),
    sa.Column("actor", sa.String, nullable=False),
    sa.Column("at", sa.Float, nullable=False),
    sa.Index("marked_holes_by_series", "asset_pair", "timeframe", "provider", "start"),
)
asked = sa.Table(
    "asked_without_answer",
    metadata,
    *(sa.Column(name, sa.String, primary_key=True) for name in ("asset_pair", "timeframe", "provider")),
    sa.Column("start", sa.BigInteger, primary_key=True),
    sa.Column("end", sa.BigInteger, nullable=False),
    sa.Column("times", sa.Integer, nullable=False),
)


@dataclass(frozen=True, slots=True)
class AcknowledgedGap:
    """A range [start, end) whose `candles` missing bars somebody explained; `at` in epoch seconds."""

    id: int
    series: Series
    start: int
    end: int
    candles: int
    reason: str
    note: str
    actor: str
    at: float


def check_reason(reason: str) -> str:
    """The reason, or InputError listing those there are."""
    if reason not in REASONS:
        raise InputError(f"{reason!r} is unknown; use one of {', '.join(map(repr, REASONS))}", field="reason")
    return reason


class AcknowledgedGaps:
    """Reads and writes marked gaps, and what was asked for without an answer."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(
        self, series: Series, ranges: Iterable[tuple[int, int, int]], reason: str, note: str, actor: str
    ) -> list[int]:
        """Mark ranges (start, end, candles) of a series; returns the ids of the new marks: a range that somebody has
        marked in the meantime keeps the mark it has. InputError for an unknown reason."""
        shared = {"reason": check_reason(reason), "note": note, "actor": actor, "at": time.time()}
        rows = [_row(series, start, end) | shared | {"candles": candles} for start, end, candles in ranges]
        ids: list[int] = []
        with self._database.write() as connection:
            known = connection.execute(
                sa.select(acknowledged.c.start, acknowledged.c.end).where(*_of(acknowledged, series))
            )
            marked = {(start, end) for start, end in known}
            for some in portions([row for row in rows if (row["start"], row["end"]) not in marked]):
                ids += connection.scalars(acknowledged.insert().returning(acknowledged.c.id), some)
        return ids

    def remove(self, ids: Sequence[int]) -> None:
        """Take marks back."""
        with self._database.write() as connection:
            for some in portions(ids):
                connection.execute(acknowledged.delete().where(acknowledged.c.id.in_(some)))

    def get(self, ids: Sequence[int]) -> list[AcknowledgedGap]:
        """The gaps of these ids; those that are gone are left out."""
        return [gap for some in portions(ids) for gap in self._select(acknowledged.c.id.in_(some))]

    def of(self, series: Series) -> list[AcknowledgedGap]:
        """All marked gaps of a series, by time."""
        return self._select(*_of(acknowledged, series))

    def all(self) -> list[AcknowledgedGap]:
        """All marked gaps, by series and time."""
        return self._select()

    def ranges(self, series: Series, start: int, end: int) -> Times:
        """What is marked of [start, end): (n, 2) merged ranges in epoch seconds."""
        return self.ranges_by_series(start, end, series).get(series, NONE)

    def ranges_by_series(self, start: int, end: int, series: Series | None = None) -> dict[Series, Times]:
        """The same for every series that has any, or for one."""
        wanted = [
            acknowledged.c.start < end,
            acknowledged.c.end > start,
            *(_of(acknowledged, series) if series else ()),
        ]
        columns = (
            acknowledged.c.asset_pair,
            acknowledged.c.timeframe,
            acknowledged.c.provider,
            acknowledged.c.start,
            acknowledged.c.end,
        )
        found: dict[Series, list[tuple[int, int]]] = {}
        with self._database.read() as connection:
            for pair, timeframe, provider, first, last in connection.execute(sa.select(*columns).where(*wanted)):
                found.setdefault(Series(pair, timeframe, provider), []).append((max(first, start), min(last, end)))
        return {key: union(np.array(ranges, dtype=np.int64)) for key, ranges in found.items()}

    # -- asked without an answer

    def note_asked(self, series: Series, once: Times, twice: Times, answered: Times = NONE) -> None:
        """Remember which ranges a provider was asked for without an answer, in one run: once, or twice over.

        What was asked for once before and is now again counts as twice; `answered` ranges are forgotten.
        """
        if not any(map(len, (once, twice, answered))):
            return
        with self._database.read() as connection:
            before = {times: _stored_asks(connection, series, times) for times in (1, 2)}
        again = union(before[2], twice, intersect(before[1], once))
        after = {2: minus(again, answered), 1: minus(minus(union(before[1], once), answered), again)}
        if all(np.array_equal(before[times], after[times]) for times in (1, 2)):
            return
        # Whoever asks holds the lease of the series: nobody else changes its rows in between.
        with self._database.write() as connection:
            connection.execute(asked.delete().where(*_of(asked, series)))
            rows = [
                _row(series, start, end) | {"times": times}
                for times, ranges in after.items()
                for start, end in ranges.tolist()
            ]
            if rows:
                connection.execute(asked.insert(), rows)

    def asked_twice(self, series: Series) -> Times:
        """What the provider was asked for twice and did not have: merged ranges in epoch seconds."""
        with self._database.read() as connection:
            return _stored_asks(connection, series, 2)

    def asked_twice_by_series(self) -> dict[Series, Times]:
        """The same for every series that has any."""
        columns = (asked.c.asset_pair, asked.c.timeframe, asked.c.provider, asked.c.start, asked.c.end)
        query = sa.select(*columns).where(asked.c.times == 2).order_by(asked.c.start)
        found: dict[Series, list[tuple[int, int]]] = {}
        with self._database.read() as connection:
            for *names, start, end in connection.execute(query):
                found.setdefault(Series(*names), []).append((start, end))
        return {series: np.array(ranges, dtype=np.int64) for series, ranges in found.items()}

    def _select(self, *wanted: sa.ColumnElement[bool]) -> list[AcknowledgedGap]:
        query = sa.select(acknowledged).where(*wanted)
        query = query.order_by(
            *(acknowledged.c[name] for name in ("asset_pair", "timeframe", "provider", "start", "id"))
        )
        with self._database.read() as connection:
            return [
                AcknowledgedGap(
                    row.id,
                    Series(row.asset_pair, row.timeframe, row.provider),
                    *(row.start, row.end, row.candles, row.reason, row.note, row.actor, row.at),
                )
                for row in connection.execute(query)
            ]


def _row(series: Series, start: int, end: int) -> dict[str, object]:
    names = {"asset_pair": series.asset_pair, "timeframe": series.timeframe, "provider": series.provider}
    return names | {"start": start, "end": end}


def _of(table: sa.Table, series: Series) -> list[sa.ColumnElement[bool]]:
    names = ("asset_pair", "timeframe", "provider")
    return [table.c[name] == getattr(series, name) for name in names]


def _stored_asks(connection: sa.Connection, series: Series, times: int) -> Times:
    query = sa.select(asked.c.start, asked.c.end).where(*_of(asked, series), asked.c.times == times)
    rows = connection.execute(query.order_by(asked.c.start)).all()
    return np.array([tuple(row) for row in rows], dtype=np.int64).reshape(-1, 2)
