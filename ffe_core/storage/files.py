"""How a small file is written so that a crash leaves the old one or the new one, never half of one."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any
from uuid import uuid4

from ffe_core.errors import NewerFormatError

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
