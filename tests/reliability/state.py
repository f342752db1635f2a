"""State of a data directory: reads what it holds, without the product where that can be.

The lake is read with deltalake alone, the ledger with sqlite3 alone, dead letters as JSON; only what has become of a
dead letter is asked of the product, whose history it is.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

_VALUES = ("open", "high", "low", "close", "volume")
_NO_MARK = -(2**63)


def write(data: str, target: str) -> int:
    """Write the state of a data directory as JSON; for a trial's process."""
    Path(target).write_text(json.dumps(read(Path(data)), default=str))
    return 0


def read(data: Path) -> dict[str, Any]:
    """Rows, marks, dead letters and what the ledger holds; raises what the libraries raise for damage."""
    rows, marks = _lake(data / "lake")
    return {
        "rows": rows,
        "marks": marks,
        "letters": _records(data / "dlq"),
        "copy": _copy(data / "watermarks" / "watermarks.json"),
        "litter": sorted(str(path.relative_to(data)) for path in data.rglob("*") if is_litter(path)),
        **_ledger(data / "console.db"),
    }


def is_litter(path: Path) -> bool:
    """Whether a file is a temporary one, of ours or of delta-rs."""
    return path.is_file() and (path.suffix == ".tmp" or "#" in path.name)


def _lake(folder: Path) -> tuple[list[list[Any]], dict[str, list[int | None]]]:
    """Every stored version as [pair, timeframe, provider, open, values, dead letter], and both marks of each series."""
    from deltalake import DeltaTable

    rows: list[list[Any]] = []
    marks: dict[str, list[int | None]] = {}
    for path in sorted(folder.glob("raw_market_data_*")):
        if not any((path / "_delta_log").glob("*.json")):
            continue
        table, timeframe = DeltaTable(str(path)), path.name.rpartition("_")[2]
        found = [[*row[:1], timeframe, *row[1:]] for row in _rows(table)]
        rows += found
        for pair, provider in {(row[0], row[2]) for row in found}:
            key = f"{pair}/{timeframe}/{provider}"
            marks[key] = [_mark(table, key), _mark(table, f"{key}/low")]
    return sorted(rows, key=str), marks


def _rows(table: Any) -> list[list[Any]]:
    names = ["asset_pair", "source_provider", "timestamp", "_extracted_at", *_VALUES, "_dead_letter_id"]
    columns = table.to_pyarrow_table(columns=names)
    times = [columns[name].cast("int64").to_pylist() for name in ("timestamp", "_extracted_at")]
    values = zip(*(columns[name].to_pylist() for name in _VALUES), strict=True)
    texts = [columns[name].to_pylist() for name in ("asset_pair", "source_provider", "_dead_letter_id")]
    return [
        [pair, provider, at // 1_000_000, list(candle), record, extracted]
        for pair, provider, at, extracted, candle, record in zip(*texts[:2], *times, values, texts[2], strict=True)
    ]


def _mark(table: Any, key: str) -> int | None:
    version = table.transaction_version(key)
    return None if version == _NO_MARK else version


def _records(folder: Path) -> list[list[Any]]:
    """Each record as [as received, status, latest value]."""
    from ffe_core import DeadLetterQueue
    from ffe_core.errors import InputError

    found: list[list[Any]] = []
    if not folder.is_dir():
        return found
    queue = DeadLetterQueue(folder)
    for path in sorted(folder.glob("*.json")):
        try:
            batch = queue.read(path.stem)
        except InputError:
            found.append([path.stem, "unreadable", None])
            continue
        raw = json.loads(path.read_text())["records"]
        found += [[kept, record.status, record.value] for kept, record in zip(raw, batch.records, strict=True)]
    return sorted(found, key=str)


def _copy(file: Path) -> Any:
    try:
        return json.loads(file.read_text())
    except FileNotFoundError:
        return {}
    except ValueError:
        return "torn"


def _ledger(file: Path) -> dict[str, Any]:
    if not file.exists():
        return {"runs": [], "audit": [], "holes": [], "schedules": [], "ledger": "none"}
    with closing(sqlite3.connect(file)) as connection:
        connection.row_factory = sqlite3.Row
        return {
            "runs": _table(connection, "run_series"),
            "audit": _table(connection, "audit"),
            "holes": _table(connection, "marked_holes"),
            "schedules": _table(connection, "schedules"),
            "ledger": connection.execute("PRAGMA integrity_check").fetchone()[0],
        }


def _table(connection: sqlite3.Connection, name: str) -> list[dict[str, Any]]:
    try:
        return [dict(row) for row in connection.execute(f"SELECT * FROM {name}")]
    except sqlite3.OperationalError:  # a ledger whose tables were never made
        return []
