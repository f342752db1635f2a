"""Write small files so that a crash leaves the old one or the new one, and say in words why one cannot be written."""

from __future__ import annotations

import errno
import json
import logging
import math
import os
import re
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

from ffe_core.errors import NewerFormatError, StorageError

log = logging.getLogger(__name__)
_LEFT_OVER_SECONDS = 3600
"""A temporary file this old belongs to no writer that still lives: each is renamed within moments."""
_STAGED = re.compile(r".+\.(?:json|parquet|crc)#\d+")
"""Where delta-rs writes a file before it takes its name."""
_CAUSES = {
    errno.ENOSPC: "the disk is full (No space left on device); free some space, then start it again",
    errno.EDQUOT: "the disk quota of this user is used up; free some space, then start it again",
    errno.EROFS: "the file system is read-only; make it writable or name another data directory",
    errno.EACCES: "this user has no right to; check the owner and the mode of the folder",
    errno.EPERM: "this user has no right to; check the owner and the mode of the folder",
    errno.EMFILE: "too many files are open; raise the limit with ulimit -n",
    errno.ENFILE: "too many files are open on this machine",
    errno.EIO: "the disk fails (input/output error); check it, then start it again",
    errno.ENOTDIR: "there is a file where a folder should be; move it away",
    errno.EEXIST: "there is a file where a folder should be; move it away",
    errno.EISDIR: "there is a folder where a file should be; move it away",
}

_DEEPEST = 100
_LARGEST_INT_BITS = 10_000


def write_atomically(path: Path, text: str) -> None:
    """Write beside the target, flush to disk, and rename over it."""
    temporary = path.with_name(f".{path.name}.{uuid4().hex[:8]}.tmp")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def cause_of(number: int) -> str | None:
    """The cause of a failed system call and the next step, by its errno; None for one without words of its own."""
    return _CAUSES.get(number)


def why(error: OSError) -> str:
    """The cause of a failed system call and the next step, by its number and never by its words."""
    return cause_of(error.errno or 0) or str(error)


def make_folder(folder: Path, what: str) -> Path:
    """The folder, made with those above it where it is missing. StorageError, naming `what` it is, if it cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"{what} {folder} cannot be made: {why(error)}") from error
    return folder


def remove_left_overs(folder: Path) -> int:
    """Delete temporary files that writers which were killed have left in a folder; returns how many.

    Only names that `write_atomically` gives, and Delta's own of unfinished files, an hour old or more.
    """
    removed, before = 0, time.time() - _LEFT_OVER_SECONDS
    try:
        with os.scandir(folder) as found:
            old = [item for item in found if _is_left_over(item.name) and item.stat().st_mtime < before]
        for item in old:
            os.unlink(item.path)
            removed += 1
    except OSError as error:
        log.info("left-over files in %s stay: %s", folder, error)
    return removed


def _is_left_over(name: str) -> bool:
    return (
        (name.startswith(".") and name.endswith(".tmp"))
        or (name.startswith("_commit_") and name.endswith(".json.tmp"))
        or _STAGED.fullmatch(name) is not None
    )


def check_version(file: Path, found: Any, known: int) -> None:
    """Whether a file's format can be read: `known` is the newest version this release writes, a file of release 0.1.0
    has none (None). NewerFormatError for a newer one; ValueError for what is no version at all.
    """
    if found is None:
        return
    if type(found) is not int or found < 1:
        raise ValueError(f"its version {found!r} is not a number from 1 up")
    if found > known:
        raise NewerFormatError(
            f"{file} was written by a newer release of this program: it has version {found}, this one reads versions up"
            f" to {known}; install that release, or move the file away"
        )


def quarantined(path: Path) -> Path:
    """Rename a file that cannot be read, so that nothing is lost and nothing reads it again."""
    for number in range(1, 10_000):
        aside = path.with_name(f"{path.name}.torn-{number}")
        if not aside.exists():
            os.replace(path, aside)
            return aside
    raise OSError(f"{path.parent} holds too many files quarantined; remove the oldest *.torn-*")


def strict_json(value: Any, *, indent: int | None = None, sort_keys: bool = False, wrapping: int = 0) -> str:
    """JSON as the standard has it: non-finite numbers become text, what JSON cannot hold becomes its text.

    `wrapping` levels around what is kept do not count as its depth, so that it reads the same wrapped and alone.
    """
    return json.dumps(strict(value, -wrapping), indent=indent, sort_keys=sort_keys, allow_nan=False)


def strict(value: Any, depth: int = 0) -> Any:
    """The value with everything strict JSON can hold left alone and the rest turned into text.

    So are an integer that Python refuses to spell out (as hexadecimal) and what is nested too deep to walk.
    """
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, int):
        return value if value.bit_length() <= _LARGEST_INT_BITS else hex(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else _non_finite(value)
    if isinstance(value, dict | list | tuple) and depth >= _DEEPEST:
        return _as_text(value)
    if isinstance(value, dict):
        return {str(key): strict(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [strict(item, depth + 1) for item in value]
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _as_text(value: Any) -> str:
    try:
        return json.dumps(value, default=str)
    except (TypeError, ValueError, RecursionError):
        return f"a {type(value).__name__} nested too deep to keep"


def _non_finite(value: float) -> str:
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
