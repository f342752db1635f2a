"""What does a schedule's tick cost? 50 series, one new bar each, cpu of the whole process, against release 0.1.0.

Each build runs in fresh processes of its own, in turns, the old one out of this repository's history. A process fills
the series with 20 bars in one run, then makes the runs of one tick after the other, as the scheduler does, on a lake
and a data directory of its own. The provider is the simulated one, so no time goes into HTTP. The median of the ticks
after the first two counts; the old build makes 50 commits a tick, so its table has 150 to 650 of them then.
"""

from __future__ import annotations

import io
import shutil
import statistics
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from tests.benchmarks.harness import ROOT, TREE, Numbers, Options, Ratio, Verdict, median, run, sample, spread

GOAL = 0.15
BEFORE = "93a23c78c4891d5b8648cd9bcc511fb6a2747749"
_BEGIN, _STEP, _FILLED = 1_704_067_200, 300, 20
_WARM = 2
_COINS = "BTC ETH LTC BCH XRP SOL ADA DOGE DOT AVAX LINK UNI XLM ATOM ALGO AAVE NEAR".split()
_QUOTES = ("USD", "EUR", "USDT")


def measure(options: Options) -> Numbers:
    """Cpu and wall seconds of the median tick of one build, and what it stored."""
    console, request_of = build()
    count, ticks = options["series"], options["ticks"]
    pairs = [coin + quote for quote in _QUOTES for coin in _COINS][:count]
    with tempfile.TemporaryDirectory() as folder:
        config = {"data_dir": folder, "lake_uri": f"{folder}/lake", "simulated": {"broken_records": 0}}
        service = console(config)
        series = _series(pairs)
        taken: list[tuple[float, float]] = []
        for number in range(1 + _WARM + ticks):
            end = _BEGIN + (_FILLED + number) * _STEP
            began = time.process_time(), time.perf_counter()
            run_id = service.run_service.start(request_of("simulated", series, _BEGIN, end), "benchmark")
            service.run_service.wait(run_id)
            taken.append((time.process_time() - began[0], time.perf_counter() - began[1]))
        rows = len(service.lake.read_table("raw_market_data_5m"))
        commits = int(service.lake.get_table_history("raw_market_data_5m")["version"].max())
        service.drain()
    counted = taken[1 + _WARM :]
    return {
        "cpu": statistics.median(cpu for cpu, _ in counted),
        "wall": statistics.median(wall for _, wall in counted),
        "missing": count * (_FILLED + _WARM + ticks) - rows,
        "commits": commits,
    }


def build() -> tuple[Any, Any]:
    """Console service and request of the build at hand, by the names that either release gives them."""
    try:
        from ffe_core.operations.console import ConsoleService
        from ffe_core.operations.runs.backfill import BackfillRequest
    except ImportError:
        from ffe_core.operations.run_service import BackfillRequest  # type: ignore[import-not-found, no-redef]
        from ffe_core.operations.service import ConsoleService  # type: ignore[import-not-found, no-redef]
    return ConsoleService, BackfillRequest


def _series(pairs: Sequence[str]) -> tuple[Any, ...]:
    from ffe_core.series import Series

    return tuple(Series.of(pair, "5m", "simulated") for pair in pairs)


def compare(size: int, repetitions: int) -> Verdict:
    """A tick of `size` series in both builds."""
    ticks = 10 if repetitions > 1 else 2
    with tempfile.TemporaryDirectory() as name:
        options: Options = {"series": size, "ticks": ticks}
        sides: dict[str, Options] = {"0.1.0": {**options, TREE: str(released(Path(name)))}, "now": options}
        found = sample("tests.benchmarks.tick", sides, repetitions)
    table = [["build", "cpu, ms", "each process", "wall, ms", "commits"]]
    for side, numbers in found.items():
        cpu = [{"ms": one["cpu"] * 1000} for one in numbers]
        wall = [{"ms": one["wall"] * 1000} for one in numbers]
        row = [side, f"{median(cpu, 'ms'):.0f}", spread(cpu, "ms", 0), f"{median(wall, 'ms'):.0f}"]
        table.append([*row, spread(numbers[:1], "commits", 0)])
    ratio = median(found["now"], "cpu") / median(found["0.1.0"], "cpu")
    faults = [f"{side}: {one['missing']:.0f} bars missing" for side in found for one in found[side] if one["missing"]]
    title = f"A tick of {size} series with a bar each, median of {ticks} ticks a process"
    return Verdict(title, table, [Ratio("cpu of a tick, to release 0.1.0", ratio, GOAL)], faults)


def has_history() -> bool:
    """Whether this is a checkout that release 0.1.0 can be taken out of."""
    if shutil.which("git") is None:
        return False
    looked = subprocess.run(
        ["git", "cat-file", "-e", f"{BEFORE}^{{commit}}"], cwd=ROOT, capture_output=True, check=False
    )
    return looked.returncode == 0


def released(folder: Path, *what: str) -> Path:
    """The package, or `what` else is named, as release 0.1.0 had it, out of the history."""
    wanted = what or ("ffe_core",)
    done = subprocess.run(["git", "archive", BEFORE, *wanted], cwd=ROOT, capture_output=True, check=False)
    if done.returncode:
        raise SystemExit(f"commit {BEFORE} is not in this checkout; fetch the whole history: git fetch --unshallow")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as packed:
        packed.extractall(folder, filter="data")
    return folder


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """The command line; ends the process."""
    run(__doc__, measure, compare, arguments, full=(50, 5), quick=(10, 1))


if __name__ == "__main__":
    main()
