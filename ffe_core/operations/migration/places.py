"""Places of a migration: a folder or an object store by a few verbs, and the note that says what is being filled."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from ffe_core.errors import MigrationRefused, StorageError
from ffe_core.locations import local_folder
from ffe_core.storage.files import check_version, is_left_over, make_folder, replacing, why
from ffe_core.storage.objects import Objects, objects_of
from ffe_core.storage.state.places import MIGRATION_FILE

_VERSION = 1


class Place(Protocol):
    """A folder or a store; keys are names below it, with slashes. StorageError where it cannot be used."""

    address: str
    """For people."""

    def listed(self, below: str = "") -> dict[str, int]:
        """Every file below a folder of it, with its bytes; none that a killed writer left unfinished."""

    def read(self, key: str) -> bytes | None:
        """The whole of a file; None if there is none."""

    def write(self, key: str, content: bytes) -> None:
        """Write a file, whole or not at all, whatever was there."""


class FolderPlace:
    """A local folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.address = folder, str(folder)

    def listed(self, below: str = "") -> dict[str, int]:
        """Every file, with its bytes; those of a folder that is not there are none."""
        found: dict[str, int] = {}
        top = self.folder / below
        if not top.exists():
            return found
        with _in_words(top, "read"):
            for parent, _, names in os.walk(top, onerror=_raise):
                for name in names:
                    path = Path(parent) / name
                    if not is_left_over(name):
                        found[path.relative_to(self.folder).as_posix()] = path.stat().st_size
        return found

    def read(self, key: str) -> bytes | None:
        """The whole of a file; None if there is none."""
        with _in_words(self.folder / key, "read"):
            try:
                return (self.folder / key).read_bytes()
            except FileNotFoundError:
                return None

    def write(self, key: str, content: bytes) -> None:
        """Write a file, whole and flushed to disk."""
        path = self.folder / key
        make_folder(path.parent, "the folder")
        with _in_words(path, "written"), replacing(path) as file:
            file.write(content)


class StorePlace:
    """A place in an object store."""

    def __init__(self, objects: Objects) -> None:
        self.objects, self.address = objects, objects.address

    def listed(self, below: str = "") -> dict[str, int]:
        """Every object, with its bytes."""
        return {one.key: one.size for one in self.objects.listed(below)}

    def read(self, key: str) -> bytes | None:
        """The whole of an object; None if there is none."""
        try:
            return self.objects.get(key)
        except FileNotFoundError:
            return None

    def write(self, key: str, content: bytes) -> None:
        """Write an object."""
        self.objects.put(key, content)


def place_of(address: str, options: Mapping[str, str]) -> FolderPlace | StorePlace:
    """The place of an address; `options` of the store it lies in, as delta-rs takes them."""
    folder = local_folder(address)
    return StorePlace(objects_of(address, options)) if folder is None else FolderPlace(folder)


@dataclass(frozen=True, slots=True)
class Note:
    """What a destination says of the migration that fills it; times in ISO, `finished_at` None until all is there."""

    id: str
    source: str
    begun_at: str
    finished_at: str | None = None


def noted(place: Place) -> Note | None:
    """The note of a place; None if no migration has filled it. StorageError for one that cannot be read."""
    content = place.read(MIGRATION_FILE)
    if content is None:
        return None
    try:
        found = json.loads(content)
        check_version(f"{place.address}/{MIGRATION_FILE}", found["format_version"], _VERSION)
        return Note(found["id"], found["source"], found["begun_at"], found["finished_at"])
    except (ValueError, KeyError, TypeError):
        raise MigrationRefused(
            f"{place.address}/{MIGRATION_FILE} cannot be read, so nobody knows what {place.address} is being filled"
            " with; name an empty place, or delete what is there"
        ) from None


def note(place: Place, about: Note) -> None:
    """Write the note of a place."""
    place.write(MIGRATION_FILE, (json.dumps({"format_version": _VERSION, **asdict(about)}, indent=1) + "\n").encode())


@contextmanager
def _in_words(path: Path, done: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(f"{path} cannot be {done}: {why(error)}") from error


def _raise(error: OSError) -> None:
    raise error
