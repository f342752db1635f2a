"""Current rows tests: every bar once in the version that counts, however its files lie, as the dataset reader says."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ffe_core.candles import VALUES
from ffe_core.insight.bars import LINEAGE, bars
from ffe_core.locations import local_folder
from ffe_core.series import Series
from ffe_core.storage.lake import current_rows as module
from ffe_core.storage.lake import many_files
from ffe_core.storage.lake.current_rows import current_rows
from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager
from ffe_core.storage.lake.snapshot import MICROS, DamagedTable, Snapshot, epochs, micros
from ffe_core.storage.lake.upkeep.compaction import compact
from ffe_core.storage.lake.upkeep.plan import plan_of
from tests.insight.lakes import DAY, HOUR, JANUARY, flat, put
from tests.lake_files import StoredPath, lake_path
from tests.pace import examples

BTC, ETH = Series("BTCUSD", "1h", "coinbase"), Series("ETHUSD", "1h", "coinbase")
OTHER = Series("BTCUSD", "1h", "files:mine")
YEAR = 366 * DAY


def seen(lake: DeltaLakeManager) -> Snapshot:
    snapshot = lake.snapshot(BTC.table)
    assert snapshot is not None
    return snapshot


def folder_of(snapshot: Snapshot) -> Path:
    folder = local_folder(snapshot.uri)
    assert folder is not None
    return folder


def write(rows: pa.Table, file: Path | StoredPath, **options: Any) -> None:
    import pyarrow.parquet as pq

    held = io.BytesIO()
    pq.write_table(rows, held, **options)
    file.write_bytes(held.getvalue())


def tidied(lake: DeltaLakeManager) -> None:
    """The table compacted as upkeep does it."""
    snapshot = seen(lake)
    compact(snapshot.uri, lake.storage_options, plan_of(snapshot, BTC.table).merges)


@pytest.fixture
def lake(tmp_path: Path) -> DeltaLakeManager:
    return DeltaLakeManager(tmp_path / "lake")


commits = st.lists(
    st.tuples(
        st.sampled_from([BTC, ETH, OTHER]),
        st.lists(st.integers(-30, 60), min_size=1, max_size=30, unique=True),
        st.sampled_from([100.0, 101.0]),
        st.booleans(),
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=examples(25))
@given(commits, st.integers(-40, 70), st.integers(1, 80), st.booleans(), st.integers(0, 6), st.booleans())
def test_it_reads_what_the_other_reader_reads(
    tmp_path_factory, commits, first: int, length: int, is_tidied: bool, known: int, by_polars: bool
) -> None:
    """Around a turn of the year, so that bars lie in two partitions."""
    lake = DeltaLakeManager(tmp_path_factory.mktemp("lake"))
    moments: list[int | None] = [None]
    for series, hours, price, is_shifted in commits:
        moments.append(put(lake, series, flat([JANUARY + HOUR * hour for hour in hours], price + is_shifted)))
    if is_tidied:
        tidied(lake)
    known_at = moments[known % len(moments)]
    moment = (
        None
        if known_at is None
        else datetime.fromtimestamp(known_at // MICROS, UTC).replace(microsecond=known_at % MICROS)
    )
    start, end = JANUARY + first * HOUR, JANUARY + (first + length) * HOUR
    stored = list(dict.fromkeys(series for series, *_ in commits))
    columns = (*VALUES, "_extracted_at") if by_polars else (*VALUES, *LINEAGE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(many_files, "FEWEST", 1 if by_polars else 10**6)
        found = current_rows(seen(lake), stored, start, end, columns, known_at)
        at_once = module.current_frame(seen(lake), stored, start, end, columns, known_at)
    for series, rows in zip(stored, found, strict=True):
        assert rows.equals(bars(lake, series, start, end, moment, columns))
        assert (np.diff(epochs(rows["timestamp"])) > 0).all()
    if at_once is not None:
        frame, sizes = at_once
        assert sizes == [rows.num_rows for rows in found]
        assert frame.to_arrow().cast(found[0].schema).equals(pa.concat_tables(found).combine_chunks())


@pytest.mark.parametrize("fewest", [1, 10**6])
def test_one_pair_of_two_providers_in_one_file_is_read_apart(lake, monkeypatch, fewest: int) -> None:
    monkeypatch.setattr(many_files, "FEWEST", fewest)
    hours = [JANUARY + HOUR * hour for hour in range(48)]
    put(lake, BTC, flat(hours))
    put(lake, OTHER, flat(hours[::2], 200.0))
    lake.open(BTC.table).optimize.compact()
    mine, own = current_rows(seen(lake), [OTHER, BTC], JANUARY, JANUARY + DAY, VALUES)
    assert epochs(mine["timestamp"]).tolist() == hours[:24:2]
    assert set(np.floor(mine["low"].to_numpy())) == {198.0}
    assert epochs(own["timestamp"]).tolist() == hours[:24]


def test_a_file_in_row_groups_is_read_where_the_range_lies(lake, monkeypatch) -> None:
    import pyarrow.parquet as pq

    put(lake, BTC, flat([JANUARY + HOUR * hour for hour in range(1000)]))
    snapshot = seen(lake)
    file = lake_path(lake, BTC.table) / snapshot.files(BTC).paths[0]
    write(pq.read_table(pa.BufferReader(file.read_bytes())), file, row_group_size=100)
    read: list[list[int]] = []
    groups = module._groups
    monkeypatch.setattr(module, "_groups", lambda *given: read.append(groups(*given)) or read[-1])
    [rows] = current_rows(snapshot, [BTC], JANUARY + 150 * HOUR, JANUARY + 301 * HOUR, ["close"])
    assert rows.num_rows == 151
    assert read == [[1, 2, 3]]


def test_a_file_of_another_tool_without_a_column_reads_as_empty_cells(lake) -> None:
    import pyarrow.parquet as pq

    put(lake, BTC, flat([JANUARY + HOUR * hour for hour in range(10)]))
    snapshot = seen(lake)
    file = lake_path(lake, BTC.table) / snapshot.files(BTC).paths[0]
    held = pq.read_table(pa.BufferReader(file.read_bytes())).drop_columns(["_dead_letter_id"])
    place = held.schema.get_field_index("asset_pair")
    write(held.set_column(place, "asset_pair", held["asset_pair"].cast(pa.large_string())), file)
    [rows] = current_rows(snapshot, [BTC], JANUARY, JANUARY + DAY, ["asset_pair", "_dead_letter_id"])
    assert rows["_dead_letter_id"].null_count == 10
    assert rows.schema.field("asset_pair").type == pa.string()


@pytest.mark.parametrize("fewest", [1, 10**6])
def test_a_damaged_file_is_named(lake, monkeypatch, fewest: int) -> None:
    monkeypatch.setattr(many_files, "FEWEST", fewest)
    put(lake, BTC, flat([JANUARY + HOUR * hour for hour in range(10)]))
    snapshot = seen(lake)
    name = str(snapshot.files(BTC).paths[0])
    (lake_path(lake, BTC.table) / name).write_bytes(b"no parquet at all")
    with pytest.raises(DamagedTable) as told:
        current_rows(snapshot, [BTC], JANUARY, JANUARY + DAY, VALUES)
    assert told.value.files == (name,)


@pytest.mark.of_a_lake_folder("it is read both ways")
def test_files_of_an_object_store_are_read_side_by_side(lake, monkeypatch) -> None:
    """As a local one would be, through the table's own file system."""
    import threading

    hours = [JANUARY + HOUR * hour for hour in range(-48, 48)]
    for series in (BTC, ETH):
        put(lake, series, flat(hours))
    put(lake, BTC, flat(hours[3:5], 200.0))
    local = current_rows(seen(lake), [ETH, BTC], JANUARY - DAY, JANUARY + DAY, VALUES)
    readers = set()
    read = module._read
    monkeypatch.setattr(module, "_read", lambda *given: readers.add(threading.current_thread().name) or read(*given))
    monkeypatch.setattr(module, "local_folder", lambda uri: None)
    remote = current_rows(seen(lake), [ETH, BTC], JANUARY - DAY, JANUARY + DAY, VALUES)
    assert [table.equals(other) for table, other in zip(local, remote, strict=True)] == [True, True]
    assert readers
    assert threading.current_thread().name not in readers


@pytest.mark.of_a_lake_folder("polars decodes files of a folder")
def test_polars_is_done_without(lake, monkeypatch) -> None:
    import sys

    put(lake, BTC, flat([JANUARY + HOUR * hour for hour in range(10)]))
    snapshot = seen(lake)
    monkeypatch.setattr(many_files, "FEWEST", 1)
    folder, paths = folder_of(snapshot), snapshot.files(BTC).paths.tolist()
    with_it = many_files.decoded(folder, paths, [10], ["timestamp", "close"])
    assert with_it is not None
    assert with_it[0].num_rows == 10
    assert many_files.decoded(folder, paths, [9], ["timestamp", "close"]) is None, "the log counts other rows"
    monkeypatch.setitem(sys.modules, "polars", None)
    assert many_files.decoded(folder, paths, [10], ["timestamp", "close"]) is None
    [rows] = current_rows(snapshot, [BTC], JANUARY, JANUARY + DAY, ["close"])
    assert rows.num_rows == 10
    assert (np.diff(micros(rows["timestamp"])) > 0).all()


@pytest.mark.of_a_lake_folder("polars decodes files of a folder")
def test_a_frame_at_once_is_of_files_that_hold_each_bar_once(lake, monkeypatch) -> None:
    """A file in no order, or with a bar twice, is left to the reader that looks for the latest version."""
    import pyarrow.parquet as pq

    monkeypatch.setattr(many_files, "FEWEST", 1)
    for series in (BTC, ETH):
        put(lake, series, flat([JANUARY + HOUR * hour for hour in range(10)]))
    snapshot = seen(lake)
    found = module.current_frame(snapshot, [ETH, BTC], JANUARY, JANUARY + DAY, VALUES)
    assert found is not None
    assert found[1] == [10, 10]
    file = lake_path(lake, BTC.table) / snapshot.files(BTC).paths[0]
    rows = pq.read_table(file, partitioning=None)
    pq.write_table(rows.take([1, 0, *range(2, 10)]), file)
    assert module.current_frame(snapshot, [ETH, BTC], JANUARY, JANUARY + DAY, VALUES) is None
    [_, own] = current_rows(snapshot, [ETH, BTC], JANUARY, JANUARY + DAY, VALUES)
    assert (np.diff(epochs(own["timestamp"])) > 0).all()


@settings(max_examples=examples(100))
@given(st.data())
def test_rising_times_are_told_however_series_and_chunks_lie(data: st.DataObject) -> None:
    import polars as pl

    times = data.draw(st.lists(st.integers(1, 6), max_size=12)) if data.draw(st.booleans()) else list(range(1, 9))
    cuts, seams = (sorted(data.draw(st.lists(st.integers(0, len(times)), max_size=4))) for _ in range(2))
    chunks, series = (np.split(np.array(times, np.int64), places) for places in (cuts, seams))
    column = pl.concat([pl.Series("timestamp", part).cast(pl.Datetime("us", "UTC")) for part in chunks], rechunk=False)
    rises = all((np.diff(part) > 0).all() for part in series)
    assert module._each_rises(column.to_frame(), [len(part) for part in series]) == rises


@pytest.mark.of_a_lake_folder("polars decodes files of a folder")
def test_a_few_rows_are_decoded_from_memory_and_read_the_same(lake, monkeypatch) -> None:
    put(lake, BTC, flat([JANUARY + HOUR * hour for hour in range(10)]))
    snapshot = seen(lake)
    asked = (folder_of(snapshot), snapshot.files(BTC).paths.tolist(), [10], ["timestamp", *VALUES])
    read: list[str] = []
    content = many_files._content
    monkeypatch.setattr(many_files, "_content", lambda path: read.append(path) or content(path))
    held = many_files.scanned(*asked)
    monkeypatch.setattr(many_files, "_HELD_ROWS", 9)
    opened = many_files.scanned(*asked)
    assert len(read) == 1
    assert held.equals(opened)
    (asked[0] / asked[1][0]).unlink()
    monkeypatch.undo()
    assert many_files.scanned(*asked) is None
