"""Opening of the dead letters of these settings: in the data directory, or in the store where the lake lies.

Files that a release before kept in the data directory beside a lake in a store are moved up once: each is written as an
object, read back and compared, and only then moved aside into `dlq/moved`, where it stays.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

from ffe_core.counts import many
from ffe_core.errors import StorageError
from ffe_core.locations import local_folder
from ffe_core.settings import Settings
from ffe_core.storage.dead_letters.keeping import LocalFiles
from ffe_core.storage.dead_letters.queue import DeadLetterQueue
from ffe_core.storage.dead_letters.stored import FOLDER, StoredFiles
from ffe_core.storage.files import make_folder, why
from ffe_core.storage.objects import Objects, objects_of

log = logging.getLogger(__name__)
MOVED = "moved"
"""The folder, below the local one, of files that lie in the store by now."""


def queue_of(settings: Settings) -> DeadLetterQueue:
    """The dead letters of these settings. StorageError if they cannot be used, or not be moved up."""
    folder = settings.data_dir / FOLDER
    if local_folder(settings.lake_uri) is not None:
        return DeadLetterQueue(folder)
    objects = objects_of(settings.lake_uri, settings.lake_options)
    stored = StoredFiles(objects, folder)
    move_up(LocalFiles(folder), stored, objects)
    return DeadLetterQueue(stored)


def move_up(local: LocalFiles, stored: StoredFiles, objects: Objects) -> int:
    """Move every batch of a folder into the store; returns how many. Taken up again, it does the rest.

    StorageError if one cannot be moved, or another one of its name is there: nothing is deleted anywhere.
    """
    if not any(found.is_batch for found in local.listed()):
        return 0
    with local.lock:
        moved = [_moved(local.folder, found.name, stored, objects) for found in local.listed() if found.is_batch]
    log.warning("moved %s from %s to %s", many(sum(moved), "dead letter file"), local.folder, stored.place)
    return sum(moved)


def _moved(folder: Path, name: str, stored: StoredFiles, objects: Objects) -> bool:
    path, key = folder / name, f"{FOLDER}/{name}"
    if not path.is_file() or path.is_symlink():
        return False
    try:
        content = path.read_bytes()
        stored.announce()
        if not objects.create(key, content) or objects.get(key) != content:
            raise StorageError(
                f"{path} cannot be moved to {stored.place}, where another file of this name is; compare them, and move"
                " one of them away"
            )
        os.replace(path, make_folder(folder / MOVED, "the folder") / name)
    except OSError as error:
        raise StorageError(f"{path} cannot be moved to {stored.place}: {why(error)}") from error
    return True
