"""How are Bronze files written: what does the log keep of them, and what does an append leave alone?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable

from ffe_core.candles import PARTITION_COLUMNS, SCHEMA, VALUES
from ffe_core.series import Watermarks
from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager
from ffe_core.storage.lake.writing import PROPERTIES, STATISTICS
from tests.ingestion.fakes import BTC, HOUR, START, hours
from tests.lake_files import StoredPath, age, lake_path, log_path
from tests.storage.lake.test_delta_lake_manager import lake as lake
from tests.storage.lake.test_delta_lake_manager import marks, rows


def log_of(lake: DeltaLakeManager) -> Path | StoredPath:
    return log_path(lake, BTC.table)


def added(lake: DeltaLakeManager) -> list[dict[str, Any]]:
    """The statistics of each file that a commit of the table added."""
    lines = [json.loads(line) for file in sorted(log_of(lake).glob("*.json")) for line in file.read_text().splitlines()]
    return [json.loads(line["add"]["stats"]) for line in lines if "add" in line]


def configuration(lake: DeltaLakeManager) -> dict[str, str]:
    return dict(DeltaTable(lake.table_uri(BTC.table)).metadata().configuration)


def test_the_log_keeps_statistics_of_the_columns_that_files_are_chosen_by_and_no_others(lake: DeltaLakeManager):
    lake.commit(BTC, rows(hours(0, 3)), Watermarks(), marks(0, 2))
    [found] = added(lake)
    assert set(found["minValues"]) == set(found["maxValues"]) == set(STATISTICS)
    assert found["numRecords"] == 3


def test_a_table_of_an_older_release_gets_its_properties_with_the_next_append_and_keeps_its_rows(lake):
    DeltaTable.create(lake.table_uri(BTC.table), SCHEMA, partition_by=list(PARTITION_COLUMNS))
    lake.commit(BTC, rows(hours(0, 3)), Watermarks(), marks(0, 2))
    assert configuration(lake) == PROPERTIES
    version = lake.open(BTC.table).version()
    lake.commit(BTC, rows(hours(3, 4)), marks(0, 2), marks(0, 3))
    assert lake.open(BTC.table).version() == version + 1, "they are set once"
    assert lake.current(BTC, START, START + 9 * HOUR).num_rows == 4


def test_a_property_that_somebody_set_is_left_alone(lake: DeltaLakeManager):
    mine = {"delta.checkpointInterval": "7"}
    DeltaTable.create(lake.table_uri(BTC.table), SCHEMA, partition_by=list(PARTITION_COLUMNS), configuration=mine)
    lake.commit(BTC, rows(hours(0, 3)), Watermarks(), marks(0, 2))
    assert configuration(lake) == {**PROPERTIES, **mine}


def test_an_append_looks_for_no_expired_log_entries(lake: DeltaLakeManager):
    """Looking costs every append more with each entry there is: upkeep does it."""
    lake.commit(BTC, rows(hours(0, 3)), Watermarks(), marks(0, 2))
    lake.open(BTC.table).alter.set_table_properties({"delta.logRetentionDuration": "interval 1 seconds"})
    for number in range(3, 25):
        lake.commit(BTC, rows(hours(number, number + 1)), marks(0, number - 1), marks(0, number))
        age(log_of(lake).iterdir())
    assert list(log_of(lake).glob("*.checkpoint.parquet")), "the checkpoint is still the append's"
    assert (log_of(lake) / f"{0:020}.json").exists()


def test_times_are_packed_and_no_dictionary_is_made_of_prices(lake: DeltaLakeManager):
    lake.commit(BTC, rows(hours(0, 300)), Watermarks(), marks(0, 299))
    [path] = lake_path(lake, BTC.table).rglob("part-*.parquet")
    group = pq.ParquetFile(pa.BufferReader(path.read_bytes())).metadata.row_group(0)
    encodings = {group.column(i).path_in_schema: set(group.column(i).encodings) for i in range(group.num_columns)}
    assert "DELTA_BINARY_PACKED" in encodings["timestamp"]
    assert not {"RLE_DICTIONARY", "PLAIN_DICTIONARY"} & encodings["close"]
    told = {group.column(i).path_in_schema for i in range(group.num_columns) if group.column(i).is_stats_set}
    assert told >= {*STATISTICS, *VALUES}  # DuckDB leaves out what a filter on a price excludes
