"""Files of a lake for tests that damage or count them: paths of a folder, or of objects that answer as such."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

from ffe_core.locations import local_folder
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

    def unlink(self) -> None:
        self.objects.delete([str(self.key)])

    def glob(self, pattern: str) -> Iterator[StoredPath]:
        return (one for one in self.rglob(pattern) if one.key.parent == self.key)

    def rglob(self, pattern: str) -> Iterator[StoredPath]:
        found = [StoredPath(PurePosixPath(one.key), self.objects) for one in self.objects.listed(str(self.key))]
        return (one for one in found if fnmatch(one.name, pattern))


def lake_path(lake: DeltaLakeManager, table: str) -> Path | StoredPath:
    """Where the files of a table lie."""
    if (folder := local_folder(lake.storage_path)) is not None:
        return folder / table
    return StoredPath(PurePosixPath(table), objects_of(lake.storage_path, lake.storage_options))
