"""Query of a route over candles: known parameters of a bounded length, series by any spelling, times as numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from starlette.datastructures import QueryParams

from ffe_core import times
from ffe_core.errors import InputError
from ffe_core.instruments.matching import meant
from ffe_core.series import Series

MICROS = 1_000_000
LONGEST_ECHO, _LONGEST_VALUE = 40, 200


def checked(query: QueryParams, known: Mapping[str, int]) -> QueryParams:
    """The parameters, if each is `known`, is given as often as is said there at most, and is short. InputError."""
    for name in query:
        if name not in known:
            raise InputError(f"{name[:LONGEST_ECHO]!r} is no parameter; use {', '.join(known)}")
        given, most = query.getlist(name), known[name]
        if len(given) > most:
            raise InputError(f"given {len(given):,} times; {most} at most can be", field=name)
        if max(map(len, given)) > _LONGEST_VALUE:
            raise InputError(f"a value is longer than {_LONGEST_VALUE} characters", field=name)
    return query


def series_named(there: Sequence[Series], key: str, field: str = "series") -> Series:
    """The series of a key PAIR/TIMEFRAME/PROVIDER under its stored name, however its pair is written. InputError."""
    pair, *rest = key.rsplit("/", 2)
    if len(rest) != 2:
        raise InputError(f"{key[:LONGEST_ECHO]!r} names none; write it like BTCUSD/1h/coinbase", field=field)
    timeframe, provider = rest
    alike = [one.asset_pair for one in there if (one.timeframe, one.provider) == (timeframe, provider)]
    name = meant(pair, alike)
    return Series(name, timeframe, provider) if name in alike else Series.of(pair, timeframe, provider)


def whole(text: str | None, field: str, a_second: int = 1) -> int:
    """A time since 1970 as a whole number, so many of them `a_second`. InputError naming the field."""
    try:
        found = int(text or "")
        times.parse_instant(found // a_second)
    except ValueError:
        shown = (text or "")[:LONGEST_ECHO]
        unit = "seconds" if a_second == 1 else "microseconds"
        raise InputError(
            f"{shown!r} is no time of the years 1 to 9999; give whole {unit} since 1970", field=field
        ) from None
    return found


def moment(micros: int) -> datetime:
    """A moment of knowledge from epoch microseconds."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)
