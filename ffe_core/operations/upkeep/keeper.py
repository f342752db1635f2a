"""Keeper: looks now and then, in the process that leads, whether upkeep is due, and starts it beside the schedules."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable

from ffe_core.errors import FFEError, InputError, UpkeepHeld
from ffe_core.operations.upkeep.service import ITSELF, Upkeep
from ffe_core.operations.upkeep.tables import STEPS
from ffe_core.threads import Within, Worker
from ffe_core.times import DAY

log = logging.getLogger(__name__)
_LOOK_SECONDS = 20.0
_FIRST_SECONDS = 60.0
"""After its start a console has other things to do first."""


class Keeper:
    """Starts upkeep runs every `minutes` where there is need; 0 for never. `clock` gives epoch seconds.

    Runs that have ended are looked at together, as a minute of schedules ends dozens that share their tables.
    """

    def __init__(
        self,
        upkeep: Upkeep,
        minutes: int,
        clock: Callable[[], float] = time.time,
        sweep: Callable[[], object] = lambda: None,
    ) -> None:
        """`sweep` deletes what is kept for a time only; it is called at every look, whatever the minutes."""
        self._sweep = sweep
        self._upkeep, self._seconds, self._clock = upkeep, minutes * 60, clock
        self._next = clock() + min(_FIRST_SECONDS, self._seconds)
        self._history_at = 0.0
        self._ended: deque[int] = deque()
        self._worker = Worker("upkeep", self._step, _LOOK_SECONDS)
        self.last_error: str | None = None

    def start(self, within: Within | None = None) -> None:
        """Begin to look, each time `within` a context that says whether this process may."""
        self._worker.start(within)

    def stop(self) -> None:
        """Start nothing more."""
        self._worker.stop()

    def note_end(self, run_id: int) -> None:
        """Have the tables of a run that has ended looked at, within some seconds."""
        self._ended.append(run_id)

    def look_after_runs(self) -> int | None:
        """Start the upkeep that runs which have ended since the last look made worth it; its number."""
        run_ids = [self._ended.popleft() for _ in range(len(self._ended))]
        return self._upkeep.after_runs(run_ids) if run_ids else None

    def look(self) -> int | None:
        """Start what is due if it is time to look; the run's number. What fails is said, and tried at the next time."""
        now = self._clock()
        if not self._seconds or now < self._next:
            return None
        self._next = now + self._seconds
        try:
            run_id = self._start(now)
            self.last_error = None
        except UpkeepHeld as error:
            log.info("%s", error)
            return None
        except (FFEError, InputError, OSError) as error:
            log.warning("upkeep could not be started, it is tried again: %s", error)
            self.last_error = str(error)
            return None
        return run_id

    def _step(self) -> None:
        self._sweep()
        self.look_after_runs()
        self.look()

    def _start(self, now: float) -> int | None:
        due = self._upkeep.due(now)
        has_history = now - self._history_at >= DAY and self._upkeep.has_old_history()
        if not due and not has_history:
            return None
        self._history_at = now if has_history else self._history_at
        steps = STEPS if has_history else STEPS[:2]
        return self._upkeep.start(ITSELF, ITSELF, steps=steps, timeframes=due)
