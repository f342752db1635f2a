"""Hour grid of a market: its hourly bars counted from another place in the hour than the market's own.

Hourly bars of shares come on the half hour (from the session's open at 09:30) or on the full hour, where the first of
a day, 09:00, holds half an hour. A provider says neither; its bodies show it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ffe_core.calendars.base import CalendarOfMarket, MarketCalendar
from ffe_core.calendars.listed import ListedCalendar
from ffe_core.errors import InputError
from ffe_core.intervals import NONE, Times, grid_ceil, merge, open_times_in
from ffe_core.times import DAY

HOUR = 3600
SESSION = "session"
GRIDS: dict[str, int] = {"half-hour": 1800, "hour": 0}
"""Grids by the names a person types; besides them there is the market's own, `SESSION`."""
_FAR_APART, _YEAR_10000 = 30 * DAY, 253_402_300_800
_ALIKE = {offset: name for name, offset in GRIDS.items()}


@dataclass(frozen=True)
class OnHourGrid(CalendarOfMarket):
    """A market whose hourly bars open `offset` seconds past each full hour of UTC; all else is the market's own."""

    offset: int

    @property
    def hour_offset(self) -> int:
        return self.offset

    def _reach(self, start: int, end: int, step: int) -> tuple[int, int]:
        return (start, end + step) if step == HOUR else super()._reach(start, end, step)

    def _runs(self, intervals: Times, step: int) -> Times:
        if step != HOUR:
            return super()._runs(intervals, step)
        anchors = intervals[:, 0] - (intervals[:, 0] - self.offset) % step
        return merge(np.column_stack((anchors, anchors + grid_ceil(intervals[:, 1] - anchors, step))))


def own(calendar: MarketCalendar) -> MarketCalendar:
    """The market itself, on its own grid and however long the series is listed."""
    return own(calendar.market) if isinstance(calendar, CalendarOfMarket) else calendar


def on_hour_grid(calendar: MarketCalendar, offset: int | None) -> MarketCalendar:
    """The market with its hourly bars on a grid, its listing as it was; itself if that is its own grid, or unknown."""
    if isinstance(calendar, ListedCalendar):
        return replace(calendar, market=on_hour_grid(calendar.market, offset))
    market = own(calendar)
    return market if offset is None or offset == market.hour_offset else OnHourGrid(market, offset)


def kept_grids(calendar: MarketCalendar, open_times: npt.ArrayLike) -> tuple[int, ...] | None:
    """The grids, as offsets, that hourly bars with these opens (epoch seconds) may keep to, the market's own first.

    () for bars of several grids. Only bars that hold an open or a quiet minute tell a grid: None where there is none.
    """
    opens, market = _known(np.asarray(open_times, dtype=np.int64), own(calendar)), own(calendar)
    if len(opens) == 0:
        return None
    offsets = list(dict.fromkeys((market.hour_offset, *GRIDS.values())))
    on = np.array([np.isin(opens, _possible(market, offset, opens)) for offset in offsets])
    telling = on.any(axis=0)
    if not telling.any():
        return None
    return tuple(offset for offset, row in zip(offsets, on, strict=True) if row[telling].all())


def elsewhere(calendar: MarketCalendar, open_times: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """(n,) bool: which hourly bars lie on another grid than the calendar's, as far as they tell one."""
    opens, market = np.asarray(open_times, dtype=np.int64), own(calendar)
    found = np.zeros(len(opens), dtype=bool)
    known = _known(opens, market)
    if len(known):
        others = [_possible(market, offset, known) for offset in (market.hour_offset, *GRIDS.values())]
        here = _possible(market, calendar.hour_offset, known)
        found = np.isin(opens, np.concatenate(others)) & ~np.isin(opens, here)
    return found


def most_kept(calendar: MarketCalendar, open_times: npt.ArrayLike) -> int | None:
    """The grid that most of these bars keep to; None where none does, or two hold as many."""
    opens, market = _known(np.asarray(open_times, dtype=np.int64), own(calendar)), own(calendar)
    if len(opens) == 0:
        return None
    offsets = list(dict.fromkeys((market.hour_offset, *GRIDS.values())))
    counts = [int(np.isin(opens, _possible(market, offset, opens)).sum()) for offset in offsets]
    return offsets[int(np.argmax(counts))] if counts.count(max(counts)) == 1 else None


def offset_of(calendar: MarketCalendar, name: str) -> int:
    """The offset of a grid by the name a person types. InputError for another name."""
    if name == SESSION:
        return own(calendar).hour_offset
    if name not in GRIDS:
        raise InputError(f"{name!r} is unknown; use one of {', '.join((*GRIDS, SESSION))}", field="grid")
    return GRIDS[name]


def typed(offset: int) -> str:
    """The name to type for a grid."""
    return _ALIKE.get(offset, SESSION)


def in_words(offset: int) -> str:
    """Where in the hour bars of a grid open, in words."""
    named = {0: "on the full hour", 1800: "on the half hour"}
    return named.get(offset, f"{offset // 60} minutes past the hour (UTC)")


def _possible(market: MarketCalendar, offset: int, opens: Times) -> Times:
    """The opens that a market can have on a grid, around these."""
    on, ordered, found = on_hour_grid(market, offset), np.sort(opens), [NONE[:, 0]]
    for part in np.split(ordered, np.flatnonzero(np.diff(ordered) > _FAR_APART) + 1):
        start, end = int(part[0]), int(part[-1]) + 1
        runs = (on.expected_ranges("1h", start, end), on.optional_ranges("1h", start, end))
        found += [open_times_in(bars, HOUR) for bars in runs]
    return np.concatenate(found)


def _known(opens: Times, market: MarketCalendar) -> Times:
    first, end = market.horizon
    low, high = first or 0, _YEAR_10000 if end is None else end
    found: Times = opens[(opens >= low) & (opens < high)]
    return found
