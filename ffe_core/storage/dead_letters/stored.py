"""Dead letter batches in an object store, beside the tables of the lake: every object is written once.

    dlq/{id}.json             a batch as it was kept, in the form of a local file
    dlq/steps/{id}/{n}.json   what was done about it afterwards, in order: the steps of its n-th addition
    dlq/.changed              written before each of these: one that is as it was says that nothing came since

Of two machines that add to a batch at once, the store lets one in; the other decides again about what it finds then.
The index lies in the data directory and is made of the objects, so that any machine can have one.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from uuid import uuid4

from filelock import BaseFileLock

from ffe_core.storage.dead_letters.file import (
    DeadLetterBatch,
    NotADeadLetter,
    Step,
    batch_of,
    decoded,
    text_with_steps,
)
from ffe_core.storage.dead_letters.keeping import ChangedMeanwhile, Found, Taken, taken_by
from ffe_core.storage.files import folder_lock, make_folder, strict_json
from ffe_core.storage.objects import Object, Objects
from ffe_core.storage.probe import require_conditional_puts
from ffe_core.storage.waiting import copied

FOLDER = "dlq"
"""Below the lake's address; tables have other names."""
_STEPS = f"{FOLDER}/steps/"
_MARK = f"{FOLDER}/.changed"
_UNSURE_SECONDS = 150
"""How long after it was announced an object may still come: longer than a put is tried (`store_faults.BOUNDS`)."""
_READERS = 16


class StoredFiles:
    """The batches below a lake's address. Safe to use from several threads, processes and machines."""

    fresh_seconds = 1.0
    look_seconds = 60.0

    def __init__(self, objects: Objects, folder: Path) -> None:
        """`folder` is the local one of the index. StorageError if it cannot be made."""
        make_folder(folder, "the folder of the dead letter index")
        self._objects = objects
        self.place = f"{objects.address}/{FOLDER}"
        name = f".index-{sha256(self.place.encode()).hexdigest()[:8]}"
        self.index_file = folder / f"{name}.sqlite"
        self.lock: BaseFileLock = folder_lock(folder / f"{name}.lock")
        self._marked: tuple[str, float] | None = None
        self._guard = threading.Lock()

    def mark(self) -> str:
        found = self._objects.head(_MARK)
        seen = found.e_tag if found else ""
        with self._guard:
            if self._marked is None or self._marked[0] != seen:
                self._marked = seen, time.monotonic()
        return seen

    def is_settled(self, mark: str, seen_ns: int) -> bool:
        """By this machine's own clock: who announced an object long enough ago has written it, or never will."""
        with self._guard:
            marked = self._marked
        return marked is not None and marked[0] == mark and time.monotonic() - marked[1] > _UNSURE_SECONDS

    def listed(self) -> Iterator[Found]:
        batches, steps = dict[str, Object](), dict[str, list[Object]]()
        for one in self._objects.listed(FOLDER):
            if one.key.startswith(_STEPS):
                steps.setdefault(one.key.removeprefix(_STEPS).rpartition("/")[0], []).append(one)
            elif not (name := one.key.removeprefix(f"{FOLDER}/")).startswith(".") and "/" not in name:
                batches[name] = one
        for name, one in batches.items():
            yield _found(name, one, steps.get(name.removesuffix(".json"), []))

    def found(self, name: str) -> Found | None:
        one = self._objects.head(f"{FOLDER}/{name}")
        return None if one is None else _found(name, one, self._added(name.removesuffix(".json")))

    def taken(self, names: Sequence[str]) -> Iterator[tuple[Found, Taken]]:
        with ThreadPoolExecutor(min(_READERS, max(1, len(names)))) as readers:
            yield from (one for one in readers.map(copied(self._one), names) if one is not None)

    def has(self, batch_id: str) -> bool:
        return self._objects.head(f"{FOLDER}/{batch_id}.json") is not None

    def read(self, batch_id: str) -> DeadLetterBatch:
        return self._batch(batch_id, self._added(batch_id))

    def text(self, batch_id: str) -> str:
        return self._text(batch_id, len(self._added(batch_id)))

    def create(self, batch_id: str, text: str) -> None:
        self.announce()
        if not self._objects.create(f"{FOLDER}/{batch_id}.json", text.encode()):
            raise ChangedMeanwhile(f"there is another dead letter of the name {batch_id} in {self.place}; try again")

    def add(self, batch: DeadLetterBatch, steps: Sequence[Step]) -> None:
        self.announce()
        # A writer's own number tells its steps from equal ones of another, where the answer was lost.
        content = strict_json({"steps": list(steps), "writer": uuid4().hex})
        if not self._objects.create(f"{_STEPS}{batch.id}/{batch.additions:06}.json", content.encode()):
            raise ChangedMeanwhile(f"somebody else changed the dead letter {batch.id} meanwhile; try again")

    def remove(self, batch_id: str) -> None:
        """The batch first: what is left of one that is half deleted are steps of none, which count for nothing."""
        self.announce()
        steps = [one.key for one in self._added(batch_id)]
        self._objects.delete([f"{FOLDER}/{batch_id}.json", *steps])

    def announce(self) -> None:
        """Say that something is about to be written: no machine believes any more what it listed before."""
        require_conditional_puts(self._objects)
        self._objects.put(_MARK, uuid4().hex.encode())

    def _added(self, batch_id: str) -> list[Object]:
        return self._objects.listed(f"{_STEPS}{batch_id}")

    def _one(self, name: str) -> tuple[Found, Taken] | None:
        one = self._objects.head(f"{FOLDER}/{name}")
        if one is None:
            return None
        batch_id = name.removesuffix(".json")
        added = self._added(batch_id)
        found = _found(name, one, added)
        try:
            return found, taken_by(lambda: self._batch(batch_id, added, one), found)
        except FileNotFoundError:
            return None

    def _batch(self, batch_id: str, added: Sequence[Object], one: Object | None = None) -> DeadLetterBatch:
        text = self._text(batch_id, len(added))
        batch = batch_of(batch_id, text, lambda: one.modified.timestamp() if one else 0.0, f"{self.place}/{batch_id}")
        batch.additions = len(added)
        return batch

    def _text(self, batch_id: str, additions: int) -> str:
        text = decoded(self._objects.get(f"{FOLDER}/{batch_id}.json"))
        steps: list[Step] = []
        for number in range(additions):
            try:
                steps += json.loads(self._objects.get(f"{_STEPS}{batch_id}/{number:06}.json"))["steps"]
            except (ValueError, KeyError, TypeError, FileNotFoundError):
                raise NotADeadLetter(f"addition {number} to its history cannot be read") from None
        return text_with_steps(text, steps) if steps else text


def _found(name: str, one: Object, steps: Sequence[Object]) -> Found:
    """As one file: whatever is added makes it larger."""
    parts = (one, *steps)
    return Found(name, max(part.modified_ns for part in parts), sum(part.size for part in parts))
