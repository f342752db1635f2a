"""Do processes that commit small updates of overlapping series together lose or double anything, killed or not?"""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from ffe_core import DeltaLakeManager
from ffe_core.series import Series, Watermarks
from tests.ingestion.fakes import HOUR, START
from tests.processes import at_once, start

pytestmark = pytest.mark.slow
PAIRS = tuple(f"{coin}USD" for coin in "BTC ETH SOL ADA LTC XRP DOT UNI".split())
HOURS = 30
# Without leases, so that only the guard of each series keeps the processes apart.
GROUP = """
import asyncio, sys
from pathlib import Path
from ffe_core.calendars import calendar_for
from ffe_core.ingestion import chunk
from ffe_core.ingestion.committer import Committer
from ffe_core.ingestion.pipeline import SeriesPipeline
from ffe_core.ingestion.turns import Group
from ffe_core.series import Series
from tests.ingestion.fakes import FakeProvider, HOUR, START, hours, ingester, records

single = ingester(Path(sys.argv[1]))
stores, last = single.stores, int(sys.argv[2])
committer = Committer(stores.lake, stores.watermarks)

async def one(member, end):
    async with member:
        provider = FakeProvider(records(hours(0, end)))
        pipeline = SeriesPipeline(member.series, provider, calendar_for("coinbase", member.series.asset_pair), stores,
                                  committer=committer, member=member)
        return await pipeline.run(START, START + end * HOUR, "resume")

async def ticks():
    stored = 0
    for end in range(3, last + 1, 3):
        series = [Series(pair, "1h", "coinbase") for pair in sys.argv[3:]]
        members = Group(asyncio.Semaphore(4)).members(series)
        reports = await asyncio.gather(*(one(member, end) for member in members))
        assert all(report.error is None for report in reports), [report.error_text for report in reports]
        stored += sum(report.counts.stored for report in reports)
        print("tick", end, flush=True)
    print(stored)

asyncio.run(ticks())
"""


def stored_of(folder: Path) -> dict[str, list[int]]:
    """The hours of each pair's rows, one that is stored twice twice, after a check of its watermark."""
    lake = DeltaLakeManager(folder / "lake")
    rows = lake.read_table("raw_market_data_1h", columns=["timestamp", "asset_pair"])
    found = {}
    for pair in PAIRS:
        at = sorted(rows.loc[rows["asset_pair"] == pair, "timestamp"].dt.as_unit("s").astype("int64"))
        found[pair] = [(one - START) // HOUR for one in at]
        marks = lake.marks(Series(pair, "1h", "coinbase"))
        assert marks == (Watermarks(at[-1], START) if at else Watermarks())
    return found


def test_two_processes_with_series_in_common_store_each_bar_once(tmp_path: Path):
    outputs = at_once(GROUP, [(tmp_path, HOURS, *PAIRS[:6]), (tmp_path, HOURS, *PAIRS[2:])], data_dir=tmp_path)
    assert stored_of(tmp_path) == {pair: list(range(HOURS)) for pair in PAIRS}
    assert sum(int(out.splitlines()[-1]) for out in outputs) == HOURS * len(PAIRS)


def test_a_process_killed_inside_a_commit_of_many_series_leaves_nothing_half_done(tmp_path: Path):
    chance = random.Random(35)
    for _ in range(6):
        process = start(GROUP, tmp_path, HOURS, *PAIRS, data_dir=tmp_path)
        assert process.stdout is not None
        for _ in range(chance.randrange(1, 4)):
            process.stdout.readline()
        time.sleep(chance.uniform(0, 0.3))
        process.kill()
        process.communicate()
        for hours in stored_of(tmp_path).values():
            assert hours == list(range(len(hours)))
    at_once(GROUP, [(tmp_path, HOURS, *PAIRS)], data_dir=tmp_path)
    assert stored_of(tmp_path) == {pair: list(range(HOURS)) for pair in PAIRS}
