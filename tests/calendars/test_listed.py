"""Tests that a calendar within a listing expects nothing outside of it, per timeframe, on whatever hourly grid."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ffe_core.calendars.hour_grid import on_hour_grid, own
from ffe_core.calendars.listed import listed
from ffe_core.instruments.model import SeriesFacts
from ffe_core.settings import CalendarSettings, Settings
from ffe_core.times import parse_instant

HOUR, DAY = 3600, 86_400
FIRST = parse_instant("2024-03-04T15:00:00Z")
LAST = parse_instant("2024-03-07T17:00:00Z")
START, END = FIRST - 30 * DAY, LAST + 30 * DAY
MARKET = CalendarSettings().of("coinbase", "BTCUSD")
SHARES = CalendarSettings().of("alpha_vantage", "AAPL")


def test_without_facts_it_is_the_market_itself() -> None:
    assert listed(MARKET, {}) is MARKET
    assert listed(MARKET, {"1h": SeriesFacts(hour_offset=0)}) is MARKET


@given(st.integers(-40 * DAY, 40 * DAY), st.integers(0, 40 * DAY))
def test_what_is_expected_is_what_the_market_has_inside_the_listing(offset: int, length: int) -> None:
    start, end = FIRST + offset, FIRST + offset + length
    within = listed(MARKET, {"1h": SeriesFacts(first_bar=FIRST), "": SeriesFacts(last_bar=LAST)})
    inside = [at for at in MARKET.expected_open_times("1h", start, end).tolist() if FIRST <= at <= LAST]
    assert within.expected_open_times("1h", start, end).tolist() == inside


def test_each_timeframe_has_a_first_bar_of_its_own() -> None:
    within = listed(MARKET, {"1h": SeriesFacts(first_bar=FIRST), "1m": SeriesFacts(first_bar=FIRST - DAY)})
    assert within.expected_ranges("1h", START, END)[0, 0] == FIRST
    assert within.expected_ranges("1m", START, END)[0, 0] == FIRST - DAY
    assert within.expected_ranges("1d", START, END)[0, 0] == START + -START % DAY


def test_a_grid_learned_later_leaves_the_listing_as_it_is() -> None:
    within = listed(SHARES, {"1h": SeriesFacts(first_bar=FIRST), "": SeriesFacts(last_bar=LAST)})
    moved = on_hour_grid(within, 0)
    opens = moved.expected_open_times("1h", START, END)
    assert moved.hour_offset == 0 != within.hour_offset
    assert (opens % HOUR == 0).all()
    assert opens[0] >= FIRST
    assert opens[-1] <= LAST
    assert own(moved) is SHARES


def test_settings_heed_both_what_was_learned_of_the_listing_and_of_the_grid() -> None:
    settings = Settings()
    settings.calendars.learn_from(lambda provider, pair: {"1h": SeriesFacts(first_bar=FIRST, hour_offset=0)})
    opens = settings.calendars.of("alpha_vantage", "AAPL").expected_open_times("1h", START, END)
    assert opens[0] == FIRST
    assert (opens % HOUR == 0).all()
    market = settings.calendars.market_of("alpha_vantage", "AAPL")
    assert market.hour_offset == 0
    assert market.expected_ranges("1h", START, END)[0, 0] < FIRST
    assert Settings().calendars.of("alpha_vantage", "AAPL") == SHARES
