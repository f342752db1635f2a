"""Is every expected bar counted once, under the first reason that holds, and no closed hour shown that has a bar?"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ffe_core.calendars import AlwaysOpen, ExchangeHours, FxWeek
from ffe_core.insight.gaps import KINDS, Gap, MissingBars, Seen, closures
from ffe_core.series import Series
from tests.insight.lakes import DAY, HOUR, JANUARY

FX = Series("EURUSD", "1h", "oanda")
END = JANUARY + 9 * DAY
_HOURS = st.integers(-30, 9 * 24 + 30).map(lambda hour: JANUARY + hour * HOUR)
_OPEN_TIMES = st.sets(st.integers(0, 9 * 24 - 1), max_size=9 * 24).map(
    lambda hours: {JANUARY + h * HOUR for h in hours}
)
_RANGES = st.lists(st.tuples(_HOURS, st.integers(1, 60)).map(lambda at: (at[0], at[0] + at[1] * HOUR)), max_size=3)


def _open_times(chosen: set[int]) -> np.ndarray:
    return np.array(sorted(chosen), dtype=np.int64)


def _missing(
    seen: Seen, stored: set[int], dead: frozenset[int] | set[int] = frozenset(), until: int | None = END
) -> MissingBars:
    """What is missing until END."""
    seen.add(_open_times(stored), _open_times(set()))
    return seen.missing(JANUARY, END, _open_times(set(dead)), until)


@given(_OPEN_TIMES, _OPEN_TIMES, _OPEN_TIMES, _RANGES, st.tuples(_HOURS, _HOURS), _HOURS, st.integers(0, 9 * 24))
def test_each_expected_bar_counts_once(stored, dead, later, marked, covered, until, cut):
    later = later - stored
    calendar = FxWeek()
    expected = [at for at in calendar.expected_open_times("1h", JANUARY, END).tolist() if at < until]

    def reason(at: int) -> str:
        if at in stored:
            return "stored"
        if at in later:
            return "later"
        if at in dead:
            return "dead_lettered"
        if any(start <= at < end for start, end in marked):
            return "marked"
        return "unexplained" if covered[0] <= at < covered[1] else "not_ingested"

    wanted = [reason(at) for at in expected]
    seen = Seen(FX, calendar, covered, marked)
    middle = JANUARY + cut * HOUR
    for start, end in ((JANUARY, middle), (middle, END)):
        seen.add(*(_open_times({at for at in some if start <= at < end}) for some in (stored, later)))
    counted = seen.missing(JANUARY, END, _open_times(dead), until)
    extra = len([at for at in stored if at < until]) - wanted.count("stored")
    missing = {kind: wanted.count(kind) for kind in KINDS}
    assert counted.counts() == {
        "expected": len(expected),
        "stored": wanted.count("stored"),
        "extra": extra,
        **missing,
    }
    found = counted.gaps()
    assert [gap.kind for gap in found for _ in range(gap.candles)] == [one for one in wanted if one != "stored"]
    for gap in found:
        inside = [one for at, one in zip(expected, wanted, strict=True) if gap.start <= at < gap.end]
        assert inside == [gap.kind] * gap.candles
        assert gap.start in expected
        assert gap.end - HOUR in expected
    for left, right in pairwise(found):
        between = [at for at in expected if left.end <= at < right.start]
        assert between or left.kind != right.kind


def test_a_gap_over_a_weekend_is_one():
    friday = JANUARY + 4 * DAY + 20 * HOUR
    sunday = JANUARY + 6 * DAY + 22 * HOUR
    calendar = FxWeek()
    stored = set(calendar.expected_open_times("1h", JANUARY, END).tolist()) - {friday + HOUR, sunday}
    assert _missing(Seen(FX, calendar, (JANUARY, END)), stored).gaps() == [
        Gap(friday + HOUR, sunday + HOUR, 2, "unexplained")
    ]


def test_too_many_gaps_are_joined_when_close_and_keep_their_counts():
    open_times = {JANUARY + hour * HOUR for hour in range(9 * 24) if hour % 2 and hour < 100}
    dead = {JANUARY + 30 * HOUR}
    missing = _missing(Seen(FX, AlwaysOpen(), (JANUARY, END)), open_times, dead, JANUARY + 100 * HOUR)
    assert len(missing.gaps()) == 50
    assert missing.gaps(4 * HOUR, 50) == missing.gaps()
    assert missing.gaps(4 * HOUR, 49) == [
        Gap(JANUARY, JANUARY + 99 * HOUR, 49, "unexplained"),
        Gap(JANUARY + 30 * HOUR, JANUARY + 31 * HOUR, 1, "dead_lettered"),
    ]


def test_bars_that_have_not_ended_are_not_missed(monkeypatch):
    monkeypatch.setattr("ffe_core.times.now", lambda: JANUARY + 3 * HOUR)
    missing = _missing(Seen(FX, AlwaysOpen(), (JANUARY, END)), set(), until=None)
    assert missing.counts()["unexplained"] == 3


def test_nothing_is_expected_beyond_what_a_calendar_knows():
    seen = Seen(Series("AAPL", "1d", "oanda"), ExchangeHours(), (0, END))
    counts = seen.missing(-30 * DAY, 5 * DAY, _open_times(set()), END).counts()
    assert counts["unexplained"] == counts["expected"] == len(ExchangeHours().expected_open_times("1d", 0, 5 * DAY))
    assert closures(ExchangeHours(), "1d", -30 * DAY, -10 * DAY, _open_times(set()), DAY) == []


_MARKETS = st.sampled_from([FxWeek(), ExchangeHours(), AlwaysOpen()])


@given(_MARKETS, st.sampled_from([("1h", HOUR), ("4h", 4 * HOUR), ("1d", DAY)]), _OPEN_TIMES)
def test_closures_are_what_is_left_of_hours_and_bars(calendar, size, open_times):
    timeframe, length = size
    open_times = {at - at % length for at in open_times}
    found = closures(calendar, timeframe, JANUARY, END, _open_times(open_times), length)
    expected = calendar.expected_open_times(timeframe, JANUARY, END).tolist()
    shown = np.zeros((END - JANUARY) // 1800, dtype=bool)
    for at in {*expected, *open_times}:
        shown[(at - JANUARY) // 1800 : (at + length - JANUARY) // 1800] = True
    cut = np.zeros_like(shown)
    for start, end in found:
        assert start < end
        cut[(start - JANUARY) // 1800 : (end - JANUARY) // 1800] = True
    assert (cut == ~shown).all()
    assert all(left[1] < right[0] for left, right in pairwise(found))
