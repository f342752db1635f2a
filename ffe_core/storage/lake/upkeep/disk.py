"""Disk space for upkeep: what is left where a table lies, and a refusal before anything is written."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from ffe_core.errors import NearlyFullError
from ffe_core.locations import local_folder

RESERVE_BYTES = 64 * 2**20
"""What upkeep leaves for appends and for the database, whatever it would win."""


def space_left(uri: str) -> int | None:
    """Bytes that are free where a lake or a table lies; None on an object store, and where it cannot be told."""
    folder = local_folder(uri)
    if folder is None:
        return None
    try:
        return shutil.disk_usage(_existing(Path(folder))).free
    except OSError:
        return None


def check_room(place: str | Path, needed: int) -> None:
    """NearlyFullError unless so many bytes can be written for the time being; upkeep frees them, and more, later."""
    free = space_left(str(place))
    if needed and free is not None and free < needed + RESERVE_BYTES:
        raise NearlyFullError(
            f"upkeep of {place} would write {size_text(needed)} and leaves {size_text(RESERVE_BYTES)} for appends, but"
            f" the disk has {size_text(free)}; free some space, or let `ffe storage vacuum` delete unused files first"
        )


def size_text(count: int | None) -> str:
    """Bytes for people, in units of a thousand as tables have them; a dash where they are not known."""
    if count is None:
        return "–"
    amount = float(count)
    for unit in ("B", "KB", "MB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:,.1f} {unit}"
        amount /= 1000
    return f"{amount:,.1f} GB"


def _existing(folder: Path) -> Path:
    while not os.path.exists(folder) and folder != folder.parent:
        folder = folder.parent
    return folder
