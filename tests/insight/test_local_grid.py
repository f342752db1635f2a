"""Local grid tests: bars begin where a clock on the wall says, in zones with every kind of change."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffe_core.errors import InputError
from ffe_core.insight.aggregate import BarSize, size_named

ZONES = ("America/New_York", "Europe/London", "Asia/Kolkata", "Australia/Lord_Howe", "America/Havana", "Pacific/Apia")
"""Whole hours, half hours, a change of half an hour, a change at midnight, and a day that was left out."""
LOCAL = [
    size_named(name, zone) for zone in ZONES for name in ("15m", "30m", "1h", "2h", "8h", "12h", "1d", "1w", "1mo")
]


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())


def begin(size: BarSize, text: str) -> str:
    [found] = size.buckets(np.array([at(text)])).tolist()
    return datetime.fromtimestamp(found, UTC).isoformat()


def lengths(size: BarSize, text: str, count: int) -> list[float]:
    """Hours of some bars, the first the one that holds an instant."""
    edges = size.buckets(np.array([at(text)]))
    for _ in range(count):
        edges = np.append(edges, size.after(edges[-1:]))
    return (np.diff(edges) / 3600).tolist()


@given(st.sampled_from(LOCAL), st.integers(at("2005-01-01T00:00Z"), at("2030-01-01T00:00Z")))
def test_bars_follow_one_another_and_each_holds_its_instant(size: BarSize, instant: int) -> None:
    [begins] = size.buckets(np.array([instant])).tolist()
    [ends] = size.after(np.array([begins])).tolist()
    assert begins <= instant < ends
    assert size.buckets(np.array([begins, ends - 1, ends])).tolist() == [begins, begins, ends]


@given(st.sampled_from(LOCAL), st.integers(at("2005-01-01T00:00Z") // 60, at("2030-01-01T00:00Z") // 60))
def test_a_bar_begins_at_a_multiple_of_its_length_or_where_the_clock_changes(size: BarSize, minute: int) -> None:
    [begins] = size.buckets(np.array([minute * 60])).tolist()
    zone = ZoneInfo(size.zone)
    wall = datetime.fromtimestamp(begins, zone)
    before = datetime.fromtimestamp(begins - 1, zone)
    if wall.utcoffset() != before.utcoffset():
        return
    since = wall.hour * 3600 + wall.minute * 60
    if size.seconds < 86_400:
        assert since % size.seconds == 0
    else:
        assert since == 0
        assert size.name != "1w" or wall.weekday() == 0
        assert size.name != "1mo" or wall.day == 1


def test_a_day_of_new_york_begins_at_its_midnight_on_either_clock() -> None:
    day = size_named("1d", "America/New_York")
    assert begin(day, "2024-03-10T12:00Z") == "2024-03-10T05:00:00+00:00"
    assert begin(day, "2024-03-11T12:00Z") == "2024-03-11T04:00:00+00:00"
    assert lengths(day, "2024-03-09T12:00Z", 3) == [24, 23, 24]
    assert lengths(day, "2024-11-02T12:00Z", 3) == [24, 25, 24]


def test_an_hour_that_comes_twice_is_two_short_bars_and_within_one_longer() -> None:
    assert lengths(size_named("1h", "America/New_York"), "2024-11-03T04:00Z", 4) == [1, 1, 1, 1]
    assert lengths(size_named("2h", "America/New_York"), "2024-11-03T04:00Z", 3) == [3, 2, 2]
    assert lengths(size_named("2h", "America/New_York"), "2024-03-10T05:00Z", 3) == [2, 1, 2]


def test_a_clock_set_back_over_midnight_begins_no_day_twice() -> None:
    assert lengths(size_named("1d", "America/Havana"), "2024-11-02T12:00Z", 3) == [24, 25, 24]


def test_a_day_that_was_left_out_has_no_bar() -> None:
    assert lengths(size_named("1d", "Pacific/Apia"), "2011-12-29T12:00Z", 2) == [24, 24]
    assert begin(size_named("1d", "Pacific/Apia"), "2011-12-30T12:00Z") == "2011-12-30T10:00:00+00:00"


def test_half_hours_of_a_zone_are_its_own() -> None:
    assert begin(size_named("1h", "Asia/Kolkata"), "2024-01-01T12:00Z") == "2024-01-01T11:30:00+00:00"


def test_what_is_no_zone_is_told() -> None:
    with pytest.raises(InputError, match="'Mars/Olympus' is no time zone") as told:
        size_named("1d", "Mars/Olympus")
    assert told.value.field == "zone"
