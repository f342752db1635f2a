"""Belongings of a data directory beside lake, dead letters and state: what people wrote is copied, the rest named."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

from ffe_core.errors import MigrationRefused, StorageError
from ffe_core.operations.migration.dead_letters import hash_of
from ffe_core.operations.migration.places import FolderPlace
from ffe_core.storage.files import is_left_over, why
from ffe_core.storage.state.database import DATABASE_FILE
from ffe_core.storage.state.places import MIGRATION_FILE

_COPIED = ("rules.toml", "splits.csv", "dividends.csv")
_PROFILES, _MARKS = "profiles", "watermarks/watermarks.json"
_ELSEWHERE = {DATABASE_FILE, "lake", "dlq", MIGRATION_FILE, _PROFILES, *_COPIED}
_REASONS = {
    "locks": "locks of processes of this directory, and its pace of requests",
    "logs": "of what went wrong here",
    "uploads": "files that were sent to this console, kept for a day",
    "watermarks": "but for watermarks.json: locks",
}
_OF_LETTERS = {"moved": "dead letters that were moved to an object store before"}


def belongings_of(folder: Path) -> dict[str, int]:
    """What people wrote, and the readable watermarks, where they are set by hand: name and bytes. StorageError."""
    place = FolderPlace(folder)
    found = place.listed(_PROFILES)
    found |= {name: (folder / name).stat().st_size for name in (*_COPIED, _MARKS) if (folder / name).is_file()}
    return dict(sorted(found.items()))


def left_behind(data: Path) -> dict[str, str]:
    """What of a data directory is not copied, by its name there, and what it is. StorageError."""
    letters = data / "dlq"
    try:
        names = sorted(path.name for path in data.iterdir())
        below = sorted(path.name for path in letters.iterdir() if path.is_dir()) if letters.is_dir() else []
    except OSError as error:
        raise StorageError(f"{data} cannot be read: {why(error)}") from error
    found = {name: _reason(name) for name in names if name not in _ELSEWHERE and not _is_of_sqlite(name)}
    return found | {f"dlq/{name}": _OF_LETTERS.get(name, "no dead letter") for name in below}


def require_room(source: Path, target: Path, names: dict[str, int]) -> None:
    """MigrationRefused if a data directory holds another file of one of these names. StorageError."""
    for name in names:
        there = FolderPlace(target).read(name)
        if there is not None and there != FolderPlace(source).read(name):
            raise MigrationRefused(
                f"{target / name} is not the {name} of {source}; name an empty data directory in FFE_DATA_DIR, or move"
                " that file away"
            )


def copy_belongings(source: Path, target: Path, names: dict[str, int]) -> str:
    """Copy files and read them back; one hash of names and contents. StorageError."""
    here, there, hashes = FolderPlace(source), FolderPlace(target), dict[str, str]()
    for name in names:
        content = here.read(name) or b""
        there.write(name, content)
        if there.read(name) != content:
            raise StorageError(f"{target / name} is not what was written there; run the same command again")
        hashes[name] = sha256(content).hexdigest()
    return hash_of(hashes)


def _is_of_sqlite(name: str) -> bool:
    return name in (f"{DATABASE_FILE}-wal", f"{DATABASE_FILE}-shm", f"{DATABASE_FILE}.lock")


def _reason(name: str) -> str:
    if name in _REASONS:
        return _REASONS[name]
    if name.startswith(f"{DATABASE_FILE}.before-"):
        return "a copy of the state from before an upgrade"
    return "left by a killed process" if is_left_over(name) else "not of this program"
