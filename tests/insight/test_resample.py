"""Resampling tests: values are those stored, sums are rounded once, and what is missing of a bar is counted."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffe_core.calendars import AlwaysOpen, FxWeek
from ffe_core.errors import InputError
from ffe_core.insight.aggregate import DERIVED, SIZES, size_named
from ffe_core.insight.resample import resample
from ffe_core.series import Series
from ffe_core.storage.lake.snapshot import epochs
from tests.insight.lakes import DAY, HOUR, JANUARY, Values, candles, flat

HOURLY = Series("BTCUSD", "1h", "coinbase")
MINUTES = Series("BTCUSD", "1m", "coinbase")
MARKET = AlwaysOpen()


def test_the_derived_timeframes_are_those_promised() -> None:
    assert [size.name for size in DERIVED] == ["3m", "10m", "30m", "2h", "6h", "8h", "12h", "1w", "1mo"]


bars_of_a_day = st.dictionaries(
    st.integers(0, 3 * 1440 - 1).map(lambda minute: JANUARY + 60 * minute),
    st.lists(st.floats(1e-9, 1e12), min_size=5, max_size=5).map(tuple),
    min_size=1,
    max_size=80,
)


@given(
    bars_of_a_day,
    st.sampled_from([size for size in SIZES if size.seconds > 60]),
    st.sampled_from(["UTC", "Asia/Kolkata"]),
)
def test_a_bar_is_made_of_what_lies_in_it_and_nothing_else(bars: dict[int, Values], size, zone) -> None:
    size = size_named(size.name, zone)
    found = resample(candles(bars), MINUTES, size, MARKET).to_pylist()
    groups: dict[int, list[Values]] = {}
    for at in sorted(bars):
        groups.setdefault(int(size.buckets(np.array([at]))[0]), []).append(bars[at])
    assert [int(row["timestamp"].timestamp()) for row in found] == list(groups)
    for row, group in zip(found, groups.values(), strict=True):
        columns = list(zip(*group, strict=True))
        assert (row["open"], row["close"]) == (columns[0][0], columns[3][-1])
        assert (row["high"], row["low"]) == (max(columns[1]), min(columns[2]))
        assert row["volume"] == math.fsum(columns[4])
        assert row["sources"] == len(group)


def test_a_volume_does_not_hang_on_the_order_in_which_it_is_added() -> None:
    volumes = [0.1] * 6
    bars = {JANUARY + 60 * place: (1.0, 1.0, 1.0, 1.0, volume) for place, volume in enumerate(volumes)}
    [row] = resample(candles(bars), MINUTES, size_named("1h"), MARKET).to_pylist()
    assert row["volume"] == math.fsum(volumes)
    assert np.add.reduceat(np.array(volumes), [0])[0] != math.fsum(volumes)


def test_a_bar_with_a_gap_in_it_and_one_that_is_not_over_are_named() -> None:
    open_times = [at for at in range(JANUARY, JANUARY + 9 * HOUR, HOUR) if at != JANUARY + 3 * HOUR]
    found = resample(candles(flat(open_times)), HOURLY, size_named("2h"), MARKET).to_pydict()
    assert found["sources"] == [2, 1, 2, 2, 1]
    assert found["expected"] == [2, 2, 2, 2, 2]
    assert found["is_complete"] == [True, False, True, True, False]


def test_a_bar_outside_the_hours_of_its_market_hides_no_gap() -> None:
    friday = JANUARY + 4 * DAY
    week = FxWeek()
    expected = week.expected_open_times("1h", friday, friday + 3 * DAY).tolist()
    saturday = friday + DAY + 12 * HOUR
    euro = Series("EURUSD", "1h", "oanda")
    whole = resample(candles(flat(expected)), euro, size_named("1w"), week).to_pydict()
    missing = resample(candles(flat(sorted({*expected[1:], saturday}))), euro, size_named("1d"), week).to_pydict()
    assert whole["sources"] == [len([at for at in expected if at < JANUARY + 7 * DAY])] + (
        [len([at for at in expected if at >= JANUARY + 7 * DAY])] if expected[-1] >= JANUARY + 7 * DAY else []
    )
    assert missing["is_complete"][0] is False
    assert missing["is_complete"][1] is True


@pytest.mark.parametrize(("series", "size", "zone"), [(HOURLY, "2h", "UTC"), (HOURLY, "1d", "Asia/Kolkata")])
def test_a_bar_that_would_be_cut_is_refused(series: Series, size: str, zone: str) -> None:
    open_times = [JANUARY + HOUR // 2 + HOUR * place for place in range(24)] if zone == "UTC" else [JANUARY + 18 * HOUR]
    with pytest.raises(InputError, match="cuts bars of BTCUSD 1h from coinbase, such as the one that opens at") as told:
        resample(candles(flat(open_times)), series, size_named(size, zone), MARKET)
    assert told.value.field == "resample"


def test_a_size_below_the_stored_one_is_refused() -> None:
    with pytest.raises(InputError, match="30m is smaller than 1h, which is stored"):
        resample(candles(flat([JANUARY])), HOURLY, size_named("30m"), MARKET)


def test_columns_are_there_without_bars() -> None:
    found = resample(candles({}), HOURLY, size_named("1w"), MARKET)
    assert found.num_rows == 0
    assert found.schema.field("volume").type == pa.float64()
    assert epochs(found["timestamp"]).tolist() == []
