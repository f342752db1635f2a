"""Provider clock: corrects this computer's clock by the `Date` of a provider's answers.

A `Date` is a whole second, made between the moment a request left and the moment its answer came (RFC 9110, 6.6.1).
So each answer bounds how far the provider's clock lies from a steady count of seconds, which no setting of the local
clock can move. Bounds of several answers are intersected; where they contradict each other the newest counts.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from functools import partial

from ffe_core import times

TOLERANCE = 2.0
"""Seconds by which the local clock may differ before it is corrected: the answers tell no better than whole seconds."""
NOTICEABLE = 5.0
"""Seconds from which on a difference is said to people."""
_FRESH = 900.0
"""Seconds for which an answer tells the time: each run has answers of its own, and none is needed between them."""
_SENSIBLE = (1_262_304_000, 4_102_444_800)
"""2010 to 2100: a `Date` outside of them is not believed."""

_boottime = getattr(time, "CLOCK_BOOTTIME", None)
COUNTS_SLEEP = _boottime is not None
ticks = time.monotonic if _boottime is None else partial(time.clock_gettime, _boottime)
"""A steady count of seconds that goes on while the computer sleeps, where the system has one."""


class ProviderClock:
    """What time it is at a provider; this computer's time until an answer says otherwise. Safe from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._bounds: tuple[float, float] | None = None  # of the provider's epoch seconds less our ticks
        self._told = (-math.inf, -math.inf)  # ticks and local time of the last answer that told something
        self._contradicted = -math.inf  # ticks until which no `Date` is believed

    def now(self) -> int:
        """The present instant at the provider, epoch seconds."""
        local = times.now()
        return local if self.skew == 0.0 else int(local + 0.5 - self.skew)

    @property
    def skew(self) -> float:
        """Seconds by which this computer's clock is ahead of the provider's; 0.0 where they agree or none is known."""
        with self._lock:
            if self._bounds is None or not self._is_fresh():
                return 0.0
            low, high = self._bounds
        ahead = times.now() + 0.5 - (ticks() + (low + high) / 2)
        return ahead if abs(ahead) > TOLERANCE + (high - low) / 2 else 0.0

    def observe(self, headers: Mapping[str, str], sent: float, received: float) -> None:
        """Take in the `Date` of an answer; `sent` and `received` in `ticks`. One from a cache says nothing."""
        date = _date(headers)
        if date is not None and received > self._contradicted:
            self._narrow(date - received, date + 1 - sent)

    def contradict(self, instant: float) -> None:
        """Take `instant` (epoch seconds) for the provider's present: it said that later lies in its future.

        For a while that counts more than any `Date`, which another server may have set.
        """
        now = ticks()
        with self._lock:
            self._told, self._contradicted = (now, times.now()), now + _FRESH
            self._bounds = (instant - now, instant - now)

    def _narrow(self, low: float, high: float) -> None:
        with self._lock:
            known = self._bounds or (low, high)
            both = max(known[0], low), min(known[1], high)
            self._bounds = both if both[0] <= both[1] else (low, high)
            self._told = (ticks(), times.now())

    def _is_fresh(self) -> bool:
        """Whether the last answer still counts. Where ticks stand still in a sleep, local time says how long it was."""
        at, local = self._told
        slept = 0.0 if COUNTS_SLEEP else abs(times.now() - local)
        return ticks() - at <= _FRESH and slept <= _FRESH


def _date(headers: Mapping[str, str]) -> int | None:
    """Epoch seconds of a `Date` that was made for this very answer, None if there is none to be believed."""
    if headers.get("age", "0").strip() not in ("0", ""):
        return None
    try:
        sent = int(parsedate_to_datetime(headers.get("date", "")).timestamp())
    except (TypeError, ValueError, OverflowError):
        return None
    return sent if _SENSIBLE[0] <= sent < _SENSIBLE[1] else None


_clocks: dict[tuple[str, str], ProviderClock] = {}
_clocks_lock = threading.Lock()


def shared_clock(provider: str, base_url: str) -> ProviderClock:
    """The one clock of a provider at an address, known from run to run."""
    with _clocks_lock:
        return _clocks.setdefault((provider, base_url), ProviderClock())
