"""Damage trials: spoil a file of a data directory in every way, then run every verb on it.

No verb crashes or hangs, none stores anything wrong or twice, and what a filling of gaps calls whole is whole.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.reliability.trials import Outcome, Place, Trials, in_threads
from tests.reliability.truth import truth
from tests.reliability.verbs import END, LOOKS, OTHER, PAIR, PROVIDER, START, TIMEFRAME, Bases, by_name
from tests.reliability.verdict import Fault, Tally, of_ending, of_truth

_BASES = ("scheduled", "holey")
_ACTS = ("backfill on", "dlq replay", "dlq purge", "watermarks rewind", "coverage mark", "schedules run")
_FILL: tuple[str, ...] = ("backfill", "--provider", PROVIDER, "--pairs", f"{PAIR},{OTHER}", "--timeframes", TIMEFRAME)
_FILL += ("--start", START, "--end", END, "--mode", "gaps", "--json")


def _cut(path: Path, chance: random.Random) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _garble(path: Path, chance: random.Random) -> None:
    content = bytearray(path.read_bytes())
    for _ in range(max(8, len(content) // 50)):
        if content:
            content[chance.randrange(len(content))] = chance.randrange(256)
    path.write_bytes(bytes(content))


def _fold(path: Path, chance: random.Random) -> None:
    path.unlink()
    path.mkdir()


SPOILERS: dict[str, Callable[[Path, random.Random], Any]] = {
    "cut": _cut,
    "emptied": lambda path, chance: path.write_bytes(b""),
    "zeroed": lambda path, chance: path.write_bytes(b"\0" * path.stat().st_size),
    "garbled": _garble,
    "longer": lambda path, chance: path.write_bytes(path.read_bytes() + b"tail"),
    "gone": lambda path, chance: path.unlink(),
    "a folder": _fold,
}
"""What can happen to a file."""


@dataclass(frozen=True)
class Damage:
    """A data directory, one of its files, and what happens to it."""

    base: str
    file: str
    spoiler: str
    seed: int = 0

    def __str__(self) -> str:
        return f"{self.file} {self.spoiler}"


def run(trials: Trials, bases: Bases, tally: Tally, count: int, chance: random.Random) -> None:
    """So many damages: first to one file of each sort, then to any."""
    these(trials, bases, tally, list(_chosen(bases, count, chance)))


def these(trials: Trials, bases: Bases, tally: Tally, damages: Sequence[Damage]) -> None:
    """Just these, some at once; counted by verbs run."""
    with tally.timed("damage"), ThreadPoolExecutor(in_threads()) as pool:
        for verbs, faults in pool.map(lambda damage: one(trials, bases, damage), damages):
            tally.add("damage", verbs, faults)


def one(trials: Trials, bases: Bases, damage: Damage) -> tuple[int, list[Fault]]:
    """Spoil a file and run every verb in turn; how many there were, and what was wrong."""
    with trials.place(bases.paths[damage.base]) as place:
        SPOILERS[damage.spoiler](place.data / damage.file, random.Random(damage.seed))
        faults: list[Fault] = []
        for look in LOOKS:
            outcome = trials.verb(place, *look)
            faults += of_ending(f"{' '.join(look[:2])}: {damage}", outcome) + _of_document(damage, look, outcome)
        filled = trials.verb(place, *_FILL)
        faults += of_ending(f"backfill gaps: {damage}", filled)
        for name in _ACTS:
            faults += of_ending(f"{name}: {damage}", _act(trials, place, name))
        return len(LOOKS) + len(_ACTS) + 1, faults + _of_lake(trials, place, damage, filled)


def _act(trials: Trials, place: Place, name: str) -> Outcome:
    verb = by_name(name)
    return trials.verb(place, *verb.arguments(place.data), env=verb.env)


def _of_document(damage: Damage, look: Sequence[str], outcome: Outcome) -> list[Fault]:
    """With `--json` standard output is one document whenever the verb says it is right."""
    try:
        json.loads(outcome.out)
    except ValueError:
        if outcome.status == 0:
            return [Fault("exit", f"{' '.join(look[:2])}: {damage}", f"exit 0 without JSON: {outcome.out[-200:]}")]
    return []


def _of_lake(trials: Trials, place: Place, damage: Damage, filled: Outcome) -> list[Fault]:
    """What is stored is right and there once; whole, if the last verb said so."""
    found = trials.state(place)
    tried = f"after all verbs: {damage}"
    said_whole = filled.status == 0 and filled.out.count('"unexplained": 0,') == len((PAIR, OTHER))
    if "unreadable" in found:
        return [Fault("wrong", tried, f"said to be whole, but {found['unreadable'][-400:]}")] if said_whole else []
    faults = _of_twins(tried, found["rows"])
    for pair in (PAIR, OTHER):
        told = truth(pair, TIMEFRAME, START, END)
        wrong = of_truth(tried, found, pair, told.good, [])
        faults += [fault for fault in wrong if fault.kind != "lost" or said_whole]
    # A garbled data file may still be a data file: nothing in it says that its prices were others.
    return [fault for fault in faults if fault.kind != "wrong" or damage.spoiler != "garbled"]


def _of_twins(tried: str, rows: list[list[Any]]) -> list[Fault]:
    """A version that says the same as the one before it is a bar stored twice."""
    newest: dict[str, Any] = {}
    twins = []
    for row in sorted(rows, key=lambda row: row[-1]):
        key = str(row[:4])
        if newest.get(key) == row[4]:
            twins.append(key)
        newest[key] = row[4]
    return [Fault("doubled", tried, f"{len(twins)} bars, such as {twins[0]}")] if twins else []


def _chosen(bases: Bases, count: int, chance: random.Random) -> Iterator[Damage]:
    sorts: list[Damage] = []
    every: list[Damage] = []
    for base in _BASES:
        seen = set()
        for path in sorted(path for path in bases.paths[base].rglob("*") if path.is_file()):
            file = str(path.relative_to(bases.paths[base]))
            damages = [Damage(base, file, spoiler, chance.randrange(2**32)) for spoiler in SPOILERS]
            sort = re.sub(r"[0-9a-f]{8}[-0-9a-f]*|\d+", "N", file)
            (every if sort in seen else sorts).extend(damages)
            seen.add(sort)
    chance.shuffle(every)
    chance.shuffle(sorts)
    yield from [*sorts, *every][:count]
