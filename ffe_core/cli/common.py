"""Helpers shared by the verbs: lists of names, who is at the keyboard, the run service, and how a run is followed."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from ffe_core import times
from ffe_core.cli import interruption, output
from ffe_core.errors import FFEError, StorageError
from ffe_core.instruments.lists import split_names

if TYPE_CHECKING:
    from ffe_core.operations.runs.service import RunService
    from ffe_core.settings import Settings
    from ffe_core.storage.state.database import Database
    from ffe_core.storage.state.runs import RunSeries

_POLL_SECONDS = 0.2
_FAILED = ("error", "validation_failed")


def names(text: str) -> list[str]:
    """A list, split at commas, semicolons and line ends."""
    found = split_names(text)
    if not found:
        raise argparse.ArgumentTypeError("give at least one name, for example BTCUSD,ETHUSD")
    return found


def actor() -> str:
    """Who is at the command line."""
    import getpass

    try:
        return getpass.getuser().encode(errors="backslashreplace").decode()
    except (KeyError, OSError):
        return "unknown"


at_end = ExitStack()
"""What a command has opened and nobody else closes before it ends."""


def state(settings: Settings) -> Database:
    """The state database; that it had to be made anew beside a lake is warned of."""
    from ffe_core.storage.state.opening import open_state, state_notice

    database = open_state(settings)
    at_end.callback(database.close)
    if database.is_new and (told := state_notice(database, settings)):
        output.warn(told)
    return database


@contextmanager
def run_service(settings: Settings) -> Iterator[RunService]:
    """The run service of this process; runs that still go on at the end are interrupted."""
    from ffe_core.operations.runs.service import RunService

    with interruption.finishing():
        database = state(settings)
        service = RunService(settings, database)
        try:
            yield service
        finally:
            service.close()
            database.close()


def follow(service: RunService, run_id: int, tell: Callable[[Sequence[RunSeries]], None]) -> list[dict[str, Any]]:
    """Wait for the end of a run, which a signal brings on, and return the result of each of its series.

    StorageError if the run is over and its end cannot be written down.
    """
    from ffe_core.storage.state import runs as run_states

    with interruption.winding_down(service.interrupt):
        while True:
            run = service.runs.get(run_id)
            tell(service.runs.series(run_id, with_results=False))
            if run is None or run.state not in run_states.ACTIVE:
                break
            if (why := service.unwritten(run_id)) is not None:
                raise StorageError(f"run {run_id} is over, but how it ended cannot be written down: {why}")
            time.sleep(_POLL_SECONDS)
    output.tell_interruption()
    return [dict(row.result or _unfinished(row)) for row in service.runs.series(run_id)]


def tidy_after(service: RunService, run_id: int) -> None:
    """Do the upkeep that a run has made worth it; a failure is warned of, and changes nothing of the run's result."""
    if interruption.came() is not None:
        return
    from ffe_core.operations.upkeep.service import Upkeep

    upkeep_id = Upkeep(service).after_runs([run_id])
    if upkeep_id is None:
        return
    output.tell("many small files have come together: upkeep of their tables")
    try:
        failed = [result for result in follow(service, upkeep_id, lambda rows: None) if result["status"] in _FAILED]
    except FFEError as error:
        output.warn(str(error))
        return
    for result in failed if interruption.came() is None else ():
        output.warn(f"upkeep failed and is tried again the next time: {result['error']}")


def status_of(results: Sequence[dict[str, Any]]) -> int:
    """1 if a series failed, or nothing of it passed the rules."""
    return int(any(result["status"] in _FAILED for result in results))


def _unfinished(row: RunSeries) -> dict[str, Any]:
    """The result of a series that a run which ended as a whole never came to report on: what is known of it."""
    kept = ("asset_pair", "timeframe", "provider", "records", "failed_records", "expected", "stored", "unexplained")
    opened = None if row.watermark is None else times.iso(row.watermark)
    why = row.error or f"the run was {row.state} before the series ended; run the same command again"
    return {
        **{name: getattr(row, name) for name in kept},
        "status": "error",
        "watermark": opened,
        "error": why,
    }
