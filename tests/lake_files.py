"""Files of a lake for tests that damage or count them: paths of a folder, or of objects that answer as such."""

from __future__ import annotations

import json
import os
import urllib.request
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import Any

from ffe_core import DeadLetterQueue
from ffe_core.locations import local_folder
from ffe_core.storage.dead_letters.stored import FOLDER, StoredFiles
from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager
from ffe_core.storage.objects import Objects, objects_of


@dataclass(frozen=True, order=True)
class StoredPath:
    """An object of a store, or what several have in common, with the verbs of a `Path` that tests need."""

    key: PurePosixPath
    objects: Objects = field(compare=False, repr=False)

    def __truediv__(self, more: str) -> StoredPath:
        return StoredPath(self.key / more, self.objects)

    def __fspath__(self) -> str:
        raise TypeError(f"{self.key} is an object of a store, not a file")

    @property
    def name(self) -> str:
        return self.key.name

    @property
    def stem(self) -> str:
        return self.key.stem

    @property
    def parts(self) -> tuple[str, ...]:
        return self.key.parts

    @property
    def parent(self) -> StoredPath:
        return StoredPath(self.key.parent, self.objects)

    def relative_to(self, other: StoredPath) -> PurePosixPath:
        return self.key.relative_to(other.key)

    def with_name(self, name: str) -> StoredPath:
        return StoredPath(self.key.with_name(name), self.objects)

    def exists(self) -> bool:
        return self.objects.head(str(self.key)) is not None

    def read_bytes(self) -> bytes:
        return self.objects.get(str(self.key))

    def read_text(self) -> str:
        return self.read_bytes().decode()

    def write_bytes(self, content: bytes) -> None:
        self.objects.put(str(self.key), content)

    def write_text(self, content: str) -> None:
        self.write_bytes(content.encode())

    def iterdir(self) -> Iterator[StoredPath]:
        return self.glob("*")

    def is_file(self) -> bool:
        return self.exists()

    def unlink(self) -> None:
        self.objects.delete([str(self.key)])

    def glob(self, pattern: str) -> Iterator[StoredPath]:
        return (one for one in self.rglob(pattern) if one.key.parent == self.key)

    def rglob(self, pattern: str) -> Iterator[StoredPath]:
        found = [StoredPath(PurePosixPath(one.key), self.objects) for one in self.objects.listed(str(self.key))]
        return (one for one in found if fnmatch(one.name, pattern))


def dead_letters(folder: Path, **options: Any) -> dict[str, dict[str, Any]]:
    """What a queue of this folder has kept, by id, as it was written; `options` as `json.loads` takes them."""
    kept = DeadLetterQueue(folder)._files
    ids = sorted(found.name.removesuffix(".json") for found in kept.listed() if found.is_batch)
    return {one: json.loads(kept.text(one), **options) for one in ids}


def dead_letter_path(queue: DeadLetterQueue, name: str) -> Path | StoredPath:
    """Where a file of this name lies among those of a queue, as another tool would lay it there."""
    kept = queue._files
    if isinstance(kept, StoredFiles):
        return StoredPath(PurePosixPath(FOLDER, name), kept._objects)
    return queue.storage_path / name


def lake_path(lake: DeltaLakeManager, table: str) -> Path | StoredPath:
    """Where the files of a table lie."""
    if (folder := local_folder(lake.storage_path)) is not None:
        return folder / table
    return StoredPath(PurePosixPath(table), objects_of(lake.storage_path, lake.storage_options))


def log_path(lake: DeltaLakeManager, table: str) -> Path | StoredPath:
    """Where the files of its log lie."""
    return lake_path(lake, table) / "_delta_log"


def put_copy(folder: Path, lake: DeltaLakeManager) -> None:
    """Have a lake in the place of another one, whose tables lie in a folder, hold the same files."""
    for path in folder.rglob("*"):
        if path.is_file():
            place = lake_path(lake, str(path.relative_to(folder)))
            if isinstance(place, Path):
                place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(path.read_bytes())


def age(paths: Iterable[Path | StoredPath], seconds: float = 0.0) -> None:
    """Make files look as old as 1970 and so many seconds; objects too, whose time only their store can set."""
    paths = list(paths)
    for path in paths:
        if isinstance(path, Path):
            os.utime(path, (seconds, seconds))
    for objects in {one.objects for one in paths if isinstance(one, StoredPath)}:
        bucket, _, prefix = objects.address.removeprefix("s3://").partition("/")
        keys = [one.key for one in paths if isinstance(one, StoredPath) and one.objects is objects]
        told = {"bucket": bucket, "written": {f"{prefix}/{key}": seconds for key in keys}}
        with urllib.request.urlopen(
            urllib.request.Request(f"{os.environ['AWS_ENDPOINT_URL']}/_written", json.dumps(told).encode())
        ):
            pass
