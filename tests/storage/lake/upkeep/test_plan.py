"""Which files does upkeep take together, and which does it leave alone?"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffe_core.series import Series
from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager
from ffe_core.storage.lake.upkeep.plan import TablePlan, plan_of
from ffe_core.storage.lake.upkeep.tiers import FULL_BYTES, SMALL_BYTES, together
from tests.insight.lakes import DAY, HOUR, JANUARY, flat, put
from tests.storage.lake.upkeep.lakes import BTC, ETH, bar, compacted, live, trickle

BIG = 10 * SMALL_BYTES
DURING, LONG_AFTER = JANUARY + 20 * DAY, JANUARY + 400 * DAY


@pytest.fixture
def lake(tmp_path: Path) -> DeltaLakeManager:
    return DeltaLakeManager(tmp_path / "lake")


def planned(lake: DeltaLakeManager, series: Series = BTC, now: float = DURING) -> TablePlan:
    snapshot = lake.snapshot(series.table)
    assert snapshot is not None
    return plan_of(snapshot, series.table, now)


def noisy(open_times: range) -> dict[int, tuple[float, float, float, float, float]]:
    """Bars that do not pack well, as real ones do not."""
    return {at: bar(100 + at * 7_919 % 1_000_003 / 977) for at in open_times}


@pytest.mark.parametrize(
    ("sizes", "is_over", "wanted"),
    [
        ([], False, []),
        ([10], False, [False]),
        ([10], True, [False]),
        ([10, 20], False, [True, True]),
        ([10, BIG, 20], False, [True, False, True]),
        ([10, BIG, 20], True, [True, True, True]),
        ([10, BIG], False, [False, False]),
        ([SMALL_BYTES - 1, SMALL_BYTES - 1, SMALL_BYTES], False, [True, True, True]),
        ([BIG, BIG], True, [True, True]),
        ([FULL_BYTES, BIG], True, [False, False]),
    ],
)
def test_small_files_go_together_and_a_big_one_once_they_come_to_as_much(sizes, is_over, wanted):
    assert together(np.array(sizes, dtype=np.int64), is_over).tolist() == wanted


@given(st.lists(st.integers(1, 2 * FULL_BYTES), max_size=30), st.booleans())
def test_what_is_taken_together_is_at_least_two_and_never_more_than_a_full_file(sizes, is_over):
    chosen = together(np.array(sizes, dtype=np.int64), is_over)
    taken = [size for size, is_taken in zip(sizes, chosen.tolist(), strict=True) if is_taken]
    assert len(taken) != 1
    assert sum(taken) <= FULL_BYTES


@given(st.integers(1, 2000), st.integers(1_000, 60_000))
def test_each_byte_is_rewritten_about_as_often_as_the_partition_doubles(commits, size):
    files: list[int] = []
    rewritten = 0
    for number in range(commits):
        files.append(size)
        if number % 2 == 0:
            continue
        chosen = together(np.array(files, dtype=np.int64), False)
        taken = [one for one, is_taken in zip(files, chosen.tolist(), strict=True) if is_taken]
        files = [one for one, is_taken in zip(files, chosen.tolist(), strict=True) if not is_taken]
        if taken:
            rewritten += sum(taken)
            files.append(sum(taken))
    total = commits * size
    assert len(files) <= 4 + np.log2(max(total / SMALL_BYTES, 1))
    assert rewritten <= total * (SMALL_BYTES / size + 2 + np.log2(max(total / SMALL_BYTES, 1)))


def test_a_period_that_is_over_becomes_one_file_and_a_running_one_keeps_its_large_ones(lake: DeltaLakeManager):
    put(lake, BTC, noisy(range(JANUARY, JANUARY + 300 * DAY, HOUR)))
    put(lake, BTC, flat([JANUARY + 300 * DAY]))
    sizes = [len(path.read_bytes()) for path in live(lake)]
    assert max(sizes) > SMALL_BYTES, "or this shows nothing"
    assert planned(lake).merges == ()
    [merge] = planned(lake, now=LONG_AFTER).merges
    assert (merge.pair, merge.period, len(merge.names), merge.bytes) == ("BTCUSD", "2024-01-01", 2, sum(sizes))


def test_each_series_and_each_partition_is_by_itself(lake: DeltaLakeManager):
    for series in (BTC, ETH):
        trickle(lake, series, [0, 1, 366 * 24, 367 * 24])
    plan = planned(lake)
    assert sorted((merge.pair, merge.period, len(merge.names)) for merge in plan.merges) == [
        ("BTCUSD", "2024-01-01", 2),
        ("BTCUSD", "2025-01-01", 2),
        ("ETHUSD", "2024-01-01", 2),
        ("ETHUSD", "2025-01-01", 2),
    ]
    assert (plan.files, plan.small_files, plan.merged_files, plan.rows) == (8, 8, 8, 8)


def test_minutes_are_over_with_their_month(lake: DeltaLakeManager):
    minutes = Series("BTCUSD", "1m", "coinbase")
    put(lake, minutes, noisy(range(JANUARY, JANUARY + 5 * DAY, 60)))
    put(lake, minutes, flat([JANUARY + 6 * DAY]))
    assert planned(lake, minutes, JANUARY + 20 * DAY).merges == ()
    assert planned(lake, minutes, JANUARY + 32 * DAY).merges == (), "its last bars are read again for a while"
    assert len(planned(lake, minutes, JANUARY + 34 * DAY).merges) == 1


def test_after_compaction_nothing_is_left_to_do(lake: DeltaLakeManager):
    trickle(lake, BTC, range(5))
    compacted(lake)
    assert planned(lake).merges == planned(lake, now=LONG_AFTER).merges == ()
