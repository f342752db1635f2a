"""Local grid: where bars begin by the clock on a zone's wall, as epoch seconds, whole columns at a time.

A bar begins where the wall shows a multiple of its length after midnight, Monday's midnight or that of a month's first
day. Where the clock is set back, an hour comes twice: bars of up to an hour each come twice too, longer ones hold both.
Where it is set forward, the bar in which that happens is shorter; a bar that the clock skips whole is not there.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ffe_core.calendars.zones import offsets_of
from ffe_core.intervals import Times

_HOUR = 3600
Floor = Callable[[Times], Times]
"""From times to where the bars that hold them begin, both as the wall shows them (seconds, as if it were UTC)."""


class LocalGrid:
    """The bars of one length in one zone; `floor` and `after` say where bars begin on the wall itself."""

    def __init__(self, zone: str, seconds: int, floor: Floor, after: Floor) -> None:
        changes, self._offsets = offsets_of(zone)
        self._begins = np.concatenate(([np.iinfo(np.int64).min], changes))
        self._ends = np.concatenate((changes, [np.iinfo(np.int64).max]))
        self._floor, self._after, self._is_short = floor, after, seconds <= _HOUR
        # What the wall has shown at most by the end of each stretch between two changes, and the bar of that.
        shown = changes - 1 + self._offsets[:-1]
        self._reach = np.maximum.accumulate(np.append(shown, np.iinfo(np.int64).max))
        self._begun = np.concatenate(([np.iinfo(np.int64).min], np.maximum.accumulate(floor(shown))))

    def buckets(self, times: Times) -> Times:
        """Where the bar that holds each of `times` begins."""
        stretch, wall = self._on_the_wall(times)
        if self._is_short:
            found: Times = np.maximum(wall - self._offsets[stretch], self._begins[stretch])
            return found
        return self._first_shown(wall)

    def after(self, buckets: Times) -> Times:
        """Where the bar after each of these begins."""
        stretch, wall = self._on_the_wall(buckets)
        following = self._after(wall)
        if self._is_short:
            found: Times = np.minimum(following - self._offsets[stretch], self._ends[stretch])
            return found
        return self._first_shown(following)

    def _on_the_wall(self, times: Times) -> tuple[Times, Times]:
        """The stretch between two changes that each time lies in, and where its bar begins on the wall."""
        stretch = np.searchsorted(self._begins, times, side="right") - 1
        wall = self._floor(times + self._offsets[stretch])
        return stretch, wall if self._is_short else np.maximum(wall, self._begun[stretch])

    def _first_shown(self, wall: Times) -> Times:
        """When the wall first shows each of these, or what comes after it where the clock skips it."""
        stretch = np.searchsorted(self._reach, wall, side="left")
        found: Times = np.maximum(wall - self._offsets[stretch], self._begins[stretch])
        return found
