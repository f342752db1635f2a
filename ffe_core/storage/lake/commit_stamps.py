"""Commit stamps: what tells a commit file from another of the same name, in a table made anew."""

from __future__ import annotations

from pathlib import Path

from ffe_core.locations import local_folder

Stamp = tuple[int, int]


def stamp_in(log: Path, version: int) -> Stamp:
    """The stamp of a commit in a local log. OSError if there is no such file."""
    found = (log / f"{version:020}.json").stat()
    return found.st_ino, found.st_mtime_ns


def commit_stamp(uri: str, version: int) -> Stamp | None:
    """The stamp of a table's commit; None if there is no such file, or the table is not local."""
    folder = local_folder(uri)
    try:
        return None if folder is None else stamp_in(folder / "_delta_log", version)
    except OSError:
        return None
