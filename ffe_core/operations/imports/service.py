"""Import service: plans what files would bring, and imports them in a run of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ffe_core import times
from ffe_core.errors import InputError
from ffe_core.files.look import Looker
from ffe_core.files.plan import ImportPlan, PlannedFile, Planner, answers_of, found_files
from ffe_core.files.profile import Profile, Profiles
from ffe_core.ingestion.file_chunk import FileResult
from ffe_core.ingestion.file_import import FileImport
from ffe_core.ingestion.series_result import SeriesResult
from ffe_core.operations.imports.request import ImportRequest, kept_request
from ffe_core.operations.imports.uploads import Uploads
from ffe_core.operations.runs import log as run_log
from ffe_core.operations.runs.outcome import ended, progressed, summary
from ffe_core.operations.runs.series_work import Shown, one_by_one
from ffe_core.operations.runs.service import RunService
from ffe_core.series import Series
from ffe_core.settings import Settings
from ffe_core.storage.state import runs as run_states
from ffe_core.storage.state.runs import NewRun
from ffe_core.threads import run_to_completion

IMPORT = "import"
"""The kind of a run that imports files."""
_MOST_FILES = 1_000
"""So many files are named in a run's parameters and in a series' result; the database of files has them all."""


def profiles_of(settings: Settings) -> Profiles:
    """The profiles there are: shipped ones, and those kept in the data directory."""
    return Profiles(settings.data_dir / "profiles")


def planned(
    request: ImportRequest, settings: Settings, progress: Callable[[int], object] = lambda done: None
) -> ImportPlan:
    """What an import would do, and what has to be asked first; nothing is stored. InputError for what cannot be."""
    profiles = profiles_of(settings)
    looker = Looker(profiles.all(), request.chosen(profiles), answers_of(request.answers))
    planner = Planner(
        looker, request.target, settings.files.max_unpacked_mb, any_name=request.any_name, member=request.member
    )
    return planner.plan(found_files(request.files), progress)


class Imports:
    """Imports of files, through the run service of this process."""

    def __init__(self, service: RunService) -> None:
        self._service = service
        self._uploads = Uploads(service.settings)

    def start(
        self,
        plan: ImportPlan,
        request: ImportRequest,
        actor: str,
        source: str = "console",
        *,
        lease_wait: float = 0.0,
        parent_id: int | None = None,
    ) -> int:
        """Import what was planned for the request, which is kept with the run; returns its number.

        InputError while a question is open or where no file can be read, SeriesHeld if a run works on a series.
        """
        if plan.questions:
            name, question = plan.questions[0]
            raise InputError(f"{name}: {question.text}; answer it first", field=question.code)
        if not plan.files:
            raise InputError(_nothing(plan), field="files")
        series = tuple(plan.files)
        if not lease_wait:
            self._service.check_free(series)
        kept = {**_parameters(plan), "request": request.kept(profiles_of(self._service.settings))}
        run = NewRun(IMPORT, plan.target.source, "files", 0, times.now(), series, actor, source, "", parent_id, kept)
        for token in self._uploads.tokens_of(request.files):
            self._uploads.keep_longer(token)
        return self._service.submit(run, partial(self._work, plan, request, lease_wait))

    def resume(self, run_id: int, actor: str, source: str = "console") -> int:
        """A new run of the series that an interrupted or cancelled import left unfinished: what is stored is known."""
        return self._again(run_id, (run_states.INTERRUPTED, run_states.CANCELLED), actor, source)

    def retry_failed(self, run_id: int, actor: str, source: str = "console") -> int:
        """A new run of just the series that failed, their files as they are now; InputError if none did."""
        return self._again(run_id, (run_states.FAILED,), actor, source)

    def _again(self, run_id: int, which: Sequence[str], actor: str, source: str) -> int:
        run = self._service.runs.get(run_id)
        if run is None or run.kind != IMPORT:
            raise InputError(f"there is no import {run_id}; the list of runs shows which there are", field="run")
        wanted = {row.series for row in self._service.runs.series(run_id) if row.state in which}
        if not wanted:
            raise InputError(f"{run_id} has no series that is {' or '.join(which)}", field="run")
        request = kept_request(run.parameters)
        for token in self._uploads.tokens_of(request.files):
            self._uploads.files(token)
        plan = planned(request, self._service.settings)
        plan.files = {series: files for series, files in plan.files.items() if series in wanted}
        return self.start(plan, request, actor, source, parent_id=run_id)

    async def _work(self, plan: ImportPlan, request: ImportRequest, lease_wait: float, run_id: int) -> None:
        spans: list[tuple[int, int]] = []

        async def one(number: int, series: Series) -> Mapping[str, Any]:
            stores = self._service.stores
            shown = Shown(self._service, run_id, number)
            with await stores.lease(series, str(run_id)).wait(lease_wait):
                work = FileImport(
                    series,
                    stores,
                    run_id=str(run_id),
                    is_stopped=partial(self._service.is_stopping, run_id),
                    progress=lambda report: shown.now_and_then(progressed(report)),
                    max_unpacked_mb=self._service.settings.files.max_unpacked_mb,
                    again=request.again,
                )
                report = await run_to_completion(_run, work, plan.files[series], shown)
            if report.end:
                spans.append((report.start, report.end))
            return _ended(report, work.files)

        try:
            await one_by_one(self._service, run_id, tuple(plan.files), one)
            if not self._service.is_stopping(run_id):
                await asyncio.to_thread(self._remove_uploads, run_id, request)
        finally:
            if spans:
                first, last = min(start for start, _ in spans), max(end for _, end in spans)
                await self._service.persist(lambda: self._service.runs.update(run_id, start=first, end=last))

    def _remove_uploads(self, run_id: int, request: ImportRequest) -> None:
        """Delete what was uploaded for the run, unless a series of it has to be tried again."""
        if all(row.state in (run_states.COMPLETE, run_states.GAPS) for row in self._service.runs.series(run_id)):
            for token in self._uploads.tokens_of(request.files):
                self._uploads.remove(token)


def _run(work: FileImport, files: Sequence[PlannedFile], shown: Shown) -> SeriesResult:
    report = work.run(files)
    shown.at_once(progressed(report))
    run_log.say(report.error_text or summary(report), "error" if report.error else "info")
    for result in work.files[:_MOST_FILES]:
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
        "files": [one.as_dict() for one in files[:_MOST_FILES]],
        "files_total": len(files),
    }
    next_step = {"next_step_code": "start_again"} if report.error else {}
    counts = {name: value for name, value in progressed(report).items() if name != "phase"}
    return {**counts, **columns, **next_step, "result": result}


def _parameters(plan: ImportPlan) -> dict[str, Any]:
    paths = [str(one.path) for files in plan.files.values() for one in files]
    readings = sorted({one.reading for files in plan.files.values() for one in files[:1]})
    return {"files": paths[:_MOST_FILES], "files_total": len(paths), "readings": readings}


def _nothing(plan: ImportPlan) -> str:
    if plan.unreadable:
        return f"no file can be read: {plan.unreadable[0][1]}"
    return f"no file holds a row: {', '.join(plan.empty[:5])}"


def save_profile(settings: Settings, name: str, profile: Profile) -> Path:
    """Keep how a file is read under a name; returns where. InputError for a name that cannot be."""
    return profiles_of(settings).save(profile.with_answers(name=name, about=profile.about or "kept by you"))
