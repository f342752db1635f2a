"""Import job: the files of each series, imported on whichever machine the series is worked off by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from ffe_core.files.plan import PlannedFile
from ffe_core.ingestion.file_chunk import FileResult
from ffe_core.ingestion.file_import import FileImport
from ffe_core.ingestion.series_result import SeriesResult
from ffe_core.operations.runs import log as run_log
from ffe_core.operations.runs.one_by_one import OneByOne
from ffe_core.operations.runs.outcome import ended, progressed, summary
from ffe_core.operations.runs.work import Tools, Work
from ffe_core.operations.runs.written import add_untold
from ffe_core.series import Series
from ffe_core.threads import run_to_completion

MOST_FILES = 1_000
"""So many files are named in a run's parameters and in a series' result; the database of files has them all."""


@dataclass(frozen=True, slots=True)
class ImportJob:
    """The files of each series, in their order; with `again` one that is known is read all the same."""

    files: Mapping[Series, Sequence[PlannedFile]]
    again: bool = False
    at_once: ClassVar[int] = 1

    @property
    def series(self) -> tuple[Series, ...]:
        """The series that the files are of."""
        return tuple(self.files)

    def only(self, series: Sequence[Series]) -> ImportJob:
        """The same of some of its series."""
        return replace(self, files={one: self.files[one] for one in series})

    def begin(self, work: Work, tools: Tools) -> OneByOne:
        """The work on its series, each under its lease."""
        stores = tools.ingester.stores

        async def one(number: int, series: Series, doing: OneByOne) -> Mapping[str, Any]:
            with await stores.lease(series, str(work.run_id)).wait(work.lease_wait):
                imported = FileImport(
                    series,
                    stores,
                    run_id=str(work.run_id),
                    is_stopped=doing.is_stopped,
                    progress=lambda report: doing.show(number, **progressed(report)),
                    max_unpacked_mb=stores.settings.files.max_unpacked_mb,
                    again=self.again,
                )
                report = await run_to_completion(_run, imported, self.files[series])
                if number in work.again:
                    await run_to_completion(add_untold, report, work.writer(is_of_files=True), stores)
            return _ended(report, imported.files)

        return OneByOne(work, one)


def _run(work: FileImport, files: Sequence[PlannedFile]) -> SeriesResult:
    report = work.run(files)
    run_log.say(report.error_text or summary(report), "error" if report.error else "info")
    for result in work.files[:MOST_FILES]:
        run_log.say(line_of(result), "error" if result.error else "info")
    return report


def line_of(result: FileResult) -> str:
    """One file in a sentence."""
    if result.error:
        return f"{result.path.name}: {result.error}"
    known = ", the same file as before, nothing new" if result.is_known else ""
    restated = f" ({result.restated:,} restated)" if result.restated else ""
    left = f", {result.left_out:,} of other symbols left out" if result.left_out else ""
    unfinished = f", {result.unfinished:,} not closed yet" if result.unfinished else ""
    return (
        f"{result.path.name}: received {result.received:,} = stored {result.stored:,}{restated}"
        f" + dead lettered {result.dead_lettered:,} + repeats {result.repeats:,}{known}{left}{unfinished}"
    )


def _ended(report: SeriesResult, files: Sequence[FileResult]) -> dict[str, Any]:
    columns = ended(report)
    result = dict(columns["result"]) | {
        "files": [one.as_dict() for one in files[:MOST_FILES]],
        "files_total": len(files),
    }
    next_step = {"next_step_code": "start_again"} if report.error else {}
    counts = {name: value for name, value in progressed(report).items() if name != "phase"}
    return {**counts, **columns, **next_step, "result": result}
