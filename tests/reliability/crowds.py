"""Crowd trials: ten processes at once on one series, with one verb or with different ones."""

from __future__ import annotations

import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from tests.reliability.trials import Trials
from tests.reliability.verbs import Bases, Verb, by_name
from tests.reliability.verdict import Fault, Tally, of_ending, of_state

PROCESSES = 10
_PATIENT = {"FFE_LEASE_WAIT_SECONDS": "240"}
_BOUND = 300.0


@dataclass(frozen=True)
class Crowd:
    """What ten processes do at once, from the directory of the first; they come to what `last` comes to alone."""

    verbs: Sequence[Verb]
    last: Verb

    def __str__(self) -> str:
        return f"{PROCESSES} at once: {', '.join(sorted({verb.name for verb in self.verbs}))}"


def crowds(chance: random.Random) -> list[Crowd]:
    """Every verb that ten may press at once, and mixtures of those that come to the same in any order."""
    alone: tuple[str, ...] = (
        "backfill",
        "backfill on",
        "backfill gaps",
        "backfill refetch",
        "dlq replay",
        "dlq discard",
        "dlq purge",
    )
    alone += ("watermarks forget", "coverage mark", "schedules add", "schedules remove")
    found = [Crowd([by_name(name)] * PROCESSES, by_name(name)) for name in alone]
    backfills = [by_name("backfill on"), by_name("backfill")]
    found.append(Crowd([chance.choice(backfills) for _ in range(PROCESSES)], by_name("backfill on")))
    upkeep = [by_name("storage compact"), by_name("storage vacuum"), by_name("backfill and upkeep")]
    mixed = [chance.choice([*upkeep, by_name("backfill on")]) for _ in range(PROCESSES)]
    found.append(Crowd(mixed, by_name("backfill and upkeep")))
    return found


def run(trials: Trials, bases: Bases, tally: Tally, chance: random.Random) -> None:
    """Each crowd in turn."""
    for crowd in crowds(chance):
        these(trials, bases, tally, [crowd])


def these(trials: Trials, bases: Bases, tally: Tally, chosen: Sequence[Crowd]) -> None:
    """Just these, one after the other; counted by processes."""
    with tally.timed("crowds"):
        for crowd in chosen:
            tally.add("crowds", PROCESSES, one(trials, bases, crowd))


def one(trials: Trials, bases: Bases, crowd: Crowd) -> list[Fault]:
    """Start all at once, wait for all, then run the last verb once more."""
    tried, last = str(crowd), crowd.last
    with trials.place(bases.paths[last.base]) as place, ThreadPoolExecutor(PROCESSES) as pool:
        places = [trials.beside(place) for _ in crowd.verbs]
        outcomes = list(
            pool.map(
                lambda pair: trials.verb(
                    pair[0], *pair[1].arguments(place.data), env={**pair[1].env, **_PATIENT}, bound=_BOUND
                ),
                zip(places, crowd.verbs, strict=True),
            )
        )
        faults = [fault for outcome in outcomes for fault in of_ending(tried, outcome)]
        if last.base == "empty":  # every process of such a crowd has work, and none may have failed
            faults += [Fault("exit", tried, outcome.err[-300:]) for outcome in outcomes if outcome.status != 0]
        again = trials.verb(place, *last.arguments(place.data), env=last.env)
        return faults + of_ending(tried, again) + of_state(tried, trials.state(place), bases.reference(last))
