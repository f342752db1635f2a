"""SQL tests: a query sees each bar as it counts, can reach nothing beside the lake, and ends within its bounds."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from ffe_core import load_candles
from ffe_core.candles import VALUES
from ffe_core.errors import InputError, PackageMissing, QueryStopped, StorageError
from ffe_core.locations import local_folder
from ffe_core.reading.sql import Answer, Bounds, query
from ffe_core.reading.views_file import write_views
from ffe_core.series import Series
from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager
from tests.insight.lakes import DAY, HOUR, JANUARY, flat, put
from tests.lake_files import lake_path

BTC, ETH, DAILY = (
    Series("BTCUSD", "1h", "coinbase"),
    Series("ETHUSD", "1h", "coinbase"),
    Series("BTCUSD", "1d", "coinbase"),
)


@pytest.fixture
def moments(lake: DeltaLakeManager) -> list[int]:
    """Bars of two pairs and two timeframes, one restated; the moments of the commits, epoch microseconds."""
    hours = flat(range(JANUARY, JANUARY + 3 * DAY, HOUR))
    found = [put(lake, BTC, hours), put(lake, ETH, hours), put(lake, BTC, flat([JANUARY + 5 * HOUR], 500.0))]
    put(lake, DAILY, flat([JANUARY, JANUARY + DAY]))
    return found


def rows(answer: Answer) -> list[tuple[Any, ...]]:
    return list(zip(*(column.to_pylist() for column in answer.table.columns), strict=True))


def test_a_view_has_each_bar_once_as_it_is_loaded(lake, moments) -> None:
    columns = ", ".join(VALUES)
    found = query(f"SELECT timestamp, {columns} FROM candles_1h WHERE asset_pair = 'BTCUSD' ORDER BY 1", lake)
    loaded = load_candles("BTCUSD", "1h", as_="arrow")
    assert rows(found) == rows(Answer(loaded.drop_columns(["asset_pair"]), False))
    assert not found.is_cut


def test_versions_are_there_and_each_moment_too(lake, moments) -> None:
    five = "WHERE asset_pair = 'BTCUSD' AND timestamp = TIMESTAMPTZ '2024-01-01 05:00'"
    assert rows(query(f"SELECT low FROM versions_1h {five} ORDER BY _extracted_at", lake)) == [(98.0,), (498.0,)]
    assert rows(query(f"SELECT low FROM candles_1h {five}", lake)) == [(498.0,)]
    before = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=moments[2] - 1)
    assert rows(query(f"SELECT low FROM candles_1h {five}", lake, before)) == [(98.0,)]
    assert rows(query(f"SELECT low FROM versions_1h {five}", lake, before)) == [(98.0,)]


def test_all_timeframes_and_what_is_stored_of_each(lake, moments) -> None:
    assert rows(query("SELECT timeframe, count(*) FROM candles GROUP BY 1 ORDER BY 1", lake)) == [
        ("1d", 2),
        ("1h", 144),
    ]
    stored = rows(query("SELECT asset_pair, timeframe, source_provider, first, rows FROM series ORDER BY 1, 2", lake))
    assert stored[0] == ("BTCUSD", "1d", "coinbase", datetime(2024, 1, 1, tzinfo=UTC), 2)
    assert [row[:2] for row in stored] == [("BTCUSD", "1d"), ("BTCUSD", "1h"), ("ETHUSD", "1h")]


@pytest.mark.parametrize(
    "sql", ["DESCRIBE candles", "SUMMARIZE candles_1d", "FROM series", "SHOW TABLES", "EXPLAIN SELECT 1"]
)
def test_looking_around_is_asking_too(lake, moments, sql: str) -> None:
    assert rows(query(sql, lake))


@pytest.mark.parametrize("sql", ["SHOW TABLES", " show  tables ; ", "SHOW ALL TABLES", "describe"])
def test_what_there_is_names_no_inner_tables(lake, moments, sql: str) -> None:
    found = query(sql, lake).table
    assert found["name"].to_pylist() == sorted(
        ["candles", "candles_1d", "candles_1h", "series", "versions", "versions_1d", "versions_1h"]
    )


@pytest.mark.parametrize(
    "sql",
    ["CREATE TABLE t AS SELECT 1", "DROP VIEW candles", "SELECT 1; SELECT 2", "", "SET memory_limit = '8GB'",
     "PRAGMA version", "INSERT INTO series SELECT * FROM series", "ATTACH 'other.db'", "COPY series TO 'out.csv'",
     "INSTALL httpfs", "CALL pragma_version()"],
)  # fmt: skip
def test_only_one_question_can_be_asked(lake, moments, sql: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InputError, match="sql: only one SELECT can be asked"):
        query(sql, lake)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    "source",
    ["read_csv('{file}')", "read_text('{file}')", "read_blob('{file}')", "'{file}'", "glob('{folder}/*')",
     "sniff_csv('{file}')", "read_parquet('{lake}/**/*.parquet')", "read_text('http://127.0.0.1:9/x')",
     "query('FROM read_text(''{file}'')')", "duckdb_secrets()"],
)  # fmt: skip
def test_no_file_and_no_network_can_be_reached(lake, moments, source: str, tmp_path: Path) -> None:
    """Not even the lake's own files: they come in as Arrow."""
    file = tmp_path / "harmless.csv"
    file.write_text("a,b\n1,2\n")
    named = source.format(file=file, folder=tmp_path, lake=local_folder(lake.storage_path))
    with pytest.raises(InputError, match="sql: a query reads the lake only, no files and no network; there is candles"):
        query(f"SELECT * FROM {named}", lake)


def test_no_variable_of_the_program_is_a_table(lake, moments) -> None:
    with pytest.raises(InputError, match="there is candles"):
        query("SELECT * FROM moments", lake)


def test_the_guard_holds_by_each_of_its_settings(monkeypatch, lake, moments, tmp_path: Path) -> None:
    """Without it the same question is answered: it is the guard that refuses."""
    from ffe_core.storage import closed_duckdb

    file = tmp_path / "harmless.csv"
    file.write_text("a,b\n1,2\n")
    open_ = {name: value for name, value in closed_duckdb.CLOSED.items() if name != "enable_external_access"}
    monkeypatch.setattr(closed_duckdb, "CLOSED", open_)
    assert rows(query(f"SELECT * FROM read_csv('{file}')", lake)) == [(1, 2)]


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("SELEC 1", "sql: the query cannot be answered: .*there is candles, versions, candles_1h"),
        ("SELECT nope FROM candles", "nope"),
        ("SELECT * FROM nowhere", "nowhere"),
        ("SELECT CAST('x' AS INTEGER)", "the query cannot be answered"),
    ],
)
def test_what_cannot_be_understood_is_told_with_what_there_is(lake, moments, sql: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        query(sql, lake)


def test_rows_are_cut_at_their_bound(lake, moments) -> None:
    found = query("SELECT i FROM range(100000000000) t(i)", lake, bounds=Bounds(rows=7))
    assert (found.table.num_rows, found.is_cut) == (7, True)
    whole = query("SELECT i FROM range(7) t(i)", lake, bounds=Bounds(rows=7))
    assert (whole.table.num_rows, whole.is_cut) == (7, False)


def test_time_is_bounded(lake, moments) -> None:
    with pytest.raises(QueryStopped, match=r"took longer than 0\.3 s; name pairs"):
        query("SELECT count(*) FROM range(10000000000) a(i) WHERE i % 7 = 3", lake, bounds=Bounds(seconds=0.3))


def test_memory_is_bounded(lake, moments) -> None:
    with pytest.raises(QueryStopped, match="needs more than 64 MiB"):
        query("SELECT count(DISTINCT i) FROM range(50000000) t(i)", lake, bounds=Bounds(memory_mb=64))


@pytest.mark.parametrize("given", [{"seconds": 0}, {"seconds": float("nan")}, {"rows": 0}, {"memory_mb": 1}])
def test_a_bound_that_is_none_is_refused(given) -> None:
    with pytest.raises(InputError, match="out of bounds; give"):
        Bounds(**given)


def test_a_damaged_file_is_told(lake, moments) -> None:
    for file in lake_path(lake, "raw_market_data_1h").rglob("*.parquet"):
        file.write_bytes(b"no parquet at all")
    with pytest.raises((StorageError, InputError), match="the query"):
        query("SELECT max(close) FROM candles_1h", lake)


def test_an_empty_lake_has_no_series_and_says_so(lake) -> None:
    assert rows(query("SELECT count(*) FROM series", lake)) == [(0,)]
    with pytest.raises(InputError, match="there is series"):
        query("SELECT * FROM candles", lake)


def test_duckdb_is_told_of_where_it_is_missing(lake, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(
        PackageMissing, match=r"duckdb is not installed; install it with: pip install 'ffe-console\[read\]'"
    ):
        query("SELECT 1", lake)


# -- a file of views


@pytest.mark.of_a_lake_folder("views can be written of a local lake only")
def test_a_file_of_views_shows_what_a_query_shows(lake, moments, tmp_path: Path) -> None:
    names = write_views(tmp_path / "lake.duckdb", lake)
    assert names == ["candles", "candles_1h", "candles_1d", "series", "lake_versions"]
    question = "SELECT * FROM candles ORDER BY timeframe, asset_pair, timestamp"
    with duckdb.connect(str(tmp_path / "lake.duckdb"), read_only=True) as own:
        own.execute("SET TimeZone = 'UTC'")
        assert own.sql(question).to_arrow_table().to_pylist() == query(question, lake).table.to_pylist()
        assert own.sql("SELECT timeframe, is_newest FROM lake_versions").fetchall() == [("1h", True), ("1d", True)]
        put(lake, ETH, flat([JANUARY + 10 * DAY]))
        assert own.sql("SELECT timeframe, is_newest FROM lake_versions").fetchall() == [("1h", False), ("1d", True)]
        assert own.sql("SELECT count(*) FROM candles_1h").fetchall() == [(144,)]
    write_views(tmp_path / "lake.duckdb", lake)
    with duckdb.connect(str(tmp_path / "lake.duckdb"), read_only=True) as own:
        assert own.sql("SELECT count(*) FROM candles_1h").fetchall() == [(145,)]
    assert [file.name for file in tmp_path.glob("*.tmp")] == []


@pytest.mark.of_a_lake_folder("views can be written of a local lake only")
def test_a_file_of_views_that_cannot_be_is_told(lake, moments, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot be written"):
        write_views(tmp_path / "no folder" / "lake.duckdb", lake)
    with pytest.raises(InputError, match="views can be written of a local lake only"):
        write_views(tmp_path / "lake.duckdb", DeltaLakeManager("s3://nobody/lake"))
    with pytest.raises(InputError, match="DuckDB takes for a pattern"):
        write_views(tmp_path / "lake.duckdb", DeltaLakeManager(tmp_path / "what?" / "lake"))
    assert not (tmp_path / "lake.duckdb").exists()
