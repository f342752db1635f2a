"""Matrix tests: prices of many pairs stand side by side by time, and nothing stands where nothing is stored."""

from __future__ import annotations

import math

import pytest

from ffe_core import load_candles, price_matrix
from ffe_core.errors import InputError
from ffe_core.series import Series
from tests.insight.lakes import DAY, HOUR, JANUARY, flat, put

BTC, ETH = Series("BTCUSD", "1h", "coinbase"), Series("ETHUSD", "1h", "coinbase")


@pytest.fixture
def filled(lake) -> None:
    put(lake, BTC, flat(range(JANUARY, JANUARY + DAY, HOUR)))
    put(lake, ETH, flat(range(JANUARY + 2 * HOUR, JANUARY + 2 * DAY, 2 * HOUR), 10.0))


def test_a_row_for_each_time_and_a_column_for_each_pair(filled) -> None:
    found = price_matrix(["ETHUSD", "BTCUSD"], "1h")
    assert list(found.columns) == ["ETHUSD", "BTCUSD"]
    assert str(found.index.dtype) == "datetime64[us, UTC]"
    assert found.index.name == "timestamp"
    assert len(found) == 24 + 12
    assert found.index.is_monotonic_increasing
    assert math.isnan(found["ETHUSD"].iloc[0])
    assert found["BTCUSD"].isna().sum() == 12
    bars = load_candles("ETHUSD", "1h")
    assert found["ETHUSD"].dropna().tolist() == bars["close"].tolist()


def test_polars_and_arrow_have_nulls_and_any_field(filled) -> None:
    polars = price_matrix(["BTCUSD", "ETHUSD"], "1h", field="volume", as_="polars")
    arrow = price_matrix(["BTCUSD", "ETHUSD"], "1h", field="volume", as_="arrow")
    assert polars.columns == arrow.column_names == ["timestamp", "BTCUSD", "ETHUSD"]
    assert polars["ETHUSD"].null_count() == arrow["ETHUSD"].null_count == 36 - 23
    assert polars["BTCUSD"].drop_nulls().to_list() == load_candles("BTCUSD", "1h")["volume"].tolist()


def test_larger_bars_too(filled) -> None:
    found = price_matrix(["BTCUSD", "ETHUSD"], "1h", field="high", resample="1d")
    assert found["BTCUSD"].tolist()[0] == 102.0
    assert found["BTCUSD"].isna().tolist() == [False, True]


def test_an_unknown_field_lists_those_there_are(filled) -> None:
    with pytest.raises(InputError, match="field: 'vwap' is unknown; use one of open, high, low, close, volume"):
        price_matrix("BTCUSD", "1h", field="vwap")
