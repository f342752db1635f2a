"""Folder of an export: files are written beside it, and get their names once every one of them is whole."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ffe_core.errors import InputError, StorageError
from ffe_core.storage.files import why

_SHOWN = 5
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK, errno.EXDEV, errno.ENOSYS}
"""What file systems without hard links say."""


@contextmanager
def staged(target: Path, *, replace: bool) -> Iterator[Path]:
    """A folder to write to, whose files come into `target` when the block ends well, and else not at all.

    A new target is made by one rename. In one that is there each file comes by one rename; none that is there is
    written over unless `replace` says so. InputError, naming them, for those; StorageError if it cannot be written.
    """
    if target.is_symlink() and not target.exists():
        raise InputError(f"{target} is a link to nothing; name a folder", field="folder")
    if target.exists() and not target.is_dir():
        raise InputError(f"{target} is a file; name a folder", field="folder")
    stage = target.parent / f".{target.name[:80]}.{secrets.token_hex(6)}.part"
    try:
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
    moved: list[Path] = []
    try:
        for name in files:
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            if replace:
                os.replace(stage / name, target / name)
            else:
                _put(stage / name, target / name)
                moved.append(target / name)
    except FileExistsError:
        _remove(moved)
        raise _taken(target, [str(name)]) from None
    except OSError:
        _remove(moved)
        raise


def _put(source: Path, target: Path) -> None:
    """Give a file its name, never over what came there in between. FileExistsError for that."""
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
