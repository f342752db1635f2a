"""Is a larger bar what an independent computation says it is, whatever is missing and wherever the calendar bends?"""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffe_core.calendars import AlwaysOpen, ExchangeHours, FxWeek, MarketCalendar
from ffe_core.candles import VALUES
from ffe_core.errors import InputError
from ffe_core.insight.aggregate import (
    LADDER,
    aggregate,
    bar_size,
    choices,
    coarser,
    expected_sources,
    ladder,
    rungs,
    size_named,
)
from ffe_core.series import Series
from ffe_core.timeframes import TIMEFRAMES, seconds
from tests.insight.lakes import DAY, HOUR, JANUARY, candles

_PANDAS = {"1m": "1min", "5m": "5min", "15m": "15min", "1w": "W-MON", "1M": "MS", "3M": "QS", "1y": "YS"}
_FOLDS = {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"}
# Leap days, a year's end, both New York clock changes, a time before the epoch's year.
_ORIGINS = [
    int(datetime(*day, tzinfo=UTC).timestamp())
    for day in [(2024, 2, 27), (2000, 2, 28), (2023, 12, 30), (2024, 3, 9), (2024, 11, 2), (1970, 1, 1), (1969, 12, 29)]
]


@st.composite
def _stored(draw: st.DrawFn) -> tuple[str, pa.Table]:
    timeframe = draw(st.sampled_from(list(TIMEFRAMES)))
    step = seconds(timeframe)
    slots = draw(st.integers(1, 400))
    kept = draw(st.sets(st.integers(0, slots), min_size=0, max_size=60))
    seed = np.random.default_rng(draw(st.integers(0, 2**16)))
    origin = draw(st.sampled_from(_ORIGINS))
    prices = seed.uniform(0.0001, 90_000, (slots + 1, 5))
    return timeframe, candles({origin + place * step: tuple(prices[place]) for place in kept})


@given(_stored(), st.sampled_from(LADDER))
def test_an_aggregate_is_what_pandas_computes(stored, to):
    timeframe, table = stored
    if to.seconds < seconds(timeframe):
        with pytest.raises(InputError, match="smaller"):
            aggregate(table, seconds(timeframe), to)
        return
    frame = table.to_pandas().set_index("timestamp")
    grouper = pd.Grouper(freq=_PANDAS.get(to.name, to.name.replace("d", "D")), label="left", closed="left")
    groups = frame.groupby(grouper)
    wanted = groups.agg(_FOLDS).assign(sources=groups.size()).query("sources > 0").reset_index()
    found = aggregate(table, seconds(timeframe), to).to_pandas()
    assert found["timestamp"].tolist() == wanted["timestamp"].tolist()
    for name in ("open", "high", "low", "close", "sources"):
        assert found[name].tolist() == wanted[name].tolist()
    np.testing.assert_allclose(found["volume"], wanted["volume"], rtol=1e-12)


@given(_stored(), st.sampled_from(LADDER), st.integers(0, 60))
def test_pieces_aggregated_one_by_one_give_the_whole(stored, to, cut):
    timeframe, table = stored
    step = seconds(timeframe)
    if to.seconds < step:
        return
    whole = aggregate(table, step, to)
    parts = pa.concat_tables([aggregate(part, step, to) for part in (table.slice(0, cut), table.slice(cut))])
    found = aggregate(parts, step, to)
    names = [name for name in whole.column_names if name != "volume"]
    assert found.select(names).equals(whole.select(names))
    np.testing.assert_allclose(found["volume"], whole["volume"], rtol=1e-12)


@given(_stored(), st.sampled_from([size for size in LADDER if size.months]))
def test_a_bar_says_how_many_bars_would_fill_it(stored, to):
    timeframe, table = stored
    found = aggregate(table, seconds(timeframe), to).to_pandas()
    offset = pd.DateOffset(months=to.months)
    lengths = [(stamp + offset - stamp).total_seconds() for stamp in found["timestamp"]]
    assert found["expected"].tolist() == [int(length) // seconds(timeframe) for length in lengths]


def test_weeks_begin_on_monday_and_quarters_in_january():
    table = candles({JANUARY + day * DAY: (1, 1, 1, 1, 1) for day in (-1, 0, 6, 7)})
    weeks = aggregate(table, DAY, bar_size("1w"))["timestamp"].to_pylist()
    assert [stamp.date().isoformat() for stamp in weeks] == ["2023-12-25", "2024-01-01", "2024-01-08"]
    quarters = aggregate(table, DAY, bar_size("3M"))["timestamp"].to_pylist()
    assert [stamp.date().isoformat() for stamp in quarters] == ["2023-10-01", "2024-01-01"]


def test_counts_of_restated_bars_are_added_up():
    table = candles({JANUARY + minute * 60: (1, 1, 1, 1, 1) for minute in range(4)})
    table = table.append_column("restated", pa.array([0, 1, 0, 1]))
    assert aggregate(table, 60, bar_size("5m"))["restated"].to_pylist() == [2]


_CALENDARS: list[tuple[MarketCalendar, str]] = [(AlwaysOpen(), "15m"), (FxWeek(), "1h"), (ExchangeHours(), "1h")]


@given(
    st.sampled_from(_CALENDARS),
    st.sampled_from(["1h", "4h", "1d", "1w", "1M"]),
    st.integers(0, 500),
    st.integers(1, 70),
    st.integers(0, 70 * DAY),
)
def test_expected_sources_are_those_of_the_calendar(market, to, day, days, due):
    calendar, timeframe = market
    size = bar_size(to)
    start, end = size.widened(JANUARY + day * DAY, JANUARY + (day + days) * DAY)
    until = start + due
    buckets = np.unique(size.buckets(np.arange(start, end, HOUR)))
    open_times = calendar.expected_open_times(timeframe, start, end)
    ends = size.after(buckets)
    wanted = [
        int(((open_times >= a) & (open_times < b) & (open_times < until)).sum())
        for a, b in zip(buckets, ends, strict=True)
    ]
    assert expected_sources(calendar, timeframe, buckets, ends, until).tolist() == wanted


@given(
    st.sampled_from(list(TIMEFRAMES)),
    st.integers(-20 * 365 * DAY, 20 * 365 * DAY),
    st.integers(1, 30 * 365 * DAY),
    st.integers(50, 3000),
)
def test_the_ladder_gives_the_smallest_size_that_fits(timeframe, start, length, most):
    size = ladder(JANUARY + start, JANUARY + start + length, timeframe, most)
    sizes = rungs(timeframe)
    assert size in sizes
    fits = [-(-length // one.seconds) <= most for one in sizes]
    assert fits.index(True) == sizes.index(size)


def test_the_ladder_counts_only_bars_the_market_has():
    end = JANUARY + 366 * DAY
    assert ladder(JANUARY, end, "4h", 1700).name == "1d"
    assert ladder(JANUARY, end, "4h", 1700, FxWeek()).name == "4h"
    assert ladder(JANUARY, end, "1h", 1800, ExchangeHours()).name == "1h"


def test_beyond_what_a_calendar_knows_the_ladder_still_answers():
    far = int(datetime(2150, 1, 1, tzinfo=UTC).timestamp())
    assert ladder(far, far + DAY, "1h", 1500, FxWeek()).name == "1h"


def test_the_top_of_the_ladder_is_used_however_long_the_range():
    assert ladder(0, 10**11, "1d", 10).name == "1y"
    assert coarser(bar_size("1y")) is None
    assert coarser(bar_size("1d")) == bar_size("1w")


def test_an_unknown_size_lists_those_there_are():
    with pytest.raises(InputError, match=r"bar size: '2h' is unknown; use one of 1m, 5m, .*1y"):
        bar_size("2h")


def test_columns_are_the_bars():
    found = aggregate(candles({}), 60, bar_size("1h"))
    assert found.column_names == ["timestamp", *VALUES, "sources", "expected"]
    assert found.num_rows == 0


def test_a_size_that_cuts_bars_is_refused():
    with pytest.raises(InputError, match="6h cuts the bars there are, of 14400 s"):
        aggregate(candles({}), 14_400, size_named("6h"))


@pytest.mark.parametrize(
    ("series", "names"),
    [
        (Series("BTCUSD", "1m", "coinbase"), "1m 3m 5m 10m 15m 30m 1h 2h 4h 6h 8h 12h 1d 1w 1mo"),
        (Series("BTCUSD", "15m", "coinbase"), "15m 30m 1h 2h 4h 6h 8h 12h 1d 1w 1mo"),
        (Series("BTCUSD", "4h", "coinbase"), "4h 8h 12h 1d 1w 1mo"),
        (Series("AAPL", "1h", "alpha_vantage"), "1h 1d 1w 1mo"),
        (Series("AAPL", "1d", "alpha_vantage"), "1d 1w 1mo"),
    ],
)
def test_what_a_series_can_be_made_into(series: Series, names: str):
    assert [size.name for size in choices(series)] == names.split()


def test_a_ladder_can_begin_at_a_derived_timeframe():
    two_hours = size_named("2h")
    assert [size.name for size in rungs("1h", two_hours)] == ["2h", "4h", "1d", "1w", "1M", "3M", "1y"]
    assert ladder(0, DAY, "1h", least=two_hours) == two_hours
    assert coarser(two_hours) == bar_size("4h")
