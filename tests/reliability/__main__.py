"""The command line of the suite: which kinds of trial, how many, and one table.

python -m tests.reliability [--quick] [--only KIND ...] [--kills N] [--faults N] [--lasting N] [--seed S] [--verb TEXT]
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import sys
from collections.abc import Callable, Sequence

from tests.reliability import faults, kills
from tests.reliability.trials import Trials
from tests.reliability.verbs import Bases
from tests.reliability.verdict import Tally

Kind = Callable[[Trials, Bases, Tally, argparse.Namespace, random.Random], None]
KINDS: dict[str, Kind] = {
    "kills": lambda trials, bases, tally, chosen, chance: kills.run(
        trials, bases, tally, chosen.kills, chance, chosen.verb
    ),
    "faults": lambda trials, bases, tally, chosen, chance: faults.single(
        trials, bases, tally, chosen.faults, chance, chosen.verb
    ),
    "lasting": lambda trials, bases, tally, chosen, chance: faults.lasting(
        trials, bases, tally, chosen.lasting, chance, chosen.verb
    ),
}
"""Kinds of trial by the name that `--only` takes."""
_QUICK = 20


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the chosen kinds; 1 if anything was wrong."""
    chosen = _parsed(arguments)
    say(f"seed {chosen.seed}, Python {platform.python_version()}, {os.cpu_count()} processors, {processor()}")
    tally = Tally()
    with Trials() as trials:
        bases = Bases(trials)
        for name, kind in KINDS.items():
            if name in (chosen.only or KINDS):
                kind(trials, bases, tally, chosen, random.Random(f"{chosen.seed} {name}"))
                say(tally.table())
    for text in (*tally.notes, tally.found()):
        say(text)
    return int(bool(tally.faults))


def say(text: str) -> None:
    """One line or more on standard output, at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def processor() -> str:
    """The processor's own name, where it can be told."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as told:
            return next(line.partition(":")[2].strip() for line in told if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.machine()


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.reliability", description="What survives failure?")
    parser.add_argument("--only", action="append", choices=sorted(KINDS), metavar="KIND", help=", ".join(KINDS))
    parser.add_argument("--kills", type=int, default=2_000, metavar="N")
    parser.add_argument("--faults", type=int, default=1_000, metavar="N", help="single failures of a storage call")
    parser.add_argument("--lasting", type=int, default=200, metavar="N", help="failures that last")
    parser.add_argument("--verb", default="", metavar="TEXT", help="only verbs whose name contains it")
    parser.add_argument("--seed", type=int, default=random.randrange(2**32), metavar="S")
    parser.add_argument("--quick", action="store_true", help="a twentieth of everything")
    chosen = parser.parse_args(arguments)
    if chosen.quick:
        for name in ("kills", "faults", "lasting"):
            setattr(chosen, name, -(-getattr(chosen, name) // _QUICK))
    return chosen


if __name__ == "__main__":
    sys.exit(main())
