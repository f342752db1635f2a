"""Probe of an object store: whether of two writers of one name it lets only one in.

A store that takes the second of two conditional puts loses commits in silence: both writers are told that theirs was
made (seen with a proxy that drops If-None-Match). So whoever writes to a store tries it first, once a process.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from uuid import uuid4

from ffe_core.errors import StorageError, StoreUnfit
from ffe_core.storage.objects import Objects

FOLDER = ".probe"
"""Below the lake's address. What a killed probe leaves there is deleted by a later one."""
_LEFT_OVER_SECONDS = 3600
_passed: set[Objects] = set()
_lock = threading.Lock()


def require_conditional_puts(objects: Objects) -> None:
    """StoreUnfit if the store lets two writers of one name in; StorageError if it cannot be written at all.

    Three requests and those of cleaning, the first time in a process.
    """
    with _lock:
        if objects not in _passed:
            _probe(objects)
            _passed.add(objects)


def _probe(objects: Objects) -> None:
    key = f"{FOLDER}/{uuid4().hex}"
    objects.create(key, b"first")
    try:
        # What is another writer's is never equal, or it would pass for the answer that was lost.
        if objects.create(key, b"second") or objects.get(key) != b"first":
            raise StoreUnfit(
                f"{objects.address} takes a second object of a name that is to be new, so that two writers would lose"
                " commits in silence; use a store, or a way to it, that honours If-None-Match (conditional puts)"
            )
    finally:
        with suppress(StorageError):
            objects.delete([key, *_left_over(objects)])


def _left_over(objects: Objects) -> list[str]:
    before = time.time() - _LEFT_OVER_SECONDS
    return [one.key for one in objects.listed(FOLDER) if one.modified.timestamp() < before]
