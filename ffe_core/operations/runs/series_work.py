"""Series work of a run that its own process does: one series after the other, each failing alone."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from ffe_core.completeness import Completeness, completeness
from ffe_core.errors import FFEError, InputError, sentence
from ffe_core.insight.coverage import calendar_of
from ffe_core.operations.runs.outcome import state_after
from ffe_core.operations.runs.service import RunService
from ffe_core.redaction import redact
from ffe_core.results import result_of
from ffe_core.series import Series
from ffe_core.storage.state import runs as run_states

log = logging.getLogger(__name__)
Columns = Mapping[str, Any]


async def one_by_one(
    service: RunService,
    run_id: int,
    series: Sequence[Series],
    work: Callable[[int, Series], Awaitable[Columns]],
    first: int = 0,
) -> None:
    """Do `work` for each series from the `first` on; it returns the columns of its row in the database, `state` among
    them.

    A failure is written to the row and the next series begins; a cancellation ends all.
    """
    for number, item in enumerate(series[first:], first):
        await note(service, run_id, number, state=run_states.RUNNING, started_at=time.time(), phase="waiting")
        columns = await ended(item, work(number, item))
        await note(service, run_id, number, phase=None, ended_at=time.time(), **columns)


async def ended(series: Series, work: Awaitable[Columns]) -> Columns:
    """The columns that the work on a series came to, or those of its failure; a cancellation goes on."""
    try:
        return await work
    except (FFEError, InputError) as error:
        return _failed(series, redact(sentence(error)), error.code)
    except Exception as error:
        log.exception("%s ended unexpectedly", series)
        return _failed(series, redact(f"{type(error).__name__}: {error}"), FFEError.code)


async def note(service: RunService, run_id: int, number: int, **columns: Any) -> None:
    """Write columns of one series of a run."""
    await service.persist(lambda: service.runs.update_series(run_id, {number: columns}))


def counted(service: RunService, series: Series, start: int, end: int) -> Completeness | None:
    """How whole a range of a series is now; None if that cannot be told."""
    stores = service.stores
    try:
        calendar = calendar_of(series, service.settings)
        return completeness(series, start, end, calendar, service.lake, stores.queue, stores.acknowledged)
    except (FFEError, InputError) as error:
        log.warning("%s: how whole it is cannot be told: %s", series, error)
        return None


def _failed(series: Series, error: str, code: str) -> dict[str, Any]:
    """The row of a series that has failed, as columns of the database."""
    return {
        "state": state_after(code),
        "error": error,
        "error_code": code,
        "next_step_code": "start_again",
        "result": {**result_of(series, "error"), "error": error, "error_code": code},
    }
