"""Do hours written as text open and close when the wall clock says so?"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ffe_core.calendars import Hours, WeekHours, calendar_for, hours_table, zones
from ffe_core.calendars.expected import ExpectedBars
from ffe_core.calendars.holidays import beside_weekend, days_of, easter
from ffe_core.calendars.oanda import GROUPS, TABLE, by_group
from ffe_core.calendars.own_hours import own_hours
from ffe_core.calendars.week_text import parse_week
from ffe_core.completeness import account
from ffe_core.errors import InputError
from ffe_core.intervals import NONE, ranges_of
from ffe_core.timeframes import TIMEFRAMES
from ffe_core.times import DAY, parse_instant
from tests.pace import examples

ZONES = ("America/New_York", "Europe/Berlin", "Australia/Sydney", "America/Sao_Paulo", "Asia/Hong_Kong", "UTC")
FIRST_BREAK = "2021-11-29"


def at(text: str) -> int:
    return parse_instant(text)


def new_york(text: str) -> int:
    local = datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("America/New_York"))
    return int(local.timestamp())


def minutes_open(pair: str, start: str, end: str) -> list[str]:
    """The minutes expected of an instrument at OANDA between two times of New York."""
    opens = calendar_for("oanda", pair).expected_open_times("1m", new_york(start), new_york(end)).tolist()
    return [f"{datetime.fromtimestamp(t, ZoneInfo('America/New_York')):%H:%M}" for t in opens]


# Clocks


@settings(max_examples=examples(200), deadline=None)
@given(st.sampled_from(ZONES), st.integers(zones.FIRST, zones.LAST))
def test_local_times_are_those_of_zoneinfo(zone: str, local: int) -> None:
    naive = datetime(1970, 1, 1) + timedelta(seconds=local)  # noqa: DTZ001 the zone is set next
    assert zones.from_local(np.array([local]), zone).tolist() == [int(naive.replace(tzinfo=ZoneInfo(zone)).timestamp())]


def test_a_night_that_changes_its_clocks_is_read_as_zoneinfo_does() -> None:
    for zone in ZONES:
        for day in (date(2024, 3, 10), date(2024, 3, 31), date(2024, 11, 3), date(2024, 4, 7), date(2017, 10, 15)):
            naive = [datetime(day.year, day.month, day.day) + timedelta(minutes=15 * n) for n in range(96)]  # noqa: DTZ001
            local = np.array([int(t.replace(tzinfo=UTC).timestamp()) for t in naive])
            expected = [int(t.replace(tzinfo=ZoneInfo(zone)).timestamp()) for t in naive]
            assert zones.from_local(local, zone).tolist() == expected


# The week as text


def test_a_week_is_read_in_minutes_after_monday() -> None:
    assert parse_week("mon-fri 08:00-16:30").open.tolist() == [[d * 1440 + 480, d * 1440 + 990] for d in range(5)]
    assert parse_week("sun 17:00 to fri 17:00").open.tolist() == [[0, 4 * 1440 + 1020], [6 * 1440 + 1020, 7 * 1440]]
    assert parse_week("SUN 22:00-02:00").open.tolist() == [[0, 120], [6 * 1440 + 1320, 7 * 1440]]
    week = parse_week("mon 00:00-24:00, rest mon-tue 12:00-13:00, thin 11:58-12:02")
    assert (week.open.tolist(), week.thin.tolist()) == ([[0, 718], [780, 1440]], [[718, 720]])
    assert parse_week("fri-mon 10:00-11:00").open[:, 0].tolist() == [
        600,
        4 * 1440 + 600,
        5 * 1440 + 600,
        6 * 1440 + 600,
    ]


@pytest.mark.parametrize(
    "text",
    ["", "daily", "mon", "08:00-16:30", "mon-fri 8:00-16:30", "mon-fri 08:00-24:01", "mon-fri 08:60-16:00",
     "mo-fri 08:00-16:30", "rest 08:00-09:00", "mon 08:00-09:00, rest 08:00-09:00", "mon 08:00 to 16:00",
     "mon-fri ٠8:00-16:30", "mon-fri 08:00-16:30 UTC"],
)  # fmt: skip
def test_a_week_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"write (it|them) like"):
        parse_week(text)


def is_open(epoch: int) -> bool:
    """The rule of the week below read off the wall clock of New York."""
    local = datetime.fromtimestamp(epoch, ZoneInfo("America/New_York"))
    minute, day = local.hour * 60 + local.minute, local.weekday()
    if f"{local:%m-%d}" == "12-25" or (f"{local:%m-%d}" == "12-24" and minute >= 780):
        return False
    in_week = day < 4 or (day == 4 and minute < 1018) or (day == 6 and minute >= 1023)
    return in_week and not 1018 <= minute < 1023


OWN = own_hours("America/New_York; sun 17:03 to fri 16:58, rest 16:58-17:03; closed 12-25; closes 12-24@13:00")
EDGES = ("2023-03-10", "2024-03-09", "2020-10-31", "2024-11-02", "2022-12-23", "2024-12-23")


@settings(max_examples=examples(60), deadline=None)
@given(
    st.sampled_from(sorted(TIMEFRAMES)),
    st.one_of(
        st.integers(at("1999-01-01"), at("2030-01-01")),
        st.builds(lambda day, offset: at(day) + offset, st.sampled_from(EDGES), st.integers(0, 4 * DAY)),
    ),
    st.integers(1, 30),
)
def test_own_hours_expect_a_bar_if_and_only_if_its_window_holds_an_open_minute(
    timeframe: str, start: int, bars: int
) -> None:
    step = TIMEFRAMES[timeframe]
    end = start + min(bars * step, 3 * DAY)
    opens = range(start + -start % step, end, step)
    expected = [o for o in opens if any(is_open(minute) for minute in range(o, o + step, 60))]
    assert OWN.expected_open_times(timeframe, start, end).tolist() == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Europe/Lundon; mon-fri 08:00-16:30", "'Europe/Lundon' is no time zone"),
        ("Europe; mon-fri 08:00-16:30", "'Europe' is no time zone"),
        ("; mon-fri 08:00-16:30", "'' is no time zone"),
        ("../etc; mon-fri 08:00-16:30", "is no time zone"),
        ("Europe/London; mon-fri", "hours 'mon-fri' cannot be read"),
        ("Europe/London; mon-fri 08:00-16:30; shut 12-25", "'shut 12-25' is neither"),
        ("Europe/London; mon-fri 08:00-16:30; closed", "'closed' is neither"),
        ("Europe/London; mon-fri 08:00-16:30; closed 13-25", "'13-25' is no day"),
        ("Europe/London; mon-fri 08:00-16:30; closed 2023-02-29", "'2023-02-29' is no day"),
        ("Europe/London; mon-fri 08:00-16:30; closed 12-25@12:00", "closed .12-25@12:00. has a time"),
        ("Europe/London; mon-fri 08:00-16:30; closes 12-24", "needs its time"),
        ("Europe/London; mon-fri 08:00-16:30; opens 12-24@25:00", "'25:00' is no time of day"),
    ],
)
def test_own_hours_that_cannot_be_read_are_refused(text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        own_hours(text)


def test_the_special_days_of_own_hours_are_shown_where_they_change_something() -> None:
    text = "Europe/London; mon-fri 08:00-16:30; closed 12-25 good-friday; closes 12-24@12:30; opens 2024-01-02@10:00"
    found = [tuple(s) for s in own_hours(text).special_sessions(at("2024-01-01"), at("2026-01-01"))]
    assert found == [
        (date(2024, 1, 2), "half day", "opens at 10:00 Europe/London"),
        (date(2024, 3, 29), "holiday", "closed"),
        (date(2024, 12, 24), "half day", "closes at 12:30 Europe/London"),
        (date(2024, 12, 25), "holiday", "closed"),
        (date(2025, 4, 18), "holiday", "closed"),
        (date(2025, 12, 24), "half day", "closes at 12:30 Europe/London"),
        (date(2025, 12, 25), "holiday", "closed"),
    ]
    assert own_hours(text).special_sessions(at("2027-12-25"), at("2027-12-26")) == []


# Days by rule


def test_easter_and_what_hangs_on_it() -> None:
    # Published dates.
    assert [easter(y).isoformat()[5:] for y in (2000, 2008, 2011, 2024, 2025, 2026, 2038)] == [
        "04-23", "03-23", "04-24", "03-31", "04-20", "04-05", "04-25",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("word", "day"),
    [
        ("good-friday", "2024-03-29"),
        ("easter-monday", "2024-04-01"),
        ("ascension", "2024-05-09"),
        ("whit-monday", "2024-05-20"),
        ("3rd-mon-jan", "2024-01-15"),
        ("last-mon-may", "2024-05-27"),
        ("4th-thu-nov", "2024-11-28"),
        ("thanksgiving-friday", "2024-11-29"),
        ("02-29", "2024-02-29"),
    ],
)
def test_a_rule_names_its_day(word: str, day: str) -> None:
    in_2024 = [d for d in days_of(word) if at("2024-01-01") // DAY <= d < at("2025-01-01") // DAY]
    assert in_2024 == [at(day) // DAY]


def test_a_quiet_day_at_a_weekend_means_the_weekday_beside_it_too() -> None:
    christmas = beside_weekend(days_of("12-25"))
    found = [str(np.datetime64(d, "D")) for d in christmas if at("2021-12-01") // DAY <= d < at("2023-01-01") // DAY]
    assert found == ["2021-12-24", "2021-12-25", "2022-12-25", "2022-12-26"]


# OANDA's table


def test_every_group_of_the_table_is_named_and_can_be_read() -> None:
    assert list(hours_table.groups(TABLE)) == GROUPS
    for group in GROUPS:
        assert by_group(group).expected_count("1h", at("2024-06-03"), at("2024-06-08")) > 40


@pytest.mark.parametrize(
    ("name", "group"),
    [
        ("EUR_USD", "fx"),
        ("usd_try", "fx"),
        ("NZD_USD", "fx-nzd"),
        ("AUD_NZD", "fx-aud-nzd"),
        ("XAU_USD", "gold"),
        ("XAU_XAG", "metal-crosses"),
        ("XAG_CNH", "metal-crosses"),
        ("XPT_USD", "metals-and-copper"),
        ("WTICO_USD", "oil-and-gas"),
        ("SPX500_USD", "us-indices"),
        ("DE30/EUR", "germany"),
        ("AU200/AUD", "australia"),
        ("USB10Y_USD", "us-bonds"),
        ("UK10YB_GBP", "gilt"),
        ("CORN_USD", "grains"),
        ("ESPIX_EUR", "cfd"),
        ("CHINAH_HKD", "cfd"),
    ],
)
def test_an_instrument_follows_its_group_however_it_is_written(name: str, group: str) -> None:
    assert calendar_for("oanda", name).name == f"oanda-{group}"
    assert calendar_for("OANDA", name.replace("_", "").replace("/", "")) == calendar_for("oanda", name)


@pytest.mark.parametrize(
    ("pair", "start", "end", "closed"),
    [
        ("EURUSD", "2024-06-04T16:50", "2024-06-04T17:10", ["16:58", "16:59", "17:00", "17:01", "17:02"]),
        ("EURUSD", "2021-11-30T16:50", "2021-11-30T17:10", ["16:58", "16:59", "17:00", "17:01", "17:02"]),
        ("EURUSD", "2021-11-23T16:50", "2021-11-23T17:10", ["17:00", "17:01"]),
        ("NZDUSD", "2024-06-04T12:50", "2024-06-04T13:10", ["12:58", "12:59", "13:00", "13:01", "13:02"]),
        ("NZDUSD", "2019-06-04T12:50", "2019-06-04T13:10", []),
        ("EURUSD", "2024-06-04T12:50", "2024-06-04T13:10", []),
    ],
)
def test_the_breaks_have_their_days_of_validity(pair: str, start: str, end: str, closed: list[str]) -> None:
    """16:58 is the first closed minute, 17:02 the last."""
    every = [f"{t:%H:%M}" for t in (datetime.fromisoformat(start) + timedelta(minutes=n) for n in range(20))]
    assert sorted(set(every) - set(minutes_open(pair, start, end))) == closed


@pytest.mark.parametrize(
    ("day", "last", "first"),
    [("2014-05-06", "17:14", "18:00"), ("2015-09-22", "17:14", "18:00"), ("2015-09-23", "16:59", "18:00"),
     ("2021-11-23", "16:59", "18:00"), ("2021-11-30", "16:57", "18:03"), ("2024-06-04", "16:57", "18:03")],
)  # fmt: skip
def test_gold_rests_as_it_did_at_the_time(day: str, last: str, first: str) -> None:
    found = minutes_open("XAU_USD", f"{day}T12:00", f"{day}T23:00")
    before, after = [t for t in found if t < "17:30"], [t for t in found if t > "17:30"]
    assert (before[-1], after[0]) == (last, first)


def test_when_christmas_is_a_sunday_oanda_rests_on_monday() -> None:
    calendar = calendar_for("oanda", "EUR_USD")
    start = at("2022-12-25T22:00Z")
    assert calendar.expected_count("1h", start, start + DAY) == 0
    assert calendar.expected_count("1h", start + DAY, start + 2 * DAY) > 15


def test_what_a_list_closes_and_a_recording_opens_is_neither_missing_nor_extra() -> None:
    """The list closes 2 January 2023 for currencies; recorded EUR_USD traded from 18:00 New York on the 1st."""
    calendar, start = calendar_for("oanda", "EUR_USD"), at("2023-01-01T23:00Z")
    bars = ExpectedBars.of(calendar, "1h", start, start + DAY)
    stored = np.arange(start, start + 23 * 3600, 3600)
    for held in (NONE, ranges_of(stored, 3600)):
        counts = account(bars, start, start + DAY, held, np.empty(0, dtype=np.int64), NONE).completeness()
        assert (counts.unexplained, counts.extra) == (0, 0)


def test_a_bar_where_the_market_is_surely_closed_is_extra_and_by_period_too() -> None:
    hours = Hours(
        "UTC", (("1970-01-01", "mon-fri 08:00-16:00, thin 15:00-16:00"),), closed="2024-06-05", quiet="2024-06-06"
    )
    calendar, start = WeekHours("x", hours), at("2024-06-03")
    bars = ExpectedBars.of(calendar, "1h", start, start + 5 * DAY)
    opens = np.concatenate([np.arange(7, 17) * 3600 + start + day * DAY for day in range(5)])
    found = account(bars, start, start + 5 * DAY, ranges_of(opens, 3600), np.empty(0, dtype=np.int64), NONE)
    # 07:00 and 16:00 of the open and the quiet days, all ten of the closed one.
    assert (found.completeness().unexplained, found.extra) == (0, 18)
    daily = found.by_period(start + np.arange(6) * DAY)
    assert daily["extra"].tolist() == [2, 2, 10, 2, 2]
    assert daily["expected"].tolist() == [7, 7, 0, 0, 7]


def test_a_pair_of_holidays_added_in_the_settings_closes_oandas_currencies_too() -> None:
    holidays = ["12-25", "01-01", "2024-05-01"]
    start, end = new_york("2024-04-30T17:00"), new_york("2024-05-01T17:00")
    for pair, bars in (("EUR_USD", 0), ("XAU_USD", 23)):
        assert calendar_for("oanda", pair, fx_holidays=holidays).expected_count("1h", start, end) == bars
    assert calendar_for("alpha_vantage", "EURUSD", fx_holidays=holidays).expected_count("1h", start, end) == 0
    assert calendar_for("alpha_vantage", "EURUSD").expected_count("1h", start, end) == 24


# Overrides


@pytest.mark.parametrize(
    ("override", "name"),
    [
        ("oanda-gold", "oanda-gold"),
        ("oanda:XAU_USD", "oanda-gold"),
        ("OANDA:eurusd", "oanda-fx"),
        ("oanda:BTC_USD", "fx-daily-pause"),
        ("XLON", "XLON"),
        ("LSE", "XLON"),
        ("NYSE ARCA", "XNYS"),
        ("us_futures", "us_futures"),
        ("Europe/London; mon-fri 08:00-16:30", "Europe/London; mon-fri 08:00-16:30"),
    ],
)
def test_an_override_may_name_any_calendar(override: str, name: str) -> None:
    assert calendar_for("coinbase", "BTC-USD", {"coinbase/BTC-USD": override}).name == name


def test_an_override_finds_a_share_with_its_suffix() -> None:
    assert calendar_for("alpha_vantage", "TSCO.LON", {"alpha_vantage/tsco.lon": "XPAR"}).name == "XPAR"
    assert calendar_for("alpha_vantage", "VOD.LON", {"alpha_vantage/tsco.lon": "XPAR"}).name == "XLON"
