"""DuckDB file of views over a local lake, for whatever opens DuckDB files: a snapshot that says how old it is."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np

from ffe_core import times
from ffe_core.candles import table_name
from ffe_core.errors import InputError, StorageError
from ffe_core.locations import local_folder
from ffe_core.reading.frames import package
from ffe_core.reading.relations import COLUMNS, LATEST, name_series
from ffe_core.storage.lake import faults
from ffe_core.storage.lake.datasets import hold_each_bar_once
from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager
from ffe_core.storage.lake.snapshot import Files, Snapshot
from ffe_core.timeframes import TIMEFRAMES

_IN_FOLDER = COLUMNS.replace("asset_pair", "partition_asset_pair AS asset_pair")
"""The pair as the folder of a file names it, so that a query for one opens no other's files."""


def write_views(path: str | Path, lake: DeltaLakeManager) -> list[str]:
    """Write a DuckDB file with the views of `relations.name_views`; replaced as a whole. Returns their names.

    The views name the data files of the table's present version: rows of later commits are not in them, and files that
    upkeep has replaced are deleted some hours later. `lake_versions` says of each table whether that is the newest
    version. InputError for a lake that is not local, or a path that cannot be; StorageError, PackageMissing.
    """
    target = Path(path)
    folder = local_folder(lake.storage_path)
    if folder is None:
        raise InputError(
            f"views can be written of a local lake only, and this one lies at {lake.storage_path}; use ffe sql, or"
            " scan_candles from Python",
            field="views",
        )
    if any(sign in str(folder) for sign in "*?"):
        raise InputError(f"{folder} holds * or ?, which DuckDB takes for a pattern; move the lake", field="views")
    duckdb = package("duckdb")
    temporary = target.with_name(f".{target.name}.{uuid4().hex[:8]}.tmp")
    try:
        with duckdb.connect(str(temporary)) as connection:
            names = _made(connection, lake, folder)
        os.replace(temporary, target)
    except (duckdb.Error, OSError) as error:
        raise StorageError(faults.sentence(f"{target} cannot be written", str(target), error)) from error
    finally:
        temporary.unlink(missing_ok=True)
    return names


def _made(connection: Any, lake: DeltaLakeManager, folder: Path) -> list[str]:
    stored, versions = [], []
    for timeframe in TIMEFRAMES:
        snapshot = lake.snapshot(table_name(timeframe))
        if snapshot is not None and len(snapshot.all_files()):
            place = folder / table_name(timeframe)
            connection.execute(f"CREATE VIEW candles_{timeframe} AS {_bars(snapshot, place)}")
            versions.append(_version(timeframe, snapshot.version, place))
            stored.append(timeframe)
    name_series(connection, lake)
    if not stored:
        return ["series"]
    each = (f"SELECT '{timeframe}' AS timeframe, * FROM candles_{timeframe}" for timeframe in stored)
    connection.execute(f"CREATE VIEW candles AS {' UNION ALL '.join(each)}")
    connection.execute(f"CREATE VIEW lake_versions AS {' UNION ALL '.join(versions)}")
    return ["candles", *(f"candles_{timeframe}" for timeframe in stored), "series", "lake_versions"]


def _bars(snapshot: Snapshot, place: Path) -> str:
    files = snapshot.all_files()
    once = hold_each_bar_once(files)
    parts = [(once, ""), (~once, LATEST)]
    return " UNION ALL ".join(
        f"SELECT {_IN_FOLDER} FROM {_read(files.where(np.flatnonzero(chosen)), place)} {ending}"
        for chosen, ending in parts
        if chosen.any()
    )


def _read(files: Files, place: Path) -> str:
    listed = ", ".join(_text(str(place / path)) for path in files.paths)
    types = "{'partition_date': DATE, 'partition_asset_pair': VARCHAR}"
    return f"read_parquet([{listed}], hive_partitioning = true, hive_types = {types})"


def _version(timeframe: str, version: int, place: Path) -> str:
    """One row: which version the views show, since when, and which is the newest now."""
    log = _text(str(place / "_delta_log" / "*.json"))
    newest = f"(SELECT max(regexp_extract(file, '([0-9]{{20}})[.]json$', 1)::BIGINT) FROM glob({log}))"
    made = f"TIMESTAMPTZ {_text(times.iso(times.now()))}"
    return (
        f"SELECT '{timeframe}' AS timeframe, {version} AS version, {made} AS written_at, {newest} AS newest_version,"
        f" {newest} = {version} AS is_newest"
    )


def _text(value: str) -> str:
    quoted = value.replace("'", "''")
    return f"'{quoted}'"
