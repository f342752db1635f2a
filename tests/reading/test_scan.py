"""Scanning tests: what is read lazily is what is loaded, however its files lie, and no more than is needed."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ffe_core import load_candles, scan_candles
from ffe_core.errors import InputError, PackageMissing
from ffe_core.series import Series
from ffe_core.storage.lake.datasets import hold_each_bar_once
from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager
from ffe_core.storage.lake.snapshot import MICROS
from ffe_core.storage.lake.upkeep.compaction import compact
from ffe_core.storage.lake.upkeep.plan import plan_of
from tests.insight.lakes import DAY, HOUR, JANUARY, flat, put
from tests.pace import examples

BTC, ETH, MINE = (
    Series("BTCUSD", "1h", "coinbase"),
    Series("ETHUSD", "1h", "coinbase"),
    Series("BTCUSD", "1h", "files:mine"),
)


def rows_of(found: Any) -> list[dict[str, Any]]:
    """The rows of a lazy frame or of a relation, by pair and time."""
    table = found.collect().to_arrow() if isinstance(found, pl.LazyFrame) else found.to_arrow_table()
    rows = table.cast(
        pa.schema([field.with_type(pa.string()) if field.name == "asset_pair" else field for field in table.schema])
    ).to_pylist()
    return sorted(rows, key=lambda row: (row["asset_pair"], row["timestamp"]))


commits = st.lists(
    st.tuples(
        st.sampled_from([BTC, ETH, MINE]),
        st.lists(st.integers(-30, 60), min_size=1, max_size=30, unique=True),
        st.sampled_from([100.0, 101.0]),
    ),
    min_size=1,
    max_size=5,
)


@settings(max_examples=examples(20))
@given(commits, st.integers(-40, 70), st.integers(1, 80), st.booleans(), st.integers(0, 5))
def test_what_is_scanned_is_what_is_loaded(
    tmp_path_factory, commits, first: int, length: int, is_tidied: bool, known: int
) -> None:
    lake = DeltaLakeManager(tmp_path_factory.mktemp("lake"))
    moments: list[int | None] = [None]
    for series, hours, price in commits:
        moments.append(put(lake, series, flat([JANUARY + HOUR * hour for hour in hours], price)))
    if is_tidied:
        snapshot = lake.snapshot(BTC.table)
        assert snapshot is not None
        compact(snapshot.uri, None, plan_of(snapshot, BTC.table).merges)
    at = moments[known % len(moments)]
    moment = None if at is None else datetime.fromtimestamp(at // MICROS, UTC).replace(microsecond=at % MICROS)
    start, end = JANUARY + first * HOUR, JANUARY + (first + length) * HOUR
    for provider in ("coinbase", "files:mine"):
        pairs = sorted({series.asset_pair for series, *_ in commits if series.provider == provider})
        if pairs:
            asked = (pairs, "1h", start, end, provider, moment, ["close", "volume", "_ingestion_id"])
            loaded = load_candles(*asked, as_="arrow", lake=lake).to_pylist()
            for tool in ("polars", "duckdb"):
                assert rows_of(scan_candles(*asked, as_=tool, lake=lake)) == loaded


@pytest.fixture
def filled(lake: DeltaLakeManager) -> DeltaLakeManager:
    put(lake, BTC, flat(range(JANUARY, JANUARY + 10 * DAY, HOUR)))
    put(lake, ETH, flat(range(JANUARY, JANUARY + 10 * DAY, HOUR), 10.0))
    put(lake, BTC, flat([JANUARY + 5 * HOUR], 500.0))
    return lake


def test_a_query_reads_the_columns_it_uses_and_stops_when_it_has_enough(filled, monkeypatch) -> None:
    from ffe_core.reading import scan

    read: list[tuple[str, list[str]]] = []
    rows = scan.rows_of
    monkeypatch.setattr(
        scan,
        "rows_of",
        lambda one, names, *a, **k: read.append((one.series[0].asset_pair, names)) or rows(one, names, *a, **k),
    )
    frame = scan_candles(["BTCUSD", "ETHUSD"], "1h")
    assert read == []
    means = frame.filter(pl.col("high") > 0).group_by("asset_pair").agg(pl.col("close").mean()).collect()
    assert means.height == 2
    assert read == [("BTCUSD", ["high", "close"]), ("ETHUSD", ["high", "close"])]
    read.clear()
    assert frame.head(3).collect().height == 3
    assert [pair for pair, _ in read] == ["BTCUSD"]


def test_a_lazy_frame_sees_the_lake_of_the_moment_it_is_collected(filled) -> None:
    frame = scan_candles("BTCUSD", "1h", "2024-01-01", "2024-01-31")
    assert frame.collect().height == 240
    put(filled, BTC, flat([JANUARY + 10 * DAY]))
    assert frame.collect().height == 241


def test_a_scan_without_bars_has_its_columns(filled) -> None:
    frame = scan_candles("BTCUSD", "1h", "2023-01-01", "2023-01-31", columns=["close"])
    assert frame.collect_schema() == frame.collect().schema
    assert frame.collect().columns == ["timestamp", "asset_pair", "close"]
    assert scan_candles("BTCUSD", "1h", "2023-01-01", "2023-01-31", as_="duckdb").fetchall() == []


def test_resampled_bars_can_be_scanned(filled) -> None:
    asked = (["BTCUSD", "ETHUSD"], "1h", "2024-01-02", "2024-01-03")
    loaded = load_candles(*asked, resample="1d", as_="arrow").to_pylist()
    assert [row["sources"] for row in loaded] == [24] * 4
    for tool in ("polars", "duckdb"):
        assert rows_of(scan_candles(*asked, resample="1d", as_=tool)) == loaded
    assert scan_candles(*asked, resample="1d").filter(~pl.col("is_complete")).collect().is_empty()


def test_a_relation_joins_what_else_a_connection_holds(filled) -> None:
    own = duckdb.connect()
    own.execute("CREATE TABLE wanted AS SELECT 'ETHUSD' AS pair")
    candles = scan_candles(["BTCUSD", "ETHUSD"], "1h", as_="duckdb", connection=own)
    joined = candles.set_alias("c").join(own.table("wanted").set_alias("w"), "c.asset_pair = w.pair")
    assert joined.count("*").fetchall() == [(240,)]
    own.close()


def test_files_that_may_hold_a_bar_twice_are_told_from_those_that_do_not(filled) -> None:
    snapshot = filled.snapshot(BTC.table)
    files = snapshot.all_files()
    once = dict(
        zip(zip(files.pairs, files.rows.tolist(), strict=True), hold_each_bar_once(files).tolist(), strict=True)
    )
    assert once == {("BTCUSD", 240): False, ("BTCUSD", 1): False, ("ETHUSD", 240): True}


def test_a_name_with_a_quote_is_a_name(filled) -> None:
    with pytest.raises(InputError, match="is not stored"):
        scan_candles("BTCUSD", "1h", provider="x' OR '1'='1", as_="duckdb")


def test_what_cannot_be_is_told_before_anything_is_read(filled, monkeypatch) -> None:
    import sys

    with pytest.raises(InputError, match="as_: 'pandas' is unknown; use one of polars, duckdb"):
        scan_candles("BTCUSD", "1h", as_="pandas")
    with pytest.raises(InputError, match="DOGEUSD"):
        scan_candles("DOGEUSD", "1h")
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(PackageMissing, match="duckdb is not installed"):
        scan_candles("BTCUSD", "1h", as_="duckdb")


def test_scanning_leaves_nothing_behind(filled, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    scan_candles("BTCUSD", "1h").collect()
    scan_candles("BTCUSD", "1h", as_="duckdb").fetchall()
    assert sorted(tmp_path.rglob("*")) == before
