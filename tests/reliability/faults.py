"""Fault trials: let a storage call of a verb fail, once or from then on.

A verb that says it succeeded must have; one that failed says so, in time and without a traceback, and comes to the same
when it is run again on a disk that works.
"""

from __future__ import annotations

import errno
import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from tests.reliability import shim
from tests.reliability.kills import age, shared_out
from tests.reliability.shim import Call
from tests.reliability.trials import Place, Trials, in_threads
from tests.reliability.verbs import NEXT, Bases, Verb
from tests.reliability.verdict import Fault, Tally, of_ending, of_state

_ERRORS = {
    "open": (errno.EACCES, errno.EROFS, errno.ENOSPC, errno.EIO),
    "write": (errno.ENOSPC, errno.EIO),
    "fsync": (errno.EIO, errno.ENOSPC),
    "ftruncate": (errno.EIO,),
    "mkdir": (errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EIO),
    "link": (errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EIO),
}
_OTHERWISE = (errno.EACCES, errno.EROFS, errno.EIO)
"""Which errors each call can really meet."""
LASTING = (errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EIO)
PARTS = ("", "lake", "console.db", "dlq", "watermarks", "locks")
"""What a lasting error is confined to: all, or one part of the data directory."""


@dataclass(frozen=True)
class Failure:
    """A verb, the call that fails, how, and with what; `under` confines one that lasts."""

    verb: Verb
    call: Call
    action: int
    code: int
    under: str = ""


_HOW = {shim.FAIL: "fails", shim.TORN: "is torn", shim.SHORT: "is short", shim.FAIL_FROM: "and all later fail"}


def single(trials: Trials, bases: Bases, tally: Tally, count: int, chance: random.Random, only: str = "") -> None:
    """So many single failures over all verbs."""
    these("single faults", trials, bases, tally, list(_singles(bases, count, chance, only)))


def lasting(trials: Trials, bases: Bases, tally: Tally, count: int, chance: random.Random, only: str = "") -> None:
    """So many lasting failures over all verbs."""
    these("lasting faults", trials, bases, tally, list(_lastings(bases, count, chance, only)))


def these(kind: str, trials: Trials, bases: Bases, tally: Tally, failures: Sequence[Failure]) -> None:
    """Just these failures, some at once."""
    with tally.timed(kind), ThreadPoolExecutor(in_threads()) as pool:
        for faults in pool.map(lambda failure: one(trials, bases, failure), failures):
            tally.add(kind, 1, faults)


def one(trials: Trials, bases: Bases, failure: Failure) -> list[Fault]:
    """Let it fail, run it again unless it said it was done, and compare."""
    verb = failure.verb
    with trials.place(bases.paths[verb.base]) as place:
        arguments = verb.arguments(place.data)
        outcome = trials.verb(place, *arguments, env=verb.env, arm=_arm(place, failure))
        tried = f"{verb.name}: {_told(place, failure)}"
        faults = of_ending(tried, outcome)
        if outcome.status != 0:
            tried += ", and again"
            age(place.data)
            faults += of_ending(tried, trials.verb(place, *arguments, env=verb.env))
        else:
            tried += ", and it said it was done"
        found = trials.state(place)
        if failure.action == shim.FAIL_FROM and found.get("litter"):
            # It could not be removed while the error lasted. Who begins next does, of delta-rs what is old.
            age(place.data)
            faults += of_ending(f"{tried}, and a next command", trials.verb(place, *NEXT))
            found["litter"] = trials.state(place)["litter"]
        return faults + of_state(tried, found, bases.reference(verb))


def _arm(place: Place, failure: Failure) -> shim.Arm:
    return place.arm(failure.call.number, failure.action, failure.code, failure.under)


def _told(place: Place, failure: Failure) -> str:
    within = f" (under {failure.under})" if failure.under else ""
    return f"{place.met(failure.call.number)}, {_HOW[failure.action]}, {errno.errorcode[failure.code]}{within}"


def _singles(bases: Bases, count: int, chance: random.Random, only: str) -> Iterator[Failure]:
    for verb, calls, share in shared_out(bases, count, only):
        every = [
            Failure(verb, call, action, code)
            for call in calls
            for code in _ERRORS.get(call.name, _OTHERWISE)
            for action in ((shim.FAIL, shim.TORN, shim.SHORT) if call.name == "write" else (shim.FAIL,))
        ]
        yield from chance.sample(every * -(-share // len(every)), share)


def _lastings(bases: Bases, count: int, chance: random.Random, only: str) -> Iterator[Failure]:
    """Begun at any call of the part that fails, numbered within that part."""
    for verb, calls, share in shared_out(bases, count, only):
        every = []
        for under in PARTS:
            within = [call for call in calls if call.within.startswith(under)]
            numbered = [Call(number, call.name, call.path) for number, call in enumerate(within)]
            picked = chance.sample(numbered, min(len(numbered), share))
            every += [Failure(verb, call, shim.FAIL_FROM, code, under) for call in picked for code in LASTING]
        yield from chance.sample(every * -(-share // len(every)), share)
