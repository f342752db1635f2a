"""What does `load_candles` cost against polars reading a plain parquet file of just those rows?

The table holds 100 pairs of hourly bars, no two alike, in commits of 50,000 as a backfill leaves them, then compacted.
One year of one pair, and of all of them in one call, is read as Arrow, polars and pandas; the plain file holds the same
rows and columns as polars writes it; "a file a pair" is the same in as many files. All sides are read in turns in one
process, each twice, and the second is counted: what ran before it leaves caches that favour none. cpu seconds, medians,
and wall beside them.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pyarrow as pa

from ffe_core import load_candles
from ffe_core.candles import PRICES, TIMESTAMP
from ffe_core.ingestion.enrich import enrich
from ffe_core.series import Series, Watermarks
from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager
from ffe_core.storage.lake.snapshot import MICROS
from ffe_core.storage.lake.upkeep.compaction import compact
from ffe_core.storage.lake.upkeep.plan import plan_of
from tests.benchmarks.harness import Numbers, Options, Ratio, Verdict, median, run, sample, spread

GOALS = {"one": 1.2, "many": 1.5}
_MODULE = "tests.benchmarks.read"
_PAIRS, _STEP, _COMMIT_BARS = 100, 3600, 50_000
_START = 946_684_800
"""2000-01-01."""
_YEAR_BARS = 8760
_FRAMES = ("arrow", "polars", "pandas")
_FILES = "a file a pair"
_TURNS = {"one": 60, "many": 15}


def measure(options: Options) -> Numbers:
    """Medians of cpu and wall seconds of each side, by `SIDE cpu` and `SIDE wall`, and how many rows came of it."""
    import polars as pl

    folder, which = Path(options["folder"]), options["which"]
    pairs = "P00USD" if which == "one" else [_name(number) for number in range(options["pairs"])]
    year = ("2001-01-01", "2001-12-31")

    def loaded(as_: str) -> Callable[[], Any]:
        return lambda: load_candles(pairs, "1h", *year, provider="made", as_=as_, lake=folder / "lake")

    plain = folder / f"plain-{which}.parquet"
    bars: Any = pl.from_arrow(loaded("arrow")()).with_columns(pl.col("asset_pair").cast(pl.String))  # type: ignore[union-attr]
    bars.write_parquet(plain)
    files = [folder / f"plain-{which}-{place}.parquet" for place, _ in enumerate([pairs] if which == "one" else pairs)]
    for file, part in zip(files, bars.partition_by("asset_pair", maintain_order=True), strict=True):
        part.write_parquet(file)
    sides: dict[str, Callable[[], Any]] = {"plain": lambda: pl.read_parquet(plain)}
    sides[_FILES] = lambda: pl.read_parquet(files)
    sides |= {as_: loaded(as_) for as_ in _FRAMES}
    found = _in_turns(sides, _TURNS[which])
    return {**found, "rows": len(sides["plain"]()), "same": float(sides["plain"]().height == len(sides["pandas"]()))}


def _in_turns(sides: dict[str, Callable[[], Any]], turns: int) -> Numbers:
    taken: dict[str, list[float]] = {f"{side} {clock}": [] for side in sides for clock in ("cpu", "wall")}
    for _ in range(turns):
        for side, read in sides.items():
            read()
            cpu, wall = time.process_time(), time.perf_counter()
            read()
            taken[f"{side} cpu"].append(time.process_time() - cpu)
            taken[f"{side} wall"].append(time.perf_counter() - wall)
    return {name: statistics.median(seconds) for name, seconds in taken.items()}


def _name(number: int) -> str:
    return f"P{number:02d}USD"


def _candles(pair: int, first: int, last: int) -> pa.Table:
    """Bars number `first` to `last` of a pair: a walk of its own, prices of two decimals, volumes of four."""
    random = np.random.default_rng((pair, first))
    count = last - first
    open_times = _START + np.arange(first, last) * _STEP
    opens = np.round(100 * (1 + pair) * np.exp(np.cumsum(random.normal(0, 0.004, count))), 2)
    closes = np.round(opens * np.exp(random.normal(0, 0.003, count)), 2)
    highs = np.maximum(np.round(np.maximum(opens, closes) * 1.001, 2), np.maximum(opens, closes))
    lows = np.minimum(np.round(np.minimum(opens, closes) * 0.999, 2), np.minimum(opens, closes))
    columns = dict(zip(PRICES, (opens, highs, lows, closes), strict=True))
    volumes = np.round(random.lognormal(3, 1, count), 4)
    return pa.table({"timestamp": pa.array(open_times * MICROS).cast(TIMESTAMP), **columns, "volume": volumes})


def _build(folder: Path, pairs: int, bars: int) -> None:
    lake = DeltaLakeManager(folder / "lake")
    for number in range(pairs):
        series = Series(_name(number), "1h", "made")
        for first in range(0, bars, _COMMIT_BARS):
            last = min(first + _COMMIT_BARS, bars)
            rows = enrich(_candles(number, first, last), series, f"{number}-{first}", is_mock=False)
            before = Watermarks(_START + (first - 1) * _STEP, _START) if first else Watermarks()
            lake.commit(series, rows, before, Watermarks(_START + (last - 1) * _STEP, _START))


def compare(size: int, repetitions: int) -> Verdict:
    """Both questions before and after compaction."""
    pairs = _PAIRS if size >= _PAIRS * 3 * _YEAR_BARS else max(8, size // (3 * _YEAR_BARS))
    bars = max(size // pairs, 3 * _YEAR_BARS)
    found: dict[tuple[str, str], list[Numbers]] = {}
    with tempfile.TemporaryDirectory() as name:
        _build(Path(name), pairs, bars)
        for state in ("as written", "compacted"):
            if state == "compacted":
                snapshot = DeltaLakeManager(Path(name) / "lake").snapshot("raw_market_data_1h")
                assert snapshot is not None
                compact(snapshot.uri, None, plan_of(snapshot, "raw_market_data_1h").merges)
            sides = {which: {"folder": name, "which": which, "pairs": pairs} for which in GOALS}
            for which, numbers in sample(_MODULE, sides, repetitions).items():
                found[which, state] = numbers
    rows = [_row(*key, side, numbers) for key, numbers in found.items() for side in ("plain", _FILES, *_FRAMES)]
    ratios = [
        Ratio(f"{which}, {state}, polars: cpu", _times(numbers, "polars", "cpu"), GOALS[which])
        for (which, state), numbers in found.items()
    ]
    wanted = {"one": _YEAR_BARS, "many": _YEAR_BARS * pairs}
    faults = [
        f"{which}, {state}: other rows than were stored"
        for (which, state), numbers in found.items()
        if median(numbers, "rows") != wanted[which] or median(numbers, "same") != 1
    ]
    head = ["pairs", "lake", "side", "cpu ms", "x plain", "wall ms", "x plain", "each run, cpu ms"]
    title = f"A year of 1h bars out of {bars * pairs:,} of {pairs} pairs, of one pair and of all of them"
    return Verdict(title, [head, *rows], ratios, faults)


def _times(numbers: Sequence[Numbers], side: str, clock: str) -> float:
    """The median of what each run came to."""
    return statistics.median(one[f"{side} {clock}"] / one[f"plain {clock}"] for one in numbers)


def _row(which: str, state: str, side: str, numbers: list[Numbers]) -> list[str]:
    cells = [which, state, side]
    for clock in ("cpu", "wall"):
        cells += [f"{median(numbers, f'{side} {clock}') * 1000:.2f}", f"{_times(numbers, side, clock):.2f}"]
    return [*cells, spread([{"ms": one[f"{side} cpu"] * 1000} for one in numbers], "ms", 2)]


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """The command line; ends the process."""
    run(__doc__, measure, compare, arguments, full=(20_000_000, 5), quick=(1_000_000, 1))


if __name__ == "__main__":
    main()
