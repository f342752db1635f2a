"""Check keeper: starts checks on their own time and, where that is wanted, after backfills, in the leader."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable

from ffe_core.check_settings import CheckSettings
from ffe_core.errors import ChecksHeld, FFEError, InputError
from ffe_core.operations.checks.service import Checks
from ffe_core.threads import Within, Worker

log = logging.getLogger(__name__)
_LOOK_SECONDS = 20.0
_FIRST_SECONDS = 600.0
"""After its start a console has other things to do first."""


class CheckKeeper:
    """Starts check runs where there is need. `clock` gives epoch seconds."""

    def __init__(self, checks: Checks, settings: CheckSettings, clock: Callable[[], float] = time.time) -> None:
        self._checks, self._settings, self._clock = checks, settings, clock
        self._first = clock() + _FIRST_SECONDS
        self._ended: deque[int] = deque()
        self._told: type[Exception] | None = None
        self._worker = Worker("checks", self._step, _LOOK_SECONDS)

    def start(self, within: Within | None = None) -> None:
        """Begin to look, each time `within` a context that says whether this process may."""
        self._worker.start(within)

    def stop(self) -> None:
        """Start nothing more."""
        self._worker.stop()

    def note_end(self, run_id: int) -> None:
        """Have what a run has added to checked, if the settings say so."""
        if self._settings.after_backfills:
            self._ended.append(run_id)

    def look(self) -> int | None:
        """Start what is due; the run's number. What keeps it from that is said in the log, once, and it stays due."""
        ended = list(self._ended)
        try:
            # What runs have added to is part of everything.
            run_id = self._checks.start_due() if self._is_due() else self._checks.after_runs(ended)
        except (FFEError, InputError) as error:
            self._tell(error)
            return None
        for _ in ended:
            self._ended.popleft()
        self._told = None
        return run_id

    def _is_due(self) -> bool:
        seconds = self._settings.every_minutes * 60
        if not seconds or self._clock() < self._first:
            return False
        last = self._checks.everything_at()
        return last is None or self._clock() - last >= seconds

    def _tell(self, error: Exception) -> None:
        if type(error) is not self._told:
            level = logging.INFO if isinstance(error, ChecksHeld) else logging.WARNING
            log.log(level, "checks are left for later: %s", error)
        self._told = type(error)

    def _step(self) -> None:
        self.look()
