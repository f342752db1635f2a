"""Runs a benchmark: each side in a fresh process, sides in turns, medians, one table with ratios and goals.

A benchmark module calls `run` with what to do in the measured process (`measure`: options in, numbers out) and what
to do in the one that compares (`compare`: `--quick` or not in, a `Verdict` out). `sample` starts the measured ones. A
module with `parts` is told which of them to measure as well: those named after `--only`, or all.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import statistics
import subprocess
import sys
from argparse import ArgumentParser
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

Numbers = dict[str, float]
Options = Mapping[str, Any]
ROOT = Path(__file__).parents[2]
_OWN_STATUS = Path("/proc/self/status")
TREE = "tree"
"""The option that names the folder of another build's `ffe_core`, to be measured instead of this one's."""
PYTHON = "python"
"""The option that names another interpreter to measure with."""


@dataclass(frozen=True)
class Ratio:
    """One measured ratio and its goal: at most it, or at least it where `at_least`."""

    what: str
    value: float
    goal: float
    at_least: bool = False

    @property
    def is_met(self) -> bool:
        """Whether the goal is reached."""
        return self.value >= self.goal if self.at_least else self.value <= self.goal

    def __str__(self) -> str:
        sign, verdict = ">=" if self.at_least else "<=", "met" if self.is_met else "MISSED"
        return f"ratio {self.value:.3f}   goal {sign} {self.goal:g}   {verdict}   {self.what}"


@dataclass(frozen=True)
class Verdict:
    """What a benchmark found: a table (its first row the heads), the ratios, and what else broke a rule."""

    title: str
    table: Sequence[Sequence[str]]
    ratios: Sequence[Ratio]
    faults: Sequence[str] = ()

    @property
    def is_good(self) -> bool:
        """Whether every goal is met and no rule broken."""
        return all(ratio.is_met for ratio in self.ratios) and not self.faults


def sample(module: str, sides: Mapping[str, Options], repetitions: int) -> dict[str, list[Numbers]]:
    """The numbers of every side, `repetitions` times, sides in turns, so that a slow minute slows all of them."""
    found: dict[str, list[Numbers]] = {name: [] for name in sides}
    for _ in range(repetitions):
        for name, options in sides.items():
            found[name].append(_in_fresh_process(module, options))
    return found


def median(samples: Sequence[Numbers], name: str) -> float:
    """The median of one number over the repetitions."""
    return statistics.median(numbers[name] for numbers in samples)


def spread(samples: Sequence[Numbers], name: str, digits: int) -> str:
    """Every repetition of one number as text, so that nobody takes a median of noise for a fact."""
    return " ".join(f"{numbers[name]:.{digits}f}" for numbers in samples)


def run(
    doc: str | None,
    measure: Callable[[Options], Numbers],
    compare: Callable[..., Verdict],
    arguments: Sequence[str] | None,
    *,
    full: tuple[int, int],
    quick: tuple[int, int],
    parts: Sequence[str] = (),
) -> NoReturn:
    """The command line of a benchmark module; `full` and `quick` are a size and how often, `parts` what it can measure
    by itself. Ends the process."""
    parser = ArgumentParser(description=(doc or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help=f"size {quick[0]:,}, once: a first look, no verdict")
    parser.add_argument("--size", type=int, help=f"how much to measure with (default {full[0]:,})")
    parser.add_argument("--repetitions", type=int, help=f"how often each side runs (default {full[1]})")
    if parts:
        parser.add_argument("--only", metavar="PART", nargs="+", choices=parts, help=f"of {', '.join(parts)}")
    parser.add_argument("--measure", metavar="OPTIONS", help="run one side in this process; JSON in, JSON out")
    chosen = parser.parse_args(arguments)
    if chosen.measure:
        print(json.dumps(measure(json.loads(chosen.measure))))
        sys.exit(0)
    size, repetitions = quick if chosen.quick else full
    asked = [[part for part in parts if part in (chosen.only or parts)]] if parts else []
    verdict = compare(chosen.size or size, chosen.repetitions or repetitions, *asked)
    _show(verdict)
    sys.exit(0 if verdict.is_good else 1)


def processor() -> str:
    """The name of the processor, without which a figure says little; the architecture where the system has no name."""
    try:
        described = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        described = ""
    names = [line.partition(":")[2].strip() for line in described.splitlines() if line.startswith("model name")]
    return f"{names[0]} ({platform.machine()})" if names else platform.processor() or platform.machine()


def peak_mb() -> float:
    """The largest resident size so far. What getrusage says on Linux includes the process that started this one."""
    if _OWN_STATUS.exists():
        lines = dict(line.split(":", 1) for line in _OWN_STATUS.read_text(encoding="utf-8").splitlines())
        return int(lines["VmHWM"].split()[0]) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 * 1024 if sys.platform == "darwin" else 1024)


def _in_fresh_process(module: str, options: Options) -> Numbers:
    command = [options.get(PYTHON, sys.executable), "-P", "-m", module, "--measure", json.dumps(dict(options))]
    trees = [options[TREE], str(ROOT)] if TREE in options else [str(ROOT)]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(trees)}
    done = subprocess.run(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{module} {dict(options)} ended with {done.returncode}; its own words are above")
    numbers: Numbers = json.loads(done.stdout.splitlines()[-1])
    return numbers


def _show(verdict: Verdict) -> None:
    print(verdict.title)
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, processor: {processor()}")
    widths = [max(map(len, column)) for column in zip(*verdict.table, strict=True)]
    for first, *rest in verdict.table:
        cells = [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True))]
        print("  ".join(cells))
    for line in (*verdict.ratios, *(f"fault: {fault}" for fault in verdict.faults)):
        print(line)
