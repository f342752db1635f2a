"""Outcomes of runs: the state, the counts and the next step that a report comes to, as columns of the database."""

from __future__ import annotations

from typing import Any

from ffe_core.completeness import Completeness
from ffe_core.counts import many
from ffe_core.errors import (
    GridChanged,
    LeaseLost,
    PermanentError,
    QuotaError,
    RetriableError,
    SeriesHeld,
    StoreUnreachable,
)
from ffe_core.ingestion.series_result import SeriesResult
from ffe_core.storage.state import runs as run_states
from ffe_core.storage.state.faults import UNREACHABLE
from ffe_core.storage.state.runs import RunSeries

GONE = (UNREACHABLE, StoreUnreachable.code)
"""Codes of a server or a store that is gone and may come back."""
CHANGE_REQUEST = "change_request"
NEXT_STEPS = {
    CHANGE_REQUEST: "asking again would give the same answer: change the request or the credentials",
    "choose_later_start": "the provider does not reach back that far; choose another provider or a later start",
    "accept_grid": "compare a few of its bars with those that are stored, then accept the new grid as the error says",
    "look_at_gaps": "look at the gaps, then fetch them again or mark them",
    "wait_for_quota": "retry failed when the provider's quota has reset",
    "retry_failed": "retry failed: it picks up where the marks stand",
    "wait_for_holder": "wait for the run that holds it, then retry failed",
    "see_log": "see the log lines, then retry failed",
    "edit_and_replay": "edit what still fails, then replay it",
    "start_again": "see what it says, then start it again: what has landed is not stored twice",
}
"""What a person does next about a series that did not complete: the code as stored, and the sentence as shown."""


def process_ended(kind: str) -> str:
    """Why a run whose process is gone was interrupted, and what can be done about a run of its kind."""
    if kind in run_states.CONTINUED:
        return "the process that ran it ended; continue picks up where the marks stand"
    return "the process that ran it ended; start it again: what is done already is not done twice"


def next_step_of(row: RunSeries) -> str | None:
    """The next step of a series in words; the stored sentence where a release before 0.2 left no code."""
    return NEXT_STEPS.get(row.next_step_code or "", row.next_step)


def state_of(report: SeriesResult) -> str:
    """The literal state of a series that has ended: complete only if every expected bar is accounted for."""
    if report.error is not None:
        return state_after(report.error.code)
    counted = report.completeness
    return run_states.COMPLETE if counted is not None and counted.unexplained == 0 else run_states.GAPS


def state_after(code: str) -> str:
    """The state of a series that ended by an error of this code: what only waits for a server, or was taken for dead,
    can go on as it is."""
    return run_states.INTERRUPTED if code in (*GONE, LeaseLost.code) else run_states.FAILED


def next_step(report: SeriesResult) -> str | None:
    """The code of what a person does next about a series that did not complete; None if it is well."""
    match report.error:
        case None if report.not_covered:
            return "choose_later_start"
        case None:
            return "look_at_gaps" if state_of(report) == run_states.GAPS else None
        case GridChanged():
            return "accept_grid"
        case PermanentError():
            return CHANGE_REQUEST
        case QuotaError():
            return "wait_for_quota"
        case RetriableError():
            return "retry_failed"
        case SeriesHeld():
            return "wait_for_holder"
        case _:
            return "see_log"


def summary(report: SeriesResult) -> str:
    """One line on a series that has ended well."""
    counted = report.completeness
    missing = f", {counted.unexplained:,} unexplained" if counted and counted.unexplained else ""
    failed = report.counts.dead_lettered
    dead = f", {failed:,} dead lettered" if failed else ""
    notes = "".join(f". {note}" for note in report.notes)
    restated = f", {report.counts.restated:,} of them restated" if report.counts.restated else ""
    return f"{report.series}: {many(report.counts.stored, 'candle')} stored{restated}{dead}{missing}{notes}"


def counts_of(report: SeriesResult) -> dict[str, Any]:
    """The counts of a report as columns of the database."""
    return {
        "received": report.counts.received,
        "records": report.counts.stored,
        "failed_records": report.counts.dead_lettered - report.counts.superseded,
        "repeats": report.counts.duplicates,
        "restated": report.counts.restated,
        "requests": report.request_stats.requests,
        "retries": report.request_stats.retries,
        "watermark": report.marks.watermark,
        **how_whole(None if is_of_nothing(report) else report.completeness),
    }


def is_of_nothing(report: SeriesResult) -> bool:
    """Whether its provider has no such series and nothing of one is stored: then no bar of it is missing either."""
    refused = report.error is not None and report.error.code == PermanentError.code
    stored = report.completeness is not None and report.completeness.stored
    return refused and report.marks.watermark is None and not stored


def how_whole(found: Completeness | None) -> dict[str, Any]:
    """How whole a series is as columns of the database; nothing in them if that cannot be told."""
    counts = found.counts() if found else {}
    return {name: counts.get(name) for name in ("expected", "stored", "dead_lettered", "marked", "unexplained")}


def progressed(report: SeriesResult) -> dict[str, Any]:
    """All that the database says of a report; until it is done, what was fetched counts as received."""
    is_done = report.phase == "done"
    return {
        "phase": None if is_done else report.phase,
        "start": report.start,
        "end": report.end,
        "pages_done": report.pages_done,
        "pages_planned": report.pages_planned,
        **counts_of(report),
        **({} if is_done else {"received": max(report.fetched, report.counts.received)}),
    }


def ended(report: SeriesResult) -> dict[str, Any]:
    """How a series has ended as columns of the database."""
    return {
        "state": state_of(report),
        "error": report.error_text,
        "error_code": report.error.code if report.error else None,
        "next_step_code": next_step(report),
        "result": report.as_dict(),
    }


def with_earlier(report: SeriesResult, earlier: SeriesResult) -> SeriesResult:
    """The report with the counts of an earlier pass over the same series added."""
    report.counts.add(earlier.counts)
    report.request_stats.requests += earlier.request_stats.requests
    report.request_stats.retries += earlier.request_stats.retries
    report.pages_done += earlier.pages_done
    report.pages_planned += earlier.pages_planned
    report.fetched += earlier.fetched
    return report
