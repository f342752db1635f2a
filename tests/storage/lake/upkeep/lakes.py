"""What do tests of upkeep work on? A lake of small commits, what it answers, and its clock turned back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable

from ffe_core.series import Series
from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager
from ffe_core.storage.lake.upkeep.compaction import Compacted, compact
from ffe_core.storage.lake.upkeep.plan import plan_of
from tests import lake_files
from tests.insight.lakes import HOUR, JANUARY, put
from tests.lake_files import StoredPath, lake_path

BTC = Series("BTCUSD", "1h", "coinbase")
OANDA = Series("BTCUSD", "1h", "oanda")
ETH = Series("ETHUSD", "1h", "coinbase")


def bar(price: float) -> tuple[float, float, float, float, float]:
    return (price, price + 1, price - 1, price, 1.0)


def trickle(lake: DeltaLakeManager, series: Series, bars: Iterable[int], price: float = 100.0) -> None:
    """A commit a bar, bars numbered by hours from January 2024."""
    for number in bars:
        put(lake, series, {JANUARY + number * HOUR: bar(price + number % 7)}, f"{series.asset_pair}-{number}")


def uri_of(lake: DeltaLakeManager, series: Series = BTC) -> str:
    return lake.table_uri(series.table)


def place_of(lake: DeltaLakeManager, series: Series = BTC) -> tuple[str, dict[str, str] | None]:
    """Where its table lies, and what a store there is reached by."""
    return uri_of(lake, series), lake.storage_options


def handle(lake: DeltaLakeManager, series: Series = BTC) -> DeltaTable:
    """Its table as another tool opens it."""
    return DeltaTable(uri_of(lake, series), storage_options=lake.storage_options)


def folder_of(lake: DeltaLakeManager, series: Series = BTC) -> Path | StoredPath:
    return lake_path(lake, series.table)


def compacted(lake: DeltaLakeManager, series: Series = BTC, **more: Any) -> Compacted:
    """Make every merge that the table needs."""
    snapshot = lake.snapshot(series.table)
    assert snapshot is not None
    return compact(*place_of(lake, series), plan_of(snapshot, series.table).merges, **more)


def rows(lake: DeltaLakeManager, series: Series = BTC) -> list[dict[str, Any]]:
    """Every stored row of a table, whole, in one order."""
    frame = lake.read_table(series.table)
    found: list[dict[str, Any]] = pa.Table.from_pandas(frame).to_pylist()
    return sorted(found, key=lambda row: [str(value) for value in row.values()])


def live(lake: DeltaLakeManager, series: Series = BTC) -> list[Path | StoredPath]:
    """The files that the table names."""
    table, folder = lake.open(series.table), lake_path(lake, series.table)
    assert table is not None
    return [folder / uri.removeprefix(f"{uri_of(lake, series)}/") for uri in sorted(table.file_uris())]


def age(folder: Path | StoredPath, seconds: float = 0.0, name: str = "*") -> None:
    """Make files below a folder look as old as 1970 and so many seconds."""
    lake_files.age((path for path in folder.rglob(name) if path.is_file()), seconds)


def everything(folder: Path | StoredPath) -> dict[str, bytes]:
    """The bytes of every file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def known(batches: Iterable[Mapping[int, float]]) -> dict[int, float]:
    """The last value of each bar."""
    found: dict[int, float] = {}
    for batch in batches:
        found |= batch
    return found
