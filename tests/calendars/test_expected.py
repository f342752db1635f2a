"""Are ranks and ranges the same as counting bars one by one?"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffe_core.calendars import AlwaysOpen, ExchangeHours, FxWeek, MarketCalendar
from ffe_core.calendars.expected import ExpectedBars
from ffe_core.intervals import NONE, Times, by_grid, join_ranges, minus, open_times_in, ranges_of, total_before, union

CALENDARS: tuple[MarketCalendar, ...] = (
    AlwaysOpen(),
    FxWeek(),
    FxWeek(holidays=()),
    FxWeek("fx-daily-pause", daily_pause=True),
    ExchangeHours(),
)
MOMENTS = {
    "both daylight-saving changes of 2021": (1_615_593_600, 1_636_329_600),
    "a leap day": (1_582_848_000, 1_583_107_200),
    "the turn of a year": (1_640_908_800, 1_641_340_800),
}

few_intervals = st.lists(
    st.tuples(st.integers(-40, 40), st.integers(1, 12)).map(lambda pair: (pair[0], pair[0] + pair[1])), max_size=8
)


def covered(intervals: Times) -> set[int]:
    return {at for start, end in intervals.tolist() for at in range(start, end)}


def as_times(pairs: list[tuple[int, int]]) -> Times:
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


@given(few_intervals, few_intervals)
def test_union_and_minus_are_those_of_sets(left: list[tuple[int, int]], right: list[tuple[int, int]]) -> None:
    one, other = union(as_times(left)), union(as_times(right))
    assert covered(one) == covered(as_times(left))
    assert covered(union(one, other)) == covered(one) | covered(other)
    assert covered(minus(one, other)) == covered(one) - covered(other)
    for merged in (union(one, other), minus(one, other)):
        assert (merged[1:, 0] > merged[:-1, 1]).all() or (merged[1:, 0] >= merged[:-1, 1]).all()


@given(few_intervals, st.lists(st.integers(-60, 60), max_size=6).map(sorted))
def test_total_before_counts_what_lies_before_each_point(pairs: list[tuple[int, int]], points: list[int]) -> None:
    intervals = union(as_times(pairs))
    found = total_before(intervals, np.array(points, dtype=np.int64)).tolist()
    assert found == [sum(at < point for at in covered(intervals)) for point in points]


@given(st.lists(st.sets(st.integers(0, 200), max_size=30), max_size=4), st.sampled_from([1, 2, 7]))
def test_runs_hold_exactly_the_opens_they_were_made_of(files: list[set[int]], step: int) -> None:
    runs = join_ranges([ranges_of(np.array(sorted(open_times), dtype=np.int64), step) for open_times in files], step)
    assert sorted(open_times_in(runs, step).tolist()) == sorted(set().union(*files))
    for offset, own in by_grid(runs, step).items():
        assert (own[:, 0] % step == offset).all()
        assert (own[1:, 0] > own[:-1, 1]).all()


@given(
    calendar=st.sampled_from(CALENDARS),
    timeframe=st.sampled_from(["5m", "15m", "1h", "4h", "1d"]),
    moment=st.sampled_from(sorted(MOMENTS)),
    shift=st.integers(-40_000, 40_000),
    data=st.data(),
)
def test_ranks_name_the_same_bars_as_a_list_of_opens(
    calendar: MarketCalendar, timeframe: str, moment: str, shift: int, data: st.DataObject
) -> None:
    start = MOMENTS[moment][0] + shift
    end = start + data.draw(st.integers(0, 8 * 86_400))
    bars = ExpectedBars.of(calendar, timeframe, start, end)
    open_times = calendar.expected_open_times(timeframe, start, end)
    assert bars.count == len(open_times)
    asked = np.array(sorted(data.draw(st.lists(st.integers(start - 90_000, end + 90_000), max_size=5))), dtype=np.int64)
    assert bars.rank(asked).tolist() == [int((open_times < at).sum()) for at in asked.tolist()]
    chosen = np.array(
        data.draw(st.lists(st.booleans(), min_size=len(open_times), max_size=len(open_times))), dtype=bool
    )
    ranks = bars.ranks_of(ranges_of(open_times[chosen], bars.step)) if chosen.any() else NONE
    assert sorted(covered(ranks)) == np.flatnonzero(chosen).tolist()
    assert open_times_in(bars.spans(ranks), bars.step).tolist() == open_times[chosen].tolist()
    assert bars.ranges(ranks).tolist() == [
        [int(open_times[first]), int(open_times[last - 1]) + bars.step] for first, last in ranks.tolist()
    ]


@pytest.mark.parametrize("calendar", CALENDARS, ids=lambda calendar: f"{calendar.name} {calendar!r:.40}")
def test_bars_on_another_grid_are_not_the_expected_ones(calendar: MarketCalendar) -> None:
    start, end = MOMENTS["a leap day"]
    bars = ExpectedBars.of(calendar, "1h", start, end)
    moved = bars.runs + 60
    assert len(bars.ranks_of(moved)) == 0
    assert bars.ranks_of(bars.runs).tolist() == bars.all.tolist()
