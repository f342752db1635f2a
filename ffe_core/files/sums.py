"""Checksums of files: the SHA-256 that a file is known by, held against one that lies beside it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from ffe_core.errors import InputError

_CHECKSUMS = (".CHECKSUM", ".sha256", ".SHA256")
_HELD = 8 * 2**20
"""What is smaller is read once, for its checksum and for its rows."""


def read_file(path: Path) -> tuple[str, int, bytes | None]:
    """SHA-256 and size of a file, and its bytes where they are few. InputError if it cannot be read."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > _HELD:
                return hashlib.file_digest(file, "sha256").hexdigest(), size, None
            data = file.read()
            return hashlib.sha256(data).hexdigest(), len(data), data
    except OSError as error:
        raise InputError(f"{path.name} cannot be read: {error.strerror}", field="file") from None


def check_sum(path: Path, sha256: str) -> None:
    """InputError where a checksum beside the file says that it holds something else."""
    for beside in _beside(path):
        said = beside.read_text(encoding="utf-8", errors="replace").split()[:1]
        if said and len(said[0]) == 64 and said[0].lower() != sha256:
            raise InputError(
                f"{path.name} is not what {beside.name} says (sha256 {sha256}); get it again", field="file"
            )


def _beside(path: Path) -> Iterator[Path]:
    return (Path(found) for suffix in _CHECKSUMS if os.path.isfile(found := f"{path}{suffix}"))
