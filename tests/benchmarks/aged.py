"""What does a one-bar commit cost on a table aged by thousands of commits with upkeep, and a month of a year of them?

Commits: 50 series, a bar a commit in turns, 10,000 of them, with upkeep every 100 as a console does it; then as many
commits on it and on a table with 100 commits, commit by commit in turns in one process, both kept up. Retention is that
of the settings in commits: here they come every few milliseconds and not every six seconds, as 14,400 a day do, so its
hours are seconds. "Alone" is a new table without upkeep from its 50th to its 150th commit.

A month: two 5m lakes of the same year and pair, one filled by appends of one bar with upkeep, one by a single backfill.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

import numpy as np
import pyarrow as pa

from ffe_core.candles import TIMESTAMP, VALUES
from ffe_core.ingestion.enrich import enrich
from ffe_core.insight.bars import bars
from ffe_core.series import Series, Watermarks
from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager
from ffe_core.storage.lake.snapshot import MICROS
from ffe_core.storage.lake.upkeep.compaction import compact
from ffe_core.storage.lake.upkeep.log import checkpoint, clean_up
from ffe_core.storage.lake.upkeep.plan import plan_of
from ffe_core.times import DAY
from ffe_core.upkeep_settings import UpkeepSettings
from tests.benchmarks.harness import Numbers, Options, Ratio, Verdict, median, run, sample, spread

_MODULE = "tests.benchmarks.aged"
_STEP, _TABLE = 300, "raw_market_data_5m"
_SERIES, _EVERY, _COMPARED = 50, 100, 200
_APART = DAY / 14_400
"""Seconds between two commits of 50 series every five minutes."""
_BEGIN = 1_704_067_200
"""2024-01-01."""
_READS = 15
AGED_GOAL, SHARED_GOAL, MONTH_GOAL = 1.2, 1.3, 1.3


def measure(options: Options) -> Numbers:
    """One side: commits on an aged and a fresh table in turns, or the reads of a month."""
    return _commits(options["size"]) if options["side"] == "commits" else _reads(Path(options["folder"]))


class Grown:
    """A table that grows by one bar of the next series a commit, and its upkeep."""

    def __init__(self, folder: Path, series: int = _SERIES) -> None:
        self.lake = DeltaLakeManager(folder)
        self.series = [Series(f"P{number:02d}USD", "5m", "made") for number in range(series)]
        self.commits = 0
        self.kept_up = 0.0
        self.log_hours = float(UpkeepSettings().log_retention_hours)

    def commit(self) -> tuple[float, float]:
        """Wall and cpu seconds of one commit."""
        place, bar = self.commits % len(self.series), self.commits // len(self.series)
        series, at = self.series[place], _BEGIN + bar * _STEP
        rows = enrich(_candles(bar, bar + 1), series, f"{place}-{bar}", is_mock=False)
        before = Watermarks(at - _STEP, _BEGIN) if bar else Watermarks()
        began = time.perf_counter(), time.process_time()
        self.lake.commit(series, rows, before, Watermarks(at, _BEGIN))
        self.commits += 1
        return time.perf_counter() - began[0], time.process_time() - began[1]

    def upkeep(self) -> None:
        """What a console does when so many files have come."""
        began, uri = time.process_time(), self.lake.table_uri(_TABLE)
        snapshot = self.lake.snapshot(_TABLE)
        assert snapshot is not None
        compact(uri, None, plan_of(snapshot, _TABLE, _BEGIN + self.commits).merges)
        checkpoint(uri, None)
        clean_up(uri, None, self.log_hours)
        self.kept_up += time.process_time() - began

    def age(self, commits: int) -> None:
        """So many commits more, kept up."""
        for _ in range(commits):
            self.commit()
            if self.commits % _EVERY == 0:
                self.upkeep()

    def pace(self) -> float:
        """Seconds between two commits, by some of them."""
        began = time.perf_counter()
        self.age(_EVERY)
        return (time.perf_counter() - began) / _EVERY

    def keep(self, pace: float) -> None:
        """Keep as many old log entries and tombstones as a console does, at `pace` seconds a commit."""
        self.log_hours = UpkeepSettings().log_retention_hours * pace / _APART
        hours = {"log": self.log_hours, "deletedFile": UpkeepSettings().file_retention_hours * pace / _APART}
        self.lake.ensure_table("5m").alter.set_table_properties(
            {f"delta.{what}RetentionDuration": f"interval {round(kept * 3600)} seconds" for what, kept in hours.items()}
        )


def _commits(size: int) -> Numbers:
    with tempfile.TemporaryDirectory() as name:
        aged, fresh, alone = (Grown(Path(name) / side) for side in ("aged", "fresh", "alone"))
        aged.keep(pace := aged.pace())
        aged.age(size - aged.commits)
        kept_up = aged.kept_up / size
        fresh.keep(pace)
        for _ in range(_SERIES):
            fresh.commit()
            alone.commit()
        taken: dict[str, list[tuple[float, float]]] = {"aged": [], "fresh": [], "alone": []}
        for number in range(1, _COMPARED + 1):
            for side, grown in (("aged", aged), ("fresh", fresh)):
                taken[side].append(grown.commit())
            if number <= _EVERY:
                taken["alone"].append(alone.commit())
            if number % _EVERY == 0:
                aged.upkeep()
                fresh.upkeep()
        rows = sum(len(aged.lake.stored_open_times(series, 0, 2**40)) for series in aged.series)
        assert rows == aged.commits, f"{rows} rows of {aged.commits} commits"
    found = {
        f"{side} {what}": statistics.median(one[place] for one in every)
        for side, every in taken.items()
        for place, what in enumerate(("wall", "cpu"))
    }
    return {**found, "upkeep": kept_up}


def _reads(folder: Path) -> Numbers:
    """Seconds to read a month, as a running server does."""
    lake, series = DeltaLakeManager(folder), Series("P00USD", "5m", "made")
    start = _BEGIN + int((folder / "month").read_text()) * _STEP
    read: Callable[[], int] = lambda: bars(lake, series, start, start + 30 * DAY).num_rows  # noqa: E731
    found = read()
    taken = []
    for _ in range(_READS):
        began = time.process_time()
        read()
        taken.append(time.process_time() - began)
    return {"seconds": statistics.median(taken), "bars": found}


def _candles(first: int, last: int) -> pa.Table:
    open_times = _BEGIN + np.arange(first, last) * _STEP
    middle = 40_000 + 9_000 * np.sin(open_times / 4_000_000) + open_times * 7_919 % 100_003 / 100
    prices = [middle, middle + 9, middle - 9, middle + open_times % 7]
    columns = dict(zip(VALUES, [*(np.round(price, 2) for price in prices), open_times % 100_003 / 977], strict=True))
    return pa.table({"timestamp": pa.array(open_times * MICROS).cast(TIMESTAMP), **columns})


def _fill(folder: Path, bars_: int) -> tuple[Path, Path]:
    """The year bar by bar with upkeep, and at once; a month in its second half."""
    appended, at_once = Grown(folder / "appended", 1), DeltaLakeManager(folder / "at once")
    appended.keep(appended.pace())
    appended.age(bars_ - appended.commits)
    appended.upkeep()
    rows = enrich(_candles(0, bars_), Series("P00USD", "5m", "made"), "all", is_mock=False)
    at_once.commit(Series("P00USD", "5m", "made"), rows, Watermarks(), Watermarks(_BEGIN + (bars_ - 1) * _STEP, _BEGIN))
    for name in ("appended", "at once"):
        (folder / name / "month").write_text(str(max(0, bars_ - 40 * DAY // _STEP)))
    return folder / "appended", folder / "at once"


def compare(size: int, repetitions: int) -> Verdict:
    """Both questions, each side in a fresh process."""
    commits = sample(_MODULE, {"commits": {"side": "commits", "size": size}}, repetitions)["commits"]
    with tempfile.TemporaryDirectory() as name:
        appended, at_once = _fill(Path(name), max(size, 200))
        sides = {
            "appended": {"side": "reads", "folder": str(appended)},
            "at once": {"side": "reads", "folder": str(at_once)},
        }
        reads = sample(_MODULE, sides, max(repetitions, 3))

    def ratio(what: str) -> float:
        return statistics.median(one[f"aged {what}"] / one[f"fresh {what}"] for one in commits)

    shared = statistics.median((one["aged cpu"] + one["upkeep"]) / one["alone cpu"] for one in commits)
    month = median(reads["appended"], "seconds") / median(reads["at once"], "seconds")
    ratios = [
        Ratio("a commit on the aged table to one on a fresh one, wall", ratio("wall"), AGED_GOAL),
        Ratio("the same, cpu", ratio("cpu"), AGED_GOAL),
        Ratio("cpu of a commit with its share of upkeep, to one of the first hundred alone", shared, SHARED_GOAL),
        Ratio("a month out of appends kept up, to one out of a single backfill", month, MONTH_GOAL),
    ]
    table = [["what", "ms", "each run"]]
    for key in ("aged wall", "fresh wall", "aged cpu", "fresh cpu", "alone cpu", "upkeep"):
        made = [{"ms": one[key] * 1000} for one in commits]
        table.append([key, f"{median(made, 'ms'):.1f}", spread(made, "ms", 1)])
    for side, numbers in reads.items():
        made = [{"ms": one["seconds"] * 1000} for one in numbers]
        table.append([f"month, {side}", f"{median(made, 'ms'):.1f}", spread(made, "ms", 1)])
    faults = ["not the same bars"] if len({one["bars"] for side in reads.values() for one in side}) != 1 else []
    title = (
        f"One-bar commits of {_SERIES} series after {size:,} of them, upkeep every {_EVERY}; {max(size, 200):,} bars"
    )
    return Verdict(title, table, ratios, faults)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """The command line; ends the process."""
    run(__doc__, measure, compare, arguments, full=(10_000, 5), quick=(1_000, 1))


if __name__ == "__main__":
    main()
