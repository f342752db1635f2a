"""What does it cost to start a command? Processor seconds, against importing pyarrow and deltalake together.

Goals: `--help` at most 0.3 times that import, `watermarks --json` of a lake with six series at most 2 times. `--size`
is the number of pairs in the lake.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from typing import NoReturn

from tests.benchmarks.harness import Numbers, Options, Ratio, Verdict, median, run, sample, spread

HELP_GOAL, WATERMARKS_GOAL = 0.3, 2.0
_SERIES = ["--provider", "simulated", "--timeframes", "1h,1d", "--start", "2024-01-01", "--end", "2024-01-10"]
COMMANDS = {
    "import": ["-c", "import pyarrow, deltalake"],
    "--help": ["-m", "ffe_core", "--help"],
    "watermarks --json": ["-m", "ffe_core", "watermarks", "--json"],
}


def measure(options: Options) -> Numbers:
    """Processor seconds of one process, its start and end included; the files it reads have been read before."""
    command = [sys.executable, *COMMANDS[options["command"]]]
    environment = {**os.environ, "FFE_DATA_DIR": options["folder"]}
    seconds = []
    for _ in range(2):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
    return {"cpu": seconds[1]}


def compare(size: int, repetitions: int) -> Verdict:
    """The commands against the import, over a lake of `size` pairs."""
    with tempfile.TemporaryDirectory() as folder:
        pairs = ",".join(f"{record}BTCUSD" for record in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[:size])
        fill = [sys.executable, "-m", "ffe_core", "backfill", *_SERIES, "--pairs", pairs, "--json"]
        subprocess.run(fill, env={**os.environ, "FFE_DATA_DIR": folder}, capture_output=True, check=True)
        sides = {name: {"command": name, "folder": folder} for name in COMMANDS}
        found = sample("tests.benchmarks.startup", sides, repetitions)
    base = median(found["import"], "cpu")
    rows = [
        [name, f"{median(of, 'cpu'):.3f}", f"{median(of, 'cpu') / base:.2f}", spread(of, "cpu", 3)]
        for name, of in found.items()
    ]
    ratios = [
        Ratio(f"`{name}` against importing pyarrow and deltalake", median(found[name], "cpu") / base, goal)
        for name, goal in (("--help", HELP_GOAL), ("watermarks --json", WATERMARKS_GOAL))
    ]
    return Verdict("Processor seconds of a start", [["process", "cpu s", "ratio", "each run"], *rows], ratios)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """The command line; ends the process."""
    run(__doc__, measure, compare, arguments, full=(3, 7), quick=(1, 1))


if __name__ == "__main__":
    main()
