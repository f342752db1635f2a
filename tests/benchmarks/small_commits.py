"""What does a one-bar commit cost with its share of upkeep, against release 0.1.0, which had none, at its hundredth?

50 series, a bar a commit in turns: cpu of the lake's commit alone, the median of the 50th to the 150th on a new table,
each build in processes of its own. Then ours on a table aged by thousands of commits with upkeep every hundred, as in
`aged`, and what upkeep took shared out over the commits.
"""

from __future__ import annotations

import importlib
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pyarrow as pa

from tests.benchmarks.harness import TREE, Numbers, Options, Ratio, Verdict, median, run, sample, spread

GOAL = 0.8
_MODULE = "tests.benchmarks.small_commits"
_SERIES, _COMMITS, _STEP = 50, 150, 300
_BEGIN = 1_704_067_200


def measure(options: Options) -> Numbers:
    """Cpu seconds of one commit among the first hundred, in the build that is on the path."""
    lake_of = _first("DeltaLakeManager", "storage.lake.delta_lake_manager", "storage.delta_lake_manager")
    marks_of = _first("Watermarks", "series") or _first("Marks", "series")
    series_of, enrich = _first("Series", "series"), _first("enrich", "ingestion.enrich")
    taken = []
    with tempfile.TemporaryDirectory() as folder:
        lake = lake_of(Path(folder) / "lake")
        for place in range(options["commits"]):
            series = series_of(f"P{place % _SERIES:02d}USD", "5m", "made")
            at = _BEGIN + place // _SERIES * _STEP
            rows = enrich(_candle(at), series, f"{place}", is_mock=False)
            before = marks_of(at - _STEP, _BEGIN) if place >= _SERIES else marks_of()
            began = time.process_time()
            lake.commit(series, rows, before, marks_of(at, _BEGIN))
            taken.append(time.process_time() - began)
    return {"cpu": statistics.median(taken[options["commits"] // 3 :])}


def _first(name: str, *modules: str) -> Any:
    """A name as the first of these modules has it: both builds have it, not always at the same place."""
    for module in modules:
        try:
            return getattr(importlib.import_module(f"ffe_core.{module}"), name)
        except (ImportError, AttributeError):
            continue
    return None


def _candle(at: int) -> pa.Table:
    stamp = pa.array(np.array([at]) * 1_000_000).cast(pa.timestamp("us", tz="UTC"))
    names = ("open", "high", "low", "close", "volume")
    return pa.table({"timestamp": stamp, **{name: pa.array([100.0 + place]) for place, name in enumerate(names)}})


def compare(size: int, repetitions: int) -> Verdict:
    """Both builds in turns, and ours after `size` commits with upkeep."""
    from tests.benchmarks import tick

    with tempfile.TemporaryDirectory() as name:
        options: Options = {"commits": _COMMITS if size >= _COMMITS else size}
        sides: dict[str, Options] = {"0.1.0": {**options, TREE: str(tick.released(Path(name)))}, "now": options}
        found = sample(_MODULE, sides, repetitions)
    aged = sample("tests.benchmarks.aged", {"aged": {"side": "commits", "size": size}}, repetitions)["aged"]
    found["now, aged, with its share of upkeep"] = [{"cpu": one["aged cpu"] + one["upkeep"]} for one in aged]
    before = median(found["0.1.0"], "cpu")
    rows = []
    for side, numbers in found.items():
        made = [{"ms": one["cpu"] * 1000} for one in numbers]
        rows.append([side, f"{median(made, 'ms'):.1f}", spread(made, "ms", 1)])
    ours = [side for side in found if side != "0.1.0"]
    ratios = [Ratio(f"cpu of a commit {side}, to 0.1.0", median(found[side], "cpu") / before, GOAL) for side in ours]
    table = [["build", "cpu, ms", "each run"], *rows]
    return Verdict(f"One-bar commits of {_SERIES} series; aged by {size:,}", table, ratios)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """The command line; ends the process."""
    run(__doc__, measure, compare, arguments, full=(10_000, 5), quick=(1_000, 1))


if __name__ == "__main__":
    main()
