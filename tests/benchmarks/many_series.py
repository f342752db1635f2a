"""What do Overview, Runs and Coverage cost with ten thousand series, against a hundred; and PostgreSQL against a file?

Every series has a month of hourly bars and a row in a run. A page is drawn as for a browser, without one, by a server
that has drawn it once. Processor time of the server, and for PostgreSQL wall time as well: its server works elsewhere.
"""

from __future__ import annotations

import functools
import logging
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import numpy as np
import pyarrow as pa
from streamlit.components.v2 import manifest_scanner
from streamlit.testing.v1 import AppTest
from streamlit.util import calc_hash

from ffe_core import BatchDataIngester, DeltaLakeManager
from ffe_core.candles import TIMESTAMP, VALUES
from ffe_core.ingestion.enrich import enrich
from ffe_core.operations import console as service
from ffe_core.series import Series, Watermarks
from ffe_core.storage.lake.commits import Batch
from ffe_core.storage.state.runs import COMPLETE, NewRun, RunStore
from ffe_core.times import DAY
from tests.benchmarks.harness import ROOT, Numbers, Options, Ratio, Verdict, median, run, sample, spread
from tests.postgresql import running

GOAL_MANY, GOAL_SERVER = 1.5, 1.5
PAGES = ("overview", "runs", "coverage")
_FEWER, _AT_ONCE, _DRAWN = 100, 500, 7
_BARS, _HOUR = 720, 3_600


def fill(folder: Path, count: int, database_url: str = "") -> None:
    """A month of hourly bars of so many series, and a run for every few hundred of them."""
    start = int(time.time()) // DAY * DAY - _BARS * _HOUR
    opens = start + np.arange(_BARS) * _HOUR
    columns = {name: pa.array(40_000 + opens % 977 / 7 + place) for place, name in enumerate(VALUES)}
    candles = pa.table({"timestamp": pa.array(opens * 1_000_000).cast(TIMESTAMP), **columns})
    lake, marks = DeltaLakeManager(folder / "lake"), Watermarks(int(opens[-1]), start)
    ingester = BatchDataIngester(lake, {"data_dir": str(folder), "database_url": database_url})
    runs = RunStore(ingester.stores.database)
    for first in range(0, count, _AT_ONCE):
        some = [Series(f"C{number:05}USD", "1h", "coinbase") for number in range(first, min(first + _AT_ONCE, count))]
        rows = [enrich(candles, one, "made", is_mock=False) for one in some]
        lake.commit_all([Batch(one, own, Watermarks(), marks) for one, own in zip(some, rows, strict=True)])
        ingester.watermark_store.put_all(dict.fromkeys(some, (marks, None)))
        _note_run(runs, some, start)
    ingester.stores.database.close()


def _note_run(runs: RunStore, series: Sequence[Series], start: int) -> None:
    end = start + _BARS * _HOUR
    number = runs.add(NewRun("backfill", "coinbase", "resume", start, end, series, "bench", "console", "1"))
    counts = dict.fromkeys(("records", "received", "expected", "stored"), _BARS)
    ended = {"state": COMPLETE, "started_at": time.time() - 60, "ended_at": time.time()}
    whole = {**counts, **ended, "pages_done": 3, "pages_planned": 3, "unexplained": 0, "dead_lettered": 0}
    runs.update_series(number, dict.fromkeys(range(len(series)), whole))
    runs.update(number, **ended)


def measure(options: Options) -> Numbers:
    """Milliseconds of cpu and wall that each page takes, medians after the first time."""
    os.environ["FFE_DATA_DIR"] = options["folder"]
    if options["database_url"]:
        os.environ["FFE_DATABASE_URL"] = options["database_url"]
    logging.disable(logging.WARNING)
    # A server looks through the installed packages once; each AppTest would do it again.
    manifest_scanner.scan_component_manifests = functools.cache(manifest_scanner.scan_component_manifests)
    numbers: Numbers = {}
    for page in PAGES:
        _draw(page)
        times = [_draw(page) for _ in range(_DRAWN)]
        numbers[f"{page} cpu"], numbers[f"{page} wall"] = map(statistics.median, zip(*times, strict=True))
    service.drain_shared()
    return numbers


def _draw(page: str) -> tuple[float, float]:
    at = AppTest.from_file(str(ROOT / "pages" / "console.py"), default_timeout=300)
    if page != "overview":
        at._page_hash = calc_hash(page)
    wall, cpu = time.perf_counter(), time.process_time()
    at.run()
    assert not at.exception, at.exception
    return (time.process_time() - cpu) * 1000, (time.perf_counter() - wall) * 1000


def compare(size: int, repetitions: int) -> Verdict:
    """Many against few, and the same many with their state in PostgreSQL."""
    with tempfile.TemporaryDirectory() as name, running() as server:
        sides: dict[str, Options] = {}
        for count, url in ((max(1, size // _FEWER), ""), (size, ""), (size, server.database())):
            side = f"{count:,} series{', PostgreSQL' if url else ''}"
            folder = Path(name) / side
            fill(folder, count, url)
            sides[side] = {"folder": str(folder), "database_url": url}
        found = sample("tests.benchmarks.many_series", sides, repetitions)
    few, many, served = found.values()
    rows = [
        [
            side,
            page,
            *(f"{median(numbers, f'{page} {what}'):.0f}" for what in ("cpu", "wall")),
            spread(numbers, f"{page} cpu", 0),
        ]
        for side, numbers in found.items()
        for page in PAGES
    ]
    ratios = [Ratio(f"{page}, many to few, cpu", _over(many, few, f"{page} cpu"), GOAL_MANY) for page in PAGES]
    ratios += [
        Ratio(f"{page}, PostgreSQL to a file, wall", _over(served, many, f"{page} wall"), GOAL_SERVER) for page in PAGES
    ]
    return Verdict(
        f"Pages over {size:,} series", [["side", "page", "cpu ms", "wall ms", "each run, cpu"], *rows], ratios
    )


def _over(one: list[Numbers], other: list[Numbers], name: str) -> float:
    return median(one, name) / median(other, name)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    run(__doc__, measure, compare, arguments, full=(10_000, 3), quick=(400, 1))


if __name__ == "__main__":
    main()
