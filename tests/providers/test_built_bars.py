"""Tests that a 4h bar is exactly its hours, and that a window that lacks one says so."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffe_core import times
from ffe_core.calendars import AlwaysOpen, calendar_for
from ffe_core.providers.base import Record
from ffe_core.providers.built_bars import build_bars, first_whole_window

HOUR, WINDOW = 3600, 14_400
START = 1_704_067_200  # a Monday
OPEN = AlwaysOpen()
FX = calendar_for("alpha_vantage", "EURUSD")


def hour(at: int, values: tuple[Any, ...] = ("10", "12", "9", "11"), **more: Any) -> tuple[int, Record]:
    return at, {"date": times.iso(at), **dict(zip(("open", "high", "low", "close"), values, strict=True)), **more}


def window_of(*hours: tuple[int, Record]) -> list[Record]:
    return build_bars(hours, OPEN, START, START + WINDOW)


def four(**more: Any) -> list[tuple[int, Record]]:
    return [hour(START + i * HOUR, **more) for i in range(4)]


def test_prices_keep_the_text_of_the_hour_they_come_from() -> None:
    (bar,) = window_of(
        hour(START, ("10.0", "12.00", "9", "11")),
        hour(START + HOUR, ("11", "12.0", "8.50", "10")),
        hour(START + 2 * HOUR, ("10", "11", "8.5", "9.10")),
        hour(START + 3 * HOUR, ("9.1", "11", "9", "9.100")),
    )
    assert [bar[name] for name in ("open", "high", "low", "close")] == ["10.0", "12.00", "8.50", "9.100"]
    assert bar["date"] == "2024-01-01T00:00:00+00:00"
    assert "volume" not in bar
    assert "incomplete_sources" not in bar


@given(st.lists(st.decimals("0", "1e12", places=8), min_size=4, max_size=4))
def test_the_volume_is_the_exact_sum(volumes: list[Decimal]) -> None:
    (bar,) = window_of(*(hour(START + i * HOUR, volume=f"{volume:f}") for i, volume in enumerate(volumes)))
    assert isinstance(bar["volume"], str)
    assert Decimal(bar["volume"]) == sum(int(volume.scaleb(8)) for volume in volumes) * Decimal("1e-8")


def test_whole_numbers_are_summed_as_sent() -> None:
    assert window_of(*four(volume=56))[0]["volume"] == "224"


def test_the_order_of_the_hours_does_not_matter() -> None:
    assert window_of(*reversed(four())) == window_of(*four())


def test_a_bar_names_its_hours_as_sent() -> None:
    (bar,) = window_of(*four())
    assert bar["sources"] == [record for _, record in four()]


@given(st.integers(0, 3))
def test_a_window_without_one_of_its_hours_is_handed_over_without_prices(missing: int) -> None:
    hours = [*four(), hour(START + WINDOW)]
    del hours[missing]
    (bar,) = build_bars(hours, OPEN, START, START + WINDOW)
    assert bar == {
        "date": times.iso(START),
        "sources": [record for at, record in hours if at < START + WINDOW],
        "incomplete_sources": True,
    }


@pytest.mark.parametrize(
    "broken",
    [
        {"open": "n/a"},
        {"open": None},
        {"high": "NaN"},
        {"high": "Infinity"},
        {"high": "8"},
        {"low": "-9"},
        {"low": "0"},
        {"close": "13"},
        {"open": "8"},
        {"close": True},
        {"close": [11]},
        {"volume": "-1"},
        {"volume": None},
        {"volume": "many"},
    ],
)
def test_a_broken_hour_makes_its_window_incomplete(broken: dict[str, Any]) -> None:
    hours = four(volume="1")
    hours[2][1].update(broken)
    (bar,) = window_of(*hours)
    assert bar["incomplete_sources"] is True
    assert len(bar["sources"]) == 4


@pytest.mark.parametrize("field", ["open", "high", "low", "close", "volume"])
def test_a_missing_field_makes_its_window_incomplete(field: str) -> None:
    hours = four(volume="1")
    del hours[1][1][field]
    assert window_of(*hours)[0]["incomplete_sources"] is True


def test_what_is_not_an_object_makes_its_window_incomplete() -> None:
    hours = four()
    hours[1] = (START + HOUR, {"raw": "x", "date": times.iso(START + HOUR)})
    assert window_of(*hours)[0]["incomplete_sources"] is True


def test_an_identical_repeat_does_no_harm_and_a_different_one_does() -> None:
    (bar,) = window_of(*four(volume="1"), hour(START, volume="1"))
    assert bar["volume"] == "4"
    (bar,) = window_of(*four(volume="1"), hour(START, volume="2"))
    assert bar["incomplete_sources"] is True
    assert len(bar["sources"]) == 5


def test_an_hour_off_the_hour_makes_its_window_incomplete() -> None:
    assert window_of(*four(), hour(START + 1800))[0]["incomplete_sources"] is True


def test_a_window_whose_last_hour_is_not_published_yet_waits() -> None:
    assert window_of(*four()[:3]) == []


def test_only_windows_of_the_asked_range_are_built() -> None:
    hours = [hour(START + i * HOUR) for i in range(-8, 12)]
    bars = build_bars(hours, OPEN, START, START + WINDOW)
    assert [bar["date"] for bar in bars] == [times.iso(START)]


def test_a_window_without_any_hour_is_nothing_and_not_a_record() -> None:
    assert build_bars([], OPEN, START, START + WINDOW) == []


@pytest.mark.parametrize(
    ("friday", "open_times"),
    [(1_704_484_800, 2), (1_720_209_600, 1)],  # 20:00 UTC: New York closes at 22:00 in winter, at 21:00 in summer
)
def test_the_last_window_of_the_fx_week_needs_only_its_open_hours(friday: int, open_times: int) -> None:
    monday = friday + 60 * HOUR
    hours = [hour(friday + i * HOUR) for i in range(open_times)] + [hour(monday)]
    (bar,) = build_bars(hours, FX, friday, friday + WINDOW)
    assert "incomplete_sources" not in bar
    late = build_bars(hours[1:], FX, friday, friday + WINDOW)
    assert [bar["incomplete_sources"] for bar in late] == [True] * (open_times - 1)


def test_the_first_window_of_the_fx_week_begins_with_its_first_open_hour() -> None:
    sunday = 1_704_657_600  # 20:00 UTC, the market opens at 22:00
    hours = [hour(sunday + i * HOUR) for i in (2, 3, 4)]
    (bar,) = build_bars(hours, FX, sunday, sunday + WINDOW)
    assert "incomplete_sources" not in bar
    assert first_whole_window(sunday + 2 * HOUR, FX) == sunday
    assert first_whole_window(sunday + 3 * HOUR, FX) == sunday + WINDOW


@pytest.mark.parametrize(("late", "windows"), [(0, 0), (1, 1), (HOUR, 1), (3 * HOUR, 1), (WINDOW, 1)])
def test_the_window_that_the_reach_cuts_is_not_whole(late: int, windows: int) -> None:
    assert first_whole_window(START + late, OPEN) == START + windows * WINDOW
