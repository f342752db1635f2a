"""Is every row and every dead letter of runs whose process was killed in the count of one of them, and of one alone?

FFE_TEST_KILLS=100 kills more often.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from ffe_core.operations.imports.service import Imports
from ffe_core.operations.runs.service import RunService
from ffe_core.series import Series
from ffe_core.storage.state.runs import RunSeries
from tests.browser.driver import poll
from tests.fake_exchanges import CoinbaseExchange, Market, generated
from tests.files.making import candles, lines, ohlcv
from tests.ingestion.fakes import HOUR, START, stored
from tests.operations.harness import WAIT, opened
from tests.processes import start

pytestmark = pytest.mark.of_a_state_file("at a server the leases of who was killed end 15 s later: tests/workers")
KILLS = int(os.environ.get("FFE_TEST_KILLS", "6"))
END = START + 1_000 * HOUR
BROKEN = {"BTC-USD": (50, 300, 301, 900), "ETH-USD": (10, 500)}

# It kills itself right after some of what it writes, when nobody has been told; commits are small, so there are many.
BEGIN = """
import os, signal, sys
from pathlib import Path
from ffe_core.files.plan import Target
from ffe_core.ingestion import chunk, file_chunk, file_import
from ffe_core.operations.imports.request import ImportRequest
from ffe_core.operations.imports.service import Imports, planned
from ffe_core.operations.runs.backfill import BackfillRequest
from ffe_core.operations.runs.service import RunService
from ffe_core.settings import Settings
from ffe_core.storage.dead_letters.queue import DeadLetterQueue
from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager
from ffe_core.storage.state.database import DATABASE_FILE, Database

folder, source, parent, lives = sys.argv[1:]
chunk._VALIDATE_RECORDS = chunk._COMMIT_ROWS = 100
file_chunk._COMMIT_ROWS = file_import.MOST_BYTES = 1
left = int(lives)

def deadly(write):
    def written(*args, **options):
        global left
        found = write(*args, **options)
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return found
    return written

DeltaLakeManager.commit_all = deadly(DeltaLakeManager.commit_all)
DeadLetterQueue.save = deadly(DeadLetterQueue.save)
settings = Settings.load({"data_dir": folder, "coinbase": {"base_url": source, "requests_per_second": 300}})
service = RunService(settings, Database(Path(folder) / DATABASE_FILE))
service.adopt_dead_runs()
if source.startswith("http") and parent == "0":
    run = service.start(BackfillRequest.of("coinbase", ["BTCUSD", "ETHUSD"], ["1h"], START, END), "ann")
elif source.startswith("http"):
    run = service.resume(int(parent), "ann")
elif parent == "0":
    request = ImportRequest((source,), Target.of("files:mine/BTCUSD/1h"), answers={"zone": "UTC", "stamp": "open"})
    run = Imports(service).start(planned(request, settings), request, "ann")
else:
    run = Imports(service).resume(int(parent), "ann")
service.wait(run)
service.close()
""".replace("START", str(START)).replace("END", str(END))


@pytest.fixture
def exchange() -> Iterator[CoinbaseExchange]:
    market = Market({(symbol, HOUR): generated(START, END, HOUR, seed=symbol) for symbol in BROKEN})
    with CoinbaseExchange(market, rate=None) as running:
        for symbol, hours in BROKEN.items():
            for hour in hours:
                running.break_record(symbol, HOUR, START + hour * HOUR, "high_below_low")
        yield running


def killed(folder: Path, source: str) -> None:
    """Have a backfill or an import killed, and continued, some times."""
    moments = random.Random(3)
    for parent in range(KILLS):
        process = start(BEGIN, folder, source, parent, moments.randint(1, 4), data_dir=folder)
        _, said = process.communicate(timeout=120)
        assert process.returncode in (0, -9), said[-4000:]
        if process.returncode == 0:
            break


def counted(service: RunService) -> list[RunSeries]:
    """What all runs say of their series, once all is counted."""
    service.adopt_dead_runs()
    service.count_untold()
    poll(lambda: not service.runs.uncounted(0.0), "all to be counted")
    runs, _ = service.runs.find(limit=1_000)
    return [row for run in runs for row in service.runs.series(run.id)]


def assert_true(service: RunService, rows: list[RunSeries], series: Series) -> int:
    """The counts of a series are what there is of it; how many rows that is."""
    mine = [row for row in rows if row.series == series]
    kept = service.stores.queue.kept_by
    held = stored(service.settings.data_dir, series)["asset_pair"].to_pylist().count(series.asset_pair)
    assert sum(row.records for row in mine) == held
    assert sum(row.restated for row in mine) == 0
    dead = [kept(str(row.run_id), 0.0).get(series.key) for row in mine]
    assert [row.failed_records for row in mine] == [one.records if one else 0 for one in dead]
    assert all(row.received >= row.records + row.failed_records + row.repeats for row in mine)
    return held


@pytest.mark.timeout(60 + 30 * KILLS)
def test_backfills_that_were_killed_count_what_they_stored(exchange: CoinbaseExchange, tmp_path: Path) -> None:
    killed(tmp_path, exchange.url)
    config = {"coinbase": {"base_url": exchange.url, "requests_per_second": 300}}
    pairs = {"BTCUSD": 996, "ETHUSD": 998}
    with opened(tmp_path, **config) as service:
        rows = counted(service)
        assert {row.state for row in rows} <= {"interrupted", "complete"}
        assert sum(assert_true(service, rows, Series(pair, "1h", "coinbase")) for pair in pairs) > 0
        last = max(row.run_id for row in rows)
        if service.runs.get(last).state == "interrupted":
            service.wait(service.resume(last, "ann"), WAIT)
        rows = counted(service)
        assert {pair: assert_true(service, rows, Series(pair, "1h", "coinbase")) for pair in pairs} == pairs
        assert sum(row.failed_records for row in rows) == 6


@pytest.mark.timeout(60 + 30 * KILLS)
def test_imports_that_were_killed_count_what_they_stored(tmp_path: Path) -> None:
    series, source = Series("BTCUSD", "1h", "files:mine"), tmp_path / "files"
    source.mkdir()
    every = [f"{one.utc:%Y-%m-%d %H:%M},{ohlcv(one)}" for one in candles("1h", count=200)]
    for number in range(10):
        rows = every[20 * number : 20 * number + 20]
        time, *prices = rows[7].split(",")
        rows[7] = ",".join([time, prices[0], "0.5", *prices[2:]])
        (source / f"{number}.csv").write_bytes(lines(rows, "time,open,high,low,close,volume"))
    killed(tmp_path / "data", str(source))
    with opened(tmp_path / "data") as service:
        rows = counted(service)
        assert assert_true(service, rows, series) > 0
        last = max(row.run_id for row in rows)
        if service.runs.get(last).state == "interrupted":
            service.wait(Imports(service).resume(last, "ann"), WAIT)
        rows = counted(service)
        assert assert_true(service, rows, series) == 190
        assert sum(row.failed_records for row in rows) == 10
