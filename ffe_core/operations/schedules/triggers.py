"""Triggers of schedules: cron, every so many minutes, or shortly after each bar closes; always in UTC.

A trigger is pure: it names its due instants in any range, so that what should have happened while nobody looked can be
told afterwards. Instants are epoch seconds. A display zone only says how they are shown.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

import numpy as np

from ffe_core.calendars import MarketCalendar
from ffe_core.errors import InputError
from ffe_core.intervals import Times
from ffe_core.operations.schedules.cron import MINUTE, Cron
from ffe_core.series import Series
from ffe_core.settings import Settings
from ffe_core.timeframes import TIMEFRAMES
from ffe_core.times import DAY

AFTER_CLOSE_SECONDS = 5
"""A bar is asked for this long after the provider may call it closed, for clocks that differ a little."""
EXAMPLES = ("cron 30 2 * * mon-fri", "every 15 minutes", "bar close")
_NONE: Times = np.empty(0, dtype=np.int64)
_WINDOWS = (3600, DAY, 8 * DAY, 32 * DAY, 366 * DAY, 9 * 366 * DAY)
"""How far ahead the next due instants are looked for, nearest first; leap days lie up to eight years apart."""


class Trigger(Protocol):
    """Names due instants. `text` is what is stored, `words` what people read, `notes` what they should know."""

    @property
    def text(self) -> str:
        """The trigger as stored and as `parse` reads it."""

    @property
    def words(self) -> str:
        """The trigger in words."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What was translated, or may surprise."""

    def dues(self, after: int, until: int) -> Times:
        """(n,) int64 due instants in (after, until], ascending."""


def parse(text: str, series: Sequence[Series] = (), settings: Settings | None = None) -> Trigger:
    """The trigger a text names, one of EXAMPLES; `series` and `settings` are needed for "bar close".

    InputError about "trigger" for what cannot be read and for what would never be due.
    """
    kind, _, rest = " ".join(text.split()).lower().partition(" ")
    if kind == "cron":
        return Cron.of(rest)
    if kind == "every":
        return Every.of(rest)
    if f"{kind} {rest}" == "bar close":
        return BarClose.of(series, settings or Settings.load())
    raise InputError(f"{text!r} is not understood; use one of {', '.join(map(repr, EXAMPLES))}", field="trigger")


def next_dues(trigger: Trigger, after: int, count: int = 1) -> list[int]:
    """The next due instants after `after`, fewer than `count` if nothing more is due in nine years."""
    found = _NONE
    for window in _WINDOWS:
        found = trigger.dues(after, after + window)
        if len(found) >= count:
            break
    return [int(due) for due in found[:count]]


def check_zone(name: str) -> ZoneInfo:
    """A time zone to show instants in; InputError with the nearest name for one that does not exist."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        near = get_close_matches(name, available_timezones(), 1, 0.6)
        raise InputError(
            f"{name!r} does not exist; {f'did you mean {near[0]}?' if near else 'use a name like Europe/Berlin'}",
            field="zone",
        ) from None


# -- every so many minutes


@dataclass(frozen=True)
class Every:
    """Every so many minutes, counted from the epoch, so that the instants do not hang on when it was made."""

    minutes: int

    @classmethod
    def of(cls, text: str) -> Every:
        """InputError for anything but 1 to 1,440 minutes."""
        number = re.fullmatch(r"([0-9]{1,6})(?: ?(?:m|min|minutes?))?", text.strip())
        if number is None or not 1 <= int(number[1]) <= 1440:
            raise InputError(f"{text!r} is not 1 to 1440 minutes; for example 15", field="trigger")
        return cls(int(number[1]))

    @property
    def text(self) -> str:
        """The trigger as stored."""
        return f"every {self.minutes} minute{'s' if self.minutes > 1 else ''}"

    @property
    def words(self) -> str:
        """The trigger in words."""
        return self.text if self.minutes > 1 else "every minute"

    @property
    def notes(self) -> tuple[str, ...]:
        """A number that does not divide a day gives other times each day."""
        return () if 1440 % self.minutes == 0 else (f"{self.minutes} minutes do not divide a day: its times shift",)

    def dues(self, after: int, until: int) -> Times:
        step = self.minutes * MINUTE
        return np.arange(after // step + 1, until // step + 1, dtype=np.int64) * step


# -- after each bar


@dataclass(frozen=True)
class BarClose:
    """Shortly after the close of each bar that the markets of some series should have."""

    markets: tuple[tuple[MarketCalendar, str, int], ...]
    """Calendar, timeframe, and how many seconds after its open a bar is asked for."""
    text: str = "bar close"
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, series: Iterable[Series], settings: Settings) -> BarClose:
        """The bars of `series`, by their own markets' calendars."""
        markets = dict.fromkeys(
            (
                settings.calendars.of(one.provider, one.asset_pair),
                one.timeframe,
                one.step + settings.close_grace_seconds + AFTER_CLOSE_SECONDS,
            )
            for one in series
        )
        return cls(tuple(markets))

    @property
    def words(self) -> str:
        """The trigger in words."""
        used = [frame for _, frame, _ in self.markets]
        sizes = [name for name in TIMEFRAMES if name in used]
        return f"after each {' and '.join(sizes)} bar closes" if sizes else "after each bar closes"

    def dues(self, after: int, until: int) -> Times:
        found = [self._closes(*market, after, until) for market in self.markets]
        return np.unique(np.concatenate(found)) if found else _NONE

    def _closes(self, calendar: MarketCalendar, timeframe: str, late: int, after: int, until: int) -> Times:
        first, last = after - late + 1, until - late + 1
        known_from, known_to = calendar.horizon
        first = first if known_from is None else max(first, known_from)
        last = last if known_to is None else min(last, known_to)
        return calendar.expected_open_times(timeframe, first, last) + late if first < last else _NONE
