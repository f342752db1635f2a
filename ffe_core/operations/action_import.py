"""Import of splits and dividends from Alpha Vantage: what is new goes on record, what is there already stays."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from ffe_core import times
from ffe_core.adjustments.actions import (
    DIVIDEND,
    SPLIT,
    Action,
    Actions,
    epoch_of,
    is_writable,
    nearly_same,
    positive,
)
from ffe_core.errors import RetriableError
from ffe_core.providers.alpha_vantage import AlphaVantageProvider
from ffe_core.settings import Settings
from ffe_core.storage.state.audit import Audit

_SECONDS = 300.0
_MOST = 20
Entry = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Imported:
    """What came of one pair."""

    pair: str
    received: int
    added: int
    problems: tuple[str, ...]
    """What is not on record as it was sent, and why, in words."""


def import_actions(settings: Settings, audit: Audit, pair: str, actor: str) -> Imported:
    """Ask Alpha Vantage for the splits and dividends of a share and put them on record.

    Each entry counts as received, and is added, there already, or a problem: one that cannot be read or was sent twice,
    another value than the one on record, and nearly the split that is on record some days apart; what is there stays.
    ProviderError, InputError without a key, StorageError. Not from within an event loop.
    """
    actions = Actions(settings.data_dir)
    with audit.act(actor, "import actions", pair, provider=AlphaVantageProvider.name) as act:
        splits, dividends = asyncio.run(_asked(settings, pair))
        problems: list[str] = []
        read = [*_read(SPLIT, pair, splits, problems), *_read(DIVIDEND, pair, dividends, problems)]
        added = sum(_kept(actions, kind, pair, read, problems) for kind in (SPLIT, DIVIDEND))
        done = Imported(pair, len(splits) + len(dividends), added, tuple(problems))
        act.note(received=done.received, added=added, problems=len(problems))
    return done


async def _asked(settings: Settings, pair: str) -> tuple[list[Entry], list[Entry]]:
    try:
        async with asyncio.timeout(_SECONDS), AlphaVantageProvider(config=settings) as opened:
            return await opened.actions(pair)
    except TimeoutError:
        raise RetriableError(
            f"alpha_vantage did not send splits and dividends of {pair} within {_SECONDS:.0f} s; try again later"
        ) from None


def _read(kind: str, pair: str, entries: Sequence[Entry], problems: list[str]) -> list[Action]:
    """The actions of entries: dividends of one day as their sum, splits, such as a reverse split and a split that
    undoes it, as their product."""
    reason = f"Alpha Vantage {kind.upper()}S, read {times.utc(times.now()).date()}"
    values: dict[int, list[Fraction]] = {}
    for day, value in entries:
        try:
            at, read = epoch_of(day), simple(value) if kind == SPLIT else positive(value)
        except ValueError:
            problems.append(f"a {kind} of {pair} on {day[:40]!r} with {value[:40]!r} cannot be read")
            continue
        if kind == SPLIT and read in values.get(at, ()):
            problems.append(f"a {kind} of {pair} on {day} with {value[:40]} was sent twice; it counts once")
            continue
        values.setdefault(at, []).append(read)
    together = math.prod if kind == SPLIT else sum
    return [Action(kind, pair, at, Fraction(together(own)), reason) for at, own in values.items()]


def _kept(actions: Actions, kind: str, pair: str, read: Sequence[Action], problems: list[str]) -> int:
    """How many of a kind went on record."""
    actions.begin(kind)
    there = {one.day: one for one in actions.of(pair, kind)}
    new: list[Action] = []
    for one in (one for one in read if one.kind == kind):
        known = there.get(one.day)
        if known is not None and known.value == one.value:
            continue
        known = known or nearly_same(one, [*there.values(), *new])
        if known is not None:
            elsewhere = "" if known.day == one.day else f" on {one.day_text}"
            problems.append(
                f"the {kind} of {pair} on {known.day_text} is {known.value_text} on record ({known.reason}) and stays"
                f" so; alpha_vantage says {one.value_text}{elsewhere}"
            )
        elif not is_writable(kind, one.value):
            problems.append(f"the {kind} of {pair} on {one.day_text} has too many digits: {one.value_text}")
        else:
            new.append(one)
    return actions.add(new)


def simple(text: str) -> Fraction:
    """The split that a rounded factor stands for: 1.3333 is 4:3, 0.0333 is 1:30, and 1.046 is just that.

    It is the first ratio with a side of at most twenty that rounds to the text. ValueError for what is no number.
    """
    exact = positive(text)
    _, _, decimals = text.strip().partition(".")
    tolerance = Fraction(1, 2 * 10 ** len(decimals))
    for side in range(1, _MOST + 1):
        found = Fraction(round(exact * side), side) if exact >= 1 else Fraction(side, round(side / exact))
        if abs(found - exact) <= tolerance:
            return found
    return exact
