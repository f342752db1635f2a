"""Is a view made of kept parts the same as one read anew, and never stale?"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ffe_core.calendars import AlwaysOpen
from ffe_core.insight.chart import chart_view
from ffe_core.insight.parts import PYRAMID, Pyramid
from ffe_core.series import Series
from ffe_core.storage.lake.snapshot import DamagedTable
from tests.insight.lakes import DAY, HOUR, JANUARY, as_dict, flat, put
from tests.lake_files import lake_path

MINUTES = Series("BTCUSD", "1m", "simulated")
MONTHS = 100 * DAY
LATER = JANUARY + 400 * DAY


def view(lake, queue, size="4h", start=JANUARY, end=JANUARY + MONTHS, **more):
    return chart_view(lake, queue, AlwaysOpen(), MINUTES, start, end, size=size, until=LATER, **more)


def same(one, other) -> bool:
    np.testing.assert_allclose(one.bars["volume"], other.bars["volume"], rtol=1e-12)
    columns = ("timestamp", "open", "high", "low", "close", "sources", "expected", "restated")
    assert (one.counts, one.gaps, one.is_mock) == (other.counts, other.gaps, other.is_mock)
    assert one.dead_letters.tolist() == other.dead_letters.tolist()
    assert one.restated.tolist() == other.restated.tolist()
    assert one.restated_since.tolist() == other.restated_since.tolist()
    return all(one.bars[name].to_pylist() == other.bars[name].to_pylist() for name in columns)


@pytest.fixture
def hourly(lake):
    """A hundred days of minutes, some of them missing, some restated, those of ten days simulated."""
    opens = [at for at in range(JANUARY, JANUARY + MONTHS, 60) if at % 1021]
    simulated = range(JANUARY + 30 * DAY, JANUARY + 40 * DAY)
    put(lake, MINUTES, flat([at for at in opens if at not in simulated]))
    put(lake, MINUTES, flat([at for at in opens if at in simulated]), "simulated", is_mock=True)
    before = put(lake, MINUTES, flat(opens[50_000:50_010], 200.0), "again")
    put(lake, MINUTES, flat(opens[60_000:60_010], 300.0), "once more")
    return before


@pytest.mark.parametrize("size", ["5m", "15m", "1h", "4h", "1d", "1w", "1M"])
@pytest.mark.parametrize("known", [False, True])
def test_what_is_kept_gives_the_same_view_as_what_is_read(lake, queue, hourly, monkeypatch, size, known):
    moment = hourly // 1_000_000 if known else None
    narrow = (JANUARY + 9 * DAY + 5 * HOUR, JANUARY + 80 * DAY + 7 * HOUR)
    found = [view(lake, queue, size, *narrow, as_known_at=moment) for _ in range(2)]
    monkeypatch.setattr("ffe_core.insight.parts._BASES", ())
    assert all(same(one, view(lake, queue, size, *narrow, as_known_at=moment)) for one in found)


def test_a_partition_is_read_once_and_again_when_its_files_change(lake, queue, hourly, monkeypatch):
    first = view(lake, queue)
    reads = []
    original = Pyramid._whole.__globals__["_read"]
    monkeypatch.setattr("ffe_core.insight.parts._read", lambda *a: reads.append(a[3]) or original(*a))
    assert same(view(lake, queue), first)
    whole_months = [at for at in reads if at < JANUARY + 90 * DAY]
    assert whole_months == []
    put(lake, MINUTES, flat([JANUARY + 40 * DAY], 900.0), "restated")
    changed = view(lake, queue)
    assert max(high for _, high, *_ in as_dict(changed.bars).values()) == 902.0
    assert [at for at in reads if at < JANUARY + 90 * DAY] == [JANUARY + 31 * DAY]


def test_little_is_kept_and_the_rest_forgotten(lake, queue, hourly):
    small = Pyramid(most_bytes=1)
    snapshot = lake.snapshot(MINUTES.table)
    size = view(lake, queue).size
    for _ in range(2):
        parts = list(small.parts(snapshot, MINUTES, size, JANUARY, JANUARY + MONTHS, None))
        assert len(parts) == 4
        assert len(small._kept) == 1
    assert len(PYRAMID._kept) >= 3


def test_a_lost_file_outside_the_range_does_not_stop_it(lake, queue, hourly):
    snapshot = lake.snapshot(MINUTES.table)
    files = snapshot.files(MINUTES)
    for path in files.paths[files.first < JANUARY + 31 * DAY]:
        (lake_path(lake, MINUTES.table) / str(path)).unlink()
    assert view(lake, queue, start=JANUARY + 31 * DAY).bars.num_rows > 0
    with pytest.raises(DamagedTable):
        view(lake, queue, start=JANUARY + 20 * DAY)


def test_a_lost_file_of_the_same_month_outside_the_range_does_not_stop_it(lake, queue):
    for first in (JANUARY, JANUARY + 10 * DAY):
        put(lake, MINUTES, flat(range(first, first + 10 * DAY, 60)))
    files = lake.snapshot(MINUTES.table).files(MINUTES)
    for path in files.paths[files.first < JANUARY + 10 * DAY]:
        (lake_path(lake, MINUTES.table) / str(path)).unlink()
    assert view(lake, queue, "1h", JANUARY + 10 * DAY, JANUARY + 12 * DAY).bars.num_rows == 48
    with pytest.raises(DamagedTable):
        view(lake, queue, "1h", JANUARY + 9 * DAY, JANUARY + 12 * DAY)


@pytest.mark.parametrize(("days", "is_mock"), [((0, 30), False), ((25, 31), True), ((39, 41), True), ((40, 60), False)])
def test_a_view_is_simulated_where_its_own_bars_are(lake, queue, hourly, days, is_mock):
    first, last = (JANUARY + day * DAY for day in days)
    assert view(lake, queue, "1h", first, last).is_mock is is_mock
    assert view(lake, queue, "1h", first, last).is_mock is is_mock


@given(st.tuples(st.integers(-3, 70 * 24), st.integers(1, 40 * 24)), st.sampled_from(["15m", "1h", "4h", "1d"]))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_range_is_as_it_is_read_anew(lake, queue, hourly, span, size):
    first = JANUARY + span[0] * HOUR
    last = first + span[1] * HOUR
    found = view(lake, queue, size, first, last)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("ffe_core.insight.parts._BASES", ())
        assert same(found, view(lake, queue, size, first, last))
