"""Coverage keeper: has what runs brought counted by the workers, before a page has to read it all, in the leader."""

from __future__ import annotations

from ffe_core.insight.coverage import Coverage
from ffe_core.operations.coverage.service import CoverageRuns
from ffe_core.threads import Within, Worker

_LOOK_SECONDS = 20.0


class CoverageKeeper:
    """Starts coverage runs where many data files were read by nobody yet; at first, and when runs have ended."""

    def __init__(self, runs: CoverageRuns, coverage: Coverage) -> None:
        self._runs, self._coverage = runs, coverage
        self._is_due = True
        self._worker = Worker("coverage", self._step, _LOOK_SECONDS)

    def start(self, within: Within | None = None) -> None:
        """Begin to look, each time `within` a context that says whether this process may."""
        self._worker.start(within)

    def stop(self) -> None:
        """Start nothing more."""
        self._worker.stop()

    def note_end(self, run_id: int) -> None:
        """Have a look soon, as a run has ended."""
        self._is_due = True

    def look(self) -> int | None:
        """Start what is worth it, if a run has ended since the last look; the run's number."""
        if not self._is_due:
            return None
        self._is_due = False
        return self._runs.start_if_worth(self._coverage)

    def _step(self) -> None:
        self.look()
