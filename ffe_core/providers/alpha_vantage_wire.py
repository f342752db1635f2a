"""Alpha Vantage wire format: reads a body as records, or as the error that came as a 200.

Values are keyed "1. open" or, until about 2024, "1a. open (EUR)"; the series lies under a key that begins with "Time
Series", keyed by stamps without a zone in the zone that the metadata names. A repeated record is a repeated key.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ffe_core.errors import CredentialsError, PermanentError, ProviderError, QuotaError, RetriableError
from ffe_core.providers.base import Record
from ffe_core.providers.http import Check, other_shape
from ffe_core.providers.http_provider import unknown_pair
from ffe_core.redaction import redact
from ffe_core.settings import variable

NAME = "alpha_vantage"
_MESSAGES = ("Information", "Note", "Error Message")
_VALUE_KEY = re.compile(r"\d+[a-z]?\. (open|high|low|close|volume)(?: \((\w+)\))?")
_OFFSET = re.compile(r"(?:GMT|UTC)([+-]\d{1,2})")
# "US/Eastern" is an old name that many systems no longer carry.
_ZONES: dict[str, tzinfo] = {"UTC": UTC, "GMT": UTC, "US/Eastern": ZoneInfo("America/New_York")}
_BURST_WAIT = 2.0
_MINUTE_WAIT = 60.0


class FullRefused(PermanentError):
    """This key is not served the whole series, only its newest points."""


class DuplicateKeys(dict[str, Any]):
    """A JSON object in which a key came more than once; `pairs` has them all."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self.pairs = pairs


def keep_duplicate_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object from its pairs, without losing repeated keys as a dict would."""
    found = dict(pairs)
    return found if len(found) == len(pairs) else DuplicateKeys(pairs)


def checker(function: str, pair: str) -> Check:
    """A check that raises what a body without a series means for this function and pair."""

    def check(body: Any) -> None:
        if _series_of(body) is None:
            raise _error_in(body, function, pair)

    return check


def error_text(body: Any) -> str | None:
    """The message of a body, under whichever key."""
    return next((body[key] for key in _MESSAGES if isinstance(body.get(key), str)), None)


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
    return next((v for key, v in body.items() if key.startswith("Time Series") and isinstance(v, dict)), None)


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


def _error_in(body: Any, function: str, pair: str) -> ProviderError:
    """The error a body without a series stands for. The order matters: the burst text names premium and quota too."""
    if not isinstance(body, dict) or (text := error_text(body)) is None:
        return other_shape(NAME, body)
    key = next(key for key in _MESSAGES if body.get(key) == text)
    said = redact(text)
    for applies, error in _KINDS:
        if applies(key, text.lower()):
            return error(said, function, pair)
    return RetriableError(f"{NAME} sent no data but: {said}")


def _premium(said: str, function: str, pair: str) -> ProviderError:
    if "outputsize" in said.lower():
        return FullRefused(f"{NAME}: this key is not served the whole series ({said}); use a premium key")
    return PermanentError(
        f"{NAME}: this key is not served {function}, a premium endpoint: a free key gets only timeframe 1d;"
        f" use 1d or a premium key ({said})"
    )


def _refused(said: str, function: str, pair: str) -> ProviderError:
    if "apikey" in said.lower():
        return CredentialsError(f"{NAME}: the key is refused ({said}); check {variable(NAME, 'api_key')}")
    return unknown_pair(NAME, pair, said)


_KINDS: list[tuple[Callable[[str, str], bool], Callable[[str, str, str], ProviderError]]] = [
    (
        lambda key, text: "spread" in text,
        lambda said, function, pair: RetriableError(f"{NAME}: too many requests a second ({said})", _BURST_WAIT),
    ),
    (lambda key, text: "premium endpoint" in text or "premium feature" in text, _premium),
    (
        lambda key, text: key == "Note",
        lambda said, function, pair: RetriableError(f"{NAME}: too many requests a minute ({said})", _MINUTE_WAIT),
    ),
    (
        lambda key, text: "per day" in text,
        lambda said, function, pair: QuotaError(
            f"{NAME}: the daily quota of this key is used up ({said}); run it again tomorrow or use a premium key"
        ),
    ),
    (lambda key, text: key == "Error Message", _refused),
    (
        lambda key, text: "demo" in text,
        lambda said, function, pair: PermanentError(
            f"{NAME}: the demo key serves examples only ({said}); set your own in {variable(NAME, 'api_key')}"
        ),
    ),
]
