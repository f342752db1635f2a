"""Series and watermarks: one pair at one timeframe from one provider, and how far it has been read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from ffe_core.calendars import exchange_of
from ffe_core.calendars.exchange_table import hour_spacing
from ffe_core.candles import table_name
from ffe_core.instruments.names import asset_class, normalize_pair
from ffe_core.timeframes import seconds

NO_MARK = -(2**63)
"""What the lake holds for a mark that was forgotten, or never set beside one that was."""


@dataclass(frozen=True, slots=True, order=True)
class Series:
    """A pair, a timeframe and a provider; a watermark belongs to all three."""

    asset_pair: str
    timeframe: str
    provider: str

    @classmethod
    def of(cls, asset_pair: str, timeframe: str, provider: str) -> Self:
        """A series under its stored names; InputError for a bad pair or timeframe."""
        seconds(timeframe)
        return cls(normalize_pair(asset_pair, provider), timeframe, provider)

    @property
    def key(self) -> str:
        """pair/timeframe/provider: also the Delta application id of the watermark."""
        return f"{self.asset_pair}/{self.timeframe}/{self.provider}"

    @property
    def low_key(self) -> str:
        """The Delta application id of the low mark."""
        return f"{self.key}/low"

    @property
    def table(self) -> str:
        """Name of the Bronze table that holds this series."""
        return table_name(self.timeframe)

    @property
    def step(self) -> int:
        """Length of a bar in seconds."""
        return seconds(self.timeframe)

    @property
    def grid(self) -> int:
        """Seconds between two instants at which a bar may open: an hourly share bar may open on the half hour, or on
        the quarter where its exchange does."""
        return hour_spacing(exchange_of(self.asset_pair)) if self.has_hour_grid else self.step

    @property
    def has_hour_grid(self) -> bool:
        """Whether it is to be learned where in the hour its bars open: hourly bars of a share."""
        return self.timeframe == "1h" and asset_class(self.asset_pair, self.provider) == "equity"

    def __str__(self) -> str:
        return f"{self.asset_pair} {self.timeframe} from {self.provider}"


@dataclass(frozen=True, slots=True)
class Watermarks:
    """How far a series has been read, epoch seconds; None where it never was.

    `watermark` is the open of the last stored bar, `low` the earliest instant that was asked to completion.
    """

    watermark: int | None = None
    low: int | None = None
