"""What do coverage and the Overview cost over a thousand series, a hundred of them of 1m, five years each?

Every series has a gap of its own. The floor opens both tables and reads one column of every file, and keeps nothing.
The first look of a lake reads just that as well; a later process has it from the state database; the Overview of a
server that is running sees only what is new. Memory is the peak of the whole process.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import numpy as np
import pyarrow as pa

from ffe_core import BatchDataIngester, DeltaLakeManager
from ffe_core.candles import TIMESTAMP, VALUES, table_name
from ffe_core.ingestion.enrich import enrich
from ffe_core.insight.coverage import Coverage, by_period
from ffe_core.insight.overview import Overviews
from ffe_core.series import Series, Watermarks
from ffe_core.storage.lake.range_cache import RangeCache
from ffe_core.storage.state.runs import RunStore
from ffe_core.times import DAY
from tests.benchmarks.harness import Numbers, Options, Ratio, Verdict, median, peak_mb, run, sample, spread

GOAL_FIRST, GOAL_LATER, GOAL_RUNNING = 2.0, 0.2, 0.2
_START = 1_577_836_800
_DAYS = 1_826
_ONE_IN = 10
"""So many series of 1h for one of 1m."""


def fill(folder: Path, series: int) -> None:
    """A lake of so many series, one commit each, a tenth of them of 1m; the others of 1h."""
    lake = DeltaLakeManager(folder / "lake")
    ingester = BatchDataIngester(lake, {"data_dir": str(folder)})
    for number, one in enumerate(_series(series)):
        opens = np.arange(_START, _START + _DAYS * DAY, one.step)
        kept = np.delete(opens, slice(1_000 + number, 1_010 + number))
        columns = {name: pa.array(40_000 + kept % 977 / 7 + place) for place, name in enumerate(VALUES)}
        candles = pa.table({"timestamp": pa.array(kept * 1_000_000).cast(TIMESTAMP), **columns})
        marks = Watermarks(int(kept[-1]), _START)
        lake.commit(one, enrich(candles, one, "made", is_mock=False), Watermarks(), marks)
        ingester.watermark_store.put(one, marks)


def _series(count: int) -> list[Series]:
    """The first tenth of 1m, so that a small lake has some too."""
    few = count // _ONE_IN
    return [Series.of(f"C{number:04}USD", "1m" if number < few else "1h", "coinbase") for number in range(count)]


def measure(options: Options) -> Numbers:
    """Wall seconds of one side over the lake in `folder`, and the peak of memory in MB."""
    folder = Path(options["folder"])
    found = _floor(folder) if options["side"] == "floor" else _looks(folder, options["side"] == "later")
    return {**found, "peak": peak_mb()}


def _floor(folder: Path) -> Numbers:
    lake = DeltaLakeManager(folder / "lake")
    began, rows = time.perf_counter(), 0
    for timeframe in ("1m", "1h"):
        snapshot = lake.snapshot(table_name(timeframe))
        assert snapshot is not None
        rows += sum(snapshot.read_file(path, ["timestamp"]).num_rows for path in snapshot.all_files().paths)
    return {"seconds": time.perf_counter() - began, "rows": rows}


def _looks(folder: Path, is_later: bool) -> Numbers:
    """One look at the coverage of all series by day, then the Overview twice, as a server draws it."""
    stores = BatchDataIngester(DeltaLakeManager(folder / "lake"), {"data_dir": str(folder)}).stores
    coverage = Coverage(stores, RangeCache(stores.database) if is_later else None)
    began = time.perf_counter()
    edges = _START + np.arange(_DAYS + 1) * DAY
    cells = by_period(coverage.of(coverage.series(), _START, int(edges[-1])), edges)
    seconds = time.perf_counter() - began
    overviews = Overviews(coverage, stores.watermarks, RunStore(stores.database), stores.settings)
    again = sorted(_seconds(overviews) for _ in range(3))
    return {"seconds": seconds, "overview": again[1], "rows": int(cells["stored"].sum())}


def _seconds(overviews: Overviews) -> float:
    began = time.perf_counter()
    overviews.now()
    return time.perf_counter() - began


def compare(size: int, repetitions: int) -> Verdict:
    """The first look, one of a later process, and the Overview, against the floor."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fill(folder, size)
        sides = {side: {"side": side, "folder": name} for side in ("floor", "first", "later")}
        sample("tests.benchmarks.scale", {"later": sides["later"]}, 1)  # what files hold is remembered from here on
        found = sample("tests.benchmarks.scale", sides, repetitions)
    floor = median(found["floor"], "seconds")
    heads = ["side", "s", "each run, s", "overview after it, s", "peak, MB"]
    rows = [
        [
            side,
            f"{median(numbers, 'seconds'):.2f}",
            spread(numbers, "seconds", 2),
            f"{median(numbers, 'overview'):.3f}" if side != "floor" else "",
            f"{median(numbers, 'peak'):.0f}",
        ]
        for side, numbers in found.items()
    ]
    ratios = [
        Ratio("the first look of a lake, against the floor", median(found["first"], "seconds") / floor, GOAL_FIRST),
        Ratio("the first look of a later process", median(found["later"], "seconds") / floor, GOAL_LATER),
        Ratio("the Overview of a running server", median(found["later"], "overview") / floor, GOAL_RUNNING),
    ]
    stored = sum(_DAYS * DAY // one.step - 10 for one in _series(size))
    faults = [] if all(numbers["rows"] == stored for side in found.values() for numbers in side) else ["rows differ"]
    title = f"{size:,} series over {_DAYS:,} days, {size // _ONE_IN:,} of them of 1m: {stored:,} candles"
    return Verdict(title, [heads, *rows], ratios, faults)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    run(__doc__, measure, compare, arguments, full=(1_000, 3), quick=(20, 1))


if __name__ == "__main__":
    main()
