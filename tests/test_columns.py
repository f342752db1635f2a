"""Tests that columns of candles are a sequence of records, of which one is made only when it is asked for."""

from __future__ import annotations

import numpy as np
import pytest

from ffe_core.candles import VALUES
from ffe_core.columns import CandleColumns, joined
from ffe_core.validation import read_open_times, validate

MADE: list[str] = []


@pytest.fixture(autouse=True)
def _nothing_made_yet() -> None:
    MADE.clear()


def columns(name: str, size: int, start: int = 0, **values: float) -> CandleColumns:
    """Records "a0", "a1", ...; every value 1.0 unless it is given."""

    def record(place: int) -> str:
        MADE.append(f"{name}{place}")
        return f"{name}{place}"

    every = {value: np.full(size, values.get(value, 1.0)) for value in VALUES}
    return CandleColumns(start + 60 * np.arange(size), every, np.zeros(size, bool), record)


def test_it_reads_like_the_list_of_its_records() -> None:
    found = columns("a", 3)
    assert (len(found), found[0], found[-1]) == (3, "a0", "a2")
    assert list(found) == ["a0", "a1", "a2"]
    assert found == ["a0", "a1", "a2"]
    assert found != ["a0", "a1"]
    assert found != "a0"
    for place in (3, -4):
        with pytest.raises(IndexError):
            found[place]


def test_a_part_has_the_columns_of_its_records() -> None:
    part = columns("a", 4)[1:3]
    assert (list(part.open_times), list(part)) == ([60, 120], ["a1", "a2"])
    taken = part.take(np.array([1]))
    assert (list(taken.open_times), len(taken.values["open"]), list(taken)) == ([120], 1, ["a2"])


def test_joined_parts_keep_their_order() -> None:
    whole = joined([columns("a", 2), columns("b", 0), columns("c", 1, 600)])
    assert (list(whole.open_times), list(whole)) == ([0, 60, 600], ["a0", "a1", "c0"])
    assert len(whole.unfinished) == len(whole.values["volume"]) == 3


def test_validation_makes_only_the_records_that_fail() -> None:
    found = joined([columns("a", 2), columns("b", 1, 600, high=0.5), columns("c", 1, 660, open=np.nan)])
    assert list(read_open_times(found)) == [0, 60, 600, 660]
    checked = validate(found, 60)
    assert [(one.record, one.reasons[0], one.open) for one in checked.failures] == [
        ("b0", "high_below_low", 600),
        ("c0", "not_finite:open", 660),
    ]
    assert (checked.candles.num_rows, MADE) == (2, ["b0", "c0"])


def test_of_two_candles_of_a_bar_the_last_is_kept_and_the_other_made() -> None:
    checked = validate(joined([columns("a", 1, high=2.0), columns("b", 1)]), 60)
    assert [(one.record, one.reasons) for one in checked.failures] == [("a0", ["superseded"])]
    assert checked.candles["high"].to_pylist() == [1.0]
    assert validate(joined([columns("a", 1), columns("b", 1)]), 60).duplicates == 1
