"""Do shares follow their exchange, and does the table of what the library does not know hold?"""

from __future__ import annotations

import subprocess
import sys
from datetime import date

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ffe_core.calendars import EXCHANGES, ExchangeHours, calendar_for, exchange_names, exchange_of, exchange_table
from ffe_core.timeframes import TIMEFRAMES
from ffe_core.times import DAY, parse_instant
from tests.pace import examples

UNBUILDABLE = ("ASEX", "XBEL", "XBSE", "XCYS", "XTAE")


def at(text: str) -> int:
    return parse_instant(text)


def hours(code: str, day: str) -> list[str]:
    """The open times that begin on a day in UTC, without the day."""
    found = ExchangeHours(code).open_intervals(at(day) - DAY, at(day) + 2 * DAY)
    spans = found[(found[:, 0] >= at(day)) & (found[:, 0] < at(day) + DAY)]
    return ["-".join(f"{t % DAY // 3600:02}:{t % 3600 // 60:02}" for t in row) for row in spans.tolist()]


def is_session(code: str, day: str) -> bool:
    return ExchangeHours(code).expected_count("1d", at(day), at(day) + DAY) == 1


# Which exchange a share is on


@pytest.mark.parametrize(
    ("symbol", "code"),
    [
        ("TSCO.LON", "XLON"),
        ("SAP.DEX", "XETR"),
        ("SAP.FRK", "XFRA"),
        ("SHOP.TRT", "XTSE"),
        ("ABC.TRV", "XTSE"),
        ("MRT-UN.TRT", "XTSE"),
        ("AIR.PAR", "XPAR"),
        ("ALSAR.PAR", "XPAR"),
        ("ASML.AMS", "XAMS"),
        ("UCB.BRU", "XBRU"),
        ("RELIANCE.BSE", "XBOM"),
        ("600104.SHH", "XSHG"),
        ("000002.SHZ", "XSHG"),
        ("0700.HKG", "XHKG"),
        ("PETR4.SAO", "BVMF"),
        ("VOLV-B.STO", "XSTO"),
        ("ENI.MIL", "XMIL"),
        ("BHP.AX", "XASX"),
        ("AAPL", "XNYS"),
        ("BRK-B", "XNYS"),
        ("BRK.B", "XNYS"),
        ("ACWV:BAT", "XNYS"),
    ],
)
def test_a_suffix_says_the_exchange(symbol: str, code: str) -> None:
    assert calendar_for("alpha_vantage", symbol) == ExchangeHours(code)
    assert calendar_for("alpha_vantage", symbol.lower()) == ExchangeHours(code)


@pytest.mark.parametrize("name", ["NYSE", "NASDAQ", "NYSE ARCA", "NYSE MKT", "BATS", "AMEX", "nasdaq", None, "", "?"])
def test_what_a_list_of_shares_calls_an_exchange_is_new_york(name: str | None) -> None:
    assert exchange_of("AAPL", name) == "XNYS"
    assert calendar_for("alpha_vantage", "T-P-A", exchange=name) == ExchangeHours()


def test_a_list_that_names_an_exchange_decides_where_the_name_does_not() -> None:
    assert calendar_for("alpha_vantage", "EURUSD", exchange="LSE") == ExchangeHours("XLON")
    assert calendar_for("alpha_vantage", "TSCO.LON", exchange="NASDAQ") == ExchangeHours("XLON")


# What the library says by itself


def test_the_names_are_those_of_the_library() -> None:
    from exchange_calendars.calendar_utils import global_calendar_dispatcher as library

    assert set(EXCHANGES) == set(library._calendar_factories) - {"24/5", "24/7"}
    assert library._aliases == exchange_names.ALIASES
    assert set(exchange_table.suffixes().values()) <= set(EXCHANGES)


def in_a_process_of_its_own(script: str) -> str:
    """What a script prints on the library alone, without our way round its faults."""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.slow
@pytest.mark.parametrize("code", UNBUILDABLE)
def test_the_way_round_pandas_3_is_still_needed_to_build(code: str) -> None:
    script = (
        "import exchange_calendars\n"
        f"try: exchange_calendars.get_calendar({code!r}, start='2019-01-01', end='2026-12-31')\n"
        "except (NotImplementedError, ValueError) as error: print(type(error).__name__)"
    )
    said = in_a_process_of_its_own(script)
    assert said, f"{code} builds by itself: if all of them do, delete ffe_core/calendars/pandas3.py"
    assert ExchangeHours(code).expected_count("1d", at("2024-01-01"), at("2025-01-01")) > 240


@pytest.mark.slow
def test_the_way_round_pandas_3_is_still_needed_for_saturdays() -> None:
    script = (
        "import exchange_calendars\n"
        "for code, day in (('XBOM', '2024-01-20'), ('XMOS', '2018-04-28')):\n"
        "    print(exchange_calendars.get_calendar(code, start='2018-01-01', end='2026-12-31').is_session(day))"
    )
    said = in_a_process_of_its_own(script)
    assert said == "False\nFalse", "special_weekmasks work again: delete their part of ffe_core/calendars/pandas3.py"
    assert is_session("XBOM", "2024-01-20")
    assert is_session("XMOS", "2018-04-28")


def test_a_week_that_changed_has_each_days_of_its_time() -> None:
    """Tel Aviv: Sunday to Thursday to 2026-01-04, Monday to Friday since."""
    assert [is_session("XTAE", day) for day in ("2025-11-16", "2025-11-21", "2026-01-18", "2026-01-16")] == [
        True,
        False,
        False,
        True,
    ]


# What the table knows better


@pytest.mark.parametrize(
    ("code", "day", "found"),
    [
        ("XNYS", "2002-09-11", ["16:00-20:00"]),
        ("XNYS", "2002-09-10", ["13:30-20:00"]),
        ("XNYS", "1984-06-01", ["14:00-20:00"]),
        ("XNYS", "1985-09-26", ["14:00-20:00"]),
        ("XNYS", "1985-09-30", ["13:30-20:00"]),
        ("XNYS", "1972-06-01", ["14:00-19:30"]),
        ("XNYS", "1974-12-24", ["15:00-19:00"]),
        ("BVMF", "2018-01-10", ["12:00-20:00"]),
        ("BVMF", "2024-06-03", ["13:00-20:00"]),
        ("BVMF", "2024-11-04", ["13:00-21:00"]),
        ("BVMF", "2025-10-31", ["13:00-20:00"]),
        ("BVMF", "2024-02-14", ["16:00-21:00"]),
        ("XFRA", "2024-01-03", ["07:00-19:00"]),
        ("XFRA", "2024-12-30", ["07:00-13:00"]),
        ("XHKG", "2024-12-23", ["01:30-04:00", "05:00-08:00"]),
        ("XHKG", "2024-12-24", ["01:30-04:00"]),
        ("XHKG", "2020-08-19", ["05:00-08:00"]),
        ("XHKG", "2023-09-01", []),
        ("XBOM", "2015-11-11", ["12:15-13:15"]),
        ("XKRX", "2024-11-14", ["01:00-07:30"]),
        ("XTAI", "2024-10-31", []),
        ("XJSE", "2024-05-29", []),
        ("XIDX", "2025-08-18", []),
        ("XBKK", "2020-04-14", ["03:00-09:30"]),
        ("XKLS", "2022-11-18", []),
    ],
)
def test_hours_are_those_of_the_day(code: str, day: str, found: list[str]) -> None:
    assert hours(code, day) == found


@pytest.mark.parametrize(("code", "day"), [("XBOM", "2021-11-04"), ("XKRX", "2026-07-17"), ("XIDX", "2026-01-16")])
def test_a_day_that_nobody_settles_is_neither_expected_nor_extra(code: str, day: str) -> None:
    calendar = ExchangeHours(code)
    assert calendar.expected_count("1d", at(day), at(day) + DAY) == 0
    assert calendar.optional_ranges("1d", at(day), at(day) + DAY).tolist() == [[at(day), at(day) + DAY]]
    (special,) = calendar.special_sessions(at(day), at(day) + DAY)
    assert special == (date.fromisoformat(day), "holiday", "may be closed")


@pytest.mark.parametrize("code", ["XASX", "XNZE", "XSHG", "XLON", "XNYS"])
def test_a_daily_bar_is_its_sessions_date_wherever_the_exchange_is(code: str) -> None:
    """Sydney opens at 23:00 UTC of the day before in summer, Wellington at 21:00."""
    opens = ExchangeHours(code).expected_open_times("1d", at("2024-02-20"), at("2024-02-25"))
    assert [str(np.datetime64(int(t), "s"))[:10] for t in opens] == [f"2024-02-{day}" for day in (20, 21, 22, 23)]


def test_hourly_bars_count_from_the_usual_open_and_from_the_end_of_a_break() -> None:
    def opens(code: str, day: str) -> list[str]:
        found = ExchangeHours(code).expected_open_times("1h", at(day), at(day) + DAY)
        return [f"{t % DAY // 3600:02}:{t % 3600 // 60:02}" for t in found.tolist()]

    assert opens("XHKG", "2024-12-23") == ["01:30", "02:30", "03:30", "05:00", "06:00", "07:00"]
    assert opens("XBOM", "2024-12-23")[:2] == ["03:45", "04:45"]
    assert opens("XNYS", "2001-09-17")[:2] == ["13:30", "14:30"]
    assert ExchangeHours("XBOM").on_grid("1h", [at("2024-12-23T03:45Z"), at("2024-12-23T03:50Z")]).tolist() == [
        True,
        False,
    ]


def test_what_the_library_cannot_know_is_an_error_with_its_bounds() -> None:
    assert ExchangeHours("XSAU").horizon[0] == at("2021-01-01")
    assert ExchangeHours("XBOM").horizon[1] <= at("2027-01-01")


@settings(max_examples=examples(40), deadline=None)
@given(
    st.sampled_from(["XHKG", "XBOM", "XTKS", "XASX", "BVMF", "XTAE", "XFRA", "CMES"]),
    st.sampled_from(sorted(TIMEFRAMES)),
    st.integers(at("2015-01-01"), at("2026-10-01")),
    st.integers(1, 40 * DAY),
)
def test_the_bars_of_a_range_are_those_of_its_parts(code: str, timeframe: str, start: int, length: int) -> None:
    calendar, end, middle = ExchangeHours(code), start + length, start + length // 3
    whole = calendar.expected_open_times(timeframe, start, end).tolist()
    parts = [calendar.expected_open_times(timeframe, *part).tolist() for part in ((start, middle), (middle, end))]
    assert parts[0] + parts[1] == whole
    assert len(whole) == len(set(whole))
    assert calendar.on_grid(timeframe, whole).all()
    optional = calendar.optional_ranges(timeframe, start, end)
    assert not {t for first, last in optional.tolist() for t in range(first, last, TIMEFRAMES[timeframe])} & set(whole)
