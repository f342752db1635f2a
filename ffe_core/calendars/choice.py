"""Calendar choice of a series: an override wins, then what the provider and the name say.

OANDA           its own hours, by instrument (oanda.toml)
Coinbase        always open, whatever the pair, but for dated futures (coinbase.toml)
the others      a share its exchange, by suffix (TSCO.LON) or by what a list calls it, else New York's;
                currencies and metals the FX week; crypto always
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

from ffe_core.calendars import coinbase, exchange_table, oanda
from ffe_core.calendars.base import MarketCalendar
from ffe_core.calendars.crypto import AlwaysOpen
from ffe_core.calendars.exchange import ExchangeHours
from ffe_core.calendars.exchange_names import ALIASES, CODES
from ffe_core.calendars.fx import DEFAULT_FX_HOLIDAYS, FxWeek, checked_holidays
from ffe_core.calendars.own_hours import EXAMPLE, own_hours
from ffe_core.errors import InputError
from ffe_core.instruments.names import CRYPTO_EXCHANGES, asset_class, normalize_pair

_PLAIN = ("crypto", "fx", oanda.CRYPTO_CFDS)
_OF_GROUPS = {
    **{oanda.PREFIX + group: (oanda.by_group, group) for group in oanda.GROUPS},
    **{coinbase.PREFIX + group: (coinbase.by_group, group) for group in coinbase.GROUPS},
}
KNOWN_CALENDARS: tuple[str, ...] = (*_PLAIN, *_OF_GROUPS, "XNYS")
"""Names an override may use, besides the codes of exchanges, OANDA's instruments and hours of one's own."""
EXCHANGES: tuple[str, ...] = CODES
"""The codes of the other exchanges that an override may name."""

_BY_ASSET_CLASS = {"crypto": "crypto", "fx": "fx", "metal": "fx", "index": "fx", "equity": "XNYS"}
_AT_OANDA = "oanda:"

Overrides = Mapping[str, str]


class CalendarOverrideError(InputError):
    """An entry of the calendar overrides that cannot be; `key` says which."""

    code = "calendar_override"

    def __init__(self, key: str, problem: str) -> None:
        super().__init__(f"calendar override {key!r}{problem}")
        self.key = key


def calendar_for(
    provider: str,
    pair: str,
    overrides: Overrides | None = None,
    fx_holidays: Sequence[str] = DEFAULT_FX_HOLIDAYS,
    *,
    exchange: str | None = None,
) -> MarketCalendar:
    """The calendar of an instrument at a provider, by its stored name or as the provider writes it.

    `overrides` maps "provider/PAIR" to a calendar and wins; `fx_holidays` are days of the FX week, "MM-DD" or one of a
    year, none if empty; `exchange` is what a list of shares calls a share's exchange. InputError for a pair or a
    holiday that cannot be, CalendarOverrideError for an override.
    """
    asked, holidays = provider.strip().lower(), checked_holidays(fx_holidays)
    return _calendar_of(asked, _stored(pair, asked), tuple((overrides or {}).items()), holidays, exchange)


@lru_cache(maxsize=65_536)
def _calendar_of(
    asked: str, name: str, overrides: tuple[tuple[str, str], ...], holidays: tuple[str, ...], exchange: str | None
) -> MarketCalendar:
    chosen = _read_overrides(dict(overrides)).get((asked, name))
    if chosen is not None:
        market = _named(chosen, holidays)
        return coinbase.until_expiry(name, market) if asked == "coinbase" else market
    if asked == "oanda":
        return oanda.calendar_of(name, holidays, _added(holidays))
    if asked == "coinbase" and name.endswith(coinbase.CONTRACTS):
        return coinbase.calendar_of(name)
    return _named(_default(asked, name, exchange), holidays)


def check_overrides(overrides: Overrides) -> None:
    """Read every override, before any work. CalendarOverrideError for the first that cannot be."""
    _read_overrides(overrides)


def exchange_of(symbol: str, exchange: str | None = None) -> str:
    """Code of the exchange of a share, by its suffix, else by what a list calls it; New York's where neither says."""
    _, dot, suffix = symbol.upper().rpartition(".")
    if dot and suffix in exchange_table.suffixes():
        return exchange_table.suffixes()[suffix]
    return (_exchange_code(exchange) if exchange else None) or "XNYS"


def _default(provider: str, name: str, exchange: str | None) -> str:
    if provider in CRYPTO_EXCHANGES:
        return "crypto"
    if exchange or exchange_of(name) != "XNYS":
        return exchange_of(name, exchange)
    return _BY_ASSET_CLASS[asset_class(name, provider)]


@lru_cache(maxsize=512)
def _named(name: str, holidays: tuple[str, ...]) -> MarketCalendar:
    """A calendar by any name an override may use. InputError where there is none."""
    if ";" in name:
        return own_hours(name)
    if name == "crypto":
        return AlwaysOpen()
    if name in _PLAIN:
        return FxWeek(name, holidays, daily_pause=name == oanda.CRYPTO_CFDS)
    if name in _OF_GROUPS:
        by_group, group = _OF_GROUPS[name]
        return by_group(group)
    if name.lower().startswith(_AT_OANDA):
        return oanda.calendar_of(_stored(name[len(_AT_OANDA) :], "oanda"), holidays, _added(holidays))
    code = _exchange_code(name)
    if code is None:
        raise InputError(
            f"{name!r} is unknown; use one of {', '.join(_PLAIN)}, oanda-gold or another group of OANDA's or"
            " Coinbase's, XNYS or another exchange, an instrument such as oanda:XAU_USD, or hours of your own such as"
            f" '{EXAMPLE}'; docs/calendars.md lists them"
        )
    return ExchangeHours(code)


def _exchange_code(name: str) -> str | None:
    """The code of an exchange by its code or another name for it."""
    said = name.strip()
    return said if said in CODES else ALIASES.get(said.upper()) or exchange_table.names().get(said.upper())


def _added(holidays: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(day for day in holidays if day not in DEFAULT_FX_HOLIDAYS)


def _read_overrides(overrides: Overrides) -> dict[tuple[str, str], str]:
    """Every entry is checked, so that a slip in one is not found out only when its series runs."""
    return {_read_override(key, name): name for key, name in overrides.items()}


@lru_cache(maxsize=512)
def _read_override(key: str, name: str) -> tuple[str, str]:
    provider, slash, pair = key.partition("/")
    if not slash or not provider.strip():
        raise CalendarOverrideError(key, " names no series; write it like 'oanda/BTCUSD'")
    try:
        _named(name, DEFAULT_FX_HOLIDAYS)
        return provider.strip().lower(), _stored(pair, provider.strip().lower())
    except InputError as error:
        raise CalendarOverrideError(key, f": {error}") from None


def _stored(pair: str, provider: str) -> str:
    """The stored name, by which a pair is known however it is written."""
    try:
        return normalize_pair(pair, provider)
    except InputError:
        raise InputError(
            f"{pair!r} names nothing; use a name like EURUSD, EUR_USD, AAPL or TSCO.LON", field="pair"
        ) from None
