"""Are data files what delta-rs would have written, and does one that cannot be written leave words and nothing else?"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import CommitProperties, DeltaTable, Field, write_deltalake
from deltalake.schema import PrimitiveType

from ffe_core import DeltaLakeManager
from ffe_core.candles import PARTITION_COLUMNS, SCHEMA
from ffe_core.errors import StorageError
from ffe_core.series import Series, Watermarks
from ffe_core.storage.lake import data_files
from ffe_core.storage.lake.appends import append
from ffe_core.storage.lake.writing import PROPERTIES
from tests.ingestion.fakes import BTC, HOUR, START, hours
from tests.storage.lake.test_delta_lake_manager import rows

ODD = ["T-USD", "XAU_XAG", "BC~2FPB", "BRK.B", "ALSAR.US@2020-01-31"]
_YEARS = (0, 366 * 24)
"""Hours after the start that lie in two partitions."""


def table(folder: Path) -> DeltaTable:
    return DeltaTable.create(str(folder), schema=SCHEMA, partition_by=list(PARTITION_COLUMNS), configuration=PROPERTIES)


def candles(pairs: list[str]) -> pa.Table:
    held = [rows(hours(at, at + 5), Series(pair, "1h", "coinbase")) for pair in pairs for at in _YEARS]
    return pa.concat_tables(held).cast(SCHEMA)


def added(folder: Path, version: int) -> list[dict[str, Any]]:
    """What a commit says of its data files, without what differs by chance, sorted."""
    lines = (folder / "_delta_log" / f"{version:020}.json").read_text().splitlines()
    found = [json.loads(line)["add"] for line in lines if "add" in json.loads(line)]
    return sorted(
        (
            {
                "folder": add["path"].rpartition("/")[0],
                "name": (add["path"].rpartition("/")[2][:11], add["path"].rpartition("c000")[2]),
                "values": add["partitionValues"],
                "stats": json.loads(add["stats"]),
                "change": add["dataChange"],
            }
            for add in found
        ),
        key=str,
    )


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("partition_date=*/partition_asset_pair=*/*"))


class TestAppend:
    def test_the_commit_says_of_its_files_what_delta_rs_would_have_said(self, tmp_path: Path):
        held = candles(["BTCUSD", *ODD])
        ours, theirs = table(tmp_path / "ours"), table(tmp_path / "theirs")
        append(ours, held, CommitProperties())
        write_deltalake(theirs, held, mode="append", writer_properties=data_files.FOR_DELTA_RS)
        assert added(tmp_path / "ours", 1) == added(tmp_path / "theirs", 1)
        assert len(added(tmp_path / "ours", 1)) == 12

    @pytest.mark.parametrize("micros", [0, 1, 999, 1_000, 500_000, 999_999])
    def test_a_time_of_any_fraction_is_spelled_as_delta_rs_spells_it(self, tmp_path: Path, micros: int):
        held = candles(["BTCUSD"]).slice(0, 1)
        at = pa.array([datetime(2026, 11, 30, 10, 49, 17, micros, UTC)], SCHEMA.field("_extracted_at").type)
        held = held.set_column(held.schema.get_field_index("_extracted_at"), SCHEMA.field("_extracted_at"), at)
        ours, theirs = table(tmp_path / "ours"), table(tmp_path / "theirs")
        append(ours, held, CommitProperties())
        write_deltalake(theirs, held, mode="append", writer_properties=data_files.FOR_DELTA_RS)
        assert added(tmp_path / "ours", 1) == added(tmp_path / "theirs", 1)

    def test_the_files_hold_what_delta_rs_would_have_written(self, tmp_path: Path):
        held = candles(["BTCUSD"])
        ours, theirs = table(tmp_path / "ours"), table(tmp_path / "theirs")
        append(ours, held, CommitProperties())
        write_deltalake(theirs, held, mode="append", writer_properties=data_files.FOR_DELTA_RS)
        for mine, other in zip(files(tmp_path / "ours"), files(tmp_path / "theirs"), strict=True):
            assert mine.parent.relative_to(tmp_path / "ours") == other.parent.relative_to(tmp_path / "theirs")
            assert pq.read_table(mine, partitioning=None).equals(pq.read_table(other, partitioning=None))
            assert pq.ParquetFile(mine).schema_arrow.equals(pq.ParquetFile(other).schema_arrow)
        ours.update_incremental()
        assert ours.to_pyarrow_table().sort_by("timestamp").equals(held)

    def test_rows_of_partitions_that_come_in_turns_keep_their_order(self, tmp_path: Path):
        held = candles(["BTCUSD", "ETHUSD"])
        mixed = held.take([place + part * 5 for place in range(5) for part in range(4)])
        append(made := table(tmp_path), mixed, CommitProperties())
        made.update_incremental()
        assert len(files(tmp_path)) == 4
        for path in files(tmp_path):
            opened = pq.read_table(path, partitioning=None)["timestamp"].to_pylist()
            assert len(opened) == 5
            assert opened == sorted(opened)
        order = [("asset_pair", "ascending"), ("timestamp", "ascending")]
        assert made.to_pyarrow_table().sort_by(order).equals(held)

    @pytest.mark.parametrize(
        ("sizes", "joined"),
        [
            pytest.param({"coinbase": 5}, False, id="one"),
            pytest.param({"coinbase": 5, "oanda": 3}, False, id="two parts"),
            pytest.param({"coinbase": 5, "oanda": 0, "binance": 3}, False, id="one of them empty"),
            pytest.param({"coinbase": 5, "oanda": 3}, True, id="two in one part"),
        ],
    )
    def test_a_text_that_is_held_once_is_written_as_the_plain_one(
        self, tmp_path: Path, sizes: dict[str, int], joined: bool
    ):
        parts = [rows(hours(0, size), Series("BTCUSD", "1h", provider)) for provider, size in sizes.items()]
        held = pa.concat_tables(parts)
        held = held.combine_chunks() if joined else held
        assert pa.types.is_dictionary(held.schema.field("asset_pair").type)
        append(table(tmp_path / "once"), held, CommitProperties())
        append(table(tmp_path / "plain"), held.cast(SCHEMA), CommitProperties())
        assert added(tmp_path / "once", 1) == added(tmp_path / "plain", 1)
        (once,), (plain,) = files(tmp_path / "once"), files(tmp_path / "plain")
        assert pq.ParquetFile(once).read().equals(pq.ParquetFile(plain).read())

    def test_sizes_in_the_log_are_those_on_disk(self, tmp_path: Path):
        made = table(tmp_path)
        append(made, candles(["BTCUSD"]), CommitProperties())
        made.update_incremental()
        sizes = pa.table(made.get_add_actions(flatten=True))["size_bytes"].to_pylist()
        assert sorted(sizes) == sorted(path.stat().st_size for path in files(tmp_path))

    def test_a_file_that_cannot_be_written_takes_those_before_it_along(self, tmp_path: Path):
        made = table(tmp_path)
        (tmp_path / "partition_date=2025-01-01").write_text("a file where a folder should be")
        with pytest.raises(OSError, match="partition_date=2025"):
            append(made, candles(["BTCUSD"]), CommitProperties())
        assert files(tmp_path) == []
        assert DeltaTable(str(tmp_path)).version() == 0


class TestCommit:
    @pytest.mark.of_a_lake_folder("a file lies where a folder should be")
    def test_a_file_that_cannot_be_written_is_said_in_words_alone(
        self, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ):
        lake = DeltaLakeManager(tmp_path)
        made = Path(lake.ensure_table("1h").table_uri.removeprefix("file://"))
        (made / "partition_date=2024-01-01").write_text("a file where a folder should be")
        with pytest.raises(StorageError, match="there is a file where a folder should be"):
            lake.commit(BTC, rows(hours(0, 5)), Watermarks(), Watermarks(START + 4 * HOUR, START))
        assert capfd.readouterr() == ("", "")
        assert lake.marks(BTC) == Watermarks()


class TestFit:
    @pytest.fixture
    def lake(self, tmp_path: Path) -> DeltaLakeManager:
        return DeltaLakeManager(tmp_path)

    def test_our_own_tables_do_and_so_does_one_with_a_column_more(self, lake: DeltaLakeManager):
        made = lake.ensure_table("1h")
        assert data_files.fit(made)
        made.alter.add_columns(Field("note", PrimitiveType("string"), nullable=True))
        lake.commit(BTC, rows(hours(0, 5)), Watermarks(), Watermarks(START + 4 * HOUR, START))
        read = lake.read_table("raw_market_data_1h")
        assert data_files.fit(lake.ensure_table("1h"))
        assert (len(read), read["note"].isna().all()) == (5, True)

    def test_a_rule_that_another_tool_has_set_holds(self, lake: DeltaLakeManager):
        lake.ensure_table("1h").alter.add_constraint({"early": "timestamp < '2024-01-01T03:00:00Z'"})
        assert not data_files.fit(lake.ensure_table("1h"))
        lake.commit(BTC, rows(hours(0, 3)), Watermarks(), Watermarks(START + 2 * HOUR, START))
        before = lake.marks(BTC)
        with pytest.raises(StorageError):
            lake.commit(BTC, rows(hours(3, 5)), before, Watermarks(START + 4 * HOUR, START))
        assert (len(lake.read_table("raw_market_data_1h")), lake.marks(BTC)) == (3, before)

    def test_a_table_of_other_types_or_partitions_does_not(self, tmp_path: Path):
        typed = pa.schema([pa.field(f.name, pa.string()) if f.name == "open" else f for f in SCHEMA])
        other = DeltaTable.create(str(tmp_path / "typed"), schema=typed, partition_by=list(PARTITION_COLUMNS))
        assert not data_files.fit(other)
        assert not data_files.fit(DeltaTable.create(str(tmp_path / "plain"), schema=SCHEMA))
