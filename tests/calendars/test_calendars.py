"""Do the calendars expect the right bars?

The golden files are answers, not snapshots: open times worked out by walking the New York wall clock minute by minute,
with the exchange's published holidays typed in, and bar counts that can be checked by hand. Correct them by hand.
"""

from __future__ import annotations

import csv
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ffe_core.calendars import (
    AlwaysOpen,
    CalendarHorizonError,
    ExchangeHours,
    FxWeek,
    MarketCalendar,
    SpecialSession,
    calendar_for,
    exchange,
)
from ffe_core.errors import InputError
from ffe_core.timeframes import TIMEFRAMES
from ffe_core.times import DAY, parse_instant
from tests.pace import examples

GOLDEN = Path(__file__).parent / "golden" / "calendars"
NEW_YORK = ZoneInfo("America/New_York")
CALENDARS: dict[str, MarketCalendar] = {
    "crypto": AlwaysOpen(),
    "fx": FxWeek(),
    "fx-no-holidays": FxWeek(holidays=()),
    "fx-daily-pause": FxWeek("fx-daily-pause", daily_pause=True),
    "XNYS": ExchangeHours(),
}
GOLDEN_YEARS = {
    "crypto": (2024, 2024),
    "fx": (2020, 2024),
    "fx-no-holidays": (2020, 2024),
    "fx-daily-pause": (2024, 2024),
    "XNYS": (2023, 2024),
}


def at(text: str) -> int:
    return parse_instant(text)


def golden(name: str) -> list[dict[str, str]]:
    with (GOLDEN / f"{name}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def texts(times: np.ndarray) -> list[str]:
    return [str(stamp) for stamp in times.astype("datetime64[s]").astype("datetime64[m]")]


# What the market's hours are


@pytest.mark.parametrize("name", CALENDARS)
def test_open_times_are_those_of_the_golden_file(name: str) -> None:
    first, last = GOLDEN_YEARS[name]
    expected = [[at(row["open"]), at(row["close"])] for row in golden(name)]
    found = CALENDARS[name].open_intervals(at(f"{first}-01-01"), at(f"{last + 1}-01-01"))
    assert found.dtype == np.int64
    assert found.tolist() == expected


@pytest.mark.parametrize("row", golden("bars"), ids=lambda row: f"{row['calendar']}-{row['timeframe']}-{row['start']}")
def test_bars_are_counted_as_in_the_golden_file(row: dict[str, str]) -> None:
    counted = CALENDARS[row["calendar"]].expected_count(row["timeframe"], at(row["start"]), at(row["end"]))
    assert counted == int(row["bars"])


@pytest.mark.parametrize("name", ["crypto", "fx", "XNYS"])
def test_special_sessions_are_those_of_the_golden_file(name: str) -> None:
    expected = [
        SpecialSession(date.fromisoformat(row["date"]), row["kind"], row["text"])  # type: ignore[arg-type]
        for row in golden("special")
        if row["calendar"] == name
    ]
    assert CALENDARS[name].special_sessions(at("2024-01-01"), at("2025-01-01")) == expected


def test_special_sessions_cover_the_days_a_range_touches() -> None:
    calendar = ExchangeHours()
    inside_the_day = calendar.special_sessions(at("2024-07-04T15:00Z"), at("2024-07-04T16:00Z"))
    assert [session.date for session in inside_the_day] == [date(2024, 7, 4)]
    assert calendar.special_sessions(at("2024-07-05"), at("2024-07-06")) == []
    assert calendar.special_sessions(at("2024-07-04"), at("2024-07-04")) == []


def test_an_unplanned_closure_is_a_holiday_too() -> None:
    (session,) = ExchangeHours().special_sessions(at("2012-10-29"), at("2012-10-30"))
    assert session == (date(2012, 10, 29), "holiday", "special closure")


def test_an_fx_holiday_at_the_weekend_changes_nothing_and_is_not_shown() -> None:
    assert FxWeek().special_sessions(at("2022-12-24"), at("2022-12-27")) == []


def test_fx_holidays_can_be_chosen() -> None:
    calendar = FxWeek(holidays=("02-29",))
    assert calendar.open_seconds(at("2024-02-28T22:00Z"), at("2024-02-29T22:00Z")) == 0
    assert calendar.open_seconds(at("2023-02-28T22:00Z"), at("2023-03-01T22:00Z")) == DAY
    assert calendar.open_seconds(at("2024-12-24T22:00Z"), at("2024-12-25T22:00Z")) == DAY


def test_a_closed_weekend_holds_no_open_seconds() -> None:
    friday, sunday = at("2024-06-14T21:00Z"), at("2024-06-16T21:00Z")
    assert FxWeek().open_seconds(friday, sunday) == 0
    assert FxWeek().open_seconds(friday - 60, sunday + 60) == 120


# Which bars follow from them


def test_hourly_equity_bars_open_on_the_half_hour_and_the_last_one_is_short() -> None:
    open_times = ExchangeHours().expected_open_times("1h", at("2024-01-02"), at("2024-01-03"))
    assert texts(open_times)[::6] == ["2024-01-02T14:30", "2024-01-02T20:30"]
    assert texts(ExchangeHours().expected_open_times("1h", at("2024-07-02"), at("2024-07-03")))[0] == "2024-07-02T13:30"


def test_a_daily_equity_bar_is_midnight_utc_of_its_session() -> None:
    open_times = ExchangeHours().expected_open_times("1d", at("2024-07-03"), at("2024-07-07"))
    assert texts(open_times) == ["2024-07-03T00:00", "2024-07-05T00:00"]


def test_a_range_that_ends_inside_a_window_still_expects_its_bar() -> None:
    """Sunday's daily bar opens at 00:00, though the market opens only at 21:00."""
    sunday = at("2024-06-16")
    assert FxWeek().expected_open_times("1d", sunday, sunday + 60).tolist() == [sunday]
    assert FxWeek().expected_open_times("4h", sunday + 20 * 3600, sunday + 20 * 3600 + 1).tolist() == [
        sunday + 20 * 3600
    ]


def test_runs_end_a_step_after_their_last_open() -> None:
    runs = FxWeek().expected_ranges("4h", at("2024-06-08"), at("2024-06-22"))
    assert [texts(run) for run in runs] == [
        ["2024-06-09T20:00", "2024-06-15T00:00"],
        ["2024-06-16T20:00", "2024-06-22T00:00"],
    ]


def test_windows_that_meet_over_a_pause_are_one_run() -> None:
    runs = CALENDARS["fx-daily-pause"].expected_ranges("5m", at("2024-01-08"), at("2024-01-12"))
    assert len(runs) == 1
    assert len(CALENDARS["fx-daily-pause"].expected_ranges("1m", at("2024-01-08"), at("2024-01-12"))) == 5


@pytest.mark.parametrize("name", CALENDARS)
@pytest.mark.parametrize("end", ["2024-01-08", "2024-01-07"])
def test_an_empty_or_reversed_range_expects_nothing(name: str, end: str) -> None:
    calendar, start = CALENDARS[name], at("2024-01-08")
    assert calendar.expected_ranges("1h", start, at(end)).shape == (0, 2)
    assert calendar.open_intervals(start, at(end)).shape == (0, 2)
    assert calendar.expected_open_times("1h", start, at(end)).shape == (0,)
    assert calendar.expected_count("1h", start, at(end)) == calendar.open_seconds(start, at(end)) == 0


def test_on_grid_takes_equity_hours_on_the_half_hour_and_nothing_else_there() -> None:
    open_times = np.array([at("2024-01-02T14:00Z") + 60 * minutes for minutes in (0, 15, 30, 45)])
    assert ExchangeHours().on_grid("1h", open_times).tolist() == [True, False, True, False]
    assert FxWeek().on_grid("1h", open_times).tolist() == [True, False, False, False]
    assert ExchangeHours().on_grid("15m", open_times).all()
    assert not ExchangeHours().on_grid("1d", open_times).any()


@pytest.mark.parametrize(
    ("name", "timeframe", "before", "last"),
    [
        ("crypto", "1h", "2024-01-01T00:00Z", "2023-12-31T23:00"),
        ("crypto", "1h", "2024-01-01T00:01Z", "2024-01-01T00:00"),
        ("fx", "1h", "2024-06-16T21:00Z", "2024-06-14T20:00"),
        ("fx", "1d", "2024-06-16T00:00Z", "2024-06-14T00:00"),
        ("fx", "1d", "2024-06-16T00:01Z", "2024-06-16T00:00"),
        ("fx", "1h", "2024-12-25T22:00Z", "2024-12-24T21:00"),
        ("XNYS", "1h", "2024-01-02T14:00Z", "2023-12-29T20:30"),
        ("XNYS", "1d", "2001-09-17T00:00Z", "2001-09-10T00:00"),
        ("XNYS", "1m", "2024-07-04T12:00Z", "2024-07-03T16:59"),
    ],
)
def test_last_expected_looks_back_over_closed_days(name: str, timeframe: str, before: str, last: str) -> None:
    assert CALENDARS[name].last_expected(timeframe, at(before)) == at(f"{last}Z")


def test_last_expected_is_none_where_there_is_none() -> None:
    never = FxWeek(holidays=tuple(f"{day:%m-%d}" for day in (date(2024, 1, 1) + timedelta(n) for n in range(366))))
    assert never.last_expected("1h", at("2024-06-12")) is None
    assert ExchangeHours().last_expected("1d", 0) is None
    assert ExchangeHours().last_expected("1d", at("1970-01-02") + 1) == at("1970-01-02")


def test_an_unknown_timeframe_is_refused() -> None:
    with pytest.raises(InputError, match="'2h' is unknown"):
        FxWeek().expected_count("2h", 0, DAY)


# Rules that hold for every calendar


def fx_is_open(epoch: int, holidays: tuple[str, ...] = ("12-25", "01-01")) -> bool:
    """The rule read off the wall clock of New York, one instant at a time."""
    local = datetime.fromtimestamp(epoch, UTC).astimezone(NEW_YORK)
    trading_day = local.date() + timedelta(days=int(local.hour >= 17))
    return trading_day.weekday() < 5 and f"{trading_day:%m-%d}" not in holidays


def is_open(name: str, epoch: int) -> bool:
    if name == "crypto":
        return True
    in_pause = name == "fx-daily-pause" and epoch % DAY // 60 in (1320, 1321, 1322)
    return fx_is_open(epoch, () if name == "fx-no-holidays" else ("12-25", "01-01")) and not in_pause


# Weeks with both clock changes, leap days, year ends with Christmas on each kind of day, and ordinary ones.
EDGES = ("2020-02-28", "2024-02-28", "2023-03-10", "2024-03-09", "2020-10-31", "2024-11-02", "2022-12-23", "2024-12-23")
starts = st.one_of(
    st.integers(at("1999-01-01"), at("2026-01-01")),
    st.builds(lambda day, offset: at(day) + offset, st.sampled_from(EDGES), st.integers(0, 4 * DAY)),
)
timeframes = st.sampled_from(sorted(TIMEFRAMES))


@settings(max_examples=examples(60), deadline=None)
@given(st.sampled_from([n for n in CALENDARS if n != "XNYS"]), timeframes, starts, st.integers(1, 30))
def test_a_bar_is_expected_if_and_only_if_its_window_holds_an_open_minute(
    name: str, timeframe: str, start: int, bars: int
) -> None:
    step = TIMEFRAMES[timeframe]
    end = start + min(bars * step, 3 * DAY)
    open_times = range(start + -start % step, end, step)
    expected = [o for o in open_times if any(is_open(name, minute) for minute in range(o, o + step, 60))]
    assert CALENDARS[name].expected_open_times(timeframe, start, end).tolist() == expected


@settings(max_examples=examples(100), deadline=None)
@given(st.sampled_from(sorted(CALENDARS)), timeframes, starts, st.integers(1, 60 * DAY))
def test_ranges_opens_and_count_agree(name: str, timeframe: str, start: int, length: int) -> None:
    calendar, step, end = CALENDARS[name], TIMEFRAMES[timeframe], start + length
    runs = calendar.expected_ranges(timeframe, start, end)
    open_times = calendar.expected_open_times(timeframe, start, end)
    assert runs.dtype == open_times.dtype == np.int64
    assert open_times.tolist() == [o for first, last in runs.tolist() for o in range(first, last, step)]
    assert calendar.expected_count(timeframe, start, end) == len(open_times)
    assert (runs[1:, 0] > runs[:-1, 1]).all()
    assert ((open_times >= start) & (open_times < end)).all()
    assert calendar.on_grid(timeframe, open_times).all()


@settings(max_examples=examples(100), deadline=None)
@given(st.sampled_from(sorted(CALENDARS)), timeframes, starts, st.integers(0, 30 * DAY), st.integers(0, 30 * DAY))
def test_expectations_add_up_over_any_split(name: str, timeframe: str, start: int, left: int, right: int) -> None:
    calendar, middle, end = CALENDARS[name], start + left, start + left + right
    halves = [calendar.expected_open_times(timeframe, *part) for part in ((start, middle), (middle, end))]
    assert np.concatenate(halves).tolist() == calendar.expected_open_times(timeframe, start, end).tolist()
    assert calendar.open_seconds(start, middle) + calendar.open_seconds(middle, end) == calendar.open_seconds(
        start, end
    )


@settings(max_examples=examples(60), deadline=None)
@given(st.sampled_from(sorted(CALENDARS)), timeframes, starts)
def test_last_expected_is_the_last_of_the_expected(name: str, timeframe: str, before: int) -> None:
    open_times = CALENDARS[name].expected_open_times(timeframe, before - 10 * DAY, before)
    assert CALENDARS[name].last_expected(timeframe, before) == open_times[-1]


@settings(max_examples=examples(60), deadline=None)
@given(starts, st.integers(1, 40 * DAY))
def test_minutes_expected_are_the_minutes_open(start: int, length: int) -> None:
    """The finest bars and the open time are two ways to say the same."""
    start, end = start - start % 60, start - start % 60 + length - length % 60
    assume(end > start)
    for calendar in CALENDARS.values():
        assert calendar.expected_count("1m", start, end) * 60 == calendar.open_seconds(start, end)


# What a calendar does not know


@pytest.mark.parametrize(
    ("start", "end", "said"),
    [
        ("1969-12-31", "1980-01-01", "start: 1969-12-31"),
        ("2000-01-01", "2101-01-01", "end: 2100-12-31"),
    ],
)
@pytest.mark.parametrize("calendar", [FxWeek(), ExchangeHours()], ids=lambda calendar: calendar.name)
def test_beyond_the_horizon_is_an_error_that_says_what_is_known(
    calendar: MarketCalendar, start: str, end: str, said: str
) -> None:
    with pytest.raises(CalendarHorizonError) as caught:
        calendar.expected_count("1d", at(start), at(end))
    assert said in str(caught.value)
    assert f"{calendar.name} calendar knows, 1970-01-01 to " in str(caught.value)
    assert "overrides" in str(caught.value)
    assert caught.value.horizon == calendar.horizon


def test_everything_asked_of_a_time_uses_the_same_horizon() -> None:
    calendar, beyond = ExchangeHours(), at("2101-01-01")
    for ask in (calendar.open_intervals, calendar.open_seconds, calendar.special_sessions):
        with pytest.raises(CalendarHorizonError, match="end: 2100-12-31"):
            ask(0, beyond)
    with pytest.raises(CalendarHorizonError, match="before: 2100-12-31"):
        calendar.last_expected("1h", beyond)
    with pytest.raises(CalendarHorizonError, match=f"start: {-(2**63)} s lies"):
        FxWeek().open_seconds(-(2**63), 0)


def test_the_whole_horizon_can_be_asked_for() -> None:
    for calendar in (FxWeek(), ExchangeHours()):
        first, last = calendar.horizon
        assert first is not None
        assert last is not None
        assert calendar.expected_count("1d", first, last) > 14_000
    assert AlwaysOpen().horizon == (None, None)


def test_a_server_that_runs_over_new_year_learns_the_next_year(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "now", lambda: at("2023-12-31T23:59Z"))
    assert ExchangeHours().horizon == (0, at("2025-01-01"))
    with pytest.raises(CalendarHorizonError, match="1970-01-01 to 2024-12-31"):
        ExchangeHours().expected_count("1d", at("2025-01-01"), at("2026-01-01"))
    monkeypatch.setattr(exchange, "now", lambda: at("2024-01-01"))
    assert ExchangeHours().expected_count("1d", at("2025-01-01"), at("2026-01-01")) == 250


def test_exchange_calendars_is_loaded_only_for_an_exchange() -> None:
    script = (
        "import sys; from ffe_core.calendars import calendar_for;"
        " calendar_for('oanda', 'EURUSD').expected_count('1h', 0, 10**9); calendar_for('alpha_vantage', 'AAPL');"
        " sys.exit('exchange_calendars' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], cwd=Path(__file__).parents[2], check=False).returncode == 0


# Which calendar a series follows


@pytest.mark.parametrize(
    ("provider", "pair", "name"),
    [
        ("coinbase", "BTC-USD", "crypto"),
        ("coinbase", "EUR/USD", "crypto"),
        ("oanda", "EUR_USD", "oanda-fx"),
        ("oanda", "XAUUSD", "oanda-gold"),
        ("oanda", "SPX500_USD", "oanda-us-indices"),
        ("oanda", "BTC_USD", "fx-daily-pause"),
        ("alpha_vantage", "BTCUSD", "crypto"),
        ("alpha_vantage", "eurusd", "fx"),
        ("alpha_vantage", "AAPL", "XNYS"),
        ("simulated", "ETHUSD", "crypto"),
        ("simulated", "XAUUSD", "fx"),
        ("simulated", "AAPL", "XNYS"),
    ],
)
def test_each_series_follows_its_market(provider: str, pair: str, name: str) -> None:
    assert calendar_for(provider, pair).name == name


@pytest.mark.parametrize("key", ["oanda/BTCUSD", "OANDA/BTC_USD", "oanda/btc/usd"])
def test_an_override_wins_however_its_pair_is_written(key: str) -> None:
    overrides = {key: "crypto", "oanda/ETHUSD": "fx"}
    assert calendar_for("oanda", "BTC_USD", overrides).name == "crypto"
    assert calendar_for("oanda", "ETHUSD", overrides).name == "fx"
    assert calendar_for("oanda", "LTCUSD", overrides).name == "fx-daily-pause"
    assert calendar_for("coinbase", "ETHUSD", overrides).name == "crypto"


def test_an_unknown_override_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"'oanda/BTCUSD': '24/5' is unknown; use one of crypto, fx, fx-.*, XNYS"):
        calendar_for("oanda", "EURUSD", {"oanda/BTCUSD": "24/5"})
    with pytest.raises(InputError, match="'BTCUSD' names no series"):
        calendar_for("oanda", "EURUSD", {"BTCUSD": "fx"})


def test_holidays_reach_both_kinds_of_fx_week() -> None:
    assert calendar_for("alpha_vantage", "EURUSD", fx_holidays=[]) == FxWeek(holidays=())
    assert calendar_for("oanda", "BTCUSD", fx_holidays=["12-26"]) == FxWeek("fx-daily-pause", ("12-26",), True)


@pytest.mark.parametrize("holidays", ["12-25", ["25-12"], ["02-30"], ["12-25-2024"], ["W01-1"], [""], [1225]])
def test_what_is_no_holiday_is_refused(holidays: object) -> None:
    with pytest.raises(InputError, match="fx_holidays"):
        calendar_for("oanda", "EURUSD", fx_holidays=holidays)  # type: ignore[arg-type]


def test_calendars_are_values() -> None:
    same = calendar_for("simulated", "GBPUSD", fx_holidays=["01-01", "12-25"])
    assert calendar_for("alpha_vantage", "EURUSD") == same
    assert calendar_for("oanda", "EURUSD") == calendar_for("oanda", "GBP_USD")
    assert (
        len({calendar_for("alpha_vantage", "EURUSD"), FxWeek(), FxWeek(holidays=()), AlwaysOpen(), ExchangeHours()})
        == 4
    )
    with pytest.raises(AttributeError):
        FxWeek().name = "other"  # type: ignore[misc]
