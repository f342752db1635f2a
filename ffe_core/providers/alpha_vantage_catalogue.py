"""Alpha Vantage catalogue: reads its lists of shares and of currencies (alphavantage.co/documentation).

LISTING_STATUS is CSV with US listings only; an absent day or name is the text "null". Symbols are kept as they come:
BRK-B, BC/PB, and tickers such as NAN and TRUE. A symbol that both lists have was given to another company, so identity
is symbol and listing day. The currency lists are CSV with code and name; what is not listed may be served all the same.
SYMBOL_SEARCH is JSON, at most ten `bestMatches` of any exchange; its hours are constants of a region and its zone the
offset of the day ("UTC+5.5"), and those of Frankfurt and Xetra are wrong: they are texts to show, and no calendar.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping
from typing import Any

from ffe_core.errors import InputError
from ffe_core.instruments.model import Instrument, Kind
from ffe_core.instruments.names import Identity, asset_class, stored_name
from ffe_core.providers.alpha_vantage_wire import unnumbered
from ffe_core.providers.body import NotJson

NAME = "alpha_vantage"
LISTING_COLUMNS = ("symbol", "name", "exchange", "assetType", "ipoDate", "delistingDate", "status")
CURRENCY_COLUMNS = ("currency code", "currency name")
_DAY = re.compile(r"(?:19|20)\d\d-[01]\d-[0-3]\d", re.ASCII)
_NOTHING = ("", "null", "None")
_AGAINST = ("USD", "EUR")
_FUNDS = ("ETF", "Mutual Fund")


def rows(data: bytes, columns: tuple[str, ...]) -> list[dict[str, str]]:
    """The lines of a CSV body by their column; NotJson when it has not all of these columns.

    It reads no value as missing: NAN and TRUE are tickers.
    """
    reader = csv.DictReader(io.StringIO(data.decode("utf-8-sig", errors="replace"), newline=""))
    try:
        if set(columns) <= set(reader.fieldnames or ()):
            return [{column: (row.get(column) or "").strip() for column in columns} for row in reader]
    except csv.Error:
        pass
    raise NotJson("it is not the list that was asked for")


def shares(active: Iterable[Mapping[str, str]], gone: Iterable[Mapping[str, str]]) -> list[Instrument]:
    """The shares and funds of both lists, each under a name of its own.

    A delisted one whose symbol another has now, or had before it, is named with its listing day; one that has neither
    is left out, as nobody could ask for it.
    """
    found: dict[str, Instrument] = {}
    for row in active:
        if instrument := _share(row, None):
            found.setdefault(instrument.name, instrument)
    for row in gone:
        instrument = _share(row, None)
        if instrument is not None and instrument.name in found and instrument.listed is not None:
            instrument = None if found[instrument.name].listed == instrument.listed else _share(row, instrument.listed)
        if instrument is not None:
            found.setdefault(instrument.name, instrument)
    return list(found.values())


def matches(body: Any) -> list[Instrument] | None:
    """The instruments of an answer to SYMBOL_SEARCH, without those that nobody could ask for; None if it is none."""
    sent = body.get("bestMatches") if isinstance(body, dict) else None
    if not isinstance(sent, list):
        return None
    found = (_match(unnumbered(one)) for one in sent)
    return [instrument for instrument in found if instrument is not None]


def currencies(physical: Iterable[Mapping[str, str]], digital: Iterable[Mapping[str, str]]) -> list[Instrument]:
    """Each listed currency and coin in dollars and euros, and each currency also the other way round.

    Crosses are not listed by anybody; `pair_of` makes them of the codes.
    """
    names = {row["currency code"].upper(): row["currency name"] for row in (*physical, *digital)}
    states = [row["currency code"].upper() for row in physical]
    coins = [row["currency code"].upper() for row in digital]
    pairs = [(base, quote) for base in (*states, *coins) for quote in _AGAINST if base != quote]
    pairs += [(base, quote) for base in _AGAINST for quote in states if base != quote]
    found = (pair_of(base, quote, names) for base, quote in dict.fromkeys(pairs))
    return [instrument for instrument in found if instrument is not None]


def pair_of(base: str, quote: str, names: Mapping[str, str]) -> Instrument | None:
    """The pair of two codes; None if they make no name."""
    try:
        name = stored_name(NAME, Identity(f"{base}/{quote}", base, quote))
    except InputError:
        return None
    kind: Kind = "fx" if asset_class(name, NAME) == "fx" else "crypto"
    title = f"{names.get(base) or base} / {names.get(quote) or quote}"
    unit = "base units" if kind == "crypto" else None
    return Instrument(NAME, name, f"{base}/{quote}", kind, title, base, quote, volume_unit=unit)


def _share(row: Mapping[str, str], told_apart_by: str | None) -> Instrument | None:
    symbol = row["symbol"].upper()
    try:
        name = stored_name(NAME, Identity(symbol, listed=told_apart_by))
    except InputError:
        return None
    delisted = _day(row["delistingDate"])
    is_gone = delisted is not None or row["status"].lower() == "delisted"
    return Instrument(
        NAME,
        name,
        symbol,
        "fund" if row["assetType"] == "ETF" else "equity",
        title="" if row["name"] in _NOTHING else row["name"],
        quote="USD",
        exchange=row["exchange"] or None,
        decimals=None,
        volume_unit="shares",
        listed=_day(row["ipoDate"]),
        delisted=delisted,
        status="delisted" if is_gone else "listed",
    )


def _match(sent: Mapping[str, Any]) -> Instrument | None:
    symbol = _text(sent, "symbol").upper()
    try:
        name = stored_name(NAME, Identity(symbol))
    except InputError:
        return None
    opened, closed, zone = (_text(sent, field) for field in ("marketOpen", "marketClose", "timezone"))
    return Instrument(
        NAME,
        name,
        symbol,
        "fund" if _text(sent, "type") in _FUNDS else "equity",
        title=_text(sent, "name"),
        quote=_text(sent, "currency").upper() or None,
        volume_unit="shares",
        region=_text(sent, "region") or None,
        hours=f"{opened}-{closed} {zone}".strip() if opened and closed else None,
    )


def _text(sent: Mapping[str, Any], field: str) -> str:
    """A field as one line; empty where it is absent or no text."""
    value = sent.get(field)
    return "" if not isinstance(value, str) or value in _NOTHING else " ".join(value.split())


def _day(text: str) -> str | None:
    return text if _DAY.fullmatch(text) else None
