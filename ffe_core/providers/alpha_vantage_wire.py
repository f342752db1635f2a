"""Alpha Vantage wire format: reads a body as records, or as the error that came as a 200.

Values are keyed "1. open" or, until about 2024, "1a. open (EUR)"; the series lies under a key that begins with "Time
Series", keyed by stamps without a zone in the zone that the metadata names. A repeated record is a repeated key.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ffe_core.errors import PermanentError, RetriableError
from ffe_core.providers import alpha_vantage_notices as notices
from ffe_core.providers.base import Record
from ffe_core.providers.echo import check_echo
from ffe_core.providers.http import Check

NAME = notices.NAME
_SERIES = "Time Series"
_VALUE_KEY = re.compile(r"\d+[a-z]?\. (open|high|low|close|volume)(?: \((\w+)\))?")
_OFFSET = re.compile(r"(?:GMT|UTC)([+-]\d{1,2})", re.ASCII)
_SERIES_OF = re.compile(r"(\d+min|Daily|Weekly|Monthly)\)", re.ASCII)
_NUMBERED = re.compile(r"\d+[a-z]?\. (.+)", re.ASCII)
# "US/Eastern" is an old name that many systems no longer carry.
_ZONES: dict[str, tzinfo] = {"UTC": UTC, "GMT": UTC, "US/Eastern": ZoneInfo("America/New_York")}


class DuplicateKeys(dict[str, Any]):
    """A JSON object in which a key came more than once; `pairs` has them all."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self.pairs = pairs


def keep_duplicate_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object from its pairs, without losing repeated keys as a dict would."""
    found = dict(pairs)
    return found if len(found) == len(pairs) else DuplicateKeys(pairs)


def checker(params: Mapping[str, str], pair: str) -> Check:
    """A check that raises what a body without a series means for this request, and WrongAnswer for another's series."""

    def check(body: Any) -> None:
        if _series_of(body) is None:
            raise notices.error_in(body, params["function"], pair)
        check_echo(NAME, _asked(params), _named_by(body))

    return check


def _asked(params: Mapping[str, str]) -> dict[str, str]:
    """What the metadata repeat of a request, by the names that they have for it.

    A field that a body lacks says nothing: metadata have changed over the years, and no field is promised.
    """
    of_function = params["function"].partition("_")[0]
    names = _METADATA[of_function if of_function in _METADATA else "TIME"]
    return {name: params[key] for name, key in names.items() if key in params} | {
        "series": params.get("interval", "Daily")
    }


def is_compact(body: dict[str, Any]) -> bool:
    """Whether a body says that it holds the newest points only."""
    return str(unnumbered(body.get("Meta Data")).get("Output Size", "")).lower().startswith("compact")


def unnumbered(fields: Any) -> dict[str, Any]:
    """Fields by their names without numbers: "2. Symbol" is "Symbol"; those without one are left out."""
    numbered = ((_NUMBERED.fullmatch(key), value) for key, value in fields.items()) if isinstance(fields, dict) else ()
    return {found[1]: value for found, value in numbered if found}


def _named_by(body: dict[str, Any]) -> dict[str, Any]:
    """What a body says that it is about: its metadata, and the interval in its series' key."""
    named = unnumbered(body.get("Meta Data"))
    key = next(key for key, value in body.items() if key.startswith(_SERIES) and isinstance(value, dict))
    return named | ({"series": found[1]} if (found := _SERIES_OF.search(key)) else {})


_PAIR = {"Digital Currency Code": "symbol", "Market Code": "market", "Interval": "interval"}
_METADATA: dict[str, dict[str, str]] = {
    "TIME": {"Symbol": "symbol", "Interval": "interval"},
    "FX": {"From Symbol": "from_symbol", "To Symbol": "to_symbol", "Interval": "interval"},
    "CRYPTO": _PAIR,
    "DIGITAL": _PAIR,
}
"""What a request's parameters are called in the metadata, by the first word of its function."""


def records(body: Any, currency: str | None) -> list[Record]:
    """The records of a checked body: the values as sent plus `stamp`, `date` and the plain names of the values.

    Where values come in two currencies, those in `currency` count. PermanentError for timed stamps in an unknown zone.
    """
    series = _series_of(body) or {}
    pairs = series.pairs if isinstance(series, DuplicateKeys) else list(series.items())
    dates = {stamp: _date(stamp, body) for stamp in series}
    return [_record(stamp, row, dates[stamp], currency) for stamp, row in pairs]


def open_of(record: Record) -> int | None:
    """Epoch seconds of a record's open; None when its time cannot be read."""
    try:
        opened = datetime.fromisoformat(record["date"])
    except (KeyError, TypeError, ValueError):
        return None
    return None if opened.tzinfo is None else int(opened.timestamp())


def _record(stamp: str, row: Any, opened: str, currency: str | None) -> Record:
    if not isinstance(row, dict):
        return {"raw": row, "stamp": stamp, "date": opened}
    return {**row, **_named(row, currency), "stamp": stamp, "date": opened}


def _named(row: dict[str, Any], currency: str | None) -> dict[str, Any]:
    plain, priced = {}, {}
    for key, value in row.items():
        name, of = _value_key(key)
        if name and of is None:
            plain[name] = value
        elif name and of == currency:
            priced[name] = value
    return priced | plain


@lru_cache(maxsize=256)
def _value_key(key: str) -> tuple[str | None, str | None]:
    """Name and currency in a key: "1a. open (EUR)" is ("open", "EUR")."""
    found = _VALUE_KEY.fullmatch(key)
    return (found[1], found[2]) if found else (None, None)


def _series_of(body: Any) -> dict[str, Any] | None:
    if not isinstance(body, dict):
        return None
    return next((v for key, v in body.items() if key.startswith(_SERIES) and isinstance(v, dict)), None)


def _date(stamp: str, body: Any) -> str:
    """ISO 8601 of a stamp; an unreadable one as sent. A bare date is 00:00 UTC, whatever the zone."""
    try:
        if len(stamp) == len("2024-01-31"):
            return f"{date.fromisoformat(stamp).isoformat()}T00:00:00+00:00"
        local = datetime.fromisoformat(stamp)
        return (local if local.tzinfo else local.replace(tzinfo=_zone_of(body))).astimezone(UTC).isoformat()
    except (ValueError, OverflowError):
        return stamp


def _zone_of(body: Any) -> tzinfo:
    meta = body.get("Meta Data")
    label = next((v for key, v in meta.items() if key.endswith("Time Zone")), None) if isinstance(meta, dict) else None
    if not isinstance(label, str):
        raise RetriableError(f"{NAME} sent times without naming their zone; run it again later")
    return _zone(label)


@lru_cache(maxsize=32)
def _zone(label: str) -> tzinfo:
    """The zone of a label as sent: "UTC", "US/Eastern", or "GMT+8", which is eight hours ahead of UTC."""
    if label in _ZONES:
        return _ZONES[label]
    try:
        if offset := _OFFSET.fullmatch(label):
            return timezone(timedelta(hours=int(offset[1])))
        return ZoneInfo(label)
    except (ValueError, OSError, ZoneInfoNotFoundError):
        raise PermanentError(
            f"{NAME} sent times in the zone {label!r}, which is unknown here; nothing can be stored from them"
        ) from None
