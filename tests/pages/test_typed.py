"""Are typed numbers, days and times read as they stand, or refused with an example?"""

from __future__ import annotations

from datetime import date, time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffe_core import times
from ffe_core.errors import InputError
from pages.widgets.text import bounded, dated, short_path
from pages.widgets.typed import day, in_utc, time_of_day, whole_number


@given(st.integers(-200, 200), st.integers(0, 50))
def test_a_whole_number_is_within_its_bounds_or_refused(number: int, least: int) -> None:
    if least <= number <= 100:
        assert whole_number(f" {number} ", least, 100, 60) == number
    else:
        with pytest.raises(InputError, match=f"from {least} to 100; for example 60"):
            whole_number(f" {number} ", least, 100, 60)


@pytest.mark.parametrize("text", ["\u0663", "1_0", "+5", "1e1", "5.0", "", " ", "9" * 5000])
def test_what_is_no_plain_number_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        whole_number(text, 0, 100, 5)


def test_days_and_times_of_day_are_read_or_refused_with_an_example() -> None:
    assert (day(" 2024-02-29 "), time_of_day("2:05")) == (date(2024, 2, 29), time(2, 5))
    for text in ("2023-02-29", "29.02.2024", "\uff12024-01-01", ""):
        with pytest.raises(InputError, match="2024-01-31"):
            day(text)
    for text in ("24:00", "2:5", "0230", "-1:30", "\u0661:30", "02:30:00", ""):
        with pytest.raises(InputError, match="02:30"):
            time_of_day(text)


@given(st.datetimes().map(str) | st.datetimes().map(lambda at: at.isoformat("T", "minutes")))
def test_a_time_without_a_zone_is_one_in_utc(text: str) -> None:
    assert times.parse_instant(in_utc(text)) == times.parse_instant(f"{text}+00:00")


@pytest.mark.parametrize("text", ["2024-01-31", "2024-01-31T12:00Z", "2024-01-31T12:00+02:00", "soon"])
def test_what_names_its_zone_or_is_no_time_stays_as_it_is(text: str) -> None:
    assert in_utc(text) == text


def test_a_path_is_shown_as_short_as_a_line() -> None:
    assert short_path(Path.home() / "ffe") == "~/ffe"
    assert short_path(Path("/srv/data")) == "/srv/data"
    assert short_path(Path("/srv/a/folder/of/many/parts/candles/data")) == "…/candles/data"


def test_instants_of_the_core_are_written_as_the_console_writes_them_and_typed_ones_stay() -> None:
    said = (
        "'2024-01-01T00:00:00Z' to 2024-01-31T12:00:00+00:00 and 2024-01-31T12:00:05.25+00:00, 2024-01-31T12:00+02:00"
    )
    told = "'2024-01-01T00:00:00Z' to 2024-01-31 12:00 UTC and 2024-01-31 12:00:05.25 UTC, 2024-01-31T12:00+02:00"
    assert dated(said) == told


def test_a_sentence_that_quotes_too_much_keeps_what_is_wrong_and_what_would_be_right() -> None:
    assert bounded("'x' is not a day; use one like 2024-01-31") == "'x' is not a day; use one like 2024-01-31"
    short = bounded(f"{'x' * 5000!r} is not a day; use one like 2024-01-31")
    assert len(short) < 400
    assert short.startswith("'xxx")
    assert short.endswith("is not a day; use one like 2024-01-31")
