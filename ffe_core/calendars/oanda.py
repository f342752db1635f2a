"""OANDA calendars: the table oanda.toml, read at first use; one group of instruments, one calendar.

What the table does not name follows its kind: two currencies the FX week, gold or silver in another currency the metal
crosses, a known coin the week of the crypto CFDs, and everything else the plain week of a CFD.
"""

from __future__ import annotations

from functools import cache

from ffe_core.calendars import hours_table
from ffe_core.calendars.base import MarketCalendar
from ffe_core.calendars.fx import FxWeek
from ffe_core.calendars.week import WeekHours
from ffe_core.instruments.currencies import COINS, METALS, STATES
from ffe_core.instruments.names import compact, split_pair

PREFIX = "oanda-"
"""The calendar of a group is named after it: "oanda-gold"."""
CRYPTO_CFDS = "fx-daily-pause"
TABLE = "oanda.toml"
GROUPS = (
    "fx fx-nzd fx-aud-nzd cfd gold metal-crosses silver-cad metal-crosses-nzd metals-and-copper oil-and-gas brent"
    " grains sugar us-bonds bund gilt us-indices us-wall-street us-2000 germany europe france netherlands switzerland"
    " united-kingdom australia hong-kong japan singapore"
).split()
"""The groups of the table, named here so that a setting can be checked without reading it."""


def calendar_of(pair: str, holidays: tuple[str, ...], added: tuple[str, ...]) -> MarketCalendar:
    """The calendar of a stored pair at OANDA.

    `holidays` are those of the FX week, `added` the ones that are not there by default and close currencies too.
    """
    group = group_of(pair)
    if group == CRYPTO_CFDS:
        return FxWeek(CRYPTO_CFDS, holidays, daily_pause=True)
    return by_group(group, added if group.startswith("fx") else ())


def by_group(group: str, added: tuple[str, ...] = ()) -> MarketCalendar:
    """The calendar of one group of the table."""
    return WeekHours(PREFIX + group, hours_table.hours(TABLE, group), added)


def group_of(pair: str) -> str:
    """The group of a stored pair: as the table names it, else by what the pair is made of."""
    named = _groups().get(compact(pair))
    if named is not None:
        return named
    base, quote = split_pair(pair, "oanda") or (pair[:3], pair[3:])
    if base in STATES and quote in STATES:
        return "fx"
    if base in METALS:
        return "metal-crosses"
    return CRYPTO_CFDS if base in COINS else "cfd"


@cache
def _groups() -> dict[str, str]:
    return {compact(name): group for name, group in hours_table.instruments(TABLE).items()}
