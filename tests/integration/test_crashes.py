"""Does the lake hold the same rows however often a run is killed, and however many run at once?

FFE_TEST_KILLS=200 kills more often; `python -m pytest tests/integration/test_crashes.py` is the whole of it.
"""

from __future__ import annotations

import json
import os
import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from ffe_core import BatchDataIngester, DeltaLakeManager, times
from ffe_core.errors import CommitConflict, SeriesHeld
from ffe_core.ingestion.enrich import enrich
from ffe_core.series import Series, Watermarks
from ffe_core.storage.leases import SeriesLease
from ffe_core.validation import validate
from tests import lake_files
from tests.fake_exchanges import CoinbaseExchange, Market, generated
from tests.ingestion.fakes import BTC, HOUR, START, hours, open_times, records
from tests.processes import at_once, finish, start

KILLS = int(os.environ.get("FFE_TEST_KILLS", "12"))
BARS = 3000
LAST = START + BARS * HOUR
ETH = Series("ETHUSD", "1h", "coinbase")

# Small commits, so that a kill can fall between and inside many of them; "ready" is said before the first request.
RUN = """
import asyncio, json, sys
from ffe_core import DeltaLakeManager, MultiAssetBatchIngester
from ffe_core.ingestion import chunk
from ffe_core.settings import Settings
chunk._VALIDATE_RECORDS = chunk._COMMIT_ROWS = 300
folder, url = sys.argv[1:]
config = {"data_dir": folder, "coinbase": {"base_url": url, "requests_per_second": 300},
          "retry": {"attempts": 2, "base_delay_seconds": 0}}
multi = MultiAssetBatchIngester(DeltaLakeManager.of(Settings.load(config)), config)
print("ready", flush=True)
answer = asyncio.run(multi.ingest_all_assets(
    ["BTCUSD", "ETHUSD"], ["1h"], "2024-01-01T00:00:00Z", "2024-05-05T00:00:00Z", "coinbase"))
print(json.dumps(answer["results"]))
"""


@pytest.fixture
def exchange() -> Iterator[CoinbaseExchange]:
    market = Market({(symbol, HOUR): generated(START, LAST, HOUR, seed=symbol) for symbol in ("BTC-USD", "ETH-USD")})
    with CoinbaseExchange(market, rate=None) as running:
        for at in (START + 50 * HOUR, START + 2500 * HOUR):
            running.break_record("BTC-USD", HOUR, at, "high_below_low")
        yield running


def dead_letters(folder: Path) -> int:
    return sum(len(one["records"]) for one in lake_files.dead_letters(folder / "dlq").values())


def assert_whole(folder: Path) -> None:
    """Both series, each bar once, and the two broken records once."""
    broken = {START + 50 * HOUR, START + 2500 * HOUR}
    rows = _open_times_by_pair(folder)
    assert rows["BTCUSD"] == [at for at in range(START, LAST, HOUR) if at not in broken]
    assert rows["ETHUSD"] == list(range(START, LAST, HOUR))
    assert dead_letters(folder) == 2


def _open_times_by_pair(folder: Path) -> dict[str, list[int]]:
    table = DeltaLakeManager(folder / "lake").open(BTC.table)
    assert table is not None
    rows = table.to_pandas()
    return {
        pair: sorted(rows.loc[rows["asset_pair"] == pair, "timestamp"].dt.as_unit("s").astype("int64").tolist())
        for pair in ("BTCUSD", "ETHUSD")
    }


@pytest.mark.of_a_state_file("at a server the leases of who was killed end 15 s later: tests/workers")
@pytest.mark.timeout(120 + 20 * KILLS)
def test_killed_at_any_moment_and_run_again_gives_the_same_rows(exchange: CoinbaseExchange, tmp_path: Path):
    moments, killed = random.Random(7), 0
    folder = tmp_path / "0"
    for turn in range(KILLS):
        if turn % 4 == 0:
            folder = tmp_path / str(turn)  # a fresh lake: creating the table is a moment too
        process = start(RUN, folder, exchange.url, data_dir=folder)
        assert process.stdout is not None
        process.stdout.readline()
        timer = threading.Timer(moments.uniform(0, 0.6), process.kill)
        timer.start()
        process.communicate(timeout=60)
        timer.cancel()
        killed += process.returncode == -9
        if turn % 4 == 3 or turn == KILLS - 1:
            finish(start(RUN, folder, exchange.url, data_dir=folder))
            assert_whole(folder)
    assert killed >= KILLS // 2, f"only {killed} of {KILLS} runs were still under way when killed"


@pytest.mark.of_a_state_file("a lock of a file; a row of a server: test_lock_rows")
@pytest.mark.of_a_lake_folder("it opens none")
def test_a_killed_holder_frees_its_lease_at_once(tmp_path: Path):
    code = """
import sys, time
from pathlib import Path
from ffe_core.series import Series
from ffe_core.storage.leases import SeriesLease
lease = SeriesLease(Path(sys.argv[1]), Series("BTCUSD", "1h", "coinbase"), "run 12").acquire()
print("held", flush=True)
time.sleep(60)
"""
    process = start(code, tmp_path)
    assert process.stdout is not None
    process.stdout.readline()
    try:
        with pytest.raises(SeriesHeld, match=r"BTCUSD 1h from coinbase is held by run 12 \(process"):
            SeriesLease(tmp_path, BTC).acquire()
        SeriesLease(tmp_path, ETH).acquire().release()
    finally:
        process.kill()
        process.communicate()
    SeriesLease(tmp_path, BTC).acquire().release()


def test_three_processes_on_the_same_series_give_the_same_rows(exchange: CoinbaseExchange, tmp_path: Path):
    outputs = at_once(RUN, [(tmp_path, exchange.url)] * 3, data_dir=tmp_path)
    assert_whole(tmp_path)
    results = [result for out in outputs for result in json.loads(out.splitlines()[-1])]
    assert [result["error"] for result in results if result["status"] == "error"] == []
    assert sum(result["records"] for result in results) == 2 * BARS - 2
    assert sum(result["failed_records"] for result in results) == 2


class TestWithoutTheLease:
    """The commit alone must hold: the lease only saves requests."""

    def test_threads_racing_with_the_same_rows_store_each_once(self, tmp_path: Path):
        rows = _rows(hours(0, 50))

        def race(_: int) -> Any:
            lake = DeltaLakeManager(tmp_path / "lake")
            try:
                return lake.commit(BTC, rows, Watermarks(), Watermarks(START + 49 * HOUR, START)).new
            except CommitConflict:
                return 0

        with ThreadPoolExecutor(6) as pool:
            stored = list(pool.map(race, range(6)))
        assert sorted(stored) == [0, 0, 0, 0, 0, 50]
        assert open_times(tmp_path) == list(hours(0, 50))

    def test_threads_racing_without_moving_a_mark_store_each_once(self, tmp_path: Path):
        DeltaLakeManager(tmp_path / "lake").commit(
            BTC, _rows(hours(0, 5)), Watermarks(), Watermarks(START + 4 * HOUR, START)
        )
        held = Watermarks(START + 4 * HOUR, START)

        def race(number: int) -> int:
            rows = _rows(hours(number % 3 * 10, number % 3 * 10 + 30))
            return DeltaLakeManager(tmp_path / "lake").commit(BTC, rows, held, held).new

        with ThreadPoolExecutor(6) as pool:
            assert sum(pool.map(race, range(6))) == 45
        assert open_times(tmp_path) == list(hours(0, 50))

    def test_other_series_in_the_same_table_are_not_disturbed(self, tmp_path: Path):
        def write(number: int) -> None:
            series = Series(f"P{number}X", "1h", "coinbase")
            lake, marks = DeltaLakeManager(tmp_path / "lake"), Watermarks()
            for first in range(0, 50, 10):
                after = Watermarks(START + (first + 9) * HOUR, START)
                lake.commit(series, _rows(hours(first, first + 10), series), marks, after)
                marks = after

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(write, range(4)))
        assert open_times(tmp_path) == sorted([*hours(0, 50)] * 4)

    def test_processes_racing_store_each_bar_once(self, tmp_path: Path):
        code = """
import asyncio, sys
from pathlib import Path
from ffe_core.ingestion.pipeline import SeriesPipeline
from ffe_core.calendars import calendar_for
from tests.ingestion.fakes import *
folder = Path(sys.argv[1])
single = ingester(folder)
provider = FakeProvider(records(hours(0, 120)))
stores = single.stores
from ffe_core.ingestion import chunk
chunk._VALIDATE_RECORDS = chunk._COMMIT_ROWS = 20
pipeline = SeriesPipeline(BTC, provider, calendar_for("coinbase", "BTCUSD"), stores)
report = asyncio.run(pipeline.run(START, START + 120 * HOUR, "resume"))
print(report.status, report.counts.stored)
"""
        outputs = [out.split() for out in at_once(code, [(tmp_path,)] * 3, data_dir=tmp_path)]
        assert open_times(tmp_path) == list(hours(0, 120))
        assert sum(int(count) for _, count in outputs) == 120
        assert {status for status, _ in outputs} <= {"success", "no_data"}


def _rows(at: range, series: Series = BTC) -> pa.Table:
    candles = validate(list(records(at).values()), HOUR).candles
    return enrich(candles, series, "racer", is_mock=False)


def test_a_lake_ahead_of_its_readable_copy_is_healed(tmp_path: Path):
    """As after a kill between the commit and the copy, or with the copy deleted."""
    DeltaLakeManager(tmp_path / "lake").commit(
        BTC, _rows(hours(0, 5)), Watermarks(), Watermarks(START + 4 * HOUR, START)
    )
    single = BatchDataIngester(DeltaLakeManager(tmp_path / "lake"), {"data_dir": str(tmp_path)})
    assert single.watermark_store.get("BTCUSD", "1h") == times.iso(START + 4 * HOUR)
    single.watermark_store.file.write_text('{"BTCUSD/1h/coin')
    again = BatchDataIngester(DeltaLakeManager(tmp_path / "lake"), {"data_dir": str(tmp_path)})
    assert again.watermark_store.get("BTCUSD", "1h", "coinbase") == times.iso(START + 4 * HOUR)
