"""Hour grid of a series while it is written: learned from what shows it first, then kept; another one is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ffe_core import times
from ffe_core.calendars import MarketCalendar
from ffe_core.calendars.hour_grid import elsewhere, in_words, kept_grids, most_kept, on_hour_grid, typed
from ffe_core.errors import GridChanged
from ffe_core.instruments.model import SeriesFacts
from ffe_core.intervals import Times
from ffe_core.series import Series
from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager
from ffe_core.storage.stores import Stores

_EVER = 2**40


class Facts(Protocol):
    """Where is kept what was learned about series."""

    def facts_of(self, provider: str, asset_pair: str) -> dict[str, SeriesFacts]: ...
    def learn(self, series: Series, *, hour_offset: int) -> None: ...


class HourGrid:
    """The grid of one series; `calendar` is its market on that grid. Nothing to learn unless `Series.has_hour_grid`."""

    def __init__(self, series: Series, calendar: MarketCalendar, facts: Facts | None = None) -> None:
        self._series, self._facts = series, facts
        self.calendar = calendar
        self._offset: int | None = None
        self._is_kept = True

    def read(self, lake: DeltaLakeManager) -> None:
        """Look up what is known; a series that an earlier release stored shows it by what is stored. StorageError."""
        if not self._series.has_hour_grid:
            return
        known = self._facts.facts_of(self._series.provider, self._series.asset_pair) if self._facts else {}
        offset = known["1h"].hour_offset if "1h" in known else None
        if offset is None:
            offset = most_kept(self.calendar, lake.stored_open_times(self._series, -_EVER, _EVER))
            self._is_kept = offset is None
        self._take(offset)
        self.keep()

    def check(self, open_times: Times) -> None:
        """Learn the grid of bars that were sent together, or hold them against it. GridChanged: store none of them."""
        if not self._series.has_hour_grid:
            return
        kept = kept_grids(self.calendar, open_times)
        if kept is None or self._offset in kept:
            return
        if not kept:
            raise GridChanged(self._mixed(open_times))
        if self._offset is not None:
            raise GridChanged(self._changed(open_times, kept[0]))
        if len(kept) == 1:  # in some hours of some markets bars of two grids look alike
            self._is_kept = False
            self._take(kept[0])

    def elsewhere(self, open_times: Times) -> npt.NDArray[np.bool_]:
        """(n,) bool: which bars lie on another grid than the series keeps to; none where that is not known yet."""
        if self._offset is None:
            return np.zeros(len(open_times), dtype=bool)
        return elsewhere(self.calendar, open_times)

    @property
    def learned(self) -> bool:
        """Whether something was learned that is not kept yet."""
        return not self._is_kept

    def keep(self) -> None:
        """Keep what was learned, once something of it is stored."""
        if not self._is_kept and self._facts is not None and self._offset is not None:
            self._facts.learn(self._series, hour_offset=self._offset)
        self._is_kept = True

    def _take(self, offset: int | None) -> None:
        self._offset = offset
        self.calendar = on_hour_grid(self.calendar, offset)

    def _changed(self, open_times: Times, other: int) -> str:
        assert self._offset is not None
        return (
            f"bars from {times.iso(int(open_times.min()))} on open {in_words(other)}, those of the series"
            f" {in_words(self._offset)}; nothing of the answer was stored. Compare a few of both, then accept the new"
            f" grid with: ffe instruments --provider {self._series.provider} --grid {typed(other)}"
            f" {self._series.asset_pair}"
        )

    def _mixed(self, open_times: Times) -> str:
        now = "no grid is known yet" if self._offset is None else f"those of the series open {in_words(self._offset)}"
        return (
            f"one answer holds bars from {times.iso(int(open_times.min()))} on that open on the half hour and on the"
            f" full hour; {now}. Nothing of the answer was stored: run it again later, and if it stays, tell the"
            f" provider, or ask for a range that lies on one grid"
        )


def learn_from_stored(
    series: Iterable[Series], calendar_of: Callable[[str, str], MarketCalendar], facts: Facts, lake: DeltaLakeManager
) -> None:
    """Learn the grids of hourly shares that an earlier release stored. StorageError; InputError as the calendar."""
    for one in series:
        if one.has_hour_grid:
            HourGrid(one, calendar_of(one.provider, one.asset_pair), facts).read(lake)


def hour_grid_of(series: Series, stores: Stores) -> HourGrid:
    """Where in the hour the bars of a series open, as far as known. StorageError; InputError as its calendar."""
    calendar = stores.settings.calendars.market_of(series.provider, series.asset_pair)
    hours = HourGrid(series, calendar, stores.instruments)
    hours.read(stores.lake)
    return hours
