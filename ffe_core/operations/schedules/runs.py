"""Scheduled runs: start the run of a tick, and tell what came of it, over the run service and its database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import sqlalchemy as sa

from ffe_core.errors import CREDENTIALS
from ffe_core.operations.runs.backfill import BackfillRequest
from ffe_core.operations.runs.service import RunService
from ffe_core.series import Series
from ffe_core.storage.state import runs as database
from ffe_core.storage.state.database import Database
from ffe_core.storage.state.schedules import Schedule

SCHEDULER = "the scheduler"
"""The actor of what the scheduler does by itself."""
_FETCHES = ("backfill", "refetch")


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a run failed; `credentials` when the provider refused them, which no later run can cure."""

    text: str
    credentials: bool = False


class Runs(Protocol):
    """What the scheduler needs of runs."""

    def start(self, schedule: Schedule, request: BackfillRequest, kind: str, due: int, actor: str) -> int:
        """Start a run; returns its number. InputError, SeriesHeld or StorageError if it cannot be started."""

    def find(self, schedule: Schedule, kind: str, due: int) -> int | None:
        """The run that was started for a tick, if one was."""

    def states(self, run_ids: Sequence[int]) -> Mapping[int, str]:
        """The state of each run that there is."""

    def adopt_dead(self) -> None:
        """Note as interrupted every run whose process is gone."""

    def busy(self, series: Sequence[Series]) -> Mapping[Series, int]:
        """Those of the series that a run of a living process works on, with its number."""

    def failure(self, run_id: int) -> Failure:
        """Why a failed run failed."""

    def new_dead_letters(self, since: float) -> int:
        """Dead letters kept by runs that fetched and ended after `since`; what a replay failed on is not new."""


class ScheduledRuns:
    """`Runs` over the run service of this process."""

    def __init__(self, service: RunService, database: Database) -> None:
        self._service = service
        self._database = database

    def start(self, schedule: Schedule, request: BackfillRequest, kind: str, due: int, actor: str) -> int:
        return self._service.start(
            request,
            actor,
            schedule.source,
            parameters={"schedule": schedule.name, "kind": kind, "due": due},
            priority=schedule.priority,
        )

    def find(self, schedule: Schedule, kind: str, due: int) -> int | None:
        query = sa.select(database.runs.c.id, database.runs.c.parameters).where(
            database.runs.c.source == schedule.source
        )
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(database.runs.c.id.desc()))
            return next((row.id for row in rows if _is_of(row.parameters, kind, due)), None)

    def states(self, run_ids: Sequence[int]) -> Mapping[int, str]:
        return self._service.runs.states(run_ids)

    def adopt_dead(self) -> None:
        self._service.adopt_dead_runs()

    def busy(self, series: Sequence[Series]) -> Mapping[Series, int]:
        return self._service.working_on(series)

    def failure(self, run_id: int) -> Failure:
        run = self._service.runs.get(run_id)
        failed = [row for row in self._service.runs.series(run_id) if row.state == database.FAILED]
        texts = [row.error or "no reason was written down" for row in failed]
        texts = texts or [(run and run.error) or "no reason was written down"]
        more = f" (and {len(failed) - 1} more series)" if len(failed) > 1 else ""
        return Failure(texts[0] + more, any(row.error_code in CREDENTIALS for row in failed))

    def new_dead_letters(self, since: float) -> int:
        counted = sa.select(sa.func.coalesce(sa.func.sum(database.run_series.c.failed_records), 0))
        fetched = database.runs.c.kind.in_(_FETCHES) & (database.run_series.c.ended_at > since)
        joined = counted.join(database.runs, database.runs.c.id == database.run_series.c.run_id)
        with self._database.read() as connection:
            return int(connection.scalar(joined.where(fetched)) or 0)


def _is_of(parameters: Mapping[str, Any], kind: str, due: int) -> bool:
    return parameters.get("kind") == kind and parameters.get("due") == due
