"""Instrument model: what a provider says that it trades, and what was learned about a series of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal[
    "crypto", "fx", "metal", "index", "bond", "energy", "commodity", "equity", "fund", "future", "perpetual", "cfd"
]
Status = Literal["listed", "paused", "delisted"]


@dataclass(frozen=True, slots=True)
class Instrument:
    """One line of a provider's catalogue under the name that its candles are stored by.

    `symbol` is what the provider is asked for, `title` what it calls the instrument; days are YYYY-MM-DD in the
    market's own calendar, None where the provider does not tell; `decimals` are those of a price; `same_as` names other
    instruments that are the same order book. `region` and `hours` are texts as sent: the calendar says when it trades.
    """

    provider: str
    name: str
    symbol: str
    kind: Kind
    title: str = ""
    base: str | None = None
    quote: str | None = None
    exchange: str | None = None
    decimals: int | None = None
    volume_unit: str | None = None
    listed: str | None = None
    delisted: str | None = None
    status: Status = "listed"
    same_as: tuple[str, ...] = ()
    region: str | None = None
    hours: str | None = None


@dataclass(frozen=True, slots=True)
class SeriesFacts:
    """What was learned about one pair at one timeframe of a provider; instants in epoch seconds, None where unknown.

    `first_bar` and `last_bar` are opens: the provider has no bar before the one and none after the other. `asked_from`
    is the earliest instant that was asked for the first bar. `hour_offset` is where in the hour hourly bars open.
    `listed` is the listing day of the instrument that is stored under the name.
    """

    first_bar: int | None = None
    last_bar: int | None = None
    asked_from: int | None = None
    asked_at: float | None = None
    hour_offset: int | None = None
    listed: str | None = None
