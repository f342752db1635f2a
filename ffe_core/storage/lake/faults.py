"""Faults of the lake's libraries as one sentence with the place and the next step.

delta-rs tells kinds of trouble apart by its text alone, several lines of it and in colours. Every decision that hangs
on that text is made here; `tests/storage/lake/test_faults.py` provokes them with the real library.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa
from deltalake.exceptions import DeltaError

from ffe_core.errors import InputError, StorageError, StoreUnreachable
from ffe_core.locations import local_folder
from ffe_core.redaction import redact
from ffe_core.storage import store_faults
from ffe_core.storage.files import cause_of
from ffe_core.storage.store_faults import BOUNDS as BOUNDS

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_LONGEST = 300
_ERRNO = re.compile(r"\b(?:os error|errno) (\d+)\b", re.IGNORECASE)
"""How delta-rs and Arrow name the system call's error in their texts."""


@contextmanager
def in_words(doing: str, place: str) -> Iterator[None]:
    """StorageError, beginning with `doing`, for every fault of a library in the block, panics of Rust included.

    StoreUnreachable where an object store is gone.
    """
    try:
        yield
    except InputError:
        raise
    except (DeltaError, OSError, ValueError, pa.ArrowException) as error:
        raise failure(doing, place, error) from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise failure(doing, place, error) from error


def failure(doing: str, place: str, error: BaseException) -> StorageError:
    """What a fault of a library comes to: its sentence, and whether it only means that an object store is gone."""
    gone = local_folder(place) is None and store_faults.is_unreachable(_COLOUR.sub("", str(error)))
    return (StoreUnreachable if gone else StorageError)(sentence(doing, place, error))


def sentence(doing: str, place: str, error: BaseException) -> str:
    """What failed, why, and what to do next; `place` is the lake's or the table's address."""
    text = _COLOUR.sub("", str(error))
    if local_folder(place) is None and (reason := store_faults.reason(place, text)):
        return f"{doing}: {reason}"
    if (number := _ERRNO.search(text)) and (cause := cause_of(int(number.group(1)))):
        return f"{doing}: {cause}"
    plain = " ".join(text.replace("↳", ":").split())
    cut = plain if len(plain) <= _LONGEST else f"{plain[:_LONGEST]}..."
    return redact(f"{doing}: {cut}")


def bounded(address: str, options: dict[str, str] | None) -> dict[str, str] | None:
    """The options to open a place with: those given, and for an object store time-outs where none are given."""
    return options if local_folder(address) is not None else {**BOUNDS, **(options or {})}
