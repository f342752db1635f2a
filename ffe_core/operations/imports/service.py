"""Import service: plans what files would bring, and imports them in a run of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ffe_core import times
from ffe_core.errors import InputError
from ffe_core.files.look import Looker
from ffe_core.files.plan import ImportPlan, Planner, answers_of, found_files
from ffe_core.files.profile import Profile, Profiles
from ffe_core.operations.imports.job import MOST_FILES, ImportJob
from ffe_core.operations.imports.request import ImportRequest, kept_request
from ffe_core.operations.imports.uploads import Uploads
from ffe_core.operations.runs.service import RunService, lease_wait_after
from ffe_core.settings import Settings
from ffe_core.storage.state import runs as run_states
from ffe_core.storage.state.runs import IMPORT, NewRun

Progress = Callable[[int], object]
"""Told how many files have been looked at."""


def profiles_of(settings: Settings) -> Profiles:
    """The profiles there are: shipped ones, and those kept in the data directory."""
    return Profiles(settings.data_dir / "profiles")


def planned(request: ImportRequest, settings: Settings, progress: Progress = lambda done: None) -> ImportPlan:
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
        elif parent_id is not None:  # what goes on waits for a lost machine, never for a run
            self._service.check_no_run(series)
        kept = {**_parameters(plan), "request": request.kept(profiles_of(self._service.settings))}
        run = NewRun(IMPORT, plan.target.source, "files", 0, times.now(), series, actor, source, "", parent_id, kept)
        for token in self._uploads.tokens_of(request.files):
            self._uploads.keep_longer(token)
        return self._service.submit(run, partial(self._work, ImportJob(plan.files, request.again), request, lease_wait))

    def resume(
        self, run_id: int, actor: str, source: str = "console", *, progress: Progress = lambda done: None
    ) -> int:
        """A new run of the series that an interrupted or cancelled import left unfinished: what is stored is known.

        Its files are looked at first; `progress` is told how many have been, and what it raises ends that.
        """
        return self._again(run_id, (run_states.INTERRUPTED, run_states.CANCELLED), actor, source, progress)

    def retry_failed(
        self, run_id: int, actor: str, source: str = "console", *, progress: Progress = lambda done: None
    ) -> int:
        """A new run of just the series that failed, their files as they are now; InputError if none did. `progress` as
        in `resume`."""
        return self._again(run_id, (run_states.FAILED,), actor, source, progress)

    def _again(self, run_id: int, which: Sequence[str], actor: str, source: str, progress: Progress) -> int:
        run = self._service.runs.get(run_id)
        if run is None or run.kind != IMPORT:
            raise InputError(f"there is no import {run_id}; the list of runs shows which there are", field="run")
        wanted = set(self._service.left_of(run_id, which))
        request = kept_request(run.parameters)
        for token in self._uploads.tokens_of(request.files):
            self._uploads.files(token)
        plan = planned(request, self._service.settings, progress)
        plan.files = {series: files for series, files in plan.files.items() if series in wanted}
        return self.start(plan, request, actor, source, parent_id=run_id, lease_wait=lease_wait_after(run))

    async def _work(self, job: ImportJob, request: ImportRequest, lease_wait: float, run_id: int) -> None:
        try:
            await self._service.by_engine(job, lease_wait)(run_id)
            if not self._service.is_stopping(run_id):
                await asyncio.to_thread(self._remove_uploads, run_id, request)
        finally:
            await self._service.persist(lambda: self._note_range(run_id))

    def _note_range(self, run_id: int) -> None:
        """The range of an import is known when its files have been read: that of its series."""
        rows = self._service.runs.series(run_id, with_results=False)
        spans = [(row.start, row.end) for row in rows if row.start is not None and row.end]
        if spans:
            first, last = min(start for start, _ in spans), max(end for _, end in spans)
            self._service.runs.update(run_id, start=first, end=last)

    def _remove_uploads(self, run_id: int, request: ImportRequest) -> None:
        """Delete what was uploaded for the run, unless a series of it has to be tried again."""
        if all(row.state in (run_states.COMPLETE, run_states.GAPS) for row in self._service.runs.series(run_id)):
            for token in self._uploads.tokens_of(request.files):
                self._uploads.remove(token)


def _parameters(plan: ImportPlan) -> dict[str, Any]:
    paths = [str(one.path) for files in plan.files.values() for one in files]
    readings = sorted({one.reading for files in plan.files.values() for one in files[:1]})
    return {"files": paths[:MOST_FILES], "files_total": len(paths), "readings": readings}


def _nothing(plan: ImportPlan) -> str:
    if plan.unreadable:
        return f"no file can be read: {plan.unreadable[0][1]}"
    return f"no file holds a row: {', '.join(plan.empty[:5])}"


def save_profile(settings: Settings, name: str, profile: Profile) -> Path:
    """Keep how a file is read under a name; returns where. InputError for a name that cannot be."""
    return profiles_of(settings).save(profile.with_answers(name=name, about=profile.about or "kept by you"))
