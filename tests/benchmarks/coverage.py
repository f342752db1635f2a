"""What does the coverage of years of many pairs cost, against reading just the timestamps of the same files?

Five years of hourly candles of each pair, every count of every pair and day: expected, stored, dead lettered, marked,
unexplained, extra. Cold is the first look of a process, warm the next one; both see the lake, the dead letters, the
marked gaps and the watermarks. The floor opens the table and reads its one column, file by file, and keeps nothing.
Either side loads what it reads with, which is most of the floor; "loaded" is the same in a process that has it already.
What the product writes it remembers the bars of; "foreign" is the first look ever at files that another tool wrote.
"""

from __future__ import annotations

import importlib
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
from ffe_core.series import Series, Watermarks
from ffe_core.times import DAY
from tests.benchmarks.harness import Numbers, Options, Ratio, Verdict, median, run, sample, spread

GOAL_COLD, GOAL_WARM, GOAL_GROWTH = 1.2, 0.2, 1.0
_START = 1_577_836_800
_DAYS = 1_826
_HOUR = 3_600
_FEWER = 10
"""Growth is measured from a tenth of the pairs."""


def fill(folder: Path, pairs: int) -> None:
    """A lake of so many pairs, one commit each, every pair with a gap of its own."""
    open_times = np.arange(_START, _START + _DAYS * DAY, _HOUR)
    lake = DeltaLakeManager(folder / "lake")
    ingester = BatchDataIngester(lake, {"data_dir": str(folder)})
    for number in range(pairs):
        kept = np.delete(open_times, slice(1_000 + number, 1_010 + number))
        columns = {name: pa.array(40_000 + kept % 977 / 7 + place) for place, name in enumerate(VALUES)}
        candles = pa.table({"timestamp": pa.array(kept * 1_000_000).cast(TIMESTAMP), **columns})
        series = _series(number)
        marks = Watermarks(int(kept[-1]), _START)
        lake.commit(series, enrich(candles, series, "made", is_mock=False), Watermarks(), marks)
        ingester.watermark_store.put(series, marks)


def _series(number: int) -> Series:
    return Series.of(f"C{number:03}USD", "1h", "coinbase")


def measure(options: Options) -> Numbers:
    """Wall seconds of one side over the lake in `folder`."""
    folder = Path(options["folder"])
    if options["loaded"]:
        importlib.import_module("pandas")  # with pyarrow's first array
        importlib.import_module("pyarrow.parquet")
    return _floor(folder) if options["side"] == "floor" else _looks(folder, options["pairs"], options["side"])


def _floor(folder: Path) -> Numbers:
    lake = DeltaLakeManager(folder / "lake")
    began = time.perf_counter()
    snapshot = lake.snapshot(table_name("1h"))
    assert snapshot is not None
    rows = sum(snapshot.read_file(path, ["timestamp"]).num_rows for path in snapshot.all_files().paths)
    return {"seconds": time.perf_counter() - began, "rows": rows}


def _looks(folder: Path, pairs: int, side: str) -> Numbers:
    stores = BatchDataIngester(DeltaLakeManager(folder / "lake"), {"data_dir": str(folder)}).stores
    coverage = Coverage(stores, None if side == "foreign" else stores.range_cache)
    series = [_series(number) for number in range(pairs)]
    began = time.perf_counter()
    found = _cells(coverage, series)
    cold = time.perf_counter() - began
    again = [_timed(coverage, series) for _ in range(5)]
    return {"cold": cold, "warm": sorted(again)[2], "rows": int(found["stored"].sum()), "cells": found["stored"].size}


def _timed(coverage: Coverage, series: list[Series]) -> float:
    began = time.perf_counter()
    _cells(coverage, series)
    return time.perf_counter() - began


def _cells(coverage: Coverage, series: list[Series]) -> dict[str, np.ndarray]:
    edges = _START + np.arange(_DAYS + 1) * DAY
    return by_period(coverage.of(series, _START, int(edges[-1])), edges)


def compare(size: int, repetitions: int) -> Verdict:
    """Cold and warm against the floor, and what ten times the pairs cost."""
    with tempfile.TemporaryDirectory() as name:
        sides: dict[str, Options] = {}
        for pairs in (size // _FEWER, size):
            folder = Path(name) / str(pairs)
            fill(folder, pairs)
            for side in ("floor", "coverage", "foreign"):
                sides[f"{side}, {pairs} pairs"] = {"side": side, "pairs": pairs, "folder": str(folder), "loaded": False}
        for side in ("floor", "coverage", "foreign"):
            sides[f"{side}, loaded"] = {**sides[f"{side}, {size} pairs"], "loaded": True}
        found = sample("tests.benchmarks.coverage", sides, repetitions)
    few, many = f"coverage, {size // _FEWER} pairs", f"coverage, {size} pairs"
    floor = median(found[f"floor, {size} pairs"], "seconds")
    rows = [
        [f"{name}: {what}", f"{median(numbers, what) * 1000:.1f}", spread(numbers, what, 4)]
        for name, numbers in found.items()
        for what in ("seconds", "cold", "warm")
        if what in numbers[0]
    ]
    ratios = [
        Ratio("cold, against the floor", median(found[many], "cold") / floor, GOAL_COLD),
        Ratio("of files of another tool", median(found[f"foreign, {size} pairs"], "cold") / floor, GOAL_COLD),
        Ratio("warm, against the floor", median(found[many], "warm") / floor, GOAL_WARM),
        Ratio("growth of cold, a pair", _growth(found[few], found[many], "cold"), GOAL_GROWTH),
        Ratio("growth of warm, a pair", _growth(found[few], found[many], "warm"), GOAL_GROWTH),
    ]
    whole = size * (_DAYS * 24 - 10)
    faults = [] if median(found[many], "rows") == whole else ["not every stored candle was counted"]
    title = f"Coverage of {size} pairs x {_DAYS} days of 1h: {size * _DAYS:,} cells, {whole:,} candles"
    return Verdict(title, [["side", "ms", "each run, s"], *rows], ratios, faults)


def _growth(few: list[Numbers], many: list[Numbers], what: str) -> float:
    return median(many, what) / median(few, what) / _FEWER


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    run(__doc__, measure, compare, arguments, full=(100, 5), quick=(20, 1))


if __name__ == "__main__":
    main()
