"""OANDA catalogue: reads the list of an account's instruments (developer.oanda.com, "Account Instruments").

`type` is CURRENCY, METAL or CFD; it tells neither indices, bonds, energies nor crops apart, and palladium, platinum and
copper are CFDs to it. `displayPrecision` gives the decimals of a price.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ffe_core.errors import InputError
from ffe_core.instruments.currencies import COINS, METALS
from ffe_core.instruments.model import Instrument, Kind
from ffe_core.instruments.names import identity_of, stored_name

NAME = "oanda"
_ENERGIES = frozenset({"WTICO", "BCO", "NATGAS"})
_CROPS = frozenset({"CORN", "SOYBN", "SUGAR", "WHEAT"})
_BOND = re.compile(r"(?:USB\d\dY|DE\d\dYB|UK\d\dYB)", re.ASCII)
_INDEX = re.compile(r"[A-Z]+\d+[A-Z]?|CHINAH|TWIX|ESPIX", re.ASCII)
_MOST_DECIMALS = 12


def instruments(listed: Sequence[Any]) -> list[Instrument]:
    """The instruments that have a name of their own; what cannot be read is left out."""
    return [found for each in listed if isinstance(each, dict) and (found := _instrument(each))]


def _instrument(listed: Mapping[str, Any]) -> Instrument | None:
    symbol, precision, title = listed.get("name"), listed.get("displayPrecision"), listed.get("displayName")
    try:
        identity = identity_of(NAME, symbol)  # type: ignore[arg-type]
        name = stored_name(NAME, identity)
    except InputError:
        return None
    known = isinstance(precision, int) and not isinstance(precision, bool) and 0 <= precision <= _MOST_DECIMALS
    return Instrument(
        NAME,
        name,
        str(symbol),
        kind_of(identity.base or str(symbol), listed.get("type")),
        title=title if isinstance(title, str) else "",
        base=identity.base,
        quote=identity.quote,
        decimals=precision if known else None,
        volume_unit="ticks",
    )


def kind_of(base: str, told: Any = None) -> Kind:
    """What kind of market a base is, by what it is called and by OANDA's own `type` where the name says nothing."""
    if base in METALS or told == "METAL":
        return "metal"
    if told == "CURRENCY":
        return "fx"
    if base in _ENERGIES:
        return "energy"
    if base in _CROPS:
        return "commodity"
    if _BOND.fullmatch(base):
        return "bond"
    if base in COINS:
        return "crypto"
    return "index" if _INDEX.fullmatch(base) else "cfd"
