"""Does memory grow with the range? Peak memory of five times as many candles, against once as many.

Pages are made when they are asked for and kept by nobody but the pipeline, so what grows is the pipeline's. The peak is
that of the whole process, interpreter and libraries included; what it held before the run is shown beside it.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from typing import NoReturn

from ffe_core.timeframes import seconds
from tests.benchmarks.candles import START, TIMEFRAME, MadeProvider, ingest
from tests.benchmarks.harness import Numbers, Options, Ratio, Verdict, median, peak_mb, run, sample, spread

GOAL = 1.3
_TIMES = 5
_PAGE_SIZES = (300, 5000)


def measure(options: Options) -> Numbers:
    """Peak memory in MB for `candles` candles that come in pages of `page_size`."""
    end = START + options["candles"] * seconds(TIMEFRAME)
    with tempfile.TemporaryDirectory() as folder:
        provider = MadeProvider(folder, options["page_size"])
        before = peak_mb()
        asyncio.run(ingest(provider, end, folder))
        return {"before": before, "peak": peak_mb()}


def compare(size: int, repetitions: int) -> Verdict:
    """One range and one five times as long, in small pages and in large ones."""
    sides = {
        _name(candles, page_size): {"candles": candles, "page_size": page_size}
        for page_size in _PAGE_SIZES
        for candles in (size, size * _TIMES)
    }
    found = sample("tests.benchmarks.ingest_memory", sides, repetitions)
    rows = [
        [name, f"{median(numbers, 'before'):.0f}", f"{median(numbers, 'peak'):.0f}", spread(numbers, "peak", 0)]
        for name, numbers in found.items()
    ]
    ratios = [
        Ratio(
            f"pages of {page_size}",
            median(found[_name(size * _TIMES, page_size)], "peak") / median(found[_name(size, page_size)], "peak"),
            GOAL,
        )
        for page_size in _PAGE_SIZES
    ]
    head = ["side", "MB before", "MB peak", "each run"]
    return Verdict(f"Peak memory of {size * _TIMES:,} candles against {size:,}", [head, *rows], ratios)


def _name(candles: int, page_size: int) -> str:
    return f"{candles:,} in pages of {page_size}"


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """The command line; ends the process."""
    run(__doc__, measure, compare, arguments, full=(1_000_000, 3), quick=(300_000, 1))


if __name__ == "__main__":
    main()
