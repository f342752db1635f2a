"""Series work of a run that is not a backfill: one series after the other, each failing alone."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from ffe_core.completeness import Completeness, completeness
from ffe_core.errors import FFEError, InputError, StorageError
from ffe_core.insight.coverage import calendar_of
from ffe_core.operations.runs.outcome import state_after
from ffe_core.operations.runs.service import RunService
from ffe_core.redaction import redact
from ffe_core.results import result_of
from ffe_core.series import Series
from ffe_core.storage.state import runs as run_states

log = logging.getLogger(__name__)
Columns = Mapping[str, Any]
_SHOWN_SECONDS = 0.5


async def one_by_one(
    service: RunService,
    run_id: int,
    series: Sequence[Series],
    work: Callable[[int, Series], Awaitable[Columns]],
) -> None:
    """Do `work` for each series; it returns the columns of its row in the database, `state` among them.

    A failure is written to the row and the next series begins; a cancellation ends all.
    """
    for number, item in enumerate(series):
        await note(service, run_id, number, state=run_states.RUNNING, started_at=time.time(), phase="waiting")
        try:
            columns = await work(number, item)
        except (FFEError, InputError) as error:
            columns = failed(item, redact(str(error)), error.code)
        except Exception as error:
            log.exception("%s ended unexpectedly", item)
            columns = failed(item, redact(f"{type(error).__name__}: {error}"), FFEError.code)
        await note(service, run_id, number, phase=None, ended_at=time.time(), **columns)


async def note(service: RunService, run_id: int, number: int, **columns: Any) -> None:
    """Write columns of one series of a run."""
    await service.persist(lambda: service.runs.update_series(run_id, {number: columns}))


class Shown:
    """The progress of a series in its row, written from the thread that works; that it cannot be stops nothing."""

    def __init__(self, service: RunService, run_id: int, number: int) -> None:
        self._service, self._run_id, self._number = service, run_id, number
        self._at = 0.0

    def now_and_then(self, columns: Columns) -> None:
        """Write it, unless that was done a moment ago."""
        if time.monotonic() - self._at >= _SHOWN_SECONDS:
            self.at_once(columns)

    def at_once(self, columns: Columns) -> None:
        """Write it."""
        self._at = time.monotonic()
        with suppress(StorageError):
            self._service.runs.update_series(self._run_id, {self._number: columns})


def counted(service: RunService, series: Series, start: int, end: int) -> Completeness | None:
    """How whole a range of a series is now; None if that cannot be told."""
    stores = service.stores
    try:
        calendar = calendar_of(series, service.settings)
        return completeness(series, start, end, calendar, service.lake, stores.queue, stores.acknowledged)
    except (FFEError, InputError) as error:
        log.warning("%s: how whole it is cannot be told: %s", series, error)
        return None


def failed(series: Series, error: str, code: str) -> dict[str, Any]:
    """The row of a series that has failed, as columns of the database."""
    return {
        "state": state_after(code),
        "error": error,
        "error_code": code,
        "next_step_code": "start_again",
        "result": {**result_of(series, "error"), "error": error, "error_code": code},
    }
