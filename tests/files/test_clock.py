"""Times of files: four units of epochs, written dates, and wall clocks across both changes of a year."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffe_core.files.clock import (
    UNREADABLE,
    WallClock,
    Zone,
    epoch_micros,
    formats_of,
    read_times,
    shown_twice,
    units_of,
    whole_numbers,
)

ZONES = ("America/New_York", "Europe/Athens", "Australia/Lord_Howe", "Europe/London")
SECONDS = st.integers(
    int(datetime(1980, 1, 1, tzinfo=UTC).timestamp()), int(datetime(2060, 1, 1, tzinfo=UTC).timestamp())
)
SCALES = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


def micros(moment: datetime) -> int:
    return int(moment.replace(tzinfo=UTC).timestamp()) * 10**6


@given(st.lists(st.tuples(SECONDS, st.sampled_from(sorted(SCALES))), min_size=1, max_size=30), st.booleans())
def test_the_unit_of_an_epoch_is_told_by_its_size_row_by_row(rows: list[tuple[int, str]], is_text: bool) -> None:
    numbers = [second * SCALES[unit] for second, unit in rows]
    column = pa.array(list(map(str, numbers))) if is_text else pa.array(numbers, pa.int64())
    read = read_times(column, "epoch")
    assert read.micros.tolist() == [second * 10**6 for second, _ in rows]
    assert set(units_of(whole_numbers(column))) == {unit for _, unit in rows}


@given(SECONDS, st.integers(1, 999))
def test_what_is_no_whole_second_never_becomes_one(second: int, rest: int) -> None:
    for scale in (10**3, 10**9):
        read = read_times(pa.array([second * scale + rest]), "epoch")
        assert read.micros[0] % 10**6 != 0


@pytest.mark.parametrize("text", ["1604646000.0", "1604646000.", "1604646000"])
def test_whole_seconds_may_be_written_with_a_point(text: str) -> None:
    assert read_times(pa.array([text]), "epoch").micros[0] == 1604646000 * 10**6


@pytest.mark.parametrize("text", ["1604646000.5", "", "x", "1e9", "99999999999999999999", "-"])
def test_what_is_no_epoch_is_unreadable(text: str) -> None:
    assert read_times(pa.array([text]), "epoch").micros[0] == UNREADABLE


@given(
    SECONDS,
    st.sampled_from(ZONES),
    st.sampled_from(
        [
            "%Y-%m-%d %H:%M:%S",
            "%Y.%m.%d,%H:%M:%S",
            "%Y%m%d %H%M%S",
            "%d.%m.%Y %H:%M:%S",
            "%d-%b-%Y %H:%M:%S",
            "%Y-%m-%d %I:%M:%S %p",
        ]
    ),
)
def test_a_written_time_reads_as_the_wall_clock_shows_it(second: int, zone: str, form: str) -> None:
    shown = datetime.fromtimestamp(second, ZoneInfo(zone))
    text = shown.strftime(form)
    [kind, *_] = formats_of([text])
    assert read_times(pa.array([text]), kind).local[0] == micros(shown)


@given(SECONDS, st.sampled_from(ZONES))
def test_an_offset_makes_an_instant_of_it(second: int, zone: str) -> None:
    text = datetime.fromtimestamp(second, ZoneInfo(zone)).isoformat()
    read = read_times(pa.array([text]), "ymd")
    assert read.micros[0] == second * 10**6
    assert read.is_utc[0]


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("2023-02-29", "ymd"),
        ("2023-13-01", "ymd"),
        ("2023-01-01 24:00", "ymd"),
        ("31.04.2023", "dmy"),
        ("20230101 0960", "compact"),
        ("2019-10-17 13-AM", "ymd"),
        ("12 Foo 2020", "day_month_name"),
    ],
)
def test_what_no_calendar_or_clock_has_is_unreadable(text: str, form: str) -> None:
    assert read_times(pa.array([text]), form).micros[0] == UNREADABLE  # type: ignore[arg-type]


def test_noon_and_midnight_of_the_twelve_hour_clock() -> None:
    read = read_times(pa.array(["2019-10-17 12-AM", "2019-10-17 12-PM", "2019-10-17 01-PM"]), "ymd")
    assert ((read.micros // 3_600_000_000) % 24).tolist() == [0, 12, 13]


def test_days_and_months_that_could_be_either_are_both_offered() -> None:
    assert set(formats_of(["06.01.2017", "07.01.2017"])) == {"dmy", "mdy"}
    assert formats_of(["13.01.2017", "14.01.2017"]) == ["dmy"]


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("newest_first", [False, True])
@pytest.mark.parametrize("minutes", [15, 30])  # Lord Howe's clock moves by half an hour
def test_a_year_of_a_local_clock_reads_back_as_utc_over_both_changes(
    zone: str, newest_first: bool, minutes: int
) -> None:
    instants = np.arange(
        int(datetime(2024, 1, 1, tzinfo=UTC).timestamp()),
        int(datetime(2025, 1, 1, tzinfo=UTC).timestamp()),
        minutes * 60,
    )
    local = np.array([micros(datetime.fromtimestamp(at, ZoneInfo(zone))) for at in instants.tolist()])
    order = slice(None, None, -1) if newest_first else slice(None)
    counts = dict.fromkeys(np.unique(shown_twice(local, zone)).tolist(), 2)
    clock = WallClock(Zone(zone, counts, newest_first))
    utc, skipped, unclear = clock.utc(local[order])
    assert not skipped.any()
    assert not unclear.any()
    assert (utc // 10**6 == instants[order]).all()


@pytest.mark.parametrize("zone", ["America/New_York", "Europe/Athens"])
def test_an_hour_that_is_there_once_of_two_cannot_be_told(zone: str) -> None:
    change = next(
        at for at in range(int(datetime(2024, 9, 1, tzinfo=UTC).timestamp()), 2**31, 3600)
        if datetime.fromtimestamp(at, ZoneInfo(zone)).hour == datetime.fromtimestamp(at + 3600, ZoneInfo(zone)).hour
    )  # fmt: skip
    local = np.array([micros(datetime.fromtimestamp(change, ZoneInfo(zone)))])
    _, skipped, unclear = WallClock(Zone(zone, {int(local[0]): 1})).utc(local)
    assert unclear.all()
    assert not skipped.any()


def test_an_hour_that_the_clock_skipped_is_no_time() -> None:
    local = np.array([micros(datetime(2024, 3, 10, 2, 30)), micros(datetime(2024, 3, 10, 3, 30))])  # noqa: DTZ001
    _, skipped, unclear = WallClock(Zone("America/New_York", {})).utc(local)
    assert skipped.tolist() == [True, False]
    assert not unclear.any()


@given(SECONDS, st.integers(-12, 14))
def test_a_fixed_offset_has_no_changes(second: int, hours: int) -> None:
    clock = WallClock(Zone(f"UTC{hours:+d}", {}))
    shown = datetime.fromtimestamp(second, UTC) + timedelta(hours=hours)
    utc, skipped, unclear = clock.utc(np.array([micros(shown)]))
    assert utc[0] == second * 10**6
    assert not (skipped | unclear).any()


@given(
    st.lists(st.integers(-(10**12), 2**63 - 1) | st.integers(10**9, 2 * 10**9).map(lambda at: at * 1000), min_size=1)
)
def test_an_epoch_is_read_the_same_alone_and_among_others(numbers: list[int]) -> None:
    together = epoch_micros(np.array(numbers, dtype=np.int64))
    each = [epoch_micros(np.array([number, UNREADABLE], dtype=np.int64))[0] for number in numbers]
    assert together.tolist() == [int(one) for one in each]
