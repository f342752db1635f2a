"""Are indicators read as people write them, and are they what the field says they are?"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ffe_core.errors import InputError
from ffe_core.insight.indicators import KINDS, Indicator, computed, indicator
from tests.insight.lakes import DAY, HOUR, JANUARY


@pytest.mark.parametrize(
    ("text", "name", "label"),
    [
        ("sma20", "sma20", "SMA 20"),
        ("SMA 200", "sma200", "SMA 200"),
        ("ema-50", "ema50", "EMA 50"),
        ("Bollinger 20", "bb20", "Bollinger 20"),
        ("bb", "bb20", "Bollinger 20"),
        ("VWAP", "vwap", "VWAP"),
        ("rsi", "rsi14", "RSI 14"),
        ("Volume average 30", "vma30", "Volume average 30"),
    ],
)
def test_an_indicator_is_read_however_it_is_written(text: str, name: str, label: str) -> None:
    assert (str(indicator(text)), indicator(text).label) == (name, label)
    assert indicator(str(indicator(text))) == indicator(indicator(text).label) == indicator(text)


@pytest.mark.parametrize(
    "text",
    ["", "macd", "sma 1", "sma 501", "vwap 3", "<b>", "20", "sma20sma", "SMA 0", "EMA -3", "sma -20", "rsi 99999"],
)
def test_what_is_none_is_told_with_an_example(text: str) -> None:
    with pytest.raises(InputError, match="for example"):
        indicator(text)


def made(count: int, seed: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    rng = np.random.default_rng(seed)
    close = 100 + np.cumsum(rng.normal(size=count))
    values = {"open": close, "high": close + 1, "low": close - 1, "close": close, "volume": rng.uniform(0, 9, count)}
    return JANUARY + np.arange(count) * HOUR, values


@given(count=st.integers(0, 120), period=st.integers(2, 40), seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_averages_and_bands_are_those_of_their_definitions(count: int, period: int, seed: int) -> None:
    opens, bars = made(count, seed)
    close = bars["close"]
    [sma] = computed(Indicator("sma", period), opens, bars)
    upper, middle, lower = computed(Indicator("bb", period), opens, bars)
    [volume] = computed(Indicator("vma", period), opens, bars)
    for n in range(count):
        if n + 1 < period:
            assert np.isnan([sma[n], middle[n], volume[n]]).all()
            continue
        last = close[n + 1 - period : n + 1]
        np.testing.assert_allclose([sma[n], middle[n]], last.mean(), rtol=1e-9)
        np.testing.assert_allclose([upper[n] - middle[n], middle[n] - lower[n]], 2 * last.std(), rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(volume[n], bars["volume"][n + 1 - period : n + 1].mean(), rtol=1e-9, atol=1e-9)


@given(count=st.integers(20, 120), seed=st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_rsi_is_wilders_and_stays_between_0_and_100(count: int, seed: int) -> None:
    opens, bars = made(count, seed)
    [rsi] = computed(Indicator("rsi", 14), opens, bars)
    moves = np.diff(bars["close"])
    up, down = np.maximum(moves, 0)[:14].mean(), np.maximum(-moves, 0)[:14].mean()
    for n in range(14, count):
        if n > 14:
            up, down = (up * 13 + max(moves[n - 1], 0)) / 14, (down * 13 + max(-moves[n - 1], 0)) / 14
        np.testing.assert_allclose(rsi[n], 100 * up / (up + down), rtol=1e-6)


@given(count=st.integers(1, 80), seed=st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_vwap_begins_anew_with_each_day(count: int, seed: int) -> None:
    opens, bars = made(count, seed)
    [vwap] = computed(Indicator("vwap"), opens, bars)
    typical = (bars["high"] + bars["low"] + bars["close"]) / 3
    for n in range(count):
        day = (opens // DAY == opens[n] // DAY) & (opens <= opens[n])
        np.testing.assert_allclose(vwap[n], np.average(typical[day], weights=bars["volume"][day]), rtol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_no_bars_have_no_values(kind: str) -> None:
    bars = dict.fromkeys(("open", "high", "low", "close", "volume"), np.empty(0))
    one = Indicator(kind, KINDS[kind].period)
    assert [len(line) for line in computed(one, np.empty(0, np.int64), bars)] == [0] * len(one.lines)
