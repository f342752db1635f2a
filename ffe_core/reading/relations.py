"""DuckDB relations over the lake: each table's files as Arrow datasets, and views of the bars that count in them.

DuckDB hands its filters on pair, provider and time down to the files' promises, so a pair and a range cost what they
hold. It reads no file itself, so a connection can be closed to all files and the network and still see the lake.
"""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import numpy as np

from ffe_core.candles import table_name
from ffe_core.insight.stored import stored_series
from ffe_core.storage.lake.datasets import dataset, hold_each_bar_once
from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager
from ffe_core.storage.lake.snapshot import MICROS, STORED, Files, Snapshot
from ffe_core.timeframes import TIMEFRAMES

COLUMNS = ", ".join(STORED.names)
LATEST = (
    "QUALIFY row_number() OVER (PARTITION BY asset_pair, source_provider, timestamp ORDER BY _extracted_at DESC) = 1"
)
"""The version that counts, of rows that may hold several of a bar."""


def bars_and_versions(
    connection: Any, snapshot: Snapshot, files: Files, known_at: int | None, prefix: str
) -> tuple[str, str]:
    """SQL of the current view of a table's files and of all their versions, over datasets registered in a connection.

    `files` are all that may hold bars of some pairs and times, `known_at` (epoch microseconds) leaves out what was
    stored later.
    """
    once = hold_each_bar_once(files)
    if known_at is not None:
        once &= files.newest <= known_at
    where = "" if known_at is None else f"WHERE _extracted_at <= make_timestamptz({known_at})"
    bars, versions = [], []
    for name, chosen, ending in (("once", once, ""), ("several", ~once, f"{where} {LATEST}")):
        if chosen.any() or name == "once":
            source = f"{prefix}_{name}"
            connection.register(source, dataset(snapshot, files.where(np.flatnonzero(chosen))))
            bars.append(f"SELECT {COLUMNS} FROM {source} {ending}")
            versions.append(f"SELECT {COLUMNS} FROM {source} {where}")
    return " UNION ALL ".join(bars), " UNION ALL ".join(versions)


def name_views(connection: Any, lake: DeltaLakeManager, known_at: int | None = None) -> list[str]:
    """Make the views of a whole lake in a connection; their names. StorageError if a table cannot be read.

    For each stored timeframe `candles_1h` (the bars that count) and `versions_1h` (every stored version), `candles` and
    `versions` over all of them with a column `timeframe`, and `series`: what is stored from when to when.
    """
    stored = []
    for timeframe in TIMEFRAMES:
        snapshot = lake.snapshot(table_name(timeframe))
        if snapshot is not None:
            bars, versions = bars_and_versions(
                connection, snapshot, snapshot.all_files(), known_at, f"files_{timeframe}"
            )
            connection.execute(f"CREATE VIEW candles_{timeframe} AS {bars}")
            connection.execute(f"CREATE VIEW versions_{timeframe} AS {versions}")
            stored.append(timeframe)
    for kind in ("candles", "versions") if stored else ():
        each = (f"SELECT '{timeframe}' AS timeframe, * FROM {kind}_{timeframe}" for timeframe in stored)
        connection.execute(f"CREATE VIEW {kind} AS {' UNION ALL '.join(each)}")
    name_series(connection, lake)
    parts = ["", *(f"_{timeframe}" for timeframe in stored)] if stored else []
    return [f"{kind}{part}" for part in parts for kind in ("candles", "versions")] + ["series"]


def name_series(connection: Any, lake: DeltaLakeManager) -> None:
    """Make the table `series`: a row for each stored series, its first and last open, stored rows and files."""
    connection.execute(
        "CREATE TABLE series (asset_pair VARCHAR, timeframe VARCHAR, source_provider VARCHAR,"
        " first TIMESTAMPTZ, last TIMESTAMPTZ, rows BIGINT, files BIGINT)"
    )
    for one in stored_series(lake):
        connection.execute(
            "INSERT INTO series VALUES (?, ?, ?, make_timestamptz(?), make_timestamptz(?), ?, ?)",
            [*one.series.key.split("/"), one.first * MICROS, one.last * MICROS, one.rows, one.files],
        )


def unused_name() -> str:
    """A name that nothing in a person's own connection has."""
    return f"ffe_{uuid4().hex}"
