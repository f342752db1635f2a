"""Instants and ranges, read and written: aware, UTC, half-open.

A date means that whole UTC day, the end date included; a datetime is taken as given, its end excluded; one without
a zone is refused. Inside the core an instant is an int: epoch seconds, UTC. The last one is the last second of 9999,
so that every end of a range can be written too.
"""

from __future__ import annotations

import re
import time
from datetime import UTC, date, datetime
from math import floor

from ffe_core.errors import InputError

DAY = 86_400
MINUTE = 60
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST, _END = -62_135_596_800, 253_402_300_800
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_EXAMPLE = "use a date like 2024-01-31 or a time with a zone like 2024-01-31T12:00:00Z"

Instant = str | date | datetime | int


def now() -> int:
    """The present instant in epoch seconds."""
    return int(time.time())


def utc(epoch: int) -> datetime:
    """Epoch seconds as an aware UTC datetime."""
    return datetime.fromtimestamp(epoch, UTC)


def iso(epoch: int) -> str:
    """Epoch seconds as ISO 8601 text, for example 2024-01-31T12:00:00+00:00."""
    return utc(epoch).isoformat()


def parse_instant(value: Instant, field: str = "time", *, end: bool = False) -> int:
    """Epoch seconds of a date, datetime, ISO text or epoch; a bare date given as an `end` is the day after it,
    the last one's its last second.

    Raises InputError naming `field` for unreadable text and for a datetime without a zone.
    """
    if isinstance(value, bool):
        raise InputError(f"{value!r} is not a time; {_EXAMPLE}", field=field)
    parsed = _parse_text(value, field) if isinstance(value, str) else value
    if isinstance(parsed, int):
        if not _FIRST <= parsed < _END:
            raise InputError(f"{value} s lies outside the years 1 to 9999; {_EXAMPLE}", field=field)
        return parsed
    if isinstance(parsed, datetime):
        if parsed.tzinfo is None:
            raise InputError(f"{value} has no time zone; add one, for example {parsed.isoformat()}Z", field=field)
        return floor((parsed - _EPOCH).total_seconds())
    if isinstance(parsed, date):
        return min((parsed.toordinal() - _EPOCH.toordinal() + end) * DAY, _END - 1)
    raise InputError(f"{value!r} is not a time; {_EXAMPLE}", field=field)


def is_date(value: Instant) -> bool:
    """Whether a value means a whole day, not an instant in it."""
    if isinstance(value, str):
        return bool(_DATE.fullmatch(value.strip()))
    return isinstance(value, date) and not isinstance(value, datetime)


def parse_moment(text: str, field: str = "time") -> datetime:
    """An aware datetime of ISO 8601 text, to the microsecond. InputError for a date, or a time without a zone."""
    parsed = _parse_text(text, field)
    if not isinstance(parsed, datetime):
        raise InputError(f"{text!r} is a day; give a time with a zone like {text.strip()}T12:00:00Z", field=field)
    if parsed.tzinfo is None:
        raise InputError(f"{text} has no time zone; add one, for example {parsed.isoformat()}Z", field=field)
    return parsed


def parse_range(start: Instant, end: Instant, now_: int | None = None) -> tuple[int, int]:
    """Half-open range in epoch seconds; InputError for reversed ends or a start in the future.

    What a zone shifts out of the years 1 to 9999 is cut to them.
    """
    first, last = max(parse_instant(start, "start"), _FIRST), min(parse_instant(end, "end", end=True), _END - 1)
    if last <= first:
        raise InputError(
            f"{end} is not after start {start}; give a range such as 2024-01-01 to 2024-01-31", field="end"
        )
    if first > (now() if now_ is None else now_):
        raise InputError(f"{start} lies in the future; give a start in the past, for example 2024-01-01", field="start")
    return first, last


def range_texts(start: int, end: int) -> tuple[str, str]:
    """[start, end) in UTC as one types it: whole days with the last one included, else times to the minute or second.

    What `parse_range` reads of days, and of times with a Z behind them, is the same range.
    """
    if start % DAY == 0 and end % DAY == 0:
        return f"{utc(start):%Y-%m-%d}", f"{utc(end - DAY):%Y-%m-%d}"
    seconds = ":%S" if start % 60 or end % 60 else ""
    return f"{utc(start):%Y-%m-%d %H:%M{seconds}}", f"{utc(end):%Y-%m-%d %H:%M{seconds}}"


def _parse_text(text: str, field: str) -> date | datetime:
    stripped = text.strip()
    try:
        if not stripped.isascii():  # digits of other scripts are no digits here
            raise ValueError
        return date.fromisoformat(stripped) if _DATE.fullmatch(stripped) else datetime.fromisoformat(stripped)
    except ValueError:
        raise InputError(f"{text!r} is not a time; {_EXAMPLE}", field=field) from None
