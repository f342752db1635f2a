"""Folder of an export: files are written beside it, and get their names once every one of them is whole.

Where the folder is there already, no single rename moves them all. So the folder they were written to is renamed first,
to a name that says "these are to be moved": whoever is killed after that is followed by the next export there, which
moves the rest, or takes back what was moved if somebody else's file stands in the way.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import blake2b
from pathlib import Path

from filelock import FileLock, Timeout

from ffe_core.errors import InputError, StorageError
from ffe_core.storage.files import why

_SHOWN = 5
_PART, _MOVING, _REPLACING = ".part", ".moving", ".replacing"
"""How the folder ends in which files are written, and from which whole ones are moved, perhaps over others."""
_LOCK = ".export-lock"
_TOKEN_BYTES = 6
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK, errno.EXDEV, errno.ENOSYS}
"""What file systems without hard links say."""


@contextmanager
def staged(target: Path, *, replace: bool) -> Iterator[Path]:
    """A folder to write to, whose files come into `target` when the block ends well, and else not at all.

    A new target is made by one rename. In one that is there each file comes by one rename, and what a killed export has
    left to move is moved first; none that is there is written over unless `replace` says so. InputError, naming them,
    for those; StorageError if it cannot be written.
    """
    if target.is_symlink() and not target.exists():
        raise InputError(f"{target} is a link to nothing; name a folder", field="folder")
    if target.exists() and not target.is_dir():
        raise InputError(f"{target} is a file; name a folder", field="folder")
    stage = target.parent / f"{_before(target)}{secrets.token_hex(_TOKEN_BYTES)}{_PART}"
    try:
        _finish_earlier(target)
        stage.mkdir(parents=True)
    except OSError as error:
        raise StorageError(f"{target} cannot be written: {why(error)}") from error
    try:
        yield stage
        _move(stage, target, replace=replace)
    except OSError as error:
        raise StorageError(f"{target} cannot be written: {why(error)}") from error
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def _move(stage: Path, target: Path, *, replace: bool) -> None:
    if not target.exists():
        try:
            stage.rename(target)
            return
        except OSError:  # somebody else has just made it
            if not target.is_dir():
                raise
    files = [path.relative_to(stage) for path in sorted(stage.rglob("*")) if path.is_file()]
    taken = [str(name) for name in files if os.path.lexists(target / name)]
    if taken and not replace:
        raise _taken(target, taken)
    with _held(stage) as is_free:
        assert is_free
        moving = stage.with_name(stage.name.removesuffix(_PART) + (_REPLACING if replace else _MOVING))
        stage.rename(moving)
        _carry_out(moving, target)


def _before(target: Path) -> str:
    """What the names of an export's own folders beside a target begin with; a name may be longer than leaves room."""
    digest = blake2b(target.name.encode(errors="surrogateescape"), digest_size=4).hexdigest()
    return f".{target.name[:48]}.{digest}."


def _is_of(name: str, target: Path) -> bool:
    """Whether it is the folder of an export to this target: another target's name may begin as this one's does."""
    before = _before(target)
    return name.startswith(before) and len(name.removeprefix(before).partition(".")[0]) == 2 * _TOKEN_BYTES


def _finish_earlier(target: Path) -> None:
    """Move what a killed export had ready for this folder; another that is at it is left alone."""
    with suppress(FileNotFoundError, NotADirectoryError):
        found = [path for path in target.parent.iterdir() if _is_of(path.name, target)]
        for moving in (path for path in found if path.suffix in (_MOVING, _REPLACING)):
            with _held(moving) as is_free, suppress(InputError):
                if is_free and moving.is_dir():
                    _carry_out(moving, target)


@contextmanager
def _held(stage: Path) -> Iterator[bool]:
    """Whether nobody else moves the files of a folder; the system frees it when its process dies."""
    lock = FileLock(stage / _LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def _carry_out(moving: Path, target: Path) -> None:
    """Move every file that is left, and then the folder is gone. InputError, with all taken back, for one in the way;
    where files are written over, OSError leaves the rest to the next export."""
    files = [path.relative_to(moving) for path in sorted(moving.rglob("*")) if path.is_file() and path.name != _LOCK]
    moved: list[Path] = []
    try:
        for name in files:
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            if moving.suffix == _REPLACING:
                os.replace(moving / name, target / name)
            else:
                moved.append(target / name)
                _put(moving / name, target / name)
    except OSError as error:
        if moving.suffix == _REPLACING:
            raise
        _take_back(moving, target, files, moved[:-1])
        shutil.rmtree(moving, ignore_errors=True)
        if isinstance(error, FileExistsError):
            raise _taken(target, [str(name)]) from None
        raise
    shutil.rmtree(moving, ignore_errors=True)


def _take_back(moving: Path, target: Path, files: list[Path], moved: list[Path]) -> None:
    """Remove what was moved, also by a process that was killed: then a file is here and there."""
    _remove([*moved, *(target / name for name in files if _is_same(moving / name, target / name))])


def _is_same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False


def _put(source: Path, target: Path) -> None:
    """Give a file its name, never over what came there in between. FileExistsError for that."""
    if _is_same(source, target):
        return
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if os.path.lexists(target):
            raise FileExistsError(target) from None
        source.rename(target)


def _remove(moved: list[Path]) -> None:
    for path in moved:
        path.unlink(missing_ok=True)


def _taken(target: Path, names: list[str]) -> InputError:
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    shown = ", ".join(names[:_SHOWN])
    return InputError(
        f"{target} holds {shown}{more} already; nothing was written: choose another folder, or say --replace",
        field="folder",
    )
