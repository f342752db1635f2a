"""Upkeep runs: which tables need one, start it, and do it after backfills; a run like others, with progress and log.

Writers of series are never held up: a lease of its own keeps two upkeeps of a table apart, and the table's commits see
to the rest.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from ffe_core.candles import table_name
from ffe_core.errors import FFEError, InputError, UpkeepHeld
from ffe_core.insight.storage import history
from ffe_core.operations.dead_letters.service import DeadLetters
from ffe_core.operations.runs import log as run_log
from ffe_core.operations.runs.series_work import one_by_one
from ffe_core.operations.runs.service import RunService
from ffe_core.operations.upkeep.history import NAME, is_worth_shrinking, prune_history, shrink
from ffe_core.operations.upkeep.job import ALL_PROVIDERS, UpkeepJob, ended, rows_of, what_of
from ffe_core.operations.upkeep.tables import COMPACT, HISTORY, STEPS, VACUUM, Share, shares
from ffe_core.operations.upkeep.words import in_words
from ffe_core.series import Series
from ffe_core.storage.lake.snapshot import Snapshot
from ffe_core.storage.lake.upkeep.log import log_state
from ffe_core.storage.lake.upkeep.plan import plan_of
from ffe_core.storage.lake.upkeep.vacuum import unused
from ffe_core.storage.leases import UpkeepLease
from ffe_core.storage.state.audit import Audit
from ffe_core.storage.state.runs import UPKEEP, NewRun
from ffe_core.threads import run_to_completion
from ffe_core.timeframes import TIMEFRAMES
from ffe_core.times import DAY
from ffe_core.upkeep_settings import checked_file_hours

log = logging.getLogger(__name__)
ALL_STEPS = "all"
"""The mode of a run that does every step."""
ITSELF = "upkeep"
"""The source of runs that nobody started by hand."""
_SHARE_BYTES, _MOST_SHARES = 256 * 2**20, 32
"""How much of a table is worth a machine of its own, and into how many shares it goes at most."""
_LATEST = DAY
"""A table that has something to do is not left longer than this, however little it is."""


class Upkeep:
    """Starts and does upkeep over a run service."""

    def __init__(self, service: RunService) -> None:
        self._service = service
        self._audit, self._dead_letters = Audit(service.database), DeadLetters(service)
        self._settings = service.settings

    # -- verbs

    def start(
        self,
        actor: str,
        source: str = "console",
        *,
        steps: Sequence[str] = STEPS,
        timeframes: Sequence[str] | None = None,
        file_hours: int | None = None,
    ) -> int:
        """Start the upkeep of some tables, or all; returns the run's number.

        InputError for a table that is not there or a retention that is too short, UpkeepHeld if one is being done.
        """
        kept = self._settings.upkeep.file_retention_hours if file_hours is None else file_hours
        checked_file_hours(kept, "retention_hours")
        rows = self.rows(steps, timeframes)
        if not rows:
            raise InputError("there is no table yet; backfill a series first", field="timeframes")
        tables = [row for row in rows if row.asset_pair != NAME]
        parts = {part: share for row in tables for part, share in self._shared(row, steps).items()}
        rows = (*parts, *rows[len(tables) :])
        for row in rows:
            UpkeepLease(self._service.locks, what_of(row)).check_free()
        mode = ALL_STEPS if set(steps) == set(STEPS) else ", ".join(steps)
        run = NewRun(UPKEEP, ALL_PROVIDERS, mode, 0, 0, rows, actor, source, "", None, {"steps": list(steps)})
        job = UpkeepJob(parts, tuple(steps), kept, self._settings.upkeep)
        return self._service.submit(run, partial(self._work, job, rows, actor))

    def rows(self, steps: Sequence[str] = STEPS, timeframes: Sequence[str] | None = None) -> tuple[Series, ...]:
        """What a run of these steps works on: a row a table, and one of the database for its history."""
        there = self._tables()
        if unknown := [one for one in timeframes or () if one not in there]:
            raise InputError(
                f"there is no {table_name(unknown[0]) if unknown[0] in TIMEFRAMES else unknown[0]} in this lake; choose"
                f" from {', '.join(there) or 'none: it is empty'}",
                field="timeframes",
            )
        wanted = there if timeframes is None else timeframes
        rows = [row for one in wanted if {COMPACT, VACUUM} & set(steps) for row in rows_of(one)]
        return (*rows, *([Series(NAME, "", "")] if HISTORY in steps else []))

    def after_runs(self, run_ids: Sequence[int]) -> int | None:
        """Start the upkeep of tables that backfills have left with many small files; the run's number, None for none.

        What keeps it from being started is said in the log, and the next look tries again.
        """
        if not self._settings.upkeep.small_files:
            return None
        try:
            timeframes = {one for run_id in run_ids for one in self._timeframes_of(run_id)}
            worth = [one for one in TIMEFRAMES if one in timeframes and self._has_many(one) and self._is_free(one)]
            return self.start(ITSELF, ITSELF, steps=(COMPACT, VACUUM), timeframes=worth) if worth else None
        except (FFEError, InputError) as error:
            log.warning("upkeep after run %s is left for later: %s", ", ".join(map(str, run_ids)), error)
            return None

    def due(self, now: float | None = None) -> tuple[str, ...]:
        """The timeframes whose table needs upkeep now. StorageError if one cannot be read."""
        moment = time.time() if now is None else now
        last = self._service.runs.last_upkeep()
        return tuple(
            one
            for one in self._tables()
            if self._has_many(one)
            or (_is_old(last[one].ended_at if one in last else None, moment) and self._has_any(one, moment))
        )

    def has_old_history(self) -> bool:
        """Whether age would delete anything, or the database could give space back."""
        found = history(self._service.database, self._settings)
        days = self._settings.upkeep.dead_letter_days
        return bool(
            any(found.old.values())
            or (days and self._dead_letters.purgeable(days))
            or is_worth_shrinking(found.bytes, found.free_bytes)
        )

    # -- inside

    def _timeframes_of(self, run_id: int) -> set[str]:
        """Those whose tables a run may have written to; none for upkeep."""
        run = self._service.runs.get(run_id)
        is_upkeep = run is None or run.kind == UPKEEP
        return set() if is_upkeep else {row.timeframe for row in self._service.runs.series(run_id)}

    def _tables(self) -> list[str]:
        return [one for one in TIMEFRAMES if self._service.lake.table_exists(table_name(one))]

    def _snapshot(self, timeframe: str) -> Snapshot | None:
        return self._service.lake.snapshot(table_name(timeframe))

    def _has_many(self, timeframe: str) -> bool:
        """Whether compaction would spare as many files as the settings call many."""
        most = self._settings.upkeep.small_files
        snapshot = self._snapshot(timeframe)
        if snapshot is None or not most or len(snapshot.all_files()) < most:
            return False
        return plan_of(snapshot, table_name(timeframe)).spared_files >= most

    def _has_any(self, timeframe: str, now: float) -> bool:
        """Whether there is anything to do."""
        snapshot, kept = self._snapshot(timeframe), self._settings.upkeep
        if snapshot is None:
            return False
        uri = self._service.lake.table_uri(table_name(timeframe))
        return bool(
            plan_of(snapshot, table_name(timeframe), now).merges
            or log_state(
                uri, snapshot.version, kept.log_retention_hours, now, self._service.lake.storage_options
            ).expired
            or unused(uri, self._service.lake.storage_options, kept.file_retention_hours).paths
        )

    def _is_free(self, timeframe: str) -> bool:
        try:
            UpkeepLease(self._service.locks, table_name(timeframe)).check_free()
        except UpkeepHeld:
            return False
        return True

    def _shared(self, row: Series, steps: Sequence[str]) -> dict[Series, Share]:
        """A table in shares of its pairs, where workers spare the time of rewriting much; else whole."""
        snapshot = self._snapshot(row.timeframe) if COMPACT in steps and self._service.settings.ray_address else None
        if snapshot is None:
            return rows_of(row.timeframe)
        plan = plan_of(snapshot, row.table)
        return rows_of(row.timeframe, shares(plan, min(_MOST_SHARES, max(1, plan.merged_bytes // _SHARE_BYTES))))

    async def _work(self, job: UpkeepJob, rows: Sequence[Series], actor: str, run_id: int) -> None:
        if job.tables:
            await self._service.by_engine(job)(run_id)
        first = len(job.tables)
        if first < len(rows):
            await one_by_one(self._service, run_id, rows, partial(self._of_history, run_id, actor), first=first)

    async def _of_history(self, run_id: int, actor: str, number: int, row: Series) -> Mapping[str, Any]:
        """The history is done by the process that owns the run, as it is that of its database."""
        with UpkeepLease(self._service.locks, what_of(row), f"run {run_id}").acquire():
            return ended(row, await run_to_completion(self._history, actor))

    def _history(self, actor: str) -> dict[str, Any]:
        gone = prune_history(self._settings, self._service.database, self._audit, self._dead_letters, actor)
        won = shrink(self._settings, self._service.database)
        result = {"deleted": gone, "bytes_given_back": won}
        run_log.say(f"{self._service.database.name}: {in_words(result)}")
        return result


def _is_old(ended_at: float | None, now: float) -> bool:
    return ended_at is None or now - ended_at >= _LATEST
