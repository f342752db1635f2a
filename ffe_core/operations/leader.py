"""Leader election among console processes: the one that holds the lead of a data directory, or of a state on a server.

With files the leader starts runs and fires schedules; a standby reads everything, starts nothing, and takes over when
the leader ends or dies. Where a server keeps the state any console starts runs, and the leader fires schedules: it
leads no more when it cannot renew the lead in time, and may lead again.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ffe_core.errors import DatabaseError
from ffe_core.storage.locks import LEAD, Locks, locks_at
from ffe_core.storage.state.database import fenced
from ffe_core.threads import Worker

log = logging.getLogger(__name__)
_POLL_SECONDS = 0.3
_NAME = "leader"


class Leadership:
    """Tries for the lead until it is had; `on_lead` is called, from a thread, each time it is."""

    def __init__(self, place: Locks | Path, on_lead: Callable[[], None]) -> None:
        """`place`: the locks, or the folder of file locks."""
        self._locks = locks_at(place)
        self._lock = self._locks.lock(LEAD, _NAME)
        self._on_lead = on_lead
        self._leads = threading.Event()
        self._waiting = Worker("leadership", self._look, _POLL_SECONDS)

    @property
    def leads(self) -> bool:
        """Whether this process leads now."""
        return self._leads.is_set() and self._lock.is_held

    @contextmanager
    def acting(self) -> Iterator[bool]:
        """Whether this process may do what a leader does; the state takes no write of it once another leads."""
        if not self.leads:
            yield False
            return
        with fenced(self._lock.fence()):
            yield True

    def start(self) -> None:
        """Take the lead now if it is free; otherwise stand by for it. OSError or DatabaseError if that cannot be."""
        if not self._try() or self._locks.are_for_many:
            self._waiting.start()

    def stop(self) -> None:
        """Give up the lead, or the wait for it."""
        self._waiting.stop()
        self._leads.clear()
        self._lock.release()

    def leader(self) -> str:
        """Who leads, in words. DatabaseError."""
        return self._lock.holder()

    def _look(self) -> None:
        try:
            if self._leads.is_set():
                self._step_down_if_lost()
            elif self._try() and not self._locks.are_for_many:
                self._waiting.end()
        except (OSError, DatabaseError) as error:
            log.warning("the lead cannot be taken, trying again: %s", error)

    def _step_down_if_lost(self) -> None:
        """A lead that is only late to be renewed pauses what a leader does, and is looked for again as any is."""
        if not self._lock.is_held:
            log.warning("this process leads no more, as it could not renew the lead in time")
            self._leads.clear()

    def _try(self) -> bool:
        if not self._lock.is_held and not self._lock.take():
            return False
        self._leads.set()
        with self.acting():
            self._on_lead()
        return True
