"""How much cpu does a candle cost, from dict with text prices to commit, against the same dicts to one parquet file?

The floor is what anybody pays who keeps the candles at all: typed Arrow columns (time from text, floats from text)
and one parquet file with the lake's compression. Ours is the whole pipeline: pages taken in order, every validation
rule, comparison with the lake, dead letter check, guarded commit, watermark, and the completeness count at the end.
The dicts are made before the clock starts, and the thousand candles before them go into the same lake first: what a
library imports at first use, and the tables of a new state, are nobody's cost. Cpu seconds are user and system time
of all threads.
"""

from __future__ import annotations

import asyncio
import resource
import tempfile
from collections.abc import Sequence
from typing import NoReturn

import pyarrow as pa
import pyarrow.parquet as pq

from ffe_core.providers.base import Record
from ffe_core.storage.lake.data_files import LEVEL
from ffe_core.timeframes import seconds
from tests.benchmarks.candles import START, TIMEFRAME, MadeProvider, ingest
from tests.benchmarks.harness import Numbers, Options, Ratio, Verdict, median, run, sample, spread

GOALS = {300: 1.25, 5000: 1.15}
"""By the size of a page."""
_WARM_UP = 1_000
_FIELDS = ("open", "high", "low", "close", "volume")


def measure(options: Options) -> Numbers:
    """Cpu seconds of one side for `candles` candles that come in pages of `page_size`."""
    step = seconds(TIMEFRAME)
    with tempfile.TemporaryDirectory() as folder:
        _cpu_of(options, START - _WARM_UP * step, START, folder)
        return {"cpu": _cpu_of(options, START, START + options["candles"] * step, folder)}


def _cpu_of(options: Options, start: int, end: int, folder: str) -> float:
    """Cpu seconds for the candles of [start, end)."""
    provider = MadeProvider(folder, options["page_size"])
    made = provider.prepare(start, end)
    before = _cpu_seconds()
    if options["side"] == "floor":
        _floor(made, folder)
    else:
        asyncio.run(ingest(provider, end, folder, start))
    return _cpu_seconds() - before


def _floor(records: list[Record], folder: str) -> None:
    dates = pa.array([record["date"] for record in records])
    columns = {"timestamp": dates.cast(pa.timestamp("us", tz="UTC"))}
    for name in _FIELDS:
        columns[name] = pa.array([record[name] for record in records]).cast(pa.float64())
    table = pa.table(columns)
    pq.write_table(table, f"{folder}/candles.parquet", compression="zstd", compression_level=LEVEL)


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def compare(size: int, repetitions: int) -> Verdict:
    """The pipeline, with small pages and with large ones, against the floor."""
    sides = {"floor": {"side": "floor", "candles": size, "page_size": 300}}
    for page_size in GOALS:
        sides[f"pages of {page_size}"] = {"side": "pipeline", "candles": size, "page_size": page_size}
    found = sample("tests.benchmarks.ingest_cpu", sides, repetitions)
    floor = median(found["floor"], "cpu")
    rows = [
        [name, f"{(cpu := median(numbers, 'cpu')) * 1e6 / size:.2f}", f"{cpu / floor:.2f}", spread(numbers, "cpu", 2)]
        for name, numbers in found.items()
    ]
    ratios = [Ratio(f"pages of {n}", median(found[f"pages of {n}"], "cpu") / floor, GOALS[n]) for n in GOALS]
    head = ["side", "cpu s a million", "x floor", "each run"]
    return Verdict(f"From dicts with text prices to commit, {size:,} candles", [head, *rows], ratios)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """The command line; ends the process."""
    run(__doc__, measure, compare, arguments, full=(1_000_000, 5), quick=(300_000, 1))


if __name__ == "__main__":
    main()
