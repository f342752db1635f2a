"""Midway trials: at a storage call of a verb comes a signal, or the wall clock jumps.

A signal lets the verb end in order, with what it has fetched committed; run again, it comes to the same as undisturbed.
A clock that jumps changes nothing at all.
"""

from __future__ import annotations

import random
import signal
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from tests.reliability import shim
from tests.reliability.kills import shared_out
from tests.reliability.shim import Call
from tests.reliability.trials import Trials, in_threads
from tests.reliability.verbs import Bases, Verb
from tests.reliability.verdict import EXITS, Fault, Tally, of_ending, of_state

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_DAY = 86_400
JUMPS = (-400 * _DAY, -10 * _DAY, -3_600, -60, 60, 3_600, 10 * _DAY, 400 * _DAY)
"""Seconds; after the longest jump back the range that is asked for still lies in the past."""


@dataclass(frozen=True)
class Event:
    """What comes at a call of a verb: a signal by its number, or a jump by its seconds."""

    verb: Verb
    call: Call
    action: int
    value: int


def signals(trials: Trials, bases: Bases, tally: Tally, count: int, chance: random.Random, only: str = "") -> None:
    """So many signals over all verbs."""
    these("signals", trials, bases, tally, _chosen(bases, count, chance, only, shim.SIGNAL, SIGNALS))


def jumps(trials: Trials, bases: Bases, tally: Tally, count: int, chance: random.Random, only: str = "") -> None:
    """So many jumps over all verbs."""
    these("clock jumps", trials, bases, tally, _chosen(bases, count, chance, only, shim.JUMP, JUMPS))


def these(kind: str, trials: Trials, bases: Bases, tally: Tally, events: Sequence[Event]) -> None:
    """Just these events, some trials at once."""
    with tally.timed(kind), ThreadPoolExecutor(in_threads()) as pool:
        for faults in pool.map(lambda event: one(trials, bases, event), events):
            tally.add(kind, 1, faults)


def one(trials: Trials, bases: Bases, event: Event) -> list[Fault]:
    """Let it come, run the verb again if a signal ended it, and compare."""
    verb, is_signal = event.verb, event.action == shim.SIGNAL
    with trials.place(bases.paths[verb.base]) as place:
        arguments = verb.arguments(place.data)
        arm = place.arm(event.call.number, event.action, event.value)
        outcome = trials.verb(place, *arguments, env=verb.env, arm=arm)
        what = signal.Signals(event.value).name if is_signal else f"a jump by {event.value} s"
        tried = f"{verb.name}: {what} at {place.met(event.call.number)}"
        ended_by = 128 + event.value
        faults = of_ending(tried, outcome, exits=(0, ended_by) if is_signal else (0,))
        if outcome.status == ended_by and is_signal:
            again = trials.verb(place, *arguments, env=verb.env)
            # An act that a signal met too late is done already, and is refused the second time in words.
            faults += of_ending(f"{tried}, and again", again, exits=EXITS)
        return faults + of_state(tried, trials.state(place), bases.reference(verb))


def _chosen(
    bases: Bases, count: int, chance: random.Random, only: str, action: int, values: Sequence[int]
) -> list[Event]:
    found: list[Event] = []
    for verb, calls, share in shared_out(bases, count, only):
        every = [Event(verb, call, action, int(value)) for call in calls for value in values]
        found += chance.sample(every * -(-share // len(every)), share)
    return found
