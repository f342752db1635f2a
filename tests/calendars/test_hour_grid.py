"""Hourly bars of shares on the half hour and on the full hour: which are expected, and what a body shows."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ffe_core.calendars import AlwaysOpen, ExchangeHours, MarketCalendar
from ffe_core.calendars.exchange_table import hour_spacing, suffixes
from ffe_core.calendars.hour_grid import OnHourGrid, elsewhere, kept_grids, most_kept, offset_of, on_hour_grid, typed
from ffe_core.calendars.own_hours import own_hours
from ffe_core.errors import InputError
from ffe_core.series import Series
from ffe_core.times import DAY, parse_instant

NEW_YORK = ExchangeHours("XNYS")
FULL = on_hour_grid(NEW_YORK, 0)
HOUR = 3600


def opens(calendar: MarketCalendar, day: str, timeframe: str = "1h") -> list[str]:
    start = parse_instant(day)
    found = calendar.expected_open_times(timeframe, start, start + DAY).tolist()
    return [f"{at % DAY // HOUR:02}:{at % HOUR // 60:02}" for at in found]


def clock(first: str, count: int) -> list[str]:
    hour, minute = first.split(":")
    return [f"{int(hour) + n:02}:{minute}" for n in range(count)]


@pytest.mark.parametrize(
    ("day", "half", "full"),
    [
        ("2024-01-17", clock("14:30", 7), clock("14:00", 7)),  # winter, 09:30 to 16:00 in New York
        ("2024-03-08", clock("14:30", 7), clock("14:00", 7)),
        ("2024-03-11", clock("13:30", 7), clock("13:00", 7)),  # the day after the clocks went forward
        ("2024-11-01", clock("13:30", 7), clock("13:00", 7)),
        ("2024-11-04", clock("14:30", 7), clock("14:00", 7)),  # and back
        ("2024-07-03", clock("13:30", 4), clock("13:00", 4)),  # half days end at 13:00
        ("2024-11-29", clock("14:30", 4), clock("14:00", 4)),
        ("2024-07-04", [], []),
        ("2001-09-17", clock("13:30", 7), clock("13:00", 7)),
    ],
)
def test_a_day_in_new_york_on_both_grids(day: str, half: list[str], full: list[str]) -> None:
    assert (opens(NEW_YORK, day), opens(FULL, day)) == (half, full)


def test_only_hourly_bars_move() -> None:
    for timeframe in ("1m", "15m", "4h", "1d"):
        assert opens(FULL, "2024-01-17", timeframe) == opens(NEW_YORK, "2024-01-17", timeframe)
    assert (FULL.name, FULL.horizon) == (NEW_YORK.name, NEW_YORK.horizon)
    start = parse_instant("2024-01-01")
    assert FULL.special_sessions(start, start + 30 * DAY) == NEW_YORK.special_sessions(start, start + 30 * DAY)


def test_a_market_stays_itself_on_its_own_grid() -> None:
    assert on_hour_grid(NEW_YORK, None) is on_hour_grid(NEW_YORK, 1800) is on_hour_grid(FULL, 1800) is NEW_YORK
    assert ExchangeHours("XLON").hour_offset == AlwaysOpen().hour_offset == 0
    assert ExchangeHours("XBOM").hour_offset == 2700
    assert hash(FULL) == hash(OnHourGrid(ExchangeHours("XNYS"), 0))
    assert opens(ExchangeHours("XHKG"), "2024-12-23")[3] == "05:00"  # its afternoon begins on the full hour


@pytest.mark.parametrize("suffix", sorted(suffixes()))
def test_the_bars_of_each_exchange_lie_where_a_series_may_have_them(suffix: str) -> None:
    """Bombay opens at 09:15: a spacing of half an hour would make dead letters of all its hourly bars."""
    grid = Series(f"ANY.{suffix}", "1h", "alpha_vantage").grid
    assert grid == hour_spacing(suffixes()[suffix])
    assert ExchangeHours(suffixes()[suffix])._grid(HOUR) % grid == 0


def on(calendar: MarketCalendar, first: str, days: int = 5) -> np.ndarray:
    start = parse_instant(first)
    return calendar.expected_open_times("1h", start, start + days * DAY)


def test_what_a_body_shows() -> None:
    half, full = on(NEW_YORK, "2024-01-17"), on(FULL, "2024-01-17")
    assert (kept_grids(NEW_YORK, half), kept_grids(FULL, full), kept_grids(NEW_YORK, full)) == ((1800,), (0,), (0,))
    assert kept_grids(NEW_YORK, np.append(half, full[:1])) == ()
    assert kept_grids(NEW_YORK, []) is kept_grids(NEW_YORK, [parse_instant("2024-01-20T14:00Z")]) is None
    assert kept_grids(NEW_YORK, np.append(half, parse_instant("2024-01-17T22:00Z"))) == (1800,)  # after hours
    assert kept_grids(ExchangeHours("XHKG"), [parse_instant("2024-12-23T05:00Z")]) == (1800, 0)
    assert kept_grids(ExchangeHours("XHKG"), on(ExchangeHours("XHKG"), "2024-12-23")) == (1800,)
    assert kept_grids(NEW_YORK, on(NEW_YORK, "1984-01-17")) == (1800, 0)  # it opened at 10:00 then
    assert most_kept(FULL, np.append(half, full[:1])) == 1800
    assert most_kept(NEW_YORK, []) is None


def test_bars_of_any_year_are_looked_at_where_they_lie() -> None:
    """Hours of one's own have no end, and a record may claim any year: nothing is worked out between them.

    Far ahead no zone is known, so a bar there tells nothing.
    """
    own = own_hours("America/New_York; mon-fri 09:30-16:00")
    lone = [parse_instant("1970-01-05T14:30Z"), parse_instant("2024-01-17T14:30Z"), parse_instant("9998-12-28T14:30Z")]
    began = time.perf_counter()
    assert kept_grids(own, [-(2**43), *lone]) == (1800,)
    assert elsewhere(own, [-(2**43), *lone]).tolist() == [False, True, True, False]
    assert time.perf_counter() - began < 5


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from(["XNYS", "XLON", "XHKG", "XBOM", "XTKS", "XASX", "BVMF"]),
    st.sampled_from([0, 1800]),
    st.integers(parse_instant("2015-01-01"), parse_instant("2026-10-01")),
    st.integers(1, 40 * DAY),
)
def test_the_bars_of_a_range_are_those_of_its_parts(code: str, offset: int, start: int, length: int) -> None:
    """On any grid, and each of them holds an open minute that is nobody else's."""
    market = ExchangeHours(code)
    calendar, end, middle = on_hour_grid(market, offset), start + length, start + length // 3
    whole = calendar.expected_open_times("1h", start, end).tolist()
    parts = [calendar.expected_open_times("1h", *part).tolist() for part in ((start, middle), (middle, end))]
    assert whole == parts[0] + parts[1] == sorted(set(whole))
    assert all(market.open_seconds(at, at + HOUR) for at in whole)


def test_a_bar_that_opens_before_the_end_is_there_though_its_market_opens_after_it() -> None:
    """The bar of 07:30 holds London's first half hour, from 08:00."""
    london, day = on_hour_grid(ExchangeHours("XLON"), 1800), "2024-01-17T"
    assert london.expected_open_times("1h", parse_instant(f"{day}07:00Z"), parse_instant(f"{day}07:45Z")).tolist() == [
        parse_instant(f"{day}07:30Z")
    ]


def test_names_that_a_person_types() -> None:
    bombay = ExchangeHours("XBOM")
    assert [offset_of(NEW_YORK, name) for name in ("half-hour", "hour", "session")] == [1800, 0, 1800]
    assert offset_of(on_hour_grid(bombay, 0), "session") == 2700
    assert [typed(offset) for offset in (0, 1800, 2700)] == ["hour", "half-hour", "session"]
    with pytest.raises(InputError, match="half-hour, hour, session"):
        offset_of(NEW_YORK, "quarter")
