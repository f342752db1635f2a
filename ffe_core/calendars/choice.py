"""Which calendar does a series follow? The pair's market decides, the provider corrects, an override wins."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ffe_core.calendars.base import MarketCalendar
from ffe_core.calendars.crypto import AlwaysOpen
from ffe_core.calendars.exchange import ExchangeHours
from ffe_core.calendars.fx import DEFAULT_FX_HOLIDAYS, FxWeek, checked_holidays
from ffe_core.errors import InputError
from ffe_core.pairs import asset_class, normalize_pair

_CALENDARS: dict[str, Callable[[tuple[str, ...]], MarketCalendar]] = {
    "crypto": lambda holidays: AlwaysOpen(),
    "fx": lambda holidays: FxWeek(holidays=holidays),
    "fx-daily-pause": lambda holidays: FxWeek("fx-daily-pause", holidays, daily_pause=True),
    "XNYS": lambda holidays: ExchangeHours(),
}
KNOWN_CALENDARS: tuple[str, ...] = tuple(_CALENDARS)
"""The names an override may use."""

_BY_ASSET_CLASS = {"crypto": "crypto", "fx": "fx", "metal": "fx", "index": "fx", "equity": "XNYS"}


def calendar_for(
    provider: str,
    pair: str,
    overrides: Mapping[str, str] | None = None,
    fx_holidays: Sequence[str] = DEFAULT_FX_HOLIDAYS,
) -> MarketCalendar:
    """The calendar of a pair at a provider.

    `overrides` maps "provider/PAIR" to a name of KNOWN_CALENDARS and wins; `fx_holidays` are "MM-DD", none if empty.
    InputError for a pair, an override or a holiday that cannot be.
    """
    stored = normalize_pair(pair)
    chosen = _read_overrides(overrides or {}).get((provider.lower(), stored))
    return _CALENDARS[chosen or _default(provider.lower(), stored)](checked_holidays(fx_holidays))


def _default(provider: str, pair: str) -> str:
    if provider == "coinbase":
        return "crypto"
    market = asset_class(pair)
    # OANDA sells crypto as CFDs, which rest at weekends and a few minutes a day.
    return "fx-daily-pause" if provider == "oanda" and market == "crypto" else _BY_ASSET_CLASS[market]


def _read_overrides(overrides: Mapping[str, str]) -> dict[tuple[str, str], str]:
    """Every entry is checked, so that a slip in one is not found out only when its series runs."""
    read = {}
    for key, name in overrides.items():
        provider, slash, pair = key.partition("/")
        if not slash:
            raise InputError(f"calendar override {key!r} names no series; write it like 'oanda/BTCUSD'")
        if name not in _CALENDARS:
            raise InputError(f"calendar override {key!r}: {name!r} is unknown; use one of {', '.join(_CALENDARS)}")
        read[provider.lower(), normalize_pair(pair)] = name
    return read
