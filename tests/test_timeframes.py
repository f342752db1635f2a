"""Which bar sizes are there, and where does their grid lie?"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffe_core.errors import InputError
from ffe_core.series import Series
from ffe_core.timeframes import TIMEFRAMES, ceil, floor, seconds


def test_there_are_six():
    assert TIMEFRAMES == {"1m": 60, "5m": 300, "15m": 900, "1h": 3600, "4h": 14400, "1d": 86400}
    assert [seconds(name) for name in TIMEFRAMES] == list(TIMEFRAMES.values())


@pytest.mark.parametrize("timeframe", ["2h", "1H", "", "60", 60, None, [], "../1h"])
def test_any_other_is_refused_with_the_list(timeframe: Any):
    with pytest.raises(InputError, match=r"^timeframe: .* use one of 1m, 5m, 15m, 1h, 4h, 1d"):
        seconds(timeframe)


@given(st.integers(-(10**10), 10**10), st.sampled_from(list(TIMEFRAMES.values())))
def test_floor_and_ceil_are_the_neighbours_on_the_grid(epoch: int, step: int):
    low, high = floor(epoch, step), ceil(epoch, step)
    assert low <= epoch <= high
    assert low % step == high % step == 0
    assert high - low == (0 if epoch % step == 0 else step)


def test_a_series_has_its_keys_and_only_an_hourly_share_may_open_on_the_half_hour():
    series = Series.of("btc/usd", "1h", "coinbase")
    assert (series.key, series.low_key) == ("BTCUSD/1h/coinbase", "BTCUSD/1h/coinbase/low")
    assert (series.table, series.step, series.grid) == ("raw_market_data_1h", 3600, 3600)
    assert Series.of("AAPL", "1h", "alpha_vantage").grid == 1800
    assert Series.of("AAPL", "15m", "alpha_vantage").grid == 900
    assert str(series) == "BTCUSD 1h from coinbase"
