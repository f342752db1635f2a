"""How many requests to an object store do a look, a commit and a read take? docs/cluster.md says these figures."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from ffe_core.series import Series, Watermarks
from ffe_core.settings import Settings
from ffe_core.storage.lake.commits import Batch
from ffe_core.storage.lake.current_rows import current_rows
from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager
from ffe_core.storage.watermark_store import WatermarkStore
from tests.ingestion.fakes import BTC, HOUR, START, hours
from tests.object_store import Proxy, Store
from tests.storage.lake.test_delta_lake_manager import rows

pytestmark = pytest.mark.slow
MANY = [Series(f"P{number}USD", "1h", "coinbase") for number in range(20)]
ODD = Series("ALSAR.US@2020-01-31", "1h", "coinbase")


@pytest.fixture
def lake(object_store: Store, store_proxy: Proxy) -> Iterator[DeltaLakeManager]:
    config = {"lake_uri": object_store.address(), "store": object_store.settings(store_proxy.url)}
    return DeltaLakeManager.of(Settings.load(config))


def grown(lake: DeltaLakeManager, series: list[Series], hour: int) -> None:
    """Commit one bar of each series together."""
    before = Watermarks(START + (hour - 1) * HOUR, START) if hour else Watermarks()
    batches = [Batch(one, rows(hours(hour, hour + 1), one), before, Watermarks(START + hour * HOUR, START))
               for one in series]  # fmt: skip
    assert not [one for one in lake.commit_all(batches) if isinstance(one, Exception)]


def asked(proxy: Proxy) -> Counter[str]:
    """Requests by kind since the last time."""
    found = Counter("LIST" if "list-type" in path else method for method, path in proxy.asked)
    proxy.asked.clear()
    return found


def test_a_commit_takes_eleven_and_a_data_file_one_more(lake: DeltaLakeManager, store_proxy: Proxy) -> None:
    for hour in range(3):
        grown(lake, [ODD], hour)
    asked(store_proxy)
    grown(lake, [ODD], 3)
    alone = asked(store_proxy)
    assert alone.total() <= 11, alone
    for hour in range(2):
        grown(lake, MANY, hour)
    asked(store_proxy)
    grown(lake, MANY, 2)
    together = asked(store_proxy)
    assert together.total() <= alone.total() + len(MANY) - 1 + 3, together
    assert together["PUT"] == len(MANY) + 1


def test_nothing_new_takes_one(lake: DeltaLakeManager, store_proxy: Proxy) -> None:
    grown(lake, [ODD], 0)
    before = lake.snapshot(ODD.table)
    asked(store_proxy)
    assert lake.snapshot(ODD.table) is before
    assert asked(store_proxy) == {"HEAD": 1}


def test_what_another_machine_commits_is_seen_at_once(lake: DeltaLakeManager) -> None:
    other = DeltaLakeManager(lake.storage_path, lake.storage_options)
    for hour in range(3):
        grown(other, [ODD], hour)
        assert len(lake.stored_open_times(ODD, START, START + 9 * HOUR)) == hour + 1
    assert lake.marks(ODD) == other.marks(ODD) == Watermarks(START + 2 * HOUR, START)


def test_the_readable_watermarks_of_another_machine_follow(
    lake: DeltaLakeManager, store_proxy: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ffe_core.storage.watermark_store._COPY_SECONDS", 0)
    grown(lake, [BTC], 0)
    other = DeltaLakeManager(lake.storage_path, lake.storage_options)
    marks = WatermarkStore(tmp_path)
    marks.follow(other.log_changed, lambda: other.all_marks(["coinbase"]), ["coinbase"])
    assert [entry.marks.watermark for entry in marks.entries()] == [START]
    monkeypatch.setattr("ffe_core.storage.lake.delta_lake_manager._LOOK_SECONDS", 3600)
    asked(store_proxy)
    marks.entries()
    assert asked(store_proxy).total() == 0, "a look is believed for a moment"
    monkeypatch.setattr("ffe_core.storage.lake.delta_lake_manager._LOOK_SECONDS", -1)
    grown(lake, [BTC], 1)
    os.utime(marks.file, (1, 1))
    assert [entry.marks.watermark for entry in marks.entries()] == [START + HOUR]
    asked(store_proxy)
    other.log_changed()
    assert asked(store_proxy).total() <= 3
    store_proxy.is_gone = True
    assert [entry.marks.watermark for entry in marks.entries()] == [START + HOUR], "the copy is read as it is"


def test_a_small_data_file_is_read_with_one(lake: DeltaLakeManager, store_proxy: Proxy) -> None:
    for hour in range(2):
        grown(lake, [ODD], hour)
    snapshot = lake.snapshot(ODD.table)
    assert snapshot is not None
    asked(store_proxy)
    [table] = current_rows(snapshot, [ODD], START, START + 9 * HOUR, ["close"])
    assert table.num_rows == 2
    assert asked(store_proxy) == {"GET": 2}


def test_a_large_one_is_read_by_ranges(
    lake: DeltaLakeManager, store_proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ffe_core.storage.lake.stored_files.WHOLE_BYTES", 0)
    monkeypatch.setattr("ffe_core.storage.lake.stored_files._TAIL_BYTES", 2000)
    lake.commit(ODD, rows(hours(0, 2000), ODD), Watermarks(), Watermarks(START, START))
    snapshot = lake.snapshot(ODD.table)
    assert snapshot is not None
    asked(store_proxy)
    [table] = current_rows(snapshot, [ODD], START, START + 5000 * HOUR, ["close"])
    assert table.num_rows == 2000
    assert table["timestamp"].cast("int64").to_pylist() == [(START + n * HOUR) * 10**6 for n in range(2000)]
    assert 2 <= asked(store_proxy)["GET"] <= 6
