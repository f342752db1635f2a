"""Does compaction leave every row and every answer as it was, and no append in its way?"""

from __future__ import annotations

import errno
import shutil
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, Field, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError
from deltalake.schema import PrimitiveType
from hypothesis import given, settings
from hypothesis import strategies as st

from ffe_core.errors import NearlyFullError, StorageError
from ffe_core.insight.bars import bars
from ffe_core.insight.restatements import restatements
from ffe_core.series import Series, Watermarks
from ffe_core.storage.lake import data_files
from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager
from ffe_core.storage.lake.snapshot import MICROS
from ffe_core.storage.lake.upkeep import compaction, disk
from ffe_core.storage.lake.upkeep.compaction import compact
from ffe_core.storage.lake.upkeep.log import checkpoint, clean_up
from ffe_core.storage.lake.upkeep.plan import plan_of
from ffe_core.storage.lake.upkeep.vacuum import vacuum
from tests.insight.lakes import DAY, HOUR, JANUARY, as_dict, put
from tests.pace import examples
from tests.storage.lake.upkeep.lakes import (
    BTC,
    ETH,
    OANDA,
    age,
    bar,
    compacted,
    everything,
    folder_of,
    handle,
    live,
    place_of,
    rows,
    trickle,
    uri_of,
)


@pytest.fixture
def lake(tmp_path: Path) -> DeltaLakeManager:
    return DeltaLakeManager(tmp_path / "lake")


def moment(micros: int) -> datetime:
    return datetime.fromtimestamp(micros // MICROS, UTC).replace(microsecond=micros % MICROS)


def test_small_files_become_one_a_series_sorted_by_time_and_every_row_stays(lake: DeltaLakeManager):
    for number in (3, 1, 2, 0):
        trickle(lake, BTC, [number])
    trickle(lake, ETH, range(3))
    before, marks = rows(lake), lake.marks(BTC)
    done = compacted(lake)
    assert (done.files_before, done.files_after, done.left, done.repeats) == (7, 2, 0, 0)
    assert rows(lake) == before
    assert lake.marks(BTC) == marks
    for path in live(lake):
        stamps = pq.ParquetFile(pa.BufferReader(path.read_bytes())).read()["timestamp"].to_pylist()
        assert stamps == sorted(stamps)


def test_files_have_the_encodings_of_appends_and_the_statistics_that_readers_choose_by(lake: DeltaLakeManager):
    trickle(lake, BTC, range(4))
    compacted(lake)
    [path] = live(lake)
    group = pq.ParquetFile(pa.BufferReader(path.read_bytes())).metadata.row_group(0)
    encodings = {group.column(i).path_in_schema: set(group.column(i).encodings) for i in range(group.num_columns)}
    assert "DELTA_BINARY_PACKED" in encodings["timestamp"]
    assert not {"RLE_DICTIONARY", "PLAIN_DICTIONARY"} & encodings["close"]
    snapshot = lake.snapshot(BTC.table)
    assert snapshot is not None
    files = snapshot.files(BTC)
    assert (files.first[0], files.last[0], files.rows[0]) == (JANUARY, JANUARY + 3 * HOUR, 4)
    assert tuple(files.providers[0]) == ("coinbase", "coinbase")
    assert files.oldest[0] <= min(row["_extracted_at"].timestamp() for row in rows(lake)) * MICROS <= files.newest[0]


def test_each_provider_gets_a_file_of_its_own_even_where_another_tool_has_mixed_them(lake: DeltaLakeManager):
    for series in (BTC, OANDA):
        trickle(lake, series, range(2))
    lake.open(BTC.table).optimize.compact()
    trickle(lake, BTC, range(2, 4))
    before = rows(lake)
    lake.open(BTC.table).optimize.compact()
    trickle(lake, BTC, range(4, 6))
    handle(lake).optimize.compact()
    put(lake, BTC, {JANUARY + 9 * HOUR: bar(1)}, "x")
    put(lake, OANDA, {JANUARY + 9 * HOUR: bar(1)}, "y")
    handle(lake).optimize.compact(target_size=1)
    compacted(lake)
    assert [row for row in rows(lake) if row in before] == before
    snapshot = lake.snapshot(BTC.table)
    assert snapshot is not None
    assert len(snapshot.all_files()) <= 3


_BATCH = st.tuples(
    st.sampled_from([BTC, OANDA, ETH]), st.dictionaries(st.integers(0, 8), st.integers(1, 3), min_size=1)
)
_DAY_BARS = 92 * DAY


@settings(max_examples=examples(15))
@given(st.lists(_BATCH, min_size=2, max_size=8), st.sets(st.integers(0, 8), min_size=1))
def test_every_moment_of_any_history_reads_back_after_upkeep_at_any_moments(tmp_path_factory, batches, after):
    """Restatements, several providers, partitions in any order; old files really deleted, old log entries too."""
    lake = DeltaLakeManager(tmp_path_factory.mktemp("lake"))
    known: dict[Series, dict[int, tuple[float, ...]]] = {BTC: {}, OANDA: {}, ETH: {}}
    history: list[tuple[int, dict[Series, dict[int, tuple[float, ...]]]]] = []
    for number, (series, batch) in enumerate(batches):
        told = {JANUARY + slot * _DAY_BARS: bar(price) for slot, price in batch.items()}
        known[series] |= told
        at = put(lake, series, told, str(number))
        history.append((at, {one: dict(values) for one, values in known.items()}))
        if number in after:
            before = _answers(lake, history)
            whole_upkeep(lake)
            assert _answers(lake, history) == before
    whole_upkeep(lake)
    latest = 0
    for at, state in history:
        latest = max(at, latest)
        for series, wanted in state.items():
            if wanted:
                assert as_dict(bars(lake, series, 0, 2**31, moment(latest))) == dict(sorted(wanted.items()))


def whole_upkeep(lake: DeltaLakeManager) -> None:
    """Compaction, checkpoint, clean-up and vacuum, as if days had passed."""
    compacted(lake)
    checkpoint(*place_of(lake))
    age(folder_of(lake))
    clean_up(*place_of(lake), 1)
    handle(lake).vacuum(0, dry_run=False, enforce_retention_duration=False, full=True)


def _answers(lake: DeltaLakeManager, history: Any) -> list[Any]:
    found: list[Any] = [restatements(lake).to_pylist()]
    for at, state in history:
        found += [bars(lake, series, 0, 2**31, moment(at)).to_pylist() for series, known in state.items() if known]
    return found


def test_versions_within_a_millisecond_keep_their_order(lake: DeltaLakeManager, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("ffe_core.ingestion.enrich.time.time_ns", lambda: JANUARY * 10**9)
    for price in (1.0, 2.0, 3.0):
        put(lake, BTC, {JANUARY: bar(price)}, str(price))
    compacted(lake)
    assert as_dict(bars(lake, BTC, 0, 2**31)) == {JANUARY: bar(3.0)}
    assert len(restatements(lake, BTC)) == 2


# --- others at the same moment ---


def meanwhile(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object], times: int = 1) -> None:
    """Have something happen between the writing of the new files and their commit."""
    left = [times]
    commit = compaction._commit

    def later(table: DeltaTable, swapped: Any) -> None:
        if left[0]:
            left[0] -= 1
            act()
        commit(table, swapped)

    monkeypatch.setattr(compaction, "_commit", later)


def test_an_append_in_between_costs_another_try_and_nothing_else(lake, monkeypatch):
    trickle(lake, BTC, range(3))
    numbers = iter(range(10, 20))
    meanwhile(monkeypatch, lambda: trickle(lake, BTC, [next(numbers)]), times=3)
    done = compacted(lake)
    assert (done.files_before, done.files_after, done.left) == (3, 1, 0)
    assert len(rows(lake)) == 6
    assert len(live(lake)) == 4


def test_an_append_planned_before_and_committed_after_is_not_refused(lake: DeltaLakeManager):
    trickle(lake, BTC, range(3))
    before = lake.open(BTC.table)
    compacted(lake)
    write_deltalake(before, pa.Table.from_pylist(rows(lake)[:1], schema=_schema(lake)), mode="append")
    assert len(rows(lake)) == 4


def _schema(lake: DeltaLakeManager) -> pa.Schema:
    return pa.schema(handle(lake).schema().to_arrow())


@pytest.mark.parametrize("how", ["compacts", "overwrites", "sets a property", "vacuums"])
def test_another_tool_that_is_faster_leaves_the_table_as_it_made_it(lake, monkeypatch, how):
    trickle(lake, BTC, range(6))
    before = rows(lake)
    acts: dict[str, Callable[[], object]] = {
        "compacts": lambda: handle(lake).optimize.compact(),
        "overwrites": lambda: handle(lake).delete("open > 103"),
        "sets a property": lambda: DeltaTable(
            uri_of(lake), storage_options=lake.storage_options
        ).alter.set_table_properties({"delta.logRetentionDuration": "interval 9 hours"}),
        "vacuums": lambda: handle(lake).vacuum(0, dry_run=False, enforce_retention_duration=False),
    }
    meanwhile(monkeypatch, acts[how])
    done = compacted(lake)
    wanted = [row for row in before if row["open"] <= 103] if how == "overwrites" else before
    assert rows(lake) == wanted
    assert done.left == (1 if how in ("compacts", "overwrites") else 0)
    files = {path.name for path in folder_of(lake).rglob("*.parquet") if "_delta_log" not in path.parts}
    named = {path.name for path in live(lake)}
    if done.left:
        assert not {name for name in files - named if name.endswith(".zstd.parquet") and "c000" in name} & _ours(lake)


def _ours(lake: DeltaLakeManager) -> set[str]:
    """Files of our own making on the disk that no commit ever named."""
    log = "".join(path.read_text() for path in (folder_of(lake) / "_delta_log").glob("*.json"))
    return {path.name for path in folder_of(lake).rglob("part-*.parquet") if path.name not in log}


def test_two_compactions_at_once_double_nothing(lake, monkeypatch):
    """What the library accepts: its own second compaction through an older handle doubles every row."""
    trickle(lake, BTC, range(6))
    before = rows(lake)
    meanwhile(monkeypatch, lambda: compacted(lake))
    compacted(lake)
    assert rows(lake) == before
    assert len(live(lake)) == 1
    assert not _ours(lake)


def test_rows_that_two_other_tools_have_doubled_are_there_once_again(lake: DeltaLakeManager):
    trickle(lake, BTC, range(4))
    put(lake, BTC, {JANUARY: bar(7.0)}, "restated")
    before = rows(lake)
    first, second = (
        handle(lake),
        handle(lake),
    )
    first.optimize.compact()
    second.optimize.compact()
    assert len(rows(lake)) == 2 * len(before), "deltalake refuses it by now: say so in compaction.py"
    done = compacted(lake)
    assert done.repeats == len(before)
    assert rows(lake) == before


def test_a_busy_table_is_left_for_the_next_time(lake, monkeypatch):
    trickle(lake, BTC, range(3))
    monkeypatch.setattr(compaction, "_TRIES", 3)
    numbers = iter(range(10, 90))
    meanwhile(monkeypatch, lambda: trickle(lake, BTC, [next(numbers)]), times=50)
    done = compacted(lake)
    assert (done.files_after, done.left) == (0, 1)
    assert len(rows(lake)) == 6
    assert not _ours(lake)


def test_writers_and_upkeep_at_once_lose_and_double_nothing(lake: DeltaLakeManager):
    series = [Series(f"P{number}USD", "1h", "coinbase") for number in range(2)]
    lake.ensure_table("1h")

    def write(one: Series) -> None:
        own = DeltaLakeManager(lake.storage_path)
        trickle(own, one, range(25))

    writers = [threading.Thread(target=write, args=(one,)) for one in series]
    for writer in writers:
        writer.start()
    swapped = 0
    while any(writer.is_alive() for writer in writers):
        swapped += compacted(lake).files_after
        checkpoint(*place_of(lake))
    compacted(lake)
    assert swapped
    assert len(rows(lake)) == 50
    for one in series:
        assert lake.stored_open_times(one, 0, 2**40).tolist() == [JANUARY + number * HOUR for number in range(25)]
        assert lake.marks(one) == Watermarks(JANUARY + 24 * HOUR, JANUARY)


def test_a_column_that_another_tool_added_is_kept(lake: DeltaLakeManager):
    trickle(lake, BTC, range(2))
    table = handle(lake)
    table.alter.add_columns([Field("note", PrimitiveType("string"), nullable=True)])
    noted = {**rows(lake)[0], "note": "by hand", "_ingestion_id": "other"}
    write_deltalake(table, pa.Table.from_pylist([noted], schema=_schema(lake)), mode="append")
    before = rows(lake)
    assert compacted(lake).files_before == 3
    assert rows(lake) == before
    assert {row["note"] for row in before} == {None, "by hand"}


def test_a_table_that_uses_features_of_another_tool_is_left_alone(lake: DeltaLakeManager, monkeypatch):
    trickle(lake, BTC, range(3))
    monkeypatch.setattr(compaction, "_READER_VERSION", 0)
    with pytest.raises(StorageError, match=r"turned on by another tool; compact it with that tool"):
        compacted(lake)


def test_a_pair_whose_folder_is_spelled_otherwise_in_the_log(lake: DeltaLakeManager):
    odd = Series("BRK.B %2F é", "1h", "coinbase")
    trickle(lake, odd, range(2))  # read by our own reader: the library's does not find what it wrote here
    before = lake.current(odd, 0, 2**40)
    assert before.num_rows == 2
    assert compacted(lake, odd).files_after == 1
    assert lake.current(odd, 0, 2**40).equals(before)


# --- bad places ---


@pytest.mark.of_a_lake_folder("a store has no disk that fills up")
def test_a_disk_nearly_full_is_told_before_anything_is_written(lake, monkeypatch):
    trickle(lake, BTC, range(3))
    before = everything(folder_of(lake))
    usage = type(shutil.disk_usage("/"))
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda _: usage(10**9, 10**9 - 5, disk.RESERVE_BYTES + 100))
    with pytest.raises(NearlyFullError, match=r"upkeep of .* would write .* but the disk has 67.1 MB; free some space"):
        compacted(lake)
    assert everything(folder_of(lake)) == before


@pytest.mark.of_a_lake_folder("a store has no disk that fills up")
def test_a_disk_that_fills_up_on_the_way_leaves_the_table_as_it_was(lake, monkeypatch):
    trickle(lake, BTC, range(3))
    trickle(lake, ETH, range(3))
    before = everything(folder_of(lake))
    write = data_files.write_rows
    written = [0]

    def until_full(table: pa.Table, file: Any, group_rows: int | None = None) -> None:
        write(table, file, group_rows)
        written[0] += 1
        if written[0] == 2:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(data_files, "write_rows", until_full)
    with pytest.raises(StorageError, match="cannot be compacted"):
        compacted(lake)
    assert everything(folder_of(lake)) == before


def test_a_file_that_is_gone_stops_compaction_and_loses_nothing_more(lake: DeltaLakeManager):
    trickle(lake, BTC, range(3))
    live(lake)[0].unlink()
    before = everything(folder_of(lake))
    with pytest.raises(StorageError, match="cannot be compacted"):
        compacted(lake)
    assert everything(folder_of(lake)) == before


def test_it_ends_between_two_commits_when_it_is_told_to(lake, monkeypatch):
    monkeypatch.setattr(compaction, "_AT_ONCE_FILES", 2)
    for series in (BTC, ETH):
        trickle(lake, series, range(2))
    seen: list[int] = []
    done = compacted(lake, progress=seen.append, is_stopped=lambda: bool(seen))
    assert seen == [1]
    assert done.files_after == 1
    assert len(rows(lake)) == 4


def test_nothing_to_do_writes_nothing(lake: DeltaLakeManager):
    trickle(lake, BTC, range(1))
    version = lake.open(BTC.table).version()
    assert compact(*place_of(lake), ()).files_before == 0
    assert lake.open(BTC.table).version() == version
    assert plan_of(lake.snapshot(BTC.table), BTC.table).merges == ()
    assert vacuum(*place_of(lake), 1).paths == ()


class TestACommitOfUnknownOutcome:
    """An object store's answer can be lost after the log was written: the files that it names must stay."""

    @pytest.mark.parametrize("error", [CommitFailedError("lost"), DeltaError("lost")])
    def test_one_that_was_made_although_it_is_told_to_have_failed_counts(
        self, lake: DeltaLakeManager, monkeypatch: pytest.MonkeyPatch, error: Exception
    ):
        trickle(lake, BTC, range(4))
        before, plain = rows(lake), compaction._commit

        def lost(*arguments: Any) -> None:
            plain(*arguments)
            raise error

        monkeypatch.setattr(compaction, "_commit", lost)
        done = compacted(lake)
        assert (done.files_before, done.files_after, done.left) == (4, 1, 0)
        assert rows(lake) == before

    @pytest.mark.parametrize("kind", [KeyboardInterrupt, OSError])
    def test_one_that_is_broken_off_leaves_its_files(
        self, lake: DeltaLakeManager, monkeypatch: pytest.MonkeyPatch, kind: type[BaseException]
    ):
        trickle(lake, BTC, range(4))
        before, plain = rows(lake), compaction._commit

        def broken_off(*arguments: Any) -> None:
            plain(*arguments)
            raise kind

        monkeypatch.setattr(compaction, "_commit", broken_off)
        with pytest.raises((KeyboardInterrupt, StorageError)):
            compacted(lake)
        assert rows(lake) == before
        assert all(path.exists() for path in live(lake))

    def test_the_last_try_is_looked_up_too(self, lake: DeltaLakeManager, monkeypatch: pytest.MonkeyPatch):
        trickle(lake, BTC, range(4))
        before, plain = rows(lake), compaction._commit

        def lost(*arguments: Any) -> None:
            plain(*arguments)
            raise CommitFailedError("lost")

        monkeypatch.setattr(compaction, "_commit", lost)
        monkeypatch.setattr(compaction, "_TRIES", 1)
        assert compacted(lake).left == 0
        assert rows(lake) == before
