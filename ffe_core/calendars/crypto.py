"""Crypto calendar: always open."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ffe_core.calendars.base import Horizon, MarketCalendar
from ffe_core.intervals import Times


@dataclass(frozen=True)
class AlwaysOpen(MarketCalendar):
    """Every minute of every day, without a horizon."""

    name: str = "crypto"

    @property
    def horizon(self) -> Horizon:
        return None, None

    def _intervals(self, start: int, end: int) -> Times:
        return np.array([[start, end]], dtype=np.int64)
