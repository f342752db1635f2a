"""Do Delta tables take what fits, refuse what does not, and tell what was known when?"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from deltalake import Field
from deltalake.schema import PrimitiveType

from ffe_core import DeltaLakeManager
from ffe_core.candles import PARTITION_COLUMNS, SCHEMA
from ffe_core.errors import CommitConflict, InputError, StorageError
from ffe_core.ingestion.enrich import enrich
from ffe_core.series import Series, Watermarks
from ffe_core.storage.lake import comparison
from ffe_core.storage.lake.delta_lake_manager import conform
from ffe_core.storage.lake.snapshot import Snapshot
from ffe_core.validation import validate
from tests.ingestion.fakes import BTC, HOUR, START, hours, open_times, record, records, stored
from tests.lake_files import age, lake_path, log_path

TABLE = "raw_market_data_1h"


@pytest.fixture
def lake(tmp_path: Path) -> DeltaLakeManager:
    return DeltaLakeManager(tmp_path / "lake")


def rows(at: range, series: Series = BTC, **changes: Any) -> pa.Table:
    sent = [record(open_epoch, **changes) for open_epoch in at] if changes else list(records(at).values())
    return enrich(validate(sent, HOUR).candles, series, "test", is_mock=False)


def frame(at: range) -> pd.DataFrame:
    return rows(at).to_pandas()


def marks(first: int, last: int) -> Watermarks:
    return Watermarks(START + last * HOUR, START + first * HOUR)


class TestCreateOrUpdateTable:
    def test_it_makes_the_table_and_then_appends(self, lake: DeltaLakeManager):
        assert not lake.table_exists(TABLE)
        first = lake.create_or_update_table(frame(hours(0, 3)), TABLE, list(PARTITION_COLUMNS), "append")
        second = lake.create_or_update_table(frame(hours(3, 5)), TABLE, list(PARTITION_COLUMNS), "append")
        assert first is not None
        assert second == first + 1
        assert lake.table_exists(TABLE)
        assert len(lake.read_table(TABLE)) == 5

    def test_a_bronze_table_only_grows(self, lake: DeltaLakeManager):
        for mode in ("overwrite", "merge", "ignore", ""):
            with pytest.raises(ValueError, match=r"^mode: .*append"):
                lake.create_or_update_table(frame(hours(0, 3)), TABLE, mode=mode)

    def test_another_table_can_be_overwritten(self, lake: DeltaLakeManager):
        lake.create_or_update_table(pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}), "notes", ["b"], "append")
        lake.create_or_update_table(pd.DataFrame({"a": [3], "b": ["z"]}), "notes", ["b"], "overwrite")
        assert lake.read_table("notes")["a"].tolist() == [3]
        assert sorted(lake.read_table("notes", version=0)["a"].tolist()) == [1, 2]

    def test_zero_rows_write_nothing_and_poison_nothing(self, lake: DeltaLakeManager):
        empty = frame(hours(0, 1)).iloc[:0]
        for nothing in (empty, empty.astype(object), pd.DataFrame(columns=SCHEMA.names), SCHEMA.empty_table()):
            assert lake.create_or_update_table(nothing, TABLE) is None
        assert lake.create_or_update_table(pd.DataFrame(columns=["a"]), "notes") is None
        lake.create_or_update_table(frame(hours(0, 3)), TABLE)
        assert lake.create_or_update_table(empty, TABLE) is None
        assert len(lake.read_table(TABLE)) == 3

    def test_naive_times_are_refused_and_other_zones_become_utc(self, lake: DeltaLakeManager):
        naive = frame(hours(0, 3)).assign(timestamp=lambda df: df["timestamp"].dt.tz_localize(None))
        with pytest.raises(ValueError, match=r"timestamp.*zone"):
            lake.create_or_update_table(naive, TABLE)
        assert not lake.table_exists(TABLE)
        moved = frame(hours(0, 3)).assign(timestamp=lambda df: df["timestamp"].dt.tz_convert("America/New_York"))
        lake.create_or_update_table(moved, TABLE)
        assert lake.read_table(TABLE)["timestamp"].min() == pd.Timestamp(START, unit="s", tz="UTC")

    @pytest.mark.parametrize(
        ("change", "named"),
        [
            (lambda df: df.drop(columns=["open", "volume"]), "open, volume"),
            (lambda df: df.assign(open="dear"), "columns"),
            (lambda df: df.assign(open=[1.0, "x", None]), "columns"),
            (lambda df: df.assign(partition_date="someday"), "columns"),
        ],
    )
    def test_columns_that_do_not_fit_are_refused_by_name(self, lake: DeltaLakeManager, change: Any, named: str):
        with pytest.raises(ValueError, match=named):
            lake.create_or_update_table(change(frame(hours(0, 3))), TABLE)
        assert not lake.table_exists(TABLE)

    @pytest.mark.parametrize("name", ["", "../escape", "a/b", "a b", "a.b", "raw_market_data_2h"])
    def test_a_name_that_is_no_table_is_refused(self, lake: DeltaLakeManager, tmp_path: Path, name: str):
        with pytest.raises(ValueError, match=r"^(table|timeframe): "):
            lake.create_or_update_table(frame(hours(0, 3)), name)
        assert not list(tmp_path.rglob("*.parquet"))

    @pytest.mark.of_a_lake_folder("it cannot be made below a file")
    def test_where_nothing_can_be_written_is_a_storage_error(self, tmp_path: Path):
        (tmp_path / "file").write_text("")
        with pytest.raises(StorageError, match=TABLE):
            DeltaLakeManager(tmp_path / "file" / "lake").create_or_update_table(frame(hours(0, 3)), TABLE)


class TestReadTable:
    def test_versions_moments_filters_and_columns(self, lake: DeltaLakeManager):
        first = lake.create_or_update_table(frame(hours(0, 3)), TABLE)
        moment = datetime.now(UTC)
        lake.create_or_update_table(frame(hours(3, 5)), TABLE)
        assert len(lake.read_table(TABLE, version=first)) == 3
        assert len(lake.read_table(TABLE, as_of=moment)) == 3
        found = lake.read_table(TABLE, filters="timestamp >= '2024-01-01T02:00:00Z'", columns=["timestamp", "open"])
        assert (list(found.columns), len(found)) == (["timestamp", "open"], 3)
        assert list(lake.get_table_history(TABLE)["version"]) == [2, 1, 0]

    def test_no_such_table_version_or_moment(self, lake: DeltaLakeManager):
        with pytest.raises(ValueError, match="backfill a series first"):
            lake.read_table(TABLE)
        assert lake.get_table_history(TABLE).empty
        lake.create_or_update_table(frame(hours(0, 3)), TABLE)
        with pytest.raises(StorageError, match=TABLE):
            lake.read_table(TABLE, version=99)
        with pytest.raises(ValueError, match=r"^as_of: "):
            lake.read_table(TABLE, as_of=datetime(2024, 1, 1))  # noqa: DTZ001


class TestCommit:
    def test_candles_and_marks_move_together_and_come_back(self, lake: DeltaLakeManager, tmp_path: Path):
        assert lake.marks(BTC) == Watermarks()
        done = lake.commit(BTC, rows(hours(0, 5)), Watermarks(), marks(0, 4), {"run_id": "7"})
        assert (done.new, done.restated, done.repeats) == (5, 0, 0)
        assert DeltaLakeManager(str(tmp_path / "lake")).marks(BTC) == marks(0, 4)
        assert lake.all_marks(["coinbase", "oanda"]) == {BTC: marks(0, 4)}
        assert lake.get_table_history(TABLE)["run_id"].iloc[0] == "7"

    def test_marks_that_are_not_where_they_were_refuse_the_whole_commit(self, lake: DeltaLakeManager):
        lake.commit(BTC, rows(hours(0, 5)), Watermarks(), marks(0, 4))
        for stale in (Watermarks(), marks(0, 3), marks(1, 4)):
            with pytest.raises(CommitConflict, match="BTCUSD 1h from coinbase"):
                lake.commit(BTC, rows(hours(5, 9)), stale, marks(0, 8))
        assert len(lake.read_table(TABLE)) == 5

    def test_the_same_values_are_repeats_and_others_restatements(self, lake: DeltaLakeManager):
        lake.commit(BTC, rows(hours(0, 5)), Watermarks(), marks(0, 4))
        version = lake.get_table_history(TABLE)["version"].max()
        done = lake.commit(BTC, rows(hours(0, 5)), marks(0, 4), marks(0, 4))
        assert (done.new, done.repeats, done.version) == (0, 5, None)
        assert lake.get_table_history(TABLE)["version"].max() == version, "nothing to say, no commit"
        done = lake.commit(BTC, rows(hours(3, 7), volume="77"), marks(0, 4), marks(0, 6))
        assert (done.new, done.restated, done.repeats) == (2, 2, 0)
        assert lake.current(BTC, START, START + 10 * HOUR)["volume"].to_pylist() == [1.5] * 3 + [77.0] * 4

    @pytest.mark.parametrize(
        ("dense", "apart", "at_most", "read"),
        [(8, 10, 10_000, 24), (8, 9, 10_000, 15), (8, 10_000, 8, 12), (8, 10_000, 10_000, 98), (30, 1, 1, 98)],
        ids=["cut at 10", "cut at 9", "cut every 8", "near enough", "dense enough"],
    )
    def test_what_lies_far_between_is_not_read(
        self, lake: DeltaLakeManager, monkeypatch: pytest.MonkeyPatch, dense: int, apart: int, at_most: int, read: int
    ):
        lake.commit(BTC, rows(hours(0, 100)), Watermarks(), marks(0, 99))
        lake.commit(BTC, rows(hours(50, 51), volume="3"), marks(0, 99), marks(0, 99))
        monkeypatch.setattr(comparison, "_DENSE", dense)
        monkeypatch.setattr(comparison, "_FAR_BARS", apart)
        monkeypatch.setattr(comparison, "_MOST_BARS", at_most)
        seen: list[int] = []
        real = Snapshot.rows

        def counted(*arguments: Any, **more: Any) -> pa.Table:
            found = real(*arguments, **more)
            seen.append(found.num_rows)
            return found

        monkeypatch.setattr(Snapshot, "rows", counted)
        asked = [rows(hours(n, n + 1)) for n in (97, 130, 4, 3, 9, 13)]
        asked += [rows(hours(n, n + 1), volume="3") for n in (50, 40, 200)]
        done = lake.commit(BTC, pa.concat_tables(asked), marks(0, 99), marks(0, 99))
        assert (done.new, done.restated, done.repeats) == (2, 1, 6)
        assert sum(seen) == read
        assert lake.current(BTC, START + 40 * HOUR, START + 41 * HOUR)["volume"].to_pylist() == [3.0]

    def test_zero_rows_can_move_a_mark(self, lake: DeltaLakeManager):
        lake.commit(BTC, rows(hours(0, 5)), Watermarks(), marks(0, 4))
        lake.commit(BTC, rows(hours(0, 0)), marks(0, 4), marks(-10, 4))
        assert lake.marks(BTC) == marks(-10, 4)
        assert len(lake.read_table(TABLE)) == 5

    def test_forgotten_marks_read_as_none_and_rows_stay(self, lake: DeltaLakeManager):
        lake.commit(BTC, rows(hours(0, 5)), Watermarks(), marks(0, 4))
        lake.commit(BTC, rows(hours(0, 0)), marks(0, 4), Watermarks())
        assert (lake.marks(BTC), lake.all_marks(["coinbase"])) == (Watermarks(), {})
        assert lake.stored_open_times(BTC, START, START + 9 * HOUR).tolist() == list(hours(0, 5))

    def test_marks_outlive_checkpoints_and_many_commits(self, lake: DeltaLakeManager, tmp_path: Path):
        held = Watermarks()
        for number in range(25):
            lake.commit(BTC, rows(hours(number, number + 1)), held, marks(0, number))
            held = marks(0, number)
        assert list(log_path(lake, TABLE).glob("*.checkpoint.parquet"))
        assert DeltaLakeManager(tmp_path / "lake").marks(BTC) == marks(0, 24)
        assert open_times(tmp_path) == list(hours(0, 25))

    def test_series_share_a_table_and_nothing_else(self, lake: DeltaLakeManager):
        others = [Series("ETHUSD", "1h", "coinbase"), Series("BTCUSD", "1h", "oanda")]
        for series in (BTC, *others):
            lake.commit(series, rows(hours(0, 5), series), Watermarks(), marks(0, 4))
        assert len(lake.read_table(TABLE)) == 15
        for series in (BTC, *others):
            assert lake.current(series, START, START + 9 * HOUR).num_rows == 5

    def test_values_survive_to_the_last_bit(self, lake: DeltaLakeManager):
        odd = ["0.1", "0.30000000000000004", "9007199254740993", "1e-300", "1.7976931348623157e308"]
        sent = [record(at, open=p, high=p, low=p, close=p, volume=p) for at, p in zip(hours(0, 5), odd, strict=True)]
        table = enrich(validate(sent, HOUR).candles, BTC, "test", is_mock=False)
        lake.commit(BTC, table, Watermarks(), marks(0, 4))
        for name in ("open", "volume"):
            bits = lake.current(BTC, START, START + 5 * HOUR)[name].to_numpy().view(np.int64)
            assert bits.tolist() == np.array(list(map(float, odd))).view(np.int64).tolist()

    def test_ranges_across_years_and_edges_are_half_open(self, lake: DeltaLakeManager):
        lake.commit(BTC, rows(hours(-50, 50)), Watermarks(), marks(-50, 49))
        for first, last in ((-50, 50), (-1, 1), (0, 1), (-50, 0), (49, 60), (50, 60), (7, 7)):
            found = lake.stored_open_times(BTC, START + first * HOUR, START + last * HOUR).tolist()
            assert found == list(hours(first, min(last, 50)))

    def test_a_damaged_data_file_is_a_storage_error_that_names_the_series(self, lake: DeltaLakeManager):
        lake.commit(BTC, rows(hours(0, 5)), Watermarks(), marks(0, 4))
        for path in lake_path(lake, TABLE).rglob("part-*.parquet"):
            path.write_bytes(b"torn")
        with pytest.raises(StorageError, match=TABLE):
            lake.stored_open_times(BTC, START, START + 5 * HOUR)

    def test_a_damaged_log_is_a_storage_error(self, lake: DeltaLakeManager, tmp_path: Path):
        lake.commit(BTC, rows(hours(0, 5)), Watermarks(), marks(0, 4))
        for path in lake_path(lake, TABLE).rglob("0*.json"):
            path.write_text("{torn")
        with pytest.raises(StorageError, match=TABLE):
            DeltaLakeManager(tmp_path / "lake").marks(BTC)


@pytest.mark.of_a_lake_folder("it is a folder that is named")
def test_the_lake_is_named_by_a_setting_when_no_path_is_given(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("FFE_DATA_DIR", str(tmp_path / "data"))
    assert DeltaLakeManager().storage_path == str(tmp_path / "data" / "lake")
    monkeypatch.setenv("FFE_LAKE_URI", str(tmp_path / "elsewhere"))
    manager = DeltaLakeManager()
    manager.commit(BTC, rows(hours(0, 2)), Watermarks(), marks(0, 1))
    assert (tmp_path / "elsewhere" / TABLE / "_delta_log").is_dir()
    assert manager.table_uri(TABLE).endswith(f"elsewhere/{TABLE}")


def test_a_partition_is_the_first_day_of_a_month_for_minutes_and_of_a_year_otherwise(lake: DeltaLakeManager):
    for timeframe in ("1m", "1d"):
        series = Series("BTCUSD", timeframe, "coinbase")
        at = range(START - 31 * 86400, START + 40 * 86400, 86400)
        candles = enrich(validate(list(records(at).values()), 86400).candles, series, "test", is_mock=False)
        lake.commit(series, candles, Watermarks(), Watermarks(at[-1], at[0]))
    days = {
        name: set(lake.read_table(f"raw_market_data_{name}")["partition_date"].astype(str)) for name in ("1m", "1d")
    }
    assert days == {"1m": {"2023-12-01", "2024-01-01", "2024-02-01"}, "1d": {"2023-01-01", "2024-01-01"}}


def test_two_versions_of_a_bar_are_both_kept_with_their_times(lake: DeltaLakeManager, tmp_path: Path):
    lake.commit(BTC, rows(hours(0, 1)), Watermarks(), marks(0, 0))
    lake.commit(BTC, rows(hours(0, 1), volume="9"), marks(0, 0), marks(0, 0))
    first, second = stored(tmp_path).to_pylist()
    assert first["_extracted_at"] < second["_extracted_at"]
    assert (first["volume"], second["volume"]) == (1.5, 9.0)


class TestWhatOtherToolsDid:
    def test_a_column_that_another_tool_added_stays_empty_and_stops_nothing(self, lake: DeltaLakeManager):
        lake.commit(BTC, rows(hours(0, 3)), Watermarks(), marks(0, 2))
        table = lake.open(TABLE)
        assert table is not None
        table.alter.add_columns([Field("reviewed_by", PrimitiveType("string"), nullable=True)])
        lake.commit(BTC, rows(hours(3, 5)), marks(0, 2), marks(0, 4))
        lake.create_or_update_table(frame(hours(5, 6)), TABLE, list(PARTITION_COLUMNS))
        held = lake.read_table(TABLE)
        assert (len(held), held["reviewed_by"].isna().all()) == (6, True)

    def test_as_of_goes_by_the_commits_and_not_by_the_times_of_their_files(self, lake: DeltaLakeManager):
        for hour in range(12):
            lake.create_or_update_table(frame(hours(hour, hour + 1)), TABLE)
        kept = datetime.now(UTC)
        age(log_path(lake, TABLE).iterdir(), 1e9)  # as a copy by another tool leaves them
        assert len(lake.read_table(TABLE, as_of=kept)) == 12
        with pytest.raises(InputError, match=r"^as_of: the log reaches back to "):
            lake.read_table(TABLE, as_of=datetime(2001, 9, 10, tzinfo=UTC))


@pytest.mark.parametrize(
    ("column", "value", "says"),
    [
        ("timestamp", 1_704_067_200, "hold int64 and no times"),
        ("timestamp", pd.NaT, "hold empty cells"),
        ("close", float("inf"), "are not finite|no finite numbers"),
        ("close", None, "hold empty cells"),
        ("asset_pair", None, "hold empty cells"),
    ],
)
def test_what_arrow_would_cast_or_store_in_silence_is_refused(column: str, value: Any, says: str):
    wrong = frame(hours(0, 3))
    if column == "timestamp" and value is not pd.NaT:
        wrong[column] = value
    else:
        wrong[column] = wrong[column].astype(object) if value is None else wrong[column]
        wrong.loc[1, column] = value
    with pytest.raises(InputError, match=says):
        conform(wrong)
