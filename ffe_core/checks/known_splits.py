"""Known splits of shares, from `splits.csv` in the data directory: what explains a jump, so that it is no finding."""

from __future__ import annotations

import csv
from datetime import UTC, date, datetime
from pathlib import Path

from ffe_core.errors import InputError, StorageError
from ffe_core.storage.files import why

FILE = "splits.csv"
COLUMNS = ("pair", "day", "new", "old", "reason")
_EXAMPLE = "AAPL,2014-06-09,7,1,announced"


def known_splits(folder: Path) -> dict[str, dict[int, float]]:
    """By pair, the first day after each split (epoch seconds, UTC) and how many new shares there are for an old one.

    None without a file. InputError naming the line that cannot be read, StorageError for a file that cannot.
    """
    path = folder / FILE
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {why(error)}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} is no CSV in UTF-8: {error}; save it so", field="splits") from None
    found: dict[str, dict[int, float]] = {}
    for line, row in enumerate(rows, 2):
        pair, at, factor = _read(row, f"{path}, line {line}")
        found.setdefault(pair, {})[at] = factor
    return found


def _read(row: dict[str, str | None], where: str) -> tuple[str, int, float]:
    try:
        day = date.fromisoformat((row["day"] or "").strip())
        factor = float(row["new"] or "") / float(row["old"] or "")
        if not (row["pair"] or "").strip() or not 0 < factor < float("inf"):
            raise ValueError
        if not (row["reason"] or "").strip():
            raise InputError(f"{where}: say in the column reason who says so, for example {_EXAMPLE}", field="splits")
    except (KeyError, ValueError, ZeroDivisionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{where}: give {', '.join(COLUMNS)}, for example {_EXAMPLE}", field="splits") from None
    assert row["pair"] is not None
    return row["pair"].strip().upper(), int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()), factor
