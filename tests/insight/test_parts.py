"""Is a view made of kept parts the same as one read anew, and never stale?"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ffe_core.calendars import AlwaysOpen
from ffe_core.insight.chart import chart_view
from ffe_core.insight.parts import PYRAMID, Pyramid
from ffe_core.series import Series
from ffe_core.storage.lake.snapshot import DamagedTable
from tests.insight.lakes import DAY, HOUR, JANUARY, as_dict, flat, put

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
    """A hundred days of minutes, some of them missing, some restated."""
    opens = [at for at in range(JANUARY, JANUARY + MONTHS, 60) if at % 1021]
    put(lake, MINUTES, flat(opens))
    before = put(lake, MINUTES, flat(opens[50_000:50_010], 200.0), "again")
    put(lake, MINUTES, flat(opens[60_000:60_010], 300.0), "once more")
    return before


@pytest.mark.parametrize("size", ["4h", "1d", "1w", "1M"])
@pytest.mark.parametrize("known", [False, True])
def test_what_is_kept_gives_the_same_view_as_what_is_read(lake, queue, hourly, monkeypatch, size, known):
    moment = hourly // 1_000_000 if known else None
    narrow = (JANUARY + 9 * DAY + 5 * HOUR, JANUARY + 80 * DAY + 7 * HOUR)
    found = [view(lake, queue, size, *narrow, as_known_at=moment) for _ in range(2)]
    monkeypatch.setattr("ffe_core.insight.parts._SMALLEST_KEPT", 2**40)
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
        (Path(lake.table_uri(MINUTES.table)) / str(path)).unlink()
    assert view(lake, queue, start=JANUARY + 31 * DAY).bars.num_rows > 0
    with pytest.raises(DamagedTable):
        view(lake, queue, start=JANUARY + 20 * DAY)
