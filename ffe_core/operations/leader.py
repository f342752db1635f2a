"""Leader election among console processes: the one that holds the leader's file lock of a data directory.

The leader starts runs and fires schedules; a standby reads everything, starts nothing, and takes over when the leader
ends or dies.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock, Timeout

from ffe_core import times
from ffe_core.storage.files import make_folder, write_atomically
from ffe_core.threads import Worker

log = logging.getLogger(__name__)
_POLL_SECONDS = 0.3


class Leadership:
    """Tries for the lock until it is had; `on_lead` is called once, from a thread, when it is."""

    def __init__(self, folder: Path, on_lead: Callable[[], None]) -> None:
        make_folder(folder, "the folder of locks")
        self._lock = FileLock(folder / "leader.lock", thread_local=False)
        self._note = folder / "leader.json"
        self._on_lead = on_lead
        self._leads = threading.Event()
        self._waiting = Worker("leadership", self._stand_by, _POLL_SECONDS)

    @property
    def leads(self) -> bool:
        """Whether this process leads."""
        return self._leads.is_set()

    def start(self) -> None:
        """Take the lead now if it is free; otherwise stand by for it. OSError if the lock cannot be used."""
        if not self._try():
            self._waiting.start()

    def stop(self) -> None:
        """Give up the lead, or the wait for it."""
        self._waiting.stop()
        if self._leads.is_set():
            self._leads.clear()
            self._lock.release()

    def leader(self) -> str:
        """Who leads, in words."""
        try:
            note = json.loads(self._note.read_text(encoding="utf-8"))
            since = times.utc(times.parse_instant(note["since"]))
            return f"process {note['pid']} on {note['host']}, since {since:%Y-%m-%d %H:%M} UTC"
        except (OSError, ValueError, KeyError, TypeError):
            return "another process"

    def _stand_by(self) -> None:
        try:
            if self._try():
                self._waiting.end()
        except OSError as error:
            log.warning("the lead cannot be taken, trying again: %s", error)

    def _try(self) -> bool:
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            return False
        note = {"pid": os.getpid(), "host": socket.gethostname(), "since": times.iso(times.now())}
        try:
            write_atomically(self._note, json.dumps(note))
        except OSError:
            self._lock.release()
            raise
        self._leads.set()
        self._on_lead()
        return True
