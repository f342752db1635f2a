"""What does a page of dead letters cost with 10,000 files and 1,000,000 records, against 10 files of the same size?

python -m tests.benchmarks.dead_letter_pages [--quick]

The first page, the page under one filter, and the counts of every group, each as a page asks for them: with the look
whether anything changed in the folder. The index is built before by a process of its own, whose memory is told too.
"""

from __future__ import annotations

import json
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NoReturn

from ffe_core import DeadLetterQueue
from ffe_core.storage.dead_letters.index import DIMENSIONS
from ffe_core.storage.dead_letters.search import Wanted
from tests.benchmarks.harness import Numbers, Options, Ratio, Verdict, median, peak_mb, run, sample, spread

MODULE = "tests.benchmarks.dead_letter_pages"
FEW, RECORDS = 10, 100
_DAYS = 90
PAIRS = ("BTCUSD", "ETHUSD", "EURUSD", "XAUUSD", "SPX500USD")
REASONS = (
    ["high_below_low", "open_outside_range"],
    ["not_a_number:volume"],
    ["price_not_positive:low", "high_below_low"],
)
_ASKED = 40
PENDING = Wanted(status="pending")
PAGES: dict[str, Callable[[DeadLetterQueue], object]] = {
    "first page": lambda queue: queue.find(PENDING, 50),
    "filter: reason": lambda queue: queue.find(Wanted(status="pending", reason="high_below_low"), 50),
    "filter: pair": lambda queue: queue.find(Wanted(status="pending", asset_pair="EURUSD"), 50),
    "filter: run": lambda queue: queue.find(Wanted(status="pending", run="3"), 50),
    **{f"groups: {name}": lambda queue, name=name: queue.groups(name, PENDING) for name in DIMENSIONS},  # type: ignore[misc]
}


def fill(folder: Path, files: int) -> None:
    """So many files of a hundred records, each kept by a run of its own, all over the same ninety days."""
    chance, now = random.Random(1), datetime.now(UTC)
    for number in range(files):
        stamp = (now - timedelta(days=_DAYS * number / files)).isoformat(timespec="microseconds")
        first = datetime(2020, 1, 1, tzinfo=UTC) + timedelta(hours=RECORDS * number)
        content = {
            "timestamp": stamp,
            "error": "validation_failed",
            "context": {
                "asset_pair": PAIRS[number % len(PAIRS)],
                "timeframe": ("1h", "1d", "5m")[number % 3],
                "provider": ("coinbase", "oanda")[number % 2],
                "run_id": str(number),
            },
            "records": [_record(first + timedelta(hours=hour), chance) for hour in range(RECORDS)],
            "reasons": [chance.choice(REASONS) for _ in range(RECORDS)],
        }
        (folder / f"{stamp.replace(':', '-')}_{number}.json").write_text(json.dumps(content, indent=1))


def _record(at: datetime, chance: random.Random) -> dict[str, str]:
    price = chance.uniform(100, 200)
    prices = {"open": price, "high": price - 5, "low": price + 5, "close": price}
    return {"date": at.isoformat(), **{name: f"{value:.2f}" for name, value in prices.items()}, "volume": "1"}


def measure(options: Options) -> Numbers:
    """Build the index, or ask for every page and take the median of each, in milliseconds of cpu."""
    queue = DeadLetterQueue(options["folder"])
    if options["build"]:
        began = time.perf_counter()
        queue.refresh()
        return {"seconds": time.perf_counter() - began, "peak_mb": peak_mb()}
    queue.refresh()
    return {name: _milliseconds(lambda ask=ask: ask(queue)) for name, ask in PAGES.items()}  # type: ignore[misc]


def _milliseconds(ask: Callable[[], object]) -> float:
    taken = []
    for _ in range(_ASKED):
        # Of this process alone: what else the machine does must not decide.
        began = time.process_time()
        ask()
        taken.append(time.process_time() - began)
    return 1000 * statistics.median(taken)


def compare(size: int, repetitions: int) -> Verdict:
    """The same pages over `size` files and over ten."""
    with tempfile.TemporaryDirectory() as folder:
        sides = {}
        for name, files in (("few", FEW), ("many", size)):
            path = Path(folder) / name
            path.mkdir()
            fill(path, files)
            sides[name] = {"folder": str(path), "build": False}
        built = sample(MODULE, {name: {**side, "build": True} for name, side in sides.items()}, 1)
        # A folder that has just been written to is looked through each time.
        time.sleep(3)
        found = sample(MODULE, sides, repetitions)
    table = [["page (cpu ms)", f"{FEW} files", f"{size:,} files"]]
    table += [[name, spread(found["few"], name, 1), spread(found["many"], name, 1)] for name in PAGES]
    few, many = built["few"][0], built["many"][0]
    table += [["building the index (s)", f"{few['seconds']:.1f}", f"{many['seconds']:.1f}"]]
    table += [["memory of building it (MB)", f"{few['peak_mb']:.0f}", f"{many['peak_mb']:.0f}"]]
    ratios = [Ratio(name, median(found["many"], name) / median(found["few"], name), 2.0) for name in PAGES]
    memory = Ratio("memory of building the index", many["peak_mb"] / few["peak_mb"], 1.5)
    title = f"Dead letters: {size:,} files with {size * RECORDS:,} records against {FEW} files"
    return Verdict(title, table, [*ratios, memory])


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    run(__doc__, measure, compare, arguments, full=(10_000, 5), quick=(500, 1))


if __name__ == "__main__":
    main()
