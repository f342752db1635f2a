"""Time zones: local times of a zone as epoch seconds, whole columns at a time.

As `datetime` with fold 0: a time that comes twice is its first one, a time that never comes is read on the old clock.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from functools import cache
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import numpy.typing as npt

from ffe_core.errors import InputError
from ffe_core.intervals import Times
from ffe_core.times import DAY, utc

# The time zone database vouches for its data from 1970 on; the end only bounds the tables.
FIRST_DAY, LAST_DAY = date(1970, 1, 1), date(2100, 1, 1)
FIRST, LAST = (int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) for day in (FIRST_DAY, LAST_DAY))


class _Clock(NamedTuple):
    changes: Times  # local seconds from which the next offset holds
    offsets: Times  # one more than there are changes
    instants: Times  # epoch seconds of the changes


def from_local(local: Times, zone: str) -> Times:
    """Epoch seconds of local times, given as the seconds they would be if the zone were UTC."""
    clock = _clock(zone)
    found: Times = local - clock.offsets[np.searchsorted(clock.changes, local, side="right")]
    return found


def offsets_of(zone: str) -> tuple[Times, Times]:
    """When the clock of a zone changes, (n,) epoch seconds, and its seconds ahead of UTC before, between and after.

    InputError for a name that the time zone database does not know.
    """
    try:
        clock = _clock(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InputError(f"{zone!r} is no time zone; name one such as America/New_York or UTC", field="zone") from None
    return clock.instants, clock.offsets


def local_day(epoch: int, zone: str) -> date:
    """The date on the wall at an instant."""
    return utc(epoch).astimezone(ZoneInfo(zone)).date()


def day_number(day: date) -> int:
    """Days since 1970-01-01."""
    return day.toordinal() - FIRST_DAY.toordinal()


def weekdays(days: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Monday is 0; day 0 of the epoch was a Thursday."""
    return (days + 3) % 7


@cache
def _clock(zone: str) -> _Clock:
    """The changes are looked for a day at a time, then halved down to the second: zoneinfo does not list them."""
    known = ZoneInfo(zone)
    mornings = range(FIRST - 2 * DAY, LAST + 2 * DAY, DAY)
    daily = np.array([_offset(known, morning) for morning in mornings], dtype=np.int64)
    before = np.flatnonzero(np.diff(daily))
    instants = np.array([_change(known, mornings[at], mornings[at + 1]) for at in before.tolist()], dtype=np.int64)
    old, new = daily[before], daily[before + 1]
    return _Clock(instants + np.maximum(old, new), np.concatenate((old, daily[-1:])), instants)


def _offset(zone: ZoneInfo, epoch: int) -> int:
    return int(datetime.fromtimestamp(epoch, zone).utcoffset().total_seconds())  # type: ignore[union-attr]


def _change(zone: ZoneInfo, low: int, high: int) -> int:
    old = _offset(zone, low)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _offset(zone, middle) == old else (low, middle)
    return high
