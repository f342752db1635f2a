"""Does a comparison of two series count what differs, what is missing and what only one has, and nothing twice?"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ffe_core.candles import VALUES
from ffe_core.checks import windows
from ffe_core.checks.compare import Comparison, compare
from ffe_core.errors import InputError
from ffe_core.series import Series
from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager
from tests.checks.markets import Made, coarser
from tests.checks.test_engine import AROUND, JANUARY, MINUTES, minutes, put
from tests.pace import examples

HOURS = replace(MINUTES, timeframe="1h")
OTHER = replace(HOURS, provider="simulated")


def without(made: Made, *places: int) -> Made:
    kept = np.delete(np.arange(len(made.open_times)), places)
    columns = {name: column[kept] for name, column in made.columns.items()}
    return replace(made, open_times=made.open_times[kept], columns=columns)


def compared(lake: DeltaLakeManager, *made: Made, one: Series = HOURS, other: Series = MINUTES) -> Comparison:
    for each in made:
        put(lake, each)
    return compare(lake, one, other, AROUND)


def test_bars_that_agree_are_counted_and_nothing_else_said(lake: DeltaLakeManager) -> None:
    fine = minutes(3)
    found = compared(lake, fine, coarser(fine, "1h"), one=MINUTES, other=HOURS)
    assert (found.series, found.other) == (HOURS, MINUTES), "the coarser is made of the finer however they are named"
    assert (found.compared, found.different, found.partly, found.only_here, found.only_there) == (72, 0, 0, 0, 0)
    assert (found.here.bars, found.there.bars, found.examples) == (72, 72 * 60, [])


def test_what_differs_is_counted_by_column_with_the_worst(lake: DeltaLakeManager) -> None:
    fine = minutes(3)
    coarse = coarser(fine, "1h")
    coarse.columns["high"][[5, 9]] += [1.0, 3.0]
    coarse.columns["volume"][5] += 7
    found = compared(lake, fine, coarse)
    high, volume = found.columns["high"], found.columns["volume"]
    assert (found.different, high.differing, volume.differing, found.columns["low"].differing) == (2, 2, 1, 0)
    assert [high.mean, high.largest] == pytest.approx([2.0, 3.0])
    assert high.at == JANUARY + 9 * 3600
    assert high.here == pytest.approx(high.there + 3)
    assert found.examples == [JANUARY + 5 * 3600, JANUARY + 9 * 3600]


def test_missing_parts_are_counted_apart(lake: DeltaLakeManager) -> None:
    whole = minutes(3)
    coarse = coarser(whole, "1h")
    highest = int(np.argmax(whole.columns["high"][60:120])) + 60
    still = 10 * 60 + 30
    for name in VALUES:
        whole.columns[name][still] = whole.columns["close"][still - 1] if name != "volume" else 0.0
    coarse = coarser(whole, "1h")
    found = compared(lake, without(whole, highest, still), coarse)
    assert (found.compared, found.different) == (70, 0)
    assert (found.partly, found.partly_different) == (2, 1), "nothing was traded in the minute that stood still"


def test_bars_of_one_alone_are_counted(lake: DeltaLakeManager) -> None:
    hours = coarser(minutes(3), "1h")
    found = compared(lake, without(hours, 0, 1), without(replace(hours, series=OTHER), 70), one=HOURS, other=OTHER)
    assert (found.compared, found.different, found.only_here, found.only_there) == (69, 0, 1, 2)


def test_a_source_without_volumes_does_not_differ_by_them(lake: DeltaLakeManager) -> None:
    hours = coarser(minutes(3), "1h")
    silent = replace(hours, series=OTHER, columns={**hours.columns, "volume": np.zeros(len(hours.open_times))})
    found = compared(lake, hours, silent, one=HOURS, other=OTHER)
    assert (found.compared, found.different, found.there.with_volume) == (72, 0, 0)


@settings(max_examples=examples(5))
@given(st.integers(0, 2**32))
def test_windows_change_nothing(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    """Two months of minutes and hours with differences and holes, read as one window and as several."""
    rng = np.random.default_rng(seed)
    lake = DeltaLakeManager(tmp_path_factory.mktemp("lake") / "lake")
    fine = minutes()
    coarse = coarser(fine, "1h")
    coarse.columns["close"][rng.integers(0, len(coarse.open_times), 20)] += 1.0
    put(lake, without(fine, *rng.integers(0, len(fine.open_times), 30).tolist()))
    put(lake, without(coarse, *rng.integers(0, len(coarse.open_times), 5).tolist()))
    found = compare(lake, HOURS, MINUTES, AROUND)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(windows, "_WINDOW_ROWS", 1)
        apart = compare(lake, HOURS, MINUTES, AROUND)
    for name, column in apart.columns.items():
        assert column.sum == pytest.approx(found.columns[name].sum)
        column.sum = found.columns[name].sum  # its last digits go by the order of adding up
    assert apart == found
    assert found.compared + found.partly + found.only_here == found.here.bars


def test_what_cannot_be_compared_is_refused(lake: DeltaLakeManager) -> None:
    put(lake, minutes(1))
    with pytest.raises(InputError, match="compared with itself"):
        compare(lake, MINUTES, MINUTES, AROUND)
    with pytest.raises(InputError, match="is not stored"):
        compare(lake, HOURS, MINUTES, AROUND)


@pytest.fixture
def lake(tmp_path: Path) -> DeltaLakeManager:
    return DeltaLakeManager(tmp_path / "lake")
