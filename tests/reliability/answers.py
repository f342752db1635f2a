"""Provider trials: a fault in any answer of a backfill, and answers to another question.

While the fault lasts nothing wrong is stored, the verb ends in time and says so; afterwards the same command brings the
whole range.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from tests.fake_exchanges import REFUSALS, Answer, Exchange, Seen
from tests.fake_exchanges import Fault as Script
from tests.reliability.trials import Trials, in_threads
from tests.reliability.venues import ALPHA_VANTAGE, IMPATIENT, OANDA, VENUES, Venue, of_lake
from tests.reliability.verdict import Fault, Tally, of_ending

_BODIES = (
    "",
    "null",
    "[]",
    '""',
    "{}",
    "0",
    '{"candles":null}',
    '{"candles":{}}',
    "[" * 100_000,
    "\ufeff{}",
    "\0",
    "{" * 9,
)
SCRIPTS = (
    *(Script.http(status) for status in (204, 301, 400, 401, 403, 404, 408, 418, 425, 500, 502, 504)),
    Script.rate_limited(),
    Script.rate_limited(0),
    Script.rate_limited("soon"),
    Script.maintenance(),
    Script.html(),
    Script.drop(),
    Script.drop(0),
    Script.drop(1),
    Script.truncated(),
    Script.hang(),
    Script.slow(0.3),
    Script.empty_page(),
    *(Script.http(200, body) for body in _BODIES),
    Script.http(200, "{}", content_encoding="gzip"),
    Script.http(200, "{}", content_type="application/json; charset=utf-7"),
    Script("not UTF-8", lambda exchange, seen, answer: replace(answer, body=b"\xff\xfe\x00" + answer.body)),
    Script("twice", lambda exchange, seen, answer: replace(answer, body=answer.body * 2)),
    Script("no end", lambda exchange, seen, answer: replace(answer, body=answer.body[:-1])),
)
"""Every way in which an answer is not the one that was asked for, and can be seen to be none."""


@dataclass(frozen=True)
class Answered:
    """A venue, what its answers become from the `first` request on (from 1), and for how many; None: all."""

    venue: Venue
    script: Script
    first: int
    times: int | None
    is_another: bool = False
    """Whether the answer is whole and right, but to another question: then nothing of it may be stored."""

    def __str__(self) -> str:
        often = "all" if self.times is None else self.times
        return f"{self.venue.provider}: {self.script.name} instead of {often} from request {self.first}"


def run(trials: Trials, tally: Tally, count: int, chance: random.Random) -> None:
    """So many faults at every position, and every answer to another question."""
    every = list(_every())
    these("provider faults", trials, tally, chance.sample(every * -(-count // len(every)), count))
    these("another's answers", trials, tally, list(others()))


def these(kind: str, trials: Trials, tally: Tally, answered: Sequence[Answered]) -> None:
    """Just these, some at once."""
    with tally.timed(kind), ThreadPoolExecutor(in_threads()) as pool:
        for faults in pool.map(lambda one_: one(trials, one_), answered):
            tally.add(kind, 1, faults)


def one(trials: Trials, answered: Answered) -> list[Fault]:
    """Backfill with the fault, then without."""
    venue, tried = answered.venue, str(answered)
    wanted = venue.wanted()
    with venue.running() as exchange, trials.place() as place:
        exchange.fault(answered.script, times=answered.times, when=lambda seen: seen.number >= answered.first)
        outcome = trials.verb(place, *venue.arguments(), env={**venue.env(exchange), **IMPATIENT})
        faults = of_ending(tried, outcome)
        found = trials.state(place)
        faults += of_lake(tried, found, wanted, whole=outcome.status == 0 and '"unexplained": 0' in outcome.out)
        if answered.is_another and outcome.status == 0:
            faults.append(Fault("wrong", tried, "an answer to another question was taken: exit 0"))
        exchange.clear_faults()
        again = trials.verb(place, *venue.arguments(), env=venue.env(exchange))
        whole = trials.verb(place, *venue.arguments(mode="gaps"), env=venue.env(exchange))
        faults += of_ending(f"{tried}, and again", again) + of_ending(f"{tried}, and its gaps", whole)
        return faults + of_lake(f"{tried}, and again", trials.state(place), wanted, whole=True)


def _every() -> Iterator[Answered]:
    for venue in VENUES:
        refusals = [Script.alpha_vantage(kind) for kind in REFUSALS] if venue is ALPHA_VANTAGE else []
        for script in (*SCRIPTS, *refusals):
            for first in range(1, 2 if venue is ALPHA_VANTAGE else 6):
                for times in (1, 2, None):
                    yield Answered(venue, script, first, times)


def others() -> Iterator[Answered]:
    """Answers to a question about another instrument, granularity or symbol, where the body says what it is about."""
    for first in (1, 2, 3):
        path = f"/v3/instruments/{OANDA.other_symbol}/candles"
        yield Answered(OANDA, _asked_otherwise("another instrument", path=path), first, None, True)
        yield Answered(OANDA, _asked_otherwise("another granularity", granularity="H1"), first, None, True)
    base, quote = ALPHA_VANTAGE.other_symbol.split("/")
    yield Answered(ALPHA_VANTAGE, _asked_otherwise("another pair", from_symbol=base, to_symbol=quote), 1, None, True)


def _asked_otherwise(name: str, path: str = "", **params: str) -> Script:
    return Script(name, _altered(path, params))


def _altered(path: str, params: dict[str, str]) -> Callable[[Exchange, Seen, Answer], Answer]:
    def answer(exchange: Exchange, seen: Seen, _: Answer) -> Answer:
        return exchange.answer(replace(seen, path=path or seen.path, params={**seen.params, **params}))

    return answer
