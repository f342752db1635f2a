"""Uploads: candle files that a browser sent, in a folder of the console's own until they are imported, or for a day.

An upload is a folder with a name that cannot be guessed; its files keep their names, as those tell a form, a pair and a
timeframe, without what a name must not hold.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import time
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from ffe_core.errors import InputError, StorageError
from ffe_core.settings import Settings
from ffe_core.storage.files import make_folder, why

MOST_MB = 64
"""Megabytes (2**20 bytes) of a file; a larger one is put on the server."""
MOST_FILES = 500
MOST_KEPT_MB = 1024
"""Megabytes of all uploads together."""
KEPT_SECONDS = 24 * 3600
_MB = 2**20
_TOKEN = re.compile(r"[0-9a-f]{16}", re.ASCII)
_LONGEST_NAME = 200
"""Bytes; file systems take 255."""


class Uploads:
    """The uploads of a data directory."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.time) -> None:
        self._folder, self._clock = settings.data_dir.absolute() / "uploads", clock

    def keep(self, files: Sequence[tuple[str, IO[bytes]]]) -> str:
        """Write files down, each with its name; returns the upload's name. InputError for too many or too much, for
        two of one name, StorageError if they cannot be written."""
        self.sweep()
        names = _distinct([safe_name(name) for name, _ in files])
        token = secrets.token_hex(8)
        unfinished = self._folder / f".{token}"
        make_folder(unfinished, "folder of uploads")
        try:
            room = MOST_KEPT_MB * _MB - _size(self._folder)
            for name, (_, content) in zip(names, files, strict=True):
                room -= _written(unfinished / name, content, room)
            unfinished.rename(self._folder / token)
        except OSError as error:
            raise StorageError(f"the upload cannot be written to {self._folder}: {why(error)}") from error
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
        return token

    def files(self, token: str) -> list[Path]:
        """The files of an upload, by name. InputError if it is not there (any more)."""
        if not _TOKEN.fullmatch(token) or not (folder := self._folder / token).is_dir():
            raise InputError("the uploaded files were removed, or never there; upload them again", field="files")
        return sorted(folder.iterdir())

    def remove(self, token: str) -> None:
        """Delete an upload, if it is there."""
        if _TOKEN.fullmatch(token):
            shutil.rmtree(self._folder / token, ignore_errors=True)

    def keep_longer(self, token: str) -> None:
        """Count the day of an upload from now."""
        with suppress(OSError):
            os.utime(self._folder / token)

    def tokens_of(self, paths: Iterable[str]) -> set[str]:
        """The uploads that paths lie in."""
        inside = (Path(path).absolute() for path in paths)
        return {one.parent.name for one in inside if one.parent.parent == self._folder}

    def sweep(self) -> None:
        """Delete the uploads that are older than a day, and what an interrupted one left."""
        with suppress(OSError):  # somebody else was as quick; the next look sees the rest
            for folder in self._folder.iterdir():
                if folder.stat().st_mtime < self._clock() - KEPT_SECONDS:
                    shutil.rmtree(folder, ignore_errors=True)


def safe_name(name: str) -> str:
    """A file's name without folders, signs that cannot be seen, and those that file systems or shells mind.

    It does not begin with a dot, as what is hidden is not imported, and is cut in its middle where it is too long.
    """
    last = unicodedata.normalize("NFC", name).replace("\\", "/").rpartition("/")[2]
    seen = "".join(sign for sign in last if unicodedata.category(sign)[0] != "C")
    plain = re.sub(r'[<>:"|?*]', "_", seen).strip().lstrip(".").strip()
    stem, dot, ending = plain.partition(".") if plain.count(".") < 2 else plain.rpartition(".")
    while len(f"{stem}{dot}{ending}".encode()) > _LONGEST_NAME:
        stem, ending = (stem[:-1], ending) if stem else ("", ending[:-1])
    return f"{stem}{dot}{ending}" or "file"


def _distinct(names: list[str]) -> list[str]:
    if not names or len(names) > MOST_FILES:
        raise InputError(f"{len(names):,} files were sent; send 1 to {MOST_FILES} at once", field="files")
    if twice := [name for place, name in enumerate(names) if name in names[:place]]:
        raise InputError(f"two files are named {twice[0]}; upload them one after the other", field="files")
    return names


def _written(path: Path, content: IO[bytes], room: int) -> int:
    size = 0
    with path.open("xb") as file:
        while piece := content.read(_MB):
            size += len(piece)
            if size > MOST_MB * _MB:
                raise InputError(f"{path.name} is larger than {MOST_MB} MB; put it on the server", field="files")
            if size > room:
                raise InputError(
                    f"the uploads that are kept would be more than {MOST_KEPT_MB:,} MB; import or remove some first",
                    field="files",
                )
            file.write(piece)
    return size


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
