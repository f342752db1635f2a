"""Write small files so that a crash leaves the old one or the new one, and say in words why one cannot be written."""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import math
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any
from uuid import uuid4

from filelock import FileLock, Timeout

from ffe_core.errors import NewerFormatError, StorageError

log = logging.getLogger(__name__)
_OURS = re.compile(r"\..+\.[0-9a-f]{8}\.tmp")
"""What `replacing` calls a file until it is whole; it is locked for so long."""
_OF_DELTA = re.compile(r"(?P<name>.+\.(?:json|parquet|crc)|_last_checkpoint)#\d+|_commit_.+\.json\.tmp")
"""What delta-rs calls a file until it is whole; the first form is linked to its `name` and then removed."""
_LEFT_OVER_SECONDS = 3600
"""A file of delta-rs that is this old belongs to no writer that still lives: each has its name within moments."""
_CAUSES = {
    errno.ENOSPC: "the disk is full (No space left on device); free some space, then start it again",
    errno.EDQUOT: "the disk quota of this user is used up; free some space, then start it again",
    errno.EROFS: "the file system is read-only; make it writable or name another data directory",
    errno.EACCES: "this user has no right to; check the owner and the mode of the folder",
    errno.EPERM: "this user has no right to; check the owner and the mode of the folder",
    errno.EMFILE: "too many files are open; raise the limit with ulimit -n",
    errno.ENFILE: "too many files are open on this machine",
    errno.EIO: "the disk fails (input/output error); check it, then start it again",
    errno.EFBIG: "the file would be larger than this user may write; raise the limit with ulimit -f",
    errno.ENAMETOOLONG: "the path is longer than the file system takes; name a data directory with a shorter one",
    errno.ELOOP: "the path is a circle of links; name the folder itself",
    errno.ENOTDIR: "there is a file where a folder should be; move it away",
    errno.EEXIST: "there is a file where a folder should be; move it away",
    errno.EISDIR: "there is a folder where a file should be; move it away",
}

LOCK_SECONDS = 120
"""How long whoever wants a folder waits for one that holds it: an index of a million dead letters is made in less."""
_DEEPEST = 100
_LARGEST_INT_BITS = 10_000


@contextmanager
def replacing(path: Path, *, is_lasting: bool = True) -> Iterator[IO[bytes]]:
    """A file to write in bytes that takes the name `path` when the block ends, whole and flushed to disk; not flushed
    where it need not outlast the machine (`is_lasting`).

    Until then it has a name of its own beside it, and a lock, which death frees: it tells whether it is somebody's.
    """
    temporary, file = _staged(path)
    try:
        with file:
            yield file
            file.flush()
            if is_lasting:
                os.fsync(file.fileno())
            os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):  # what failed is worth saying, not this; `remove_left_overs` tries again
            temporary.unlink(missing_ok=True)
        raise


def _staged(path: Path) -> tuple[Path, IO[bytes]]:
    """A new locked file; made anew if somebody took it for a left-over in the moment before it was locked."""
    while True:
        temporary = path.with_name(f".{path.name}.{uuid4().hex[:8]}.tmp")
        file = temporary.open("xb")
        with suppress(OSError):  # a file system without locks gives none to those who clean either
            fcntl.flock(file, fcntl.LOCK_EX)
        if os.fstat(file.fileno()).st_nlink:
            return temporary, file
        file.close()


def write_atomically(path: Path, text: str, *, is_lasting: bool = True) -> None:
    """Write beside the target, flush to disk as `replacing` says, and rename over it."""
    with replacing(path, is_lasting=is_lasting) as file:
        file.write(text.encode("utf-8"))


def cause_of(number: int) -> str | None:
    """The cause of a failed system call and the next step, by its errno; None for one without words of its own."""
    return _CAUSES.get(number)


def folder_lock(file: Path) -> FileLock:
    """The lock of a folder that is changed for moments at a time. Who waits for it longer than `LOCK_SECONDS` gets an
    OSError that has words in `why`."""
    return FileLock(file, timeout=LOCK_SECONDS)


def why(error: OSError) -> str:
    """The cause of a failed system call and the next step, by its number and never by its words."""
    if isinstance(error, Timeout):
        return (
            f"another process has held {error.lock_file} for {LOCK_SECONDS} seconds; if it is stopped, let it go on or"
            " end it, then start this again"
        )
    return cause_of(error.errno or 0) or str(error)


def make_folder(folder: Path, what: str) -> Path:
    """The folder, made with those above it where it is missing. StorageError, naming `what` it is, if it cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"{what} {folder} cannot be made: {why(error)}") from error
    return folder


def is_left_over(name: str) -> bool:
    """Whether a file of this name is one that `replacing` or delta-rs has not finished."""
    return bool(_OURS.fullmatch(name) or _OF_DELTA.fullmatch(name))


def remove_left_overs(folder: Path) -> int:
    """Delete the temporary files in a folder that are nobody's any more; returns how many.

    Only names that `replacing` and delta-rs give: of ours those whose lock is free; of delta-rs those that have their
    own name already, and those an hour old.
    """
    removed = 0
    try:
        with os.scandir(folder) as found:
            names = [item.name for item in found]
        for name in names:
            if _OURS.fullmatch(name):
                removed += _removed_if_free(folder / name)
            elif staged := _OF_DELTA.fullmatch(name):
                removed += _removed_if_done(folder / name, staged["name"])
    except OSError as error:
        log.info("left-over files in %s stay: %s", folder, error)
    return removed


def _removed_if_free(temporary: Path) -> bool:
    """Delete a file of ours unless somebody writes it."""
    with suppress(FileNotFoundError, BlockingIOError), temporary.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        temporary.unlink()
        return True
    return False


def _removed_if_done(temporary: Path, name: str | None) -> bool:
    """Delete a file of delta-rs that is its own name's other link, or old."""
    with suppress(FileNotFoundError):
        old = temporary.stat().st_mtime < time.time() - _LEFT_OVER_SECONDS
        if old or (name and temporary.samefile(temporary.with_name(name))):
            temporary.unlink()
            return True
    return False


def check_version(file: Path | str, found: Any, known: int) -> None:
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
    for aside in map(path.with_name, names_aside(path.name)):
        if not aside.exists():
            os.replace(path, aside)
            return aside
    raise too_many_aside(path.parent)


def names_aside(name: str) -> Iterator[str]:
    """Names for a file that cannot be read, of which the first that nothing bears is taken."""
    return (f"{name}.torn-{number}" for number in range(1, 10_000))


def too_many_aside(place: str | Path) -> OSError:
    """The error where all those names are borne."""
    return OSError(f"{place} holds too many files quarantined; remove the oldest *.torn-*")


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
