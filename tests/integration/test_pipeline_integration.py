"""Does the pipeline keep its four promises end to end? Backfill, restart, several timeframes, time travel."""

from __future__ import annotations

import io
from datetime import UTC, date, datetime
from pathlib import Path, PurePath
from typing import Any

import pyarrow.parquet as pq
import pytest

from ffe_core import BatchDataIngester, DeltaLakeManager, MultiAssetBatchIngester, WatermarkStore
from tests.fake_exchanges import CoinbaseExchange, Market, generated
from tests.lake_files import lake_path

START = int(datetime(2023, 12, 30, tzinfo=UTC).timestamp())
END = int(datetime(2024, 1, 6, tzinfo=UTC).timestamp())
STEPS = {"15m": 900, "1h": 3600, "4h": 14400, "1d": 86400}
SYMBOLS = {"BTCUSD": "BTC-USD", "ETHUSD": "ETH-USD"}


@pytest.fixture(scope="module")
def exchange() -> Any:
    market = Market()
    for symbol in SYMBOLS.values():
        for step in STEPS.values():
            market.add(symbol, step, generated(START, END, step, seed=symbol))
    with CoinbaseExchange(market, rate=None) as running:
        yield running


@pytest.fixture
def config(exchange: CoinbaseExchange, tmp_path: Path) -> dict[str, Any]:
    exchange.reset()
    return {"data_dir": str(tmp_path), "coinbase": {"base_url": exchange.url, "requests_per_second": 1000}}


@pytest.fixture
def lake(tmp_path: Path) -> DeltaLakeManager:
    return DeltaLakeManager(tmp_path / "lake")


async def test_end_to_end_backfill(exchange: CoinbaseExchange, lake: DeltaLakeManager, config: dict[str, Any]):
    ingester = BatchDataIngester(lake, config)
    result = await ingester.ingest_historical_data("BTC-USD", "1h", "2023-12-30", "2024-01-05", provider="coinbase")
    assert result["status"] == "success"
    assert (result["records"], result["failed_records"], result["provider"]) == (7 * 24, 0, "coinbase")
    assert result["watermark"] == "2024-01-05T23:00:00+00:00"
    assert (result["expected"], result["stored"], result["unexplained"]) == (168, 168, 0)
    frame = lake.read_table("raw_market_data_1h").sort_values("timestamp")
    sent = exchange.market.candles("BTC-USD", 3600)
    assert frame["timestamp"].dt.as_unit("s").astype("int64").tolist() == sorted(sent)
    for name in ("open", "high", "low", "close", "volume"):
        assert frame[name].tolist() == [float(getattr(sent[at], name)) for at in sorted(sent)]
    assert set(frame["asset_pair"]) == {"BTCUSD"}
    assert set(frame["source_provider"]) == {"coinbase"}
    assert set(frame["is_mock"]) == {False}
    assert frame["_ingestion_id"].nunique() == 1
    assert str(frame["timestamp"].dt.tz) == str(frame["_extracted_at"].dt.tz) == "UTC"


async def test_the_watermark_persists_across_a_restart(
    exchange: CoinbaseExchange, lake: DeltaLakeManager, config: dict[str, Any], tmp_path: Path
):
    first = BatchDataIngester(lake, config)
    await first.ingest_historical_data("BTCUSD", "1h", "2023-12-30", "2024-01-02", "coinbase")
    asked = exchange.count("/candles")
    del first, lake
    assert WatermarkStore(tmp_path / "watermarks").get("BTCUSD", "1h") == "2024-01-02T23:00:00+00:00"
    second = BatchDataIngester(DeltaLakeManager(tmp_path / "lake"), config)
    assert second.watermark_store.get("BTCUSD", "1h", "coinbase") == "2024-01-02T23:00:00+00:00"
    again = await second.ingest_historical_data("BTCUSD", "1h", "2023-12-30", "2024-01-02", "coinbase")
    assert (again["status"], again["reason"], again["records"]) == ("no_data", "up_to_date", 0)
    assert exchange.count("/candles") == asked
    more = await second.ingest_historical_data("BTCUSD", "1h", "2023-12-30", "2024-01-05", "coinbase")
    assert (more["records"], more["watermark"]) == (72, "2024-01-05T23:00:00+00:00")
    assert exchange.requests[-1].params["start"] == str(int(datetime(2024, 1, 3, tzinfo=UTC).timestamp()))
    assert len(second.delta_mgr.read_table("raw_market_data_1h")) == 168


async def test_several_timeframes_of_one_asset(
    exchange: CoinbaseExchange, lake: DeltaLakeManager, config: dict[str, Any]
):
    multi = MultiAssetBatchIngester(lake, config)
    answer = await multi.ingest_all_assets(["BTCUSD"], list(STEPS), "2023-12-30", "2024-01-05", provider="coinbase")
    assert [result["timeframe"] for result in answer["results"]] == list(STEPS)
    assert {result["status"] for result in answer["results"]} == {"success"}
    assert answer["total_failed"] == 0
    for result, (timeframe, step) in zip(answer["results"], STEPS.items(), strict=True):
        sent = exchange.market.candles("BTC-USD", step)
        frame = lake.read_table(f"raw_market_data_{timeframe}").sort_values("timestamp")
        assert frame["timestamp"].dt.as_unit("s").astype("int64").tolist() == sorted(sent)
        assert frame["close"].tolist() == [float(sent[at].close) for at in sorted(sent)]
        assert result["records"] == len(sent)
        newest = multi.ingester.watermark_store.get("BTCUSD", timeframe)
        assert newest == datetime.fromtimestamp(max(sent), UTC).isoformat()
    assert answer["total_records"] == sum(result["records"] for result in answer["results"])


async def test_time_travel_and_the_structure_of_partitions(
    exchange: CoinbaseExchange, lake: DeltaLakeManager, config: dict[str, Any], tmp_path: Path
):
    multi = MultiAssetBatchIngester(lake, config)
    await multi.ingest_all_assets(["BTCUSD"], ["1h"], "2023-12-30", "2024-01-01", "coinbase")
    then, early = lake.get_table_history("raw_market_data_1h")["version"].max(), datetime.now(UTC)
    await multi.ingest_all_assets(["BTCUSD", "ETHUSD"], ["1h"], "2023-12-30", "2024-01-05", "coinbase")
    assert len(lake.read_table("raw_market_data_1h")) == 2 * 168
    assert len(lake.read_table("raw_market_data_1h", version=int(then))) == 72
    assert len(lake.read_table("raw_market_data_1h", as_of=early)) == 72
    assert len(lake.read_table("raw_market_data_1h", version=0)) == 0
    table = lake.open("raw_market_data_1h")
    assert table is not None
    assert table.metadata().partition_columns == ["partition_date", "partition_asset_pair"]
    place = lake_path(lake, "raw_market_data_1h")
    folders = {str(PurePath(path.relative_to(place)).parent) for path in _data_files(place)}
    assert folders == {
        f"partition_date={year}-01-01/partition_asset_pair={pair}" for year in (2023, 2024) for pair in SYMBOLS
    }
    frame = lake.read_table(
        "raw_market_data_1h", filters="partition_asset_pair = 'ETHUSD' AND timestamp >= '2024-01-01'"
    )
    assert (len(frame), set(frame["asset_pair"])) == (120, {"ETHUSD"})
    assert set(frame["partition_date"]) == {date(2024, 1, 1)}


def _data_files(place: Any) -> list[Any]:
    files = list(place.rglob("*.parquet"))
    assert all(pq.read_metadata(io.BytesIO(path.read_bytes())).num_rows for path in files)
    return [path for path in files if "_delta_log" not in str(path.relative_to(place))]
