"""Is what a process remembers of the files that it wrote just what reading them would find?"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from deltalake import DeltaTable
from hypothesis import given, settings
from hypothesis import strategies as st

from ffe_core import DeltaLakeManager
from ffe_core.errors import StorageError
from ffe_core.series import Series, Watermarks
from ffe_core.storage.lake.file_ranges import ranges_in
from ffe_core.storage.lake.range_cache import RangeCache
from ffe_core.storage.lake.upkeep.compaction import compact
from ffe_core.storage.lake.upkeep.plan import plan_of
from ffe_core.storage.stores import Stores
from tests.ingestion.fakes import BTC, HOUR, START, FakeProvider, hours, ingester, records, run
from tests.pace import examples
from tests.storage.lake.test_data_files import ODD
from tests.storage.lake.test_delta_lake_manager import rows

pytestmark = pytest.mark.both_states
ETH = Series("ETHUSD", "1h", "coinbase")
_SPAN = 2 * 366 * 24
"""Hours over which bars lie: three partitions."""


def remembered(stores: Stores, table: str = BTC.table) -> dict[str, dict[str, list[list[int]]]]:
    """What another process would find remembered of the live files, by path and provider."""
    snapshot = DeltaLakeManager(stores.lake.storage_path).snapshot(table)
    assert snapshot is not None
    files = snapshot.all_files()
    sizes = dict(zip(files.paths.tolist(), files.sizes.tolist(), strict=True))
    return plain(RangeCache(stores.database).find(snapshot.uri, sizes))


def read(stores: Stores, table: str = BTC.table) -> dict[str, dict[str, list[list[int]]]]:
    """What the live files hold."""
    snapshot = DeltaLakeManager(stores.lake.storage_path).snapshot(table)
    assert snapshot is not None
    files = snapshot.all_files()
    held = ranges_in(snapshot, files, range(len(files)), "1h")
    return plain(dict(zip(files.paths.tolist(), held, strict=True)))


def plain(found: dict[str, Any]) -> dict[str, dict[str, list[list[int]]]]:
    return {path: {name: ranges.tolist() for name, ranges in held.items()} for path, held in found.items()}


def put(lake: DeltaLakeManager, series: Series, at: list[int]) -> None:
    marks = lake.marks(series)
    after = Watermarks(max([*at, marks.watermark or 0]), min([*at, marks.low or 2**40]))
    lake.commit(series, rows(at, series, close=str(100 + len(at) / 1000)), marks, after)  # type: ignore[arg-type]


@given(st.lists(st.sets(st.integers(0, _SPAN), min_size=1, max_size=30), min_size=1, max_size=3), st.booleans())
@settings(max_examples=examples(25))
def test_commits_and_compaction_are_remembered_as_they_would_be_read(commits: list[set[int]], is_shared: bool) -> None:
    """Bars new and restated, in several partitions, of one provider or of two."""
    with TemporaryDirectory() as name:
        stores = ingester(Path(name)).stores
        for place, some in enumerate(commits):
            at = sorted(START + hour * HOUR for hour in some)
            put(stores.lake, Series("BTCUSD", "1h", "oanda") if is_shared and place else BTC, at)
        assert remembered(stores) == read(stores)
        snapshot = stores.lake.snapshot(BTC.table)
        assert snapshot is not None

        def swapped(some: Any) -> None:
            for one in some:
                for action, held in zip(one.added, one.held, strict=True):
                    stores.lake.file_ranges.wrote(snapshot.uri, action.path, action.size, held)

        compact(snapshot.uri, None, plan_of(snapshot, BTC.table).merges, swapped_in=swapped)
        stores.remember_written()
        assert remembered(stores) == read(stores)


@pytest.mark.parametrize("pair", ODD)
def test_a_file_is_known_under_the_name_that_the_log_gives_it(tmp_path: Path, pair: str) -> None:
    stores = ingester(tmp_path).stores
    put(stores.lake, Series(pair, "1h", "coinbase"), list(hours(0, 3)))
    assert remembered(stores) == read(stores)


def test_a_run_remembers_what_it_commits(tmp_path: Path) -> None:
    single = ingester(tmp_path)
    provider = FakeProvider(records(hours(0, 30)), page_bars=10)
    assert run(single, provider, START, START + 30 * HOUR).counts.stored == 30
    assert remembered(single.stores) == read(single.stores) != {}


def test_where_it_cannot_be_remembered_the_run_is_whole_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise StorageError("the database cannot be used")

    single = ingester(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(RangeCache, "save", fails)
        report = run(single, FakeProvider(records(hours(0, 30))), START, START + 30 * HOUR)
    assert (report.status, report.counts.stored) == ("success", 30)
    assert remembered(single.stores) == {}


def test_files_that_are_gone_are_forgotten_and_those_committed_meanwhile_are_not(tmp_path: Path) -> None:
    stores = ingester(tmp_path).stores
    put(stores.lake, BTC, list(hours(0, 3)))
    put(stores.lake, BTC, list(hours(3, 6)))
    uri, [first, _] = DeltaTable(stores.lake.table_uri(BTC.table)).table_uri, list(read(stores))

    def live() -> list[str]:
        put(stores.lake, ETH, list(hours(0, 3)))
        return [first]

    stores.range_cache.tidy(uri, live)
    with stores.database.read() as connection:
        kept = {path for (path,) in connection.exec_driver_sql("select path from file_runs")}
    assert len(kept) == 2
    assert kept <= set(read(stores))
