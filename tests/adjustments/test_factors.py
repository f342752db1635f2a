"""Backward adjustment by rule: exact against fractions, for any splits, dividends and bars."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ffe_core.adjustments.actions import DIVIDEND, SPLIT, Action
from ffe_core.adjustments.factors import checked_adjustment, steps
from ffe_core.errors import InputError
from tests.insight.lakes import DAY, JANUARY, as_dict, candles, flat

DAYS = [JANUARY + place * DAY for place in range(30)]
ratios = st.builds(Fraction, st.integers(1, 50), st.integers(1, 50))
splits = st.dictionaries(st.sampled_from(DAYS), ratios, max_size=6)
dividends = st.dictionaries(st.sampled_from(DAYS[1:]), st.fractions(Fraction(1, 1000), 50), max_size=6)
bars = st.lists(st.sampled_from(DAYS), min_size=1, unique=True).map(lambda days: flat(sorted(days), 100.0))


def acts(kind: str, values: dict[int, Fraction]) -> list[Action]:
    return [Action(kind, "AAPL", day, value, "made") for day, value in values.items()]


@given(splits, dividends, bars)
@settings(max_examples=60)
def test_each_bar_has_the_product_of_all_that_came_after_it(split, paid, held) -> None:
    closes = dict.fromkeys(paid, 100.0)
    made = steps(acts(SPLIT, split), acts(DIVIDEND, paid), closes).adjusted(candles(held))
    for at, values in as_dict(made).items():
        shares = Fraction(1)
        for day, ratio in split.items():
            shares *= ratio if day > at else 1
        money = Fraction(1)
        for day, amount in paid.items():
            money *= 1 - amount / 100 if day > at else 1
        expected = [float(Fraction(value) / shares * money) for value in held[at][:4]]
        assert values[:4] == pytest.approx(expected, rel=1e-14)
        assert values[4] == pytest.approx(float(Fraction(held[at][4]) * shares), rel=1e-15)


@given(splits, bars)
@settings(max_examples=60)
def test_splits_keep_money_traded_and_a_whole_ratio_is_rounded_once(split, held) -> None:
    raw = candles(held)
    made = steps(acts(SPLIT, split), [], {}).adjusted(raw)
    before = raw["close"].to_numpy() * raw["volume"].to_numpy()
    np.testing.assert_allclose(made["close"].to_numpy() * made["volume"].to_numpy(), before, rtol=1e-14)
    whole = {day: Fraction(ratio.numerator) for day, ratio in split.items()}
    for at, values in as_dict(steps(acts(SPLIT, whole), [], {}).adjusted(raw)).items():
        shares = np.prod([float(ratio) for day, ratio in whole.items() if day > at], initial=1.0)
        assert values[3] == held[at][3] / shares


def test_nothing_on_record_leaves_the_bars_as_they_are() -> None:
    raw = candles(flat(DAYS))
    assert steps([], [], {}).adjusted(raw) is raw


def test_a_dividend_that_is_no_less_than_the_price_is_refused() -> None:
    with pytest.raises(InputError, match=r"dividend of AAPL on 2024-01-02, 100, is not less than the close before it"):
        steps([], acts(DIVIDEND, {DAYS[1]: Fraction(100)}), {DAYS[1]: 100.0})


def test_another_adjustment_is_refused() -> None:
    with pytest.raises(InputError, match="adjust: 'total' is unknown; use splits or all, or leave it out"):
        checked_adjustment("total")


@given(splits, dividends, bars, st.sampled_from(DAYS), st.sampled_from(DAYS))
@settings(max_examples=60)
def test_a_part_of_the_steps_does_the_same_to_its_own_bars(split, paid, held, start, end) -> None:
    whole = steps(acts(SPLIT, split), acts(DIVIDEND, paid), dict.fromkeys(paid, 100.0))
    own = candles({at: values for at, values in held.items() if start <= at < end})
    part = whole.within(start, max(start, end))
    assert as_dict(part.adjusted(own)) == as_dict(whole.adjusted(own))
    assert part.key or part.adjusted(own) is own
    assert whole.within(DAYS[-1] + DAY, DAYS[-1] + 2 * DAY).is_nothing
    assert [day for day, *_ in whole.rows()] == sorted({*split, *paid})
