"""Command line of the suite: runs the chosen kinds of trial and prints one table.

python -m tests.reliability [--quick] [--only KIND ...] [--verb TEXT] [--kills N] [--faults N] [--lasting N] [--seed S]
python -m tests.reliability --soak MINUTES [--schedules N] [--sessions M]
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.reliability import answers, clocks, crowds, damage, disk, faults, fuzz, kills, midway, oversized
from tests.reliability.trials import Trials
from tests.reliability.verbs import Bases
from tests.reliability.verdict import Tally

_QUICK = 20
_COUNTS = {
    "kills": (2_000, "kills at a storage call"),
    "faults": (1_000, "single failures of a storage call"),
    "lasting": (200, "failures of a storage call and all later ones"),
    "signals": (200, "signals at a storage call"),
    "jumps": (100, "clocks that jump at a storage call"),
    "answers": (400, "faults in a provider's answers"),
    "damage": (200, "spoiled files, each with a dozen verbs after it"),
    "disk": (100, "full and read-only disks"),
    "fuzz": (400, "command lines, and half as many mangled answers"),
}
"""How often each kind is tried, unless told otherwise."""


@dataclass(frozen=True)
class Suite:
    """What a kind of trial is given."""

    trials: Trials
    bases: Bases
    tally: Tally
    chosen: argparse.Namespace

    def chance(self, kind: str) -> random.Random:
        """Chance of its own for each kind, so that one can be repeated alone."""
        return random.Random(f"{self.chosen.seed} {kind}")


KINDS: dict[str, Callable[[Suite], None]] = {
    "kills": lambda s: kills.run(s.trials, s.bases, s.tally, s.chosen.kills, s.chance("kills"), s.chosen.verb),
    "faults": lambda s: faults.single(s.trials, s.bases, s.tally, s.chosen.faults, s.chance("faults"), s.chosen.verb),
    "lasting": lambda s: faults.lasting(
        s.trials, s.bases, s.tally, s.chosen.lasting, s.chance("lasting"), s.chosen.verb
    ),
    "signals": lambda s: midway.signals(
        s.trials, s.bases, s.tally, s.chosen.signals, s.chance("signals"), s.chosen.verb
    ),
    "jumps": lambda s: midway.jumps(s.trials, s.bases, s.tally, s.chosen.jumps, s.chance("jumps"), s.chosen.verb),
    "disk": lambda s: disk.run(s.trials, s.bases, s.tally, s.chosen.disk, s.chance("disk")),
    "damage": lambda s: damage.run(s.trials, s.bases, s.tally, s.chosen.damage, s.chance("damage")),
    "answers": lambda s: answers.run(s.trials, s.tally, s.chosen.answers, s.chance("answers")),
    "oversized": lambda s: oversized.run(s.trials, s.tally),
    "clocks": lambda s: clocks.run(s.trials, s.tally),
    "crowds": lambda s: crowds.run(s.trials, s.bases, s.tally, s.chance("crowds")),
    "fuzz": lambda s: fuzz.run(s.trials, s.bases, s.tally, s.chosen.fuzz, s.chance("fuzz")),
}
"""Kinds of trial by the name that `--only` takes."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the chosen kinds; 1 if anything was wrong."""
    chosen = _parsed(arguments)
    say(f"seed {chosen.seed}, Python {platform.python_version()}, {os.cpu_count()} processors, {processor()}")
    tally = Tally(say)
    if chosen.soak:
        from tests.reliability import soak  # it needs what a browser needs

        soak.run(tally, chosen.soak, chosen.schedules, chosen.sessions, say)
    else:
        _run(chosen, tally)
    for text in (tally.table(), *tally.notes, tally.found()):
        say(text)
    return int(bool(tally.faults))


def _run(chosen: argparse.Namespace, tally: Tally) -> None:
    with Trials() as trials:
        suite = Suite(trials, Bases(trials), tally, chosen)
        for name, kind in KINDS.items():
            if name in (chosen.only or KINDS):
                kind(suite)
                say(f"{name}: done, {len(tally.faults)} faults so far")


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
    parser = argparse.ArgumentParser(prog="python -m tests.reliability", description="Let everything fail, and count.")
    parser.add_argument("--only", action="append", choices=sorted(KINDS), metavar="KIND", help=", ".join(KINDS))
    for name, (count, words) in _COUNTS.items():
        parser.add_argument(f"--{name}", type=int, default=count, metavar="N", help=f"{words} (default {count:,})")
    parser.add_argument("--verb", default="", metavar="TEXT", help="kill and fail only verbs whose name contains it")
    parser.add_argument("--seed", type=int, default=random.randrange(2**32), metavar="S")
    parser.add_argument("--quick", action="store_true", help="a twentieth of everything that is counted")
    parser.add_argument("--soak", type=float, metavar="MINUTES", help="let the console run for so long instead")
    parser.add_argument("--schedules", type=int, default=50, metavar="N", help="schedules of the soak (default 50)")
    parser.add_argument("--sessions", type=int, default=20, metavar="M", help="open sessions of the soak (default 20)")
    chosen = parser.parse_args(arguments)
    if chosen.quick:
        for name in _COUNTS:
            setattr(chosen, name, -(-getattr(chosen, name) // _QUICK))
    return chosen


if __name__ == "__main__":
    sys.exit(main())
