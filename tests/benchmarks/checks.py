"""What do all checks over years of many series cost, against reading their columns just once?

Five years of hourly candles of each series, in the current view. The floor reads the timestamp and the five values of
each as checks do, piece by piece, and keeps nothing. Cpu, as other work on the machine does not count; memory is the
peak of each process over an empty one, and over a tenth of the series.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import numpy as np

from ffe_core.calendars import calendar_for
from ffe_core.checks.engine import check_pair
from ffe_core.checks.table import CHECKS
from ffe_core.checks.windows import Around
from ffe_core.insight.bars import pieces
from ffe_core.insight.stored import require_stored, stored_series
from ffe_core.series import Series
from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager
from tests.benchmarks.harness import Numbers, Options, Ratio, Verdict, median, peak_mb, run, sample, spread
from tests.checks.markets import market
from tests.checks.seeded import store

GOAL, GOAL_MEMORY = 3.0, 1.1
_START, _DAYS = 1_577_836_800, 1_826
_FEWER = 10
_NONE = np.empty((0, 2), np.int64)
_AROUND = Around(lambda one: calendar_for(one.provider, one.asset_pair), lambda one: _NONE, lambda one: {})


def fill(folder: Path, series: int) -> None:
    """A lake of so many series, one commit each."""
    lake, rng = DeltaLakeManager(folder / "lake"), np.random.default_rng(1)
    for number in range(series):
        own = Series.of(f"C{number:03}USD", "1h", "coinbase")
        store(lake, [market(rng, own, _START, _DAYS, 400.0, 3, 0.03, 300.5)])


def measure(options: Options) -> Numbers:
    """Cpu seconds of one side over the lake in `folder`, and the peak of memory, MB."""
    lake = DeltaLakeManager(Path(options["folder"]) / "lake")
    series = [summary.series for summary in stored_series(lake)]
    series = series[: options["series"]]
    began = time.process_time()
    bars = sum(_floor(lake, one) if options["side"] == "floor" else _checks(lake, one) for one in series)
    return {"cpu": time.process_time() - began, "bars": bars, "peak": peak_mb()}


def _floor(lake: DeltaLakeManager, series: Series) -> int:
    snapshot = require_stored(lake, series)
    found = pieces(snapshot, series, _START, _START + _DAYS * 86_400)
    return sum(piece.bars.num_rows for piece in found)


def _checks(lake: DeltaLakeManager, series: Series) -> int:
    [done] = check_pair(lake, [series], list(CHECKS.values()), _AROUND)
    return done.bars


def compare(size: int, repetitions: int) -> Verdict:
    """All checks against the floor, and their memory for all series against a tenth of them."""
    few = max(1, size // _FEWER)
    with tempfile.TemporaryDirectory() as folder:
        fill(Path(folder), size)
        sides = {
            "floor": {"side": "floor", "series": size, "folder": folder},
            "checks": {"side": "checks", "series": size, "folder": folder},
            "checks, a tenth": {"side": "checks", "series": few, "folder": folder},
        }
        found = sample("tests.benchmarks.checks", sides, repetitions)
    rows = [
        [name, f"{median(numbers, 'cpu'):.2f}", spread(numbers, "cpu", 2), f"{median(numbers, 'peak'):.0f}"]
        for name, numbers in found.items()
    ]
    ratios = [
        Ratio(
            "cpu of all checks, against the floor", median(found["checks"], "cpu") / median(found["floor"], "cpu"), GOAL
        ),
        Ratio(
            "peak memory, against a tenth of the series",
            median(found["checks"], "peak") / median(found["checks, a tenth"], "peak"),
            GOAL_MEMORY,
        ),
    ]
    faults = [] if median(found["checks"], "bars") == size * _DAYS * 24 else ["not every candle was checked"]
    title = f"{len(CHECKS)} checks over {size} series x {_DAYS} days of 1h"
    return Verdict(title, [["side", "cpu s", "each run", "peak MB"], *rows], ratios, faults)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    run(__doc__, measure, compare, arguments, full=(100, 5), quick=(10, 1))


if __name__ == "__main__":
    main()
