"""Lineage of stored rows: the run or the hand that brought each, by its commit, else by the database.

The log of a table forgets commits after a month, and only its newest are read: a row from further back belongs to the
run that worked on its series at the moment it was extracted, if there was just one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

import sqlalchemy as sa

from ffe_core.candles import BY_HAND
from ffe_core.errors import StorageError
from ffe_core.series import Series
from ffe_core.storage.lake.commits import notes_of
from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager
from ffe_core.storage.lake.snapshot import MICROS
from ffe_core.storage.state.audit import Audit
from ffe_core.storage.state.database import Database
from ffe_core.storage.state.runs import run_series

_MOST_COMMITS = 1_000
_MOST_CORRECTIONS = 10_000
_RunSpans = list[tuple[int, float, float | None]]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a row comes from; None for what is not known of it."""

    run: int | None = None
    actor: str | None = None
    """Who corrected it by hand."""
    reason: str | None = None


@dataclass(slots=True)
class _Read:
    """What was read of a table's log: up to which version, and what it said."""

    version: int = -1
    origins: dict[str, Origin] = field(default_factory=dict)


_read: WeakKeyDictionary[DeltaLakeManager, dict[str, _Read]] = WeakKeyDictionary()


def origins(lake: DeltaLakeManager, database: Database, series: Series, rows: Mapping[str, int]) -> dict[str, Origin]:
    """Where rows of a series come from, by ingestion id; `rows` gives for each id a moment of extraction (epoch us).

    An id of which nothing is known is left out. StorageError if the log or the database cannot be read.
    """
    known = _of_commits(lake, series.table)
    found = {ingestion: known[ingestion] for ingestion in rows if ingestion in known}
    missing = {ingestion: at for ingestion, at in rows.items() if ingestion not in found}
    if not missing:
        return found
    return found | _by_hand(database, series, missing) | _at_the_time(database, series, missing)


def _of_commits(lake: DeltaLakeManager, table_name: str) -> dict[str, Origin]:
    snapshot = lake.snapshot(table_name)
    if snapshot is None:
        return {}
    tables, name = _read.setdefault(lake, {}), f"{table_name} {snapshot.table.metadata().id}"
    read = tables.get(name, _Read())
    new = snapshot.version - read.version
    if new > 0:
        try:
            commits = snapshot.table.history(min(new, _MOST_COMMITS))
        except Exception as error:
            raise StorageError(f"the log of {table_name} cannot be read: {error}") from error
        read = tables[name] = _Read(snapshot.version, read.origins | _named(commits))
    return read.origins


def _named(commits: list[dict[str, Any]]) -> dict[str, Origin]:
    named = {}
    for note in (note for commit in commits for note in notes_of(commit)):
        if ingestion := note.get("ingestion_id"):
            run = str(note.get("run_id", ""))
            named[ingestion] = Origin(int(run) if run.isdigit() else None, note.get("actor"), note.get("reason"))
    return named


def _by_hand(database: Database, series: Series, missing: Mapping[str, int]) -> dict[str, Origin]:
    if not any(ingestion.startswith(BY_HAND) for ingestion in missing):
        return {}
    acts = Audit(database).find(target=series.key, verb="correct", limit=_MOST_CORRECTIONS)
    by_id = {act.details.get("ingestion"): Origin(None, act.actor, act.reason) for act in acts}
    return {ingestion: by_id[ingestion] for ingestion in missing if ingestion in by_id}


def _at_the_time(database: Database, series: Series, missing: Mapping[str, int]) -> dict[str, Origin]:
    moments = {ingestion: at / MICROS for ingestion, at in missing.items() if not ingestion.startswith(BY_HAND)}
    if not moments:
        return {}
    spans = _working(database, series, min(moments.values()), max(moments.values()))
    found = {}
    for ingestion, at in moments.items():
        runs = {run for run, start, end in spans if start <= at and (end is None or at <= end)}
        if len(runs) == 1:
            found[ingestion] = Origin(runs.pop())
    return found


def _working(database: Database, series: Series, first: float, last: float) -> _RunSpans:
    """The runs that worked on a series between two moments, and when."""
    query = sa.select(run_series.c.run_id, run_series.c.started_at, run_series.c.ended_at).where(
        run_series.c.asset_pair == series.asset_pair,
        run_series.c.timeframe == series.timeframe,
        run_series.c.provider == series.provider,
        run_series.c.started_at <= last,
        sa.or_(run_series.c.ended_at.is_(None), run_series.c.ended_at >= first),
    )
    with database.read() as connection:
        return [(row.run_id, row.started_at, row.ended_at) for row in connection.execute(query)]
