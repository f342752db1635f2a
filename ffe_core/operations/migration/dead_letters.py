"""Dead letters of a migration: each file copied byte for byte, read back, and compared.

From a store into a folder a batch and what was added to it become the one file that a folder has.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from uuid import uuid4

from ffe_core.errors import StorageError
from ffe_core.locations import local_folder
from ffe_core.operations.migration.copying import changed_meanwhile
from ffe_core.operations.migration.places import FolderPlace, Place, StorePlace, place_of
from ffe_core.settings import Settings
from ffe_core.storage.dead_letters.stored import FOLDER, StoredFiles
from ffe_core.storage.objects import objects_of
from ffe_core.storage.waiting import copied

_MARK = ".changed"
_STEPS = "steps/"
_WRITERS = 8


@dataclass(frozen=True, slots=True)
class Letters:
    """Dead letters of one place: files and bytes as they lie there, and how one is read for another place."""

    place: Place
    files: dict[str, int]
    read: Callable[[str], bytes | None]


def place_of_letters(settings: Settings) -> Place:
    """Where the dead letters of these settings lie."""
    if local_folder(settings.lake_uri) is not None:
        return FolderPlace(settings.data_dir / FOLDER)
    return place_of(f"{settings.lake_uri}/{FOLDER}", settings.lake_options)


def letters_of(source: Settings, target: Place, scratch: Path) -> Letters:
    """What is to be copied to a place; `scratch` is a folder for what reading a store needs. StorageError."""
    place = place_of_letters(source)
    is_merged = isinstance(place, StorePlace) and isinstance(target, FolderPlace)
    in_store = isinstance(place, StorePlace) and not is_merged
    files = {key: size for key, size in place.listed().items() if _is_one(key, with_steps=in_store)}
    if not is_merged:
        return Letters(place, files, place.read)
    stored = StoredFiles(objects_of(source.lake_uri, source.lake_options), scratch)
    return Letters(place, files, lambda key: stored.text(key.removesuffix(".json")).encode())


def copy_letters(letters: Letters, target: Place) -> str:
    """Copy what a place lacks, read back all of it, and return one hash of names and contents. StorageError."""

    def same(key: str) -> tuple[str, str]:
        content = letters.read(key)
        if content is None:
            raise changed_meanwhile(letters.place.address)
        if target.read(key) != content:
            target.write(key, content)
            if target.read(key) != content:
                raise StorageError(
                    f"{target.address}/{key} is not what was written there a moment ago; nothing uses it yet: check"
                    " what else writes there, then run the same command again"
                )
        return key, sha256(content).hexdigest()

    with ThreadPoolExecutor(_WRITERS) as writers:
        try:
            hashes = dict(writers.map(copied(same), sorted(letters.files)))
        except BaseException:
            writers.shutdown(cancel_futures=True)
            raise
    in_store = isinstance(target, StorePlace)
    more = {key for key in target.listed() if _is_one(key, with_steps=in_store)} - hashes.keys()
    if more:
        raise StorageError(
            f"{target.address} holds {min(more)}, which {letters.place.address} does not: it was deleted there since"
            " this began, or something else has written here; delete it, and run the same command again"
        )
    if hashes and in_store:
        target.write(_MARK, uuid4().hex.encode())  # whoever has an index of before looks again
    return hash_of(hashes)


def hash_of(hashes: dict[str, str]) -> str:
    """One hash of some files, given the hash of each."""
    return sha256("".join(f"{key} {hashes[key]}\n" for key in sorted(hashes)).encode()).hexdigest()


def _is_one(key: str, *, with_steps: bool) -> bool:
    """Whether a name is that of a batch, or of what looks like one; the rest is an index, a lock, or set aside."""
    return not key.startswith(".") and ("/" not in key or (with_steps and key.startswith(_STEPS)))
