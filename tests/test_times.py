"""Are instants and ranges read as aware, UTC and half-open, and refused by name otherwise?"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffe_core.errors import InputError
from ffe_core.times import DAY, iso, parse_instant, parse_range, range_texts, utc

AT = 1_704_067_200
NOON = AT + DAY // 2


@pytest.mark.parametrize(
    ("value", "epoch"),
    [
        ("2024-01-01", AT),
        (" 2024-01-01 ", AT),
        (date(2024, 1, 1), AT),
        ("2024-01-01T12:00:00Z", NOON),
        ("2024-01-01T12:00:00+00:00", NOON),
        ("2024-01-01 14:00:00+02:00", NOON),
        (datetime(2024, 1, 1, 12, tzinfo=UTC), NOON),
        (datetime(2024, 1, 1, 6, tzinfo=timezone(timedelta(hours=-6))), NOON),
        (pd.Timestamp("2024-01-01T12:00:00", tz="UTC"), NOON),
        (NOON, NOON),
        ("1969-12-31T23:59:59.5Z", -1),
        ("0001-01-01", -62_135_596_800),
        (datetime.min.replace(tzinfo=timezone(timedelta(hours=14))), -62_135_596_800 - 14 * 3600),
    ],
)
def test_every_form_of_an_instant_is_read(value: Any, epoch: int):
    assert parse_instant(value) == epoch


@pytest.mark.parametrize(
    "value",
    [
        "",
        "soon",
        "2024-02-30",
        "2024-1-1",
        "2024-01-01T12:00:00",
        "20240101",
        "1704067200",
        datetime(2024, 1, 1),  # noqa: DTZ001
        pd.NaT,
        None,
        True,
        1.5,
        b"2024-01-01",
        ["2024-01-01"],
        10**20,
        -(10**20),
    ],
)
def test_anything_else_is_refused_with_the_field_and_an_example(value: Any):
    with pytest.raises(InputError, match=r"^start: .*(2024-0|Z$)"):
        parse_instant(value, "start")


def test_a_date_as_an_end_is_the_day_after_it():
    assert parse_instant("2024-01-01", end=True) == AT + DAY
    assert parse_instant(date(2024, 2, 28), end=True) == parse_instant("2024-02-29")
    assert parse_instant("2024-01-01T12:00:00Z", end=True) == NOON


@pytest.mark.parametrize("last_day", ["9999-12-31", date.max])
def test_the_end_of_the_last_day_is_the_last_instant_that_can_be_written(last_day: Any):
    end = parse_instant(last_day, end=True)
    assert end == parse_instant(last_day) + DAY - 1
    assert iso(end) == "9999-12-31T23:59:59+00:00"


class TestRanges:
    def test_dates_are_whole_days_both_included(self):
        assert parse_range("2024-01-01", "2024-01-01", AT + DAY) == (AT, AT + DAY)

    def test_a_datetime_is_taken_as_given_its_end_excluded(self):
        assert parse_range("2024-01-01T00:00:00Z", "2024-01-01T12:00:00Z", AT + DAY) == (AT, NOON)

    def test_an_end_after_now_is_fine_but_not_a_start(self):
        assert parse_range("2024-01-01", "2999-01-01", NOON)[0] == AT
        with pytest.raises(InputError, match=r"^start: 2024-01-02 lies in the future"):
            parse_range("2024-01-02", "2024-01-03", NOON)

    def test_what_a_zone_shifts_out_of_the_years_is_cut_to_what_can_be_written(self):
        first, last = parse_range("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00")
        assert (iso(first), iso(last)) == ("0001-01-01T00:00:00+00:00", "9999-12-31T23:59:59+00:00")

    @given(st.integers(0, 4_000_000_000), st.integers(1, 1_000), st.sampled_from([1, 60, 3600, DAY]))
    def test_what_is_written_of_a_range_reads_as_the_same_range(self, about: int, width: int, grain: int):
        start = about // grain * grain
        texts = [text if len(text) == 10 else f"{text}Z" for text in range_texts(start, start + width * grain)]
        assert parse_range(*texts, now_=start) == (start, start + width * grain)

    @pytest.mark.parametrize("end", ["2023-12-31", "2024-01-01T00:00:00Z", AT - 1])
    def test_an_end_that_is_not_after_the_start_is_refused(self, end: Any):
        with pytest.raises(InputError, match=r"^end: .* is not after start 2024-01-01"):
            parse_range("2024-01-01", end, NOON)


@given(st.integers(-62_135_596_800, 253_402_300_799))
def test_text_leads_back_to_its_instant(epoch: int):
    assert parse_instant(iso(epoch)) == epoch
    assert utc(epoch).utcoffset() == timedelta(0)
