"""Has every bar that is there or missing one slot, and closed time none? Are the columns over them true?"""

from __future__ import annotations

import numpy as np
import pytest

from ffe_core.calendars import AlwaysOpen, FxWeek
from ffe_core.insight.aggregate import bar_size
from ffe_core.insight.chart import chart_view
from ffe_core.insight.gaps import KINDS
from ffe_core.insight.indicators import indicator
from ffe_core.insight.slots import slots
from ffe_core.insight.window import Over, window, with_indicators
from ffe_core.series import Series
from tests.insight.lakes import DAY, HOUR, JANUARY, flat, put

BTC = Series("BTCUSD", "1h", "coinbase")
ETH = Series("ETHUSD", "1h", "coinbase")
EUR = Series("EURUSD", "1h", "oanda")
LATER = JANUARY + 400 * DAY
UNEXPLAINED = 1 + KINDS.index("unexplained")
NOT_INGESTED = 1 + KINDS.index("not_ingested")


def view(lake, queue, series, start, end, calendar=None, **more):
    return chart_view(lake, queue, calendar or AlwaysOpen(), series, start, end, until=LATER, **more)


def test_missing_bars_have_a_slot_with_their_kind(lake, queue):
    put(lake, BTC, flat([at for at in range(JANUARY, JANUARY + DAY, HOUR) if at != JANUARY + 5 * HOUR]))
    found = slots(view(lake, queue, BTC, JANUARY, JANUARY + 26 * HOUR))
    assert found.open_times.tolist() == list(range(JANUARY, JANUARY + 26 * HOUR, HOUR))
    assert np.flatnonzero(found.missing == UNEXPLAINED).tolist() == [5]
    assert np.flatnonzero(found.missing == NOT_INGESTED).tolist() == [24, 25]


def test_a_closed_market_has_no_slot(lake, queue):
    friday, monday = JANUARY + 4 * DAY, JANUARY + 7 * DAY
    calendar = FxWeek()
    opens = [
        int(at)
        for first, last in calendar.expected_ranges("1h", friday, monday + DAY)
        for at in range(first, last, HOUR)
    ]
    put(lake, EUR, flat(opens))
    shown = view(lake, queue, EUR, friday, monday + DAY, calendar)
    assert slots(shown).open_times.tolist() == opens
    weekend = [at for at in range(friday, monday, HOUR) if at not in opens]
    put(lake, BTC, flat(range(friday, monday + DAY, HOUR)))
    laid = window(lake, shown, [Over(BTC)])
    assert not set(weekend) & set(laid.slots.open_times.tolist())


@pytest.mark.parametrize(("size", "count"), [("1d", 60), ("1w", 9), ("1M", 2)])
def test_larger_bars_that_are_missing_whole_have_slots_too(lake, queue, size, count):
    put(lake, BTC, flat(range(JANUARY, JANUARY + DAY, HOUR)))
    shown = view(lake, queue, BTC, JANUARY, JANUARY + 60 * DAY, size=size)
    found = slots(shown)
    assert len(found) == count
    assert found.open_times.tolist() == bar_size(size).buckets(found.open_times).tolist()
    assert found.missing.tolist() == [0] + [NOT_INGESTED] * (count - 1)


def test_columns_are_those_of_the_bars_at_their_slots(lake, queue):
    known = flat([JANUARY, JANUARY + 2 * HOUR])
    put(lake, BTC, known)
    put(lake, ETH, flat([JANUARY + HOUR], 7.0))
    found = window(lake, view(lake, queue, BTC, JANUARY, JANUARY + 3 * HOUR), [Over(ETH)])
    assert found.columns["close"].tolist()[0::2] == [bar[3] for bar in known.values()]
    assert np.isnan(found.columns["close"][1])
    assert np.isnan(found.columns["over:0"]).tolist() == [True, False, True]


@pytest.mark.parametrize("names", [["sma20"], ["ema20"], ["rsi14"], ["bb20"], ["vwap"], ["vma20"]])
def test_an_indicator_is_the_same_in_a_window_as_over_everything(lake, queue, names):
    rng = np.random.default_rng(7)
    prices = 100 + np.cumsum(rng.normal(size=900))
    opens = JANUARY + np.arange(900) * HOUR
    bars = {
        int(at): (p, p + 1, p - 1, p + 0.5, float(v))
        for at, p, v in zip(opens, prices, rng.uniform(1, 9, 900), strict=True)
    }
    put(lake, BTC, bars)
    chosen = [indicator(name) for name in names]
    whole = with_indicators(lake, window(lake, view(lake, queue, BTC, JANUARY, int(opens[-1]) + HOUR)), chosen)
    start = JANUARY + 700 * HOUR + 5 * HOUR
    narrow = with_indicators(lake, window(lake, view(lake, queue, BTC, start, int(opens[-1]) + HOUR)), chosen)
    for name in (name for name in whole.columns if ":" in name):
        np.testing.assert_allclose(narrow.columns[name], whole.columns[name][705:], rtol=1e-6)


def test_vwap_is_not_drawn_in_bars_of_a_day(lake, queue):
    put(lake, BTC, flat(range(JANUARY, JANUARY + 5 * DAY, HOUR)))
    found = window(lake, view(lake, queue, BTC, JANUARY, JANUARY + 5 * DAY, size="1d"))
    assert not [name for name in with_indicators(lake, found, [indicator("vwap")]).columns if "vwap" in name]
