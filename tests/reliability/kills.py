"""Kill trials: kill a verb at any storage call, run it again, and compare with one that was left alone."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.reliability import shim, state
from tests.reliability.shim import Call
from tests.reliability.trials import Trials, in_threads
from tests.reliability.verbs import VERBS, Bases, Verb
from tests.reliability.verdict import Fault, Tally, of_ending, of_state

_NAMES = {shim.KILL: "killed before", shim.KILL_AFTER: "killed in or after"}


@dataclass(frozen=True)
class Kill:
    """A verb and the call at which it is killed."""

    verb: Verb
    call: Call
    action: int


def run(trials: Trials, bases: Bases, tally: Tally, count: int, chance: random.Random, only: str = "") -> None:
    """So many kills over all verbs."""
    these(trials, bases, tally, list(_chosen(bases, count, chance, only)))


def these(trials: Trials, bases: Bases, tally: Tally, kills: Sequence[Kill]) -> None:
    """Just these kills, some at once."""
    with tally.timed("kills"), ThreadPoolExecutor(in_threads()) as pool:
        for faults in pool.map(lambda kill: one(trials, bases, kill), kills):
            tally.add("kills", 1, faults)


def one(trials: Trials, bases: Bases, kill: Kill) -> list[Fault]:
    """Kill once, run again, and compare."""
    verb = kill.verb
    with trials.place(bases.paths[verb.base]) as place:
        arguments = verb.arguments(place.data)
        arm = place.arm(kill.call.number, kill.action)
        killed = trials.verb(place, *arguments, env=verb.env, arm=arm)
        tried = f"{verb.name}: {_NAMES[kill.action]} {place.met(kill.call.number)}"
        faults = of_ending(tried, killed, may_be_killed=True)
        age(place.data)
        again = trials.verb(place, *arguments, env=verb.env)
        faults += of_ending(f"{tried}, and again", again)
        return faults + of_state(tried, trials.state(place), bases.reference(verb))


def age(data: Path) -> None:
    """Make temporary files of delta-rs look an hour old: a younger one may be a living writer's, and is left to it."""
    for path in data.rglob("*"):
        if state.is_litter(path) and path.suffix != ".tmp":
            os.utime(path, (0, 0))


def _chosen(bases: Bases, count: int, chance: random.Random, only: str) -> Iterator[Kill]:
    """Spread over the calls of every verb, before them and in or after them."""
    for verb, calls, share in shared_out(bases, count, only):
        every = [Kill(verb, call, action) for call in calls for action in _NAMES]
        yield from chance.sample(every * -(-share // len(every)), share)


def shared_out(bases: Bases, count: int, only: str = "") -> Iterator[tuple[Verb, list[Call], int]]:
    """Each verb with its storage calls and its share of so many trials."""
    verbs = [verb for verb in VERBS if only in verb.name]
    for number, verb in enumerate(verbs):
        share = (number + 1) * count // len(verbs) - number * count // len(verbs)
        if share:
            yield verb, bases.calls(verb), share
