"""Keeping of dead letter batches: what the index and the queue ask of a place, and the local folder that does it.

`stored.py` does the same in an object store. A batch has the same id, and its text the same form, in both.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from filelock import BaseFileLock

from ffe_core.errors import StorageError
from ffe_core.storage.dead_letters.file import DeadLetterBatch, NotADeadLetter, Step, read_batch, read_text, with_steps
from ffe_core.storage.files import folder_lock, make_folder, write_atomically

# A folder's modification time is trusted once it is older than the coarsest clock a file system keeps.
_CLOCK_NS = 2_000_000_000
_LOOK_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Found:
    """A batch, or what is none, as it lies there; two that are equal hold the same."""

    name: str
    modified_ns: int
    size: int

    @property
    def is_batch(self) -> bool:
        """Whether its name is that of a dead letter."""
        return self.name.endswith(".json") and storable(self.name) == self.name


Taken = DeadLetterBatch | NotADeadLetter
"""A batch, or why what bears the name is none."""


Decided = Mapping[str, Sequence[Step]]
"""Steps to add, by the id of the batch."""


class ChangedMeanwhile(StorageError):
    """Somebody else has added to a batch since it was read: decide again."""


class BatchFiles(Protocol):
    """The batches of one place, by id; names are ids with .json. StorageError or OSError where it cannot be used."""

    place: str
    """For people."""
    index_file: Path
    lock: BaseFileLock
    """Of the index file, and of the place where no other machine writes to it."""
    fresh_seconds: float
    """How old an answer to a reader may be."""
    look_seconds: float
    """How long `mark` is believed without a whole look."""

    def mark(self) -> Any:
        """What is another one as soon as a batch is added, changed or removed by this program; cheap."""

    def is_settled(self, mark: Any, seen_ns: int) -> bool:
        """Whether what was listed at an instant of this machine's clock was all that the mark stands for."""

    def listed(self) -> Iterator[Found]:
        """Everything there is, also what is no dead letter."""

    def found(self, name: str) -> Found | None:
        """One of these as it is now."""

    def taken(self, names: Sequence[str]) -> Iterator[tuple[Found, Taken]]:
        """Those of the names that there are, in this order, read."""

    def has(self, batch_id: str) -> bool:
        """Whether there is a batch of a well-formed id."""

    def read(self, batch_id: str) -> DeadLetterBatch:
        """One batch as it is now. NotADeadLetter."""

    def text(self, batch_id: str) -> str:
        """The text of a batch: one file, its history included. NotADeadLetter."""

    def create(self, batch_id: str, text: str) -> None:
        """Keep a new batch, whole or not at all, and lasting."""

    def add(self, batch: DeadLetterBatch, steps: Sequence[Step]) -> None:
        """Add steps to the history of a batch as it was read. ChangedMeanwhile if it is another one by now."""

    def remove(self, batch_id: str) -> None:
        """Delete a batch."""


def storable(text: str) -> str:
    """The text with what no encoding holds (a lone surrogate) spelled out."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def taken_by(read: Callable[[], DeadLetterBatch], found: Found) -> Taken:
    """The batch, or why it is none."""
    if not found.is_batch:
        return NotADeadLetter("its name does not end in .json, or is no UTF-8")
    try:
        return read()
    except NotADeadLetter as reason:
        return reason


class LocalFiles:
    """One JSON file a batch in a local folder, its index beside them."""

    fresh_seconds = 0.0
    # A file changed in place leaves the folder's time alone: a whole look every so often finds it.
    look_seconds = _LOOK_SECONDS

    def __init__(self, folder: Path) -> None:
        """StorageError if the folder cannot be made."""
        make_folder(folder, "the dead letter folder")
        self.folder, self.place = folder, str(folder)
        self.index_file = folder / ".index.sqlite"
        self.lock: BaseFileLock = folder_lock(folder / ".lock")

    def mark(self) -> int:
        return os.stat(self.folder).st_mtime_ns

    def is_settled(self, mark: int, seen_ns: int) -> bool:
        return seen_ns - mark > _CLOCK_NS

    def listed(self) -> Iterator[Found]:
        with os.scandir(self.folder) as found:
            for item in found:
                if not item.name.startswith("."):
                    try:
                        stat = item.stat(follow_symlinks=False)
                    except FileNotFoundError:
                        continue
                    yield Found(item.name, stat.st_mtime_ns, stat.st_size)

    def found(self, name: str) -> Found | None:
        try:
            stat = (self.folder / name).lstat()
        except (FileNotFoundError, ValueError):
            return None
        return Found(name, stat.st_mtime_ns, stat.st_size)

    def taken(self, names: Sequence[str]) -> Iterator[tuple[Found, Taken]]:
        for name in names:
            if (found := self.found(name)) is not None:
                yield found, taken_by(partial(read_batch, self.folder / name), found)

    def has(self, batch_id: str) -> bool:
        try:
            return self._path(batch_id).is_file()
        except (OSError, ValueError):
            return False

    def read(self, batch_id: str) -> DeadLetterBatch:
        return read_batch(self._path(batch_id))

    def text(self, batch_id: str) -> str:
        return read_text(self._path(batch_id))

    def create(self, batch_id: str, text: str) -> None:
        write_atomically(self._path(batch_id), text)

    def add(self, batch: DeadLetterBatch, steps: Sequence[Step]) -> None:
        path = self._path(batch.id)
        write_atomically(path, with_steps(path, steps))

    def remove(self, batch_id: str) -> None:
        self._path(batch_id).unlink()

    def _path(self, batch_id: str) -> Path:
        return self.folder / f"{batch_id}.json"
