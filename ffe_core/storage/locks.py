"""Locks by name between processes: one small protocol, and OS file locks of a data directory, which death frees.

Leases of series and of upkeep, the lead and the life of a process are all such locks. The other kind, rows of a state
that a server keeps, is `ffe_core.storage.state.lock_rows`.
"""

from __future__ import annotations

import json
import logging
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

from filelock import FileLock, Timeout

from ffe_core import times
from ffe_core.storage.files import make_folder, why, write_atomically

log = logging.getLogger(__name__)
ALIVE, LEAD, LEASE = "alive", "lead", "lease"
"""What a lock is of; its name begins with it: the life of a process, the lead, or a lease."""
Fence = Callable[[Any], None]
"""Given the connection of a transaction: LeaseLost if what it is about was taken over."""
_ENDINGS = {ALIVE: (".alive", ""), LEAD: (".lock", ".json"), LEASE: (".lease", ".holder")}
"""How the files of a lock and of its note end."""


class Lock(Protocol):
    """One lock, not yet taken."""

    @property
    def is_held(self) -> bool:
        """Whether this object took it, and it is surely held now."""

    @property
    def was_lost(self) -> bool:
        """Whether this object took it, and another has taken it over."""

    def take(self, doing: str = "") -> bool:
        """Take it at once, `doing` what others are told of it; False if somebody has it.

        OSError or DatabaseError if that cannot be told.
        """

    def release(self) -> None:
        """Give it back; nothing if it is not held."""

    def holder(self) -> str:
        """Who has it, in words."""

    def fence(self) -> Fence | None:
        """What lets a write to the state happen only while nobody has taken this lock over; None where it needs none:
        nobody takes over what the kernel keeps. Ask for it while it is held."""


class Locks(Protocol):
    """The locks that some processes share."""

    are_for_many: bool
    """Whether processes with other data directories heed them, too."""
    place: str
    """Where they are, in words."""
    role: str
    """What this process is, as others are told, for example "the console"."""

    def new_owner(self) -> str:
        """A name for a process that no other has."""

    def lock(self, kind: str, name: str) -> Lock:
        """A lock by its kind and name."""

    def held(self, kind: str, names: Sequence[str]) -> Mapping[str, str]:
        """Those of the names that somebody has now, with who. OSError or DatabaseError if that cannot be told."""

    def check(self, name: str, *, waits: bool = False) -> None:
        """LeaseLost if this process took the lease of that name and lost it.

        With `waits` also if it is not sure to be held, after waiting for what may pass: before anything is written.
        """

    def bury(self, owners: Sequence[str]) -> list[str]:
        """Those of some processes that are gone; from then on none of them can write to the state any more."""


class FileLocks:
    """OS file locks in a folder: for processes of one machine and one data directory."""

    are_for_many = False

    def __init__(self, folder: Path) -> None:
        self.folder, self.role = folder, ""
        self.place = f"the folder of locks {folder}"

    def new_owner(self) -> str:
        """A name for a process that no other has."""
        return f"{os.getpid()}-{uuid4().hex[:12]}"

    def lock(self, kind: str, name: str) -> _FileLock:
        """A lock by its kind and name. StorageError if the folder cannot be made."""
        make_folder(self.folder, "the folder of locks")
        return _FileLock(self.folder, kind, name)

    def held(self, kind: str, names: Sequence[str]) -> Mapping[str, str]:
        """Those of the names that somebody has now, with who."""
        found = {}
        for name in names:
            lock = self.lock(kind, name)
            if lock.take_unseen():
                lock.release()
            else:
                found[name] = lock.holder()
        return found

    def check(self, name: str, *, waits: bool = False) -> None:
        """Nothing: what the kernel keeps is lost with the process alone."""

    def bury(self, owners: Sequence[str]) -> list[str]:
        """Those of some processes whose lock is free."""
        return [owner for owner in owners if not self._is_alive(owner)]

    def _is_alive(self, owner: str) -> bool:
        lock = _FileLock(self.folder, ALIVE, owner)
        if not lock.file.exists():
            return False
        if not lock.take_unseen():
            return True
        lock.release()
        return False


class _FileLock:
    """One OS file lock; what its holder says of itself lies beside it."""

    def __init__(self, folder: Path, kind: str, name: str) -> None:
        ending, noted = _ENDINGS[kind]
        self._kind, self._name = kind, name
        self.file = folder / f"{name}{ending}"
        self._note = folder / f"{name}{noted}" if noted else None
        self._lock = FileLock(self.file, thread_local=False)

    @property
    def is_held(self) -> bool:
        """Whether this object has it."""
        return self._lock.is_locked

    @property
    def was_lost(self) -> bool:
        """Never: only death frees it."""
        return False

    def take(self, doing: str = "") -> bool:
        """Take it at once; False if somebody has it. OSError if it is the lead and that cannot be noted."""
        if not self.take_unseen():
            return False
        try:
            self._tell(doing)
        except OSError as error:
            if self._kind == LEAD:
                self._lock.release()
                raise
            log.warning("%s is held, but who holds it cannot be noted: %s", self._name, why(error))
        return True

    def take_unseen(self) -> bool:
        """Take it without saying who did, as one does who only looks."""
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            return False
        return True

    def release(self) -> None:
        """Give it back."""
        self._lock.release()
        if self._kind == ALIVE:
            with suppress(OSError):  # a left-over that cannot be deleted does no harm
                self.file.unlink(missing_ok=True)

    def holder(self) -> str:
        """Who has it, as they described themselves."""
        if self._note is None:
            return "another process"
        try:
            note = json.loads(self._note.read_text(encoding="utf-8"))
            if self._kind == LEAD:
                since = times.utc(times.parse_instant(note["since"]))
                return f"process {note['pid']} on {note['host']}, since {since:%Y-%m-%d %H:%M} UTC"
            return f"{note['holder']} (process {note['pid']}, since {note['since']})"
        except (OSError, ValueError, KeyError, TypeError):
            return "another process"

    def fence(self) -> None:
        """None: death alone frees it."""

    def _tell(self, doing: str) -> None:
        if self._note is None:
            return
        note = {"pid": os.getpid(), "since": times.iso(times.now())}
        note |= {"host": socket.gethostname()} if self._kind == LEAD else {"holder": doing or f"process {os.getpid()}"}
        # Who holds a lease dies with the machine: nothing of it needs to be on the disk.
        write_atomically(self._note, json.dumps(note), is_lasting=self._kind == LEAD)


def locks_at(place: Locks | Path) -> Locks:
    """The locks of a folder, where one is named."""
    return FileLocks(place) if isinstance(place, Path) else place
