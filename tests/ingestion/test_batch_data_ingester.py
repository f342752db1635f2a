"""Tests that each public method of the ingester works alone, and that bad input is refused before any request."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from ffe_core import BatchDataIngester, DeltaLakeManager, MultiAssetBatchIngester, times
from ffe_core.errors import InputError, RetriableError, SeriesHeld, StorageError
from ffe_core.providers import PROVIDERS
from ffe_core.series import Series, Watermarks
from ffe_core.storage.watermark_store import WatermarkStore
from tests.fake_exchanges import CoinbaseExchange, Market
from tests.ingestion.fakes import BTC, HOUR, START, FakeProvider, hours, ingester, open_times, record, records, stored
from tests.lake_files import dead_letters

DAY = "2024-01-01"


class DuckProvider:
    """All a provider needs to be: an async context manager with one method."""

    def __init__(self, sent: Any) -> None:
        self.sent = sent
        self.asked: list[dict[str, Any]] = []
        self.entered = 0

    async def __aenter__(self) -> DuckProvider:
        self.entered += 1
        return self

    async def __aexit__(self, *_: object) -> None:
        self.entered -= 1

    async def get_historical_data(self, asset_pair: str, start: Any, end: Any, timeframe: str) -> Any:
        self.asked.append({"asset_pair": asset_pair, "start": start, "end": end, "timeframe": timeframe})
        assert self.entered == 1
        if isinstance(self.sent, Exception):
            raise self.sent
        return self.sent


def patched(single: BatchDataIngester, provider: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def get(name: str) -> Any:
        return provider

    monkeypatch.setattr(single, "_get_data_provider", get)


class TestAnyObjectWithOneMethod:
    def test_its_candles_come_in_whole_and_once(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        single, duck = ingester(tmp_path), DuckProvider(list(records(hours(0, 24)).values()))
        patched(single, duck, monkeypatch)
        for turn in (1, 2):
            result = asyncio.run(single.ingest_historical_data("BTC-USD", "1h", DAY, DAY, provider="coinbase"))
            assert result["status"] == ("success" if turn == 1 else "no_data")
            assert open_times(tmp_path) == list(hours(0, 24))
        assert duck.asked == [
            {"asset_pair": "BTCUSD", "start": times.iso(START), "end": times.iso(START + 24 * HOUR), "timeframe": "1h"}
        ]
        assert duck.entered == 0

    @pytest.mark.parametrize("sent", [None, {"candles": []}, "text", 5])
    def test_what_is_no_list_is_its_failure(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sent: Any):
        single = ingester(tmp_path)
        patched(single, DuckProvider(sent), monkeypatch)
        result = asyncio.run(single.ingest_historical_data("BTCUSD", "1h", DAY, DAY, "coinbase"))
        assert (result["status"], result["watermark"]) == ("error", None)
        assert type(sent).__name__ in result["error"]

    @pytest.mark.parametrize("error", [RuntimeError("broken"), RetriableError("broken"), KeyError("broken")])
    def test_what_it_raises_is_told(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception):
        single = ingester(tmp_path)
        patched(single, DuckProvider(error), monkeypatch)
        result = asyncio.run(single.ingest_historical_data("BTCUSD", "1h", DAY, DAY, "coinbase"))
        assert result["status"] == "error"
        assert all(part in result["error"] for part in ("BTCUSD", "1h", "2024-01-01", "broken"))

    def test_garbage_among_its_records_is_kept(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        single = ingester(tmp_path)
        sent = [*records(hours(0, 24)).values(), None, "text", {"open": 1}]
        patched(single, DuckProvider(sent), monkeypatch)
        result = asyncio.run(single.ingest_historical_data("BTCUSD", "1h", DAY, DAY, "coinbase"))
        assert (result["records"], result["failed_records"], result["received"]) == (24, 3, 27)

    def test_its_failure_stays_alone_among_many(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        multi = MultiAssetBatchIngester(DeltaLakeManager(tmp_path / "lake"), {"data_dir": str(tmp_path)})

        class Picky(DuckProvider):
            async def get_historical_data(self, asset_pair: str, start: Any, end: Any, timeframe: str) -> Any:
                if asset_pair == "BADUSD":
                    raise ValueError("never heard of it")
                return self.sent

        patched(multi.ingester, Picky(list(records(hours(0, 24)).values())), monkeypatch)
        pairs = ["ETHUSD", "BADUSD", "BTC/USD", "btc-usd"]
        answer = asyncio.run(multi.ingest_all_assets(pairs, ["1h"], DAY, DAY, "coinbase"))
        assert [(r["asset_pair"], r["status"]) for r in answer["results"]] == [
            ("ETHUSD", "success"),
            ("BADUSD", "error"),
            ("BTCUSD", "success"),
        ], "in the order asked, each series once"
        assert (answer["total_records"], answer["total_failed"]) == (48, 0)
        assert {"asset_pair", "timeframe", "status", "records", "failed_records"} <= answer["results"][0].keys()
        assert "never heard of it" in answer["results"][1]["error"]


class TestMethodsAlone:
    def test_validate_and_clean(self, tmp_path: Path):
        bad = record(START + HOUR, close=None)
        frame, failed = ingester(tmp_path).validate_and_clean(
            [record(START + 2 * HOUR), bad, record(START, 1000), record(START)], "1h", "btc/usd"
        )
        assert list(frame.columns) == ["timestamp", "open", "high", "low", "close", "volume", "asset_pair"]
        assert frame["timestamp"].tolist() == [pd.Timestamp(START + n * HOUR, unit="s", tz="UTC") for n in (0, 2)]
        assert (frame["open"].tolist(), set(frame["asset_pair"])) == ([100.0, 100.0], {"BTCUSD"})
        assert failed[0] is bad
        assert failed[1:] == [record(START, 1000)]

    def test_validate_and_clean_of_nothing(self, tmp_path: Path):
        frame, failed = ingester(tmp_path).validate_and_clean([], "1h", "BTCUSD")
        assert (len(frame), failed) == (0, [])
        assert str(frame["timestamp"].dtype) == "datetime64[us, UTC]"

    def test_validate_and_clean_refuses_a_bad_pair_or_timeframe(self, tmp_path: Path):
        for arguments in (("2h", "BTCUSD"), ("1h", "../x")):
            with pytest.raises(ValueError, match=r"^(timeframe|pair): "):
                ingester(tmp_path).validate_and_clean([], *arguments)

    @pytest.mark.parametrize(("provider", "is_mock"), [("coinbase", False), ("simulated", True), ("my own", False)])
    def test_add_metadata(self, tmp_path: Path, provider: str, is_mock: bool):
        single = ingester(tmp_path)
        frame, _ = single.validate_and_clean(list(records(hours(0, 3)).values()), "1h", "BTCUSD")
        before = pd.Timestamp.now("UTC")
        rich = single._add_metadata(frame, provider)
        assert set(rich["source_provider"]) == {provider}
        assert set(rich["is_mock"]) == {is_mock}
        assert rich["_ingestion_id"].nunique() == 1
        assert before.floor("us") <= rich["_extracted_at"].iloc[0] <= pd.Timestamp.now("UTC")
        assert "source_provider" not in frame

    def test_write_to_delta_moves_the_watermark_in_the_same_commit(self, tmp_path: Path):
        single = ingester(tmp_path)
        frame, _ = single.validate_and_clean(list(records(hours(0, 5)).values()), "1h", "BTCUSD")
        rich = single._add_metadata(frame, "coinbase")
        for _ in range(2):
            asyncio.run(single._write_to_delta(rich, "raw_market_data_1h", "BTC-USD", "1h"))
            assert open_times(tmp_path) == list(hours(0, 5))
        assert single.delta_mgr.marks(BTC) == Watermarks(START + 4 * HOUR, START)
        assert single.watermark_store.get("BTCUSD", "1h") == times.iso(START + 4 * HOUR)
        asyncio.run(single._write_to_delta(rich.iloc[:0], "raw_market_data_1h", "BTCUSD", "1h"))

    def written(self, single: BatchDataIngester, open_times: Iterable[int], series: Series = BTC) -> Watermarks:
        """The series' marks once a frame of these opens is written."""
        frame, _ = single.validate_and_clean(list(records(open_times).values()), series.timeframe, series.asset_pair)
        rich = single._add_metadata(frame, series.provider)
        asyncio.run(single._write_to_delta(rich, series.table, series.asset_pair, series.timeframe))
        return single.delta_mgr.marks(series)

    def test_write_to_delta_moves_no_watermark_over_what_was_not_read(self, tmp_path: Path):
        single = ingester(tmp_path)
        self.written(single, hours(0, 24))
        held = Watermarks(START + 23 * HOUR, START)
        assert self.written(single, hours(25, 30)) == held
        assert self.written(single, hours(-9, -5)) == held
        assert self.written(single, [*hours(20, 24), *hours(28, 32)]) == held
        assert len(open_times(tmp_path)) == 35, "they are stored all the same"
        assert single.watermark_store.get("BTCUSD", "1h") == times.iso(START + 23 * HOUR)
        provider = FakeProvider(records(hours(0, 40)))
        asyncio.run(single.run_series(BTC, provider, START, START + 40 * HOUR))
        assert open_times(tmp_path) == [*hours(-9, -5), *hours(0, 40)]

    @pytest.mark.parametrize("first", [0, 23, 24])
    def test_write_to_delta_of_what_joins_on_moves_the_watermark(self, tmp_path: Path, first: int):
        single = ingester(tmp_path)
        self.written(single, hours(0, 24))
        assert self.written(single, hours(first, 30)) == Watermarks(START + 29 * HOUR, START)

    def test_write_to_delta_joins_on_over_a_weekend(self, tmp_path: Path):
        single, euro = ingester(tmp_path), Series("EURUSD", "1h", "oanda")
        friday, sunday = hours(112, 118), hours(166, 170)
        self.written(single, friday, euro)
        assert self.written(single, sunday[1:], euro).watermark == friday[-1]
        assert self.written(single, sunday, euro).watermark == sunday[-1]

    def test_write_to_delta_takes_the_lease(self, tmp_path: Path):
        single = ingester(tmp_path, lease_wait_seconds=0)
        with single.stores.lease(BTC).acquire(), pytest.raises(SeriesHeld):
            self.written(single, hours(0, 5))
        assert self.written(single, hours(0, 5)) == Watermarks(START + 4 * HOUR, START)

    def test_write_to_delta_of_a_bar_given_twice_stores_the_last(self, tmp_path: Path):
        single = ingester(tmp_path)
        frame, _ = single.validate_and_clean([record(START)], "1h", "BTCUSD")
        rich = single._add_metadata(pd.concat([frame, frame.assign(volume=9.0)]), "coinbase")
        asyncio.run(single._write_to_delta(rich, "raw_market_data_1h", "BTCUSD", "1h"))
        assert stored(tmp_path)["volume"].to_pylist() == [9.0]

    def test_write_to_delta_refuses_another_table_and_two_providers(self, tmp_path: Path):
        single = ingester(tmp_path)
        frame, _ = single.validate_and_clean(list(records(hours(0, 2)).values()), "1h", "BTCUSD")
        rich = single._add_metadata(frame, "coinbase")
        with pytest.raises(ValueError, match=r"^table: .*raw_market_data_1h"):
            asyncio.run(single._write_to_delta(rich, "raw_market_data_4h", "BTCUSD", "1h"))
        rich["source_provider"] = ["coinbase", "oanda"]
        with pytest.raises(ValueError, match=r"^source_provider: "):
            asyncio.run(single._write_to_delta(rich, "raw_market_data_1h", "BTCUSD", "1h"))
        naive = rich.assign(source_provider="coinbase", timestamp=rich["timestamp"].dt.tz_localize(None))
        with pytest.raises(ValueError, match=r"timestamp.*zone"):
            asyncio.run(single._write_to_delta(naive, "raw_market_data_1h", "BTCUSD", "1h"))

    def test_save_dead_letter_queue(self, tmp_path: Path):
        single = ingester(tmp_path)
        single.save_dead_letter_queue([{"open": float("nan")}, "text"], error="by hand")
        single.save_dead_letter_queue([{"n": 1}])
        assert single.save_dead_letter_queue([]) is None
        found = dead_letters(tmp_path / "dlq").values()
        assert [(content["error"], content["records"]) for content in found] == [
            ("by hand", [{"open": "NaN"}, "text"]),
            ("unknown", [{"n": 1}]),
        ]

    async def test_fetch_historical_data(self, tmp_path: Path):
        single, duck = ingester(tmp_path), DuckProvider([record(START)])
        assert await single._fetch_historical_data(duck, "BTCUSD", "1h", DAY, DAY) == [record(START)]
        assert duck.asked == [{"asset_pair": "BTCUSD", "start": DAY, "end": DAY, "timeframe": "1h"}]

    async def test_get_data_provider(self, tmp_path: Path):
        config = {"oanda": {"api_token": "t0ken-of-test"}, "alpha_vantage": {"api_key": "key-of-test"}}
        single = ingester(tmp_path, **config)
        for name, kind in PROVIDERS.items():
            assert type(await single._get_data_provider(name)) is kind
        with pytest.raises(ValueError, match=r"'binance' is unknown; use one of .*coinbase"):
            await single._get_data_provider("binance")

    def test_attributes_are_those_of_the_signature(self, tmp_path: Path):
        config, lake = {"data_dir": str(tmp_path)}, DeltaLakeManager(tmp_path / "lake")
        single = BatchDataIngester(lake, config)
        assert (single.delta_mgr, single.config) == (lake, config)
        assert single.watermark_store.storage_path == tmp_path / "watermarks"
        assert single.dlq.storage_path == tmp_path / "dlq"
        assert MultiAssetBatchIngester(lake, config).ingester.delta_mgr is lake


GOOD = {"asset_pair": "BTCUSD", "timeframe": "1h", "start_date": DAY, "end_date": DAY, "provider": "coinbase"}
BAD = [
    ({"provider": "binance"}, "provider", "coinbase"),
    ({"provider": ""}, "provider", "coinbase"),
    ({"provider": None}, "provider", "coinbase"),
    ({"asset_pair": "../etc"}, "pair", "BTCUSD"),
    ({"asset_pair": ""}, "pair", "BTCUSD"),
    ({"asset_pair": "12345"}, "pair", "BTCUSD"),
    ({"asset_pair": None}, "pair", "BTCUSD"),
    ({"asset_pair": "X" * 500}, "pair", "BTCUSD"),
    ({"timeframe": "2h"}, "timeframe", "1h"),
    ({"timeframe": None}, "timeframe", "1h"),
    ({"start_date": "2024-02-01", "end_date": "2024-01-01"}, "end", "2024-01-31"),
    ({"start_date": "2024-01-01T12:00:00Z", "end_date": "2024-01-01T12:00:00Z"}, "end", "2024-01-31"),
    ({"start_date": "2999-01-01", "end_date": "2999-02-01"}, "start", "2024-01-01"),
    ({"start_date": "2024-01-01T00:00:00"}, "start", "Z"),
    ({"end_date": datetime(2024, 1, 2)}, "end", "Z"),  # noqa: DTZ001
    ({"start_date": "yesterday"}, "start", "2024-01-31"),
    ({"start_date": "2024-02-30"}, "start", "2024-01-31"),
    ({"end_date": None}, "end", "2024-01-31"),
    ({"start_date": 1e9}, "start", "2024-01-31"),
    ({"start_date": 10**30}, "start", "2024-01-31"),
    ({"mode": "again"}, "mode", "resume"),
]


class TestBadInput:
    @pytest.mark.parametrize(("changes", "field", "example"), BAD)
    def test_it_is_a_value_error_before_any_request(
        self, tmp_path: Path, changes: dict[str, Any], field: str, example: str
    ):
        with CoinbaseExchange(Market()) as exchange:
            config = {"data_dir": str(tmp_path), "coinbase": {"base_url": exchange.url}}
            lake = DeltaLakeManager(tmp_path / "lake")
            call = {**GOOD, **changes}
            with pytest.raises(ValueError, match=rf"^{field}: ") as caught:
                asyncio.run(BatchDataIngester(lake, config).ingest_historical_data(**call))
            assert example in str(caught.value)
            assert len(str(caught.value)) < 300
            many = {**call, "asset_pairs": ["ETHUSD", call["asset_pair"]], "timeframes": ["4h", call["timeframe"]]}
            for name in ("asset_pair", "timeframe"):
                del many[name]
            with pytest.raises(ValueError, match=rf"^{field}: "):
                asyncio.run(MultiAssetBatchIngester(lake, config).ingest_all_assets(**many))
            assert exchange.requests == []
        assert not (tmp_path / "lake").exists()

    @pytest.mark.parametrize(
        ("provider", "variable"), [("oanda", "FFE_OANDA__API_TOKEN"), ("alpha_vantage", "FFE_ALPHA_VANTAGE__API_KEY")]
    )
    def test_missing_credentials_name_the_variable(self, tmp_path: Path, provider: str, variable: str):
        call = ingester(tmp_path).ingest_historical_data(**{**GOOD, "provider": provider})
        with pytest.raises(ValueError, match=rf"^{variable}: missing; .*{variable}="):
            asyncio.run(call)

    @pytest.mark.parametrize("lists", [([], ["1h"]), (["BTCUSD"], []), ("BTCUSD", ["1h"]), (["BTCUSD"], "1h")])
    def test_many_series_need_two_lists(self, tmp_path: Path, lists: tuple[Any, Any]):
        multi = MultiAssetBatchIngester(DeltaLakeManager(tmp_path / "lake"), {"data_dir": str(tmp_path)})
        with pytest.raises(ValueError, match=r"^(pairs|timeframes): .*\['"):
            asyncio.run(multi.ingest_all_assets(*lists, DAY, DAY, "coinbase"))

    @pytest.mark.parametrize(
        ("first", "last", "bars"),
        [
            (DAY, DAY, 24),
            (date(2024, 1, 1), date(2024, 1, 2), 48),
            ("2024-01-01T06:00:00Z", "2024-01-01T08:00:00+00:00", 2),
            (datetime(2024, 1, 1, 6, tzinfo=UTC), "2024-01-01", 18),
            ("2024-01-01T06:30:00Z", "2024-01-01T08:30:00Z", 2),
            (START, START + HOUR, 1),
        ],
    )
    def test_every_good_form_of_a_range_is_taken(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: Any, last: Any, bars: int
    ):
        single = ingester(tmp_path)
        patched(single, FakeProvider(records(hours(-48, 96))), monkeypatch)
        result = asyncio.run(single.ingest_historical_data("BTCUSD", "1h", first, last, "coinbase"))
        assert (result["status"], result["records"]) == ("success", bars)

    def test_the_end_of_time_is_cut_at_the_last_closed_bar(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(times, "now", lambda: START + 10 * HOUR + 120)
        single = ingester(tmp_path)
        patched(single, FakeProvider(records(hours(0, 30))), monkeypatch)
        result = asyncio.run(single.ingest_historical_data("BTCUSD", "1h", DAY, "9999-12-31", "coinbase"))
        assert (result["records"], result["end"]) == (10, times.iso(START + 10 * HOUR))


class TestStorageThatFails:
    def test_a_data_directory_that_cannot_be_made(self, tmp_path: Path):
        (tmp_path / "file").write_text("")
        with pytest.raises(InputError, match="FFE_DATA_DIR"):
            ingester(tmp_path / "file")
        with pytest.raises(StorageError, match="watermark"):
            WatermarkStore(tmp_path / "file" / "watermarks")

    def test_a_lock_folder_that_cannot_be_made_is_returned_as_the_series_error(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        single = ingester(tmp_path)
        (tmp_path / "locks").write_text("")
        patched(single, FakeProvider({}), monkeypatch)
        result = asyncio.run(single.ingest_historical_data(**GOOD))
        assert (result["status"], "BTCUSD 1h" in result["error"]) == ("error", True)

    def test_whoever_only_looks_whether_a_series_is_free_holds_no_run_up(self, tmp_path: Path):
        lease = ingester(tmp_path).stores.lease(BTC)
        looking = ingester(tmp_path).stores.lease(BTC)
        looking._lock.take_unseen()  # as whoever only looks does, for a moment

        async def waited() -> None:
            asyncio.get_running_loop().call_later(0.01, looking.release)
            await lease.wait(0)

        asyncio.run(waited())
        lease.release()

    def test_a_series_held_too_long_is_returned_as_its_error(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        single = ingester(tmp_path, lease_wait_seconds=0)
        patched(single, FakeProvider(records(hours(0, 24))), monkeypatch)
        lease = single.stores.lease(Series("BTCUSD", "1h", "coinbase"), "12").acquire()
        result = asyncio.run(single.ingest_historical_data(**GOOD))
        assert (result["status"], result["records"]) == ("error", 0)
        assert "held by run 12" in result["error"]
        lease.release()
        assert asyncio.run(single.ingest_historical_data(**GOOD))["status"] == "success"

    def test_an_open_end_is_no_trouble_to_a_series_that_fails_nor_to_the_others(self, tmp_path: Path):
        many = MultiAssetBatchIngester(
            DeltaLakeManager(tmp_path / "lake"), {"data_dir": str(tmp_path), "lease_wait_seconds": 0}
        )
        with many.ingester.stores.lease(Series.of("BTCUSD", "1d", "simulated")).acquire():
            result = asyncio.run(
                many.ingest_all_assets(["BTCUSD", "ETHUSD"], ["1d"], "2024-01-01", "9999-12-31", "simulated")
            )
        assert [one["status"] for one in result["results"]] == ["error", "success"]
        assert "9999-12-31T23:59:59+00:00" in result["results"][0]["error"]

    @pytest.mark.of_a_lake_folder("it cannot be made below a file")
    def test_a_lake_that_cannot_be_written_is_returned(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        (tmp_path / "file").write_text("")
        single = BatchDataIngester(DeltaLakeManager(tmp_path / "file" / "lake"), {"data_dir": str(tmp_path)})
        patched(single, FakeProvider(records(hours(0, 24))), monkeypatch)
        result = asyncio.run(single.ingest_historical_data(**GOOD))
        assert (result["status"], result["records"]) == ("error", 0)
