"""How long does a chart of one month of 1m bars take out of a large table, against reading just those rows?

The table holds 40 pairs: history in commits of 50,000 bars, the last month kept up day by day, as a lake looks before
compaction; then compacted. The floor is a plain parquet file of just that month, its six columns read; beside it a
plain file of the whole pair, read with a filter on time. The chart is everything the page needs (latest versions, at
most 1,500 aggregated bars, gaps, closures, restatements): as a running server draws it, which keeps what it has
aggregated, and anew, with nothing kept. Each process reads once as it starts ("first") and then the median of 15.
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
import pyarrow.parquet as pq

from ffe_core.calendars import AlwaysOpen
from ffe_core.candles import TIMESTAMP, VALUES
from ffe_core.ingestion.enrich import enrich
from ffe_core.insight import chart
from ffe_core.insight.chart import chart_view
from ffe_core.insight.parts import Pyramid
from ffe_core.series import Series, Watermarks
from ffe_core.storage.dead_letters.queue import DeadLetterQueue
from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager
from ffe_core.storage.lake.snapshot import MICROS
from ffe_core.storage.lake.upkeep.compaction import compact
from ffe_core.storage.lake.upkeep.plan import plan_of
from ffe_core.timeframes import ceil
from ffe_core.times import DAY, utc
from tests.benchmarks.candles import START
from tests.benchmarks.harness import Numbers, Options, Ratio, Verdict, median, run, sample, spread

GOALS = {"before compaction": 2.0, "compacted": 1.3}
_SIDES = ("month", "plain", "chart", "chart anew")
_MODULE = "tests.benchmarks.chart_month"
_PAIRS = 40
_SHOWN = "P00USD"
_STEP = 60
_DAYS = 30
_DAY_BARS = DAY // _STEP
_MONTH_BARS = _DAYS * _DAY_BARS
_COMMIT_BARS = 50_000
_READS = 15


def measure(options: Options) -> Numbers:
    """Seconds of the first read of a process and of those after it, and how many stored bars came of it."""
    folder, end = Path(options["folder"]), options["end"]
    side = options["side"]
    read = _chart(folder, end, side) if side.startswith("chart") else _plain(folder / side, end)
    seconds = []
    for _ in range(1 + _READS):
        before = time.perf_counter()
        bars = read()
        seconds.append(time.perf_counter() - before)
    return {"first": seconds[0], "then": statistics.median(seconds[1:]), "bars": bars}


def _chart(folder: Path, end: int, side: str) -> Callable[[], int]:
    lake, queue = DeltaLakeManager(folder / "lake"), DeadLetterQueue(folder / "dlq")

    def read() -> int:
        if side == "chart anew":
            vars(chart)["PYRAMID"] = Pyramid()
        view = chart_view(lake, queue, AlwaysOpen(), _series(_SHOWN), end - _DAYS * DAY, end)
        assert view.bars.num_rows <= 1500
        return sum(view.bars["sources"].to_pylist())

    return read


def _plain(path: Path, end: int) -> Callable[[], int]:
    wanted = [("timestamp", ">=", utc(end - _DAYS * DAY)), ("timestamp", "<", utc(end))]
    return lambda: pq.read_table(path, columns=["timestamp", *VALUES], filters=wanted).num_rows


def _series(pair: str) -> Series:
    return Series(pair, "1m", "made")


def _candles(first: int, last: int) -> pa.Table:
    """Bars number `first` to `last`, prices of two decimals that wander."""
    open_times = START + np.arange(first, last) * _STEP
    middle = 40_000 + 9_000 * np.sin(open_times / 4_000_000) + open_times % 977 / 100
    spread_ = 1 + open_times % 1_009 / 10
    prices = [middle - spread_ / 3, middle + spread_, middle - spread_, middle + spread_ / 4]
    columns = dict(zip(VALUES, [*(np.round(price, 2) for price in prices), open_times % 100_003 / 977], strict=True))
    return pa.table({"timestamp": pa.array(open_times * MICROS).cast(TIMESTAMP), **columns})


def _build(folder: Path, pairs: int, bars: int) -> None:
    """The table as ingestion leaves it, and the plain files of one pair and of its last month."""
    lake = DeltaLakeManager(folder / "lake")
    names = [f"P{number:02d}USD" for number in range(pairs)]
    history = bars - _MONTH_BARS
    for pair in names:
        for first in range(0, history, _COMMIT_BARS):
            _commit(lake, pair, first, min(first + _COMMIT_BARS, history))
    for first in range(history, bars, _DAY_BARS):
        for pair in names:
            _commit(lake, pair, first, first + _DAY_BARS)
    pq.write_table(_candles(0, bars), folder / "plain", compression="zstd")
    pq.write_table(_candles(history, bars), folder / "month", compression="zstd")


def _commit(lake: DeltaLakeManager, pair: str, first: int, last: int) -> None:
    rows = enrich(_candles(first, last), _series(pair), f"{pair}-{first}", is_mock=False)
    before = Watermarks(START + (first - 1) * _STEP, START) if first else Watermarks()
    lake.commit(_series(pair), rows, before, Watermarks(START + (last - 1) * _STEP, START))


def compare(size: int, repetitions: int) -> Verdict:
    """The chart before and after compaction against the plain files, each pair of measurements in turns."""
    pairs = min(_PAIRS, max(1, size // (2 * _MONTH_BARS)))
    # Whole days, so that the view is the month and not an hour more.
    bars = max(ceil(size // pairs, _DAY_BARS), 2 * _MONTH_BARS)
    end = START + bars * _STEP
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _build(folder, pairs, bars)
        lake = DeltaLakeManager(folder / "lake")
        found, files = {}, {}
        for state in ("before compaction", "compacted"):
            table = lake.open(_series(_SHOWN).table)
            assert table is not None
            if state == "compacted":
                snapshot = lake.snapshot(_series(_SHOWN).table)
                assert snapshot is not None
                compact(snapshot.uri, None, plan_of(snapshot, _series(_SHOWN).table).merges)
                table.update_incremental()
            sides = {
                side: {"side": side, "folder": name, "end": end} for side in ("month", "plain", "chart", "chart anew")
            }
            found[state] = sample(_MODULE, sides, repetitions)
            files[state] = len(table.file_uris())
    rows = [_row(f"{side}, {state}", sides[side], sides["month"]) for state, sides in found.items() for side in sides]
    ratios = [
        Ratio(
            f"chart of a month, {state}", median(sides["chart"], "then") / median(sides["month"], "then"), GOALS[state]
        )
        for state, sides in found.items()
    ]
    faults = [
        f"{side}, {state}: not every bar of the month"
        for state, sides in found.items()
        for side, numbers in sides.items()
        if median(numbers, "bars") != _MONTH_BARS
    ]
    head = ["side", "then ms", "x month", "first ms", "x month", "each run"]
    title = f"A month of 1m bars out of {bars * pairs:,} of {pairs} pairs; files " + ", ".join(
        f"{k}: {v}" for k, v in files.items()
    )
    return Verdict(title, [head, *rows], ratios, faults)


def _row(name: str, numbers: list[Numbers], floor: list[Numbers]) -> list[str]:
    cells = [name]
    for which in ("then", "first"):
        seconds = median(numbers, which)
        cells += [f"{seconds * 1000:.1f}", f"{seconds / median(floor, which):.2f}"]
    return [*cells, spread([{"ms": one["then"] * 1000} for one in numbers], "ms", 1)]


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """The command line; ends the process."""
    run(__doc__, measure, compare, arguments, full=(20_000_000, 5), quick=(1_000_000, 1))


if __name__ == "__main__":
    main()
