"""Storage of a lake: what each table and series holds, what upkeep would do and win, and what room is left."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ffe_core.candles import table_name, timeframe_of
from ffe_core.settings import Settings
from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager
from ffe_core.storage.lake.snapshot import Files, Snapshot
from ffe_core.storage.lake.upkeep.disk import space_left
from ffe_core.storage.lake.upkeep.log import LogState, log_state
from ffe_core.storage.lake.upkeep.plan import TablePlan, plan_of, small_files
from ffe_core.storage.lake.upkeep.vacuum import Unused, unused
from ffe_core.storage.state.database import DATABASE_FILE, Database
from ffe_core.storage.state.pruning import WHAT, count_old
from ffe_core.storage.state.runs import RunStore
from ffe_core.timeframes import TIMEFRAMES
from ffe_core.times import DAY

SEVERAL = "several"
"""The provider of files that hold several: how many rows are whose, the log does not say."""


@dataclass(frozen=True, slots=True)
class TableStorage:
    """A table: figures, what the next upkeep would do, and when one was done last (epoch seconds)."""

    plan: TablePlan
    log: LogState
    unused: Unused
    last_upkeep: float | None

    @property
    def table(self) -> str:
        """Its name."""
        return self.plan.table

    @property
    def timeframe(self) -> str:
        """Its timeframe."""
        return timeframe_of(self.plan.table)


@dataclass(frozen=True, slots=True)
class SeriesStorage:
    """What the log knows of a series' files; `rows` count every version of a bar."""

    asset_pair: str
    timeframe: str
    provider: str
    rows: int
    bytes: int
    files: int
    small_files: int


@dataclass(frozen=True, slots=True)
class History:
    """The state database: its bytes, how many hold nothing, what age would delete, by kind, and what people call it."""

    bytes: int
    free_bytes: int
    old: dict[str, int]
    name: str = DATABASE_FILE


@dataclass(frozen=True, slots=True)
class Storage:
    """Everything about a lake's storage; `left` in bytes, None where it cannot be told."""

    tables: tuple[TableStorage, ...]
    series: tuple[SeriesStorage, ...]
    history: History
    left: int | None


def storage(lake: DeltaLakeManager, database: Database, settings: Settings, now: float | None = None) -> Storage:
    """How a lake is stored now. StorageError if a table cannot be read."""
    last = RunStore(database).last_upkeep()
    tables: list[TableStorage] = []
    series: list[SeriesStorage] = []
    for timeframe in TIMEFRAMES:
        snapshot = lake.snapshot(table_name(timeframe))
        if snapshot is not None:
            done = last[timeframe].ended_at if timeframe in last else None
            tables.append(_table(lake, snapshot, timeframe, settings, done, now))
            series += _series(snapshot.all_files(), timeframe)
    return Storage(tuple(tables), tuple(series), history(database, settings, now), space_left(lake.storage_path))


def history(database: Database, settings: Settings, now: float | None = None) -> History:
    """The state database, and how much of its history is older than the settings keep it."""
    moment = time.time() if now is None else now
    old = {what: count_old(database, what, moment - days * DAY) if days else 0 for what, days in ages(settings).items()}
    return History(*database.size(), old, database.name)


def ages(settings: Settings) -> dict[str, int]:
    """For how many days each kind of history in the database is kept; 0 for ever."""
    kept = settings.upkeep
    found = {"runs": kept.run_days, "ticks": kept.tick_days, "notices": kept.tick_days, "audit": kept.audit_days}
    assert found.keys() == WHAT.keys()
    return found


def _table(
    lake: DeltaLakeManager,
    snapshot: Snapshot,
    timeframe: str,
    settings: Settings,
    done: float | None,
    now: float | None,
) -> TableStorage:
    name = table_name(timeframe)
    uri = lake.table_uri(name)
    log = log_state(uri, snapshot.version, settings.upkeep.log_retention_hours, now, lake.storage_options)
    gone = unused(uri, lake.storage_options, settings.upkeep.file_retention_hours)
    return TableStorage(plan_of(snapshot, name, now), log, gone, done)


def _series(files: Files, timeframe: str) -> Iterator[SeriesStorage]:
    places: dict[tuple[str, str], list[int]] = {}
    for place, (pair, (low, high)) in enumerate(zip(files.pairs.tolist(), files.providers.tolist(), strict=True)):
        places.setdefault((str(pair), low if low == high else SEVERAL), []).append(place)
    for (pair, provider), own in sorted(places.items()):
        found = files.where(np.array(own))
        yield SeriesStorage(
            pair,
            timeframe,
            provider,
            int(found.rows.sum()),
            int(found.sizes.clip(min=0).sum()),
            len(found),
            small_files(found),
        )
