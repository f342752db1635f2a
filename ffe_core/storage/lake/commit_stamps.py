"""Commit stamps: what tells a commit file from another of the same name, in a table made anew; and looks at its log."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from ffe_core.locations import local_folder
from ffe_core.storage.files import names_aside, quarantined, too_many_aside
from ffe_core.storage.objects import Objects, objects_of

Stamp = tuple[int | str, int]
_MOMENT_SECONDS = 1.0
_MOST = 100
"""Stamps that are kept."""


class Log(Protocol):
    """The log of a table. FileNotFoundError for what is not there; OSError or StorageError where it cannot be read."""

    def stamp(self, version: int) -> Stamp:
        """The stamp of a commit."""

    def read(self, name: str) -> bytes:
        """A file of the log, whole."""

    def names(self) -> list[str]:
        """The names of its files."""

    def set_aside(self, name: str) -> str:
        """Give a file that cannot be read another name, so that nothing reads it again; that name."""


class LocalLog:
    """A log in a local folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = str(folder)

    def stamp(self, version: int) -> Stamp:
        found = os.stat(f"{self._folder}/{commit_name(version)}")  # each read asks twice, and a Path costs more
        return found.st_ino, found.st_mtime_ns

    def read(self, name: str) -> bytes:
        return Path(self._folder, name).read_bytes()

    def names(self) -> list[str]:
        return os.listdir(self._folder)

    def set_aside(self, name: str) -> str:
        return quarantined(Path(self._folder, name)).name


class StoredLog:
    """A log in an object store: a look is one request, and is believed for a moment.

    Within one a commit asks for the same stamp four times, and nobody makes a table anew up to the same version.
    """

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._seen: dict[int, tuple[Stamp, float]] = {}

    def stamp(self, version: int) -> Stamp:
        known = self._seen.get(version)
        if known is not None and time.monotonic() - known[1] < _MOMENT_SECONDS:
            return known[0]
        found = self._objects.head(f"_delta_log/{commit_name(version)}")
        if found is None:
            raise FileNotFoundError(commit_name(version))
        stamp = found.e_tag, found.modified_ns
        kept = self._seen if len(self._seen) < _MOST else {}
        self._seen = {**kept, version: (stamp, time.monotonic())}
        return stamp

    def read(self, name: str) -> bytes:
        return self._objects.get(f"_delta_log/{name}")

    def names(self) -> list[str]:
        found = (one.key.removeprefix("_delta_log/") for one in self._objects.listed("_delta_log"))
        return [name for name in found if "/" not in name]

    def set_aside(self, name: str) -> str:
        """A copy, and then the object is deleted: whoever is as fast makes the same copy."""
        content = self.read(name)
        for aside in names_aside(name):
            if self._objects.create(f"_delta_log/{aside}", content):
                self._objects.delete([f"_delta_log/{name}"])
                return aside
        raise too_many_aside(f"{self._objects.address}/_delta_log")


def commit_name(version: int) -> str:
    """The name of a commit's file."""
    return f"{version:020}.json"


def log_of(uri: str, options: Mapping[str, str] | None = None) -> Log | None:
    """The log of a table; None for one in an object store of which no options are known."""
    local = _local_log(uri)
    return local if local is not None or options is None else _stored_log(objects_of(uri, options))


@lru_cache(maxsize=64)
def _local_log(uri: str) -> LocalLog | None:
    folder = local_folder(uri)
    return None if folder is None else LocalLog(folder / "_delta_log")


@lru_cache(maxsize=64)
def _stored_log(objects: Objects) -> StoredLog:
    return StoredLog(objects)


def commit_stamp(uri: str, version: int, options: Mapping[str, str] | None = None) -> Stamp | None:
    """The stamp of a table's commit; None if there is no such file. StorageError if a store cannot tell."""
    log = log_of(uri, options)
    try:
        return None if log is None else log.stamp(version)
    except OSError:
        return None
