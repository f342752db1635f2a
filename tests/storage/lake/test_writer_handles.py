"""Does a handle that goes on with the log see what a new one would, and is it given up where it could not?"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ffe_core import DeltaLakeManager
from ffe_core.series import Series, Watermarks
from ffe_core.storage.lake import writer_handles
from ffe_core.storage.lake.writer_handles import WriterHandles
from tests.ingestion.fakes import BTC, HOUR, START, hours
from tests.lake_files import lake_path, log_path
from tests.storage.lake.test_delta_lake_manager import rows


def append(lake: DeltaLakeManager, first: int, last: int, series: Series = BTC) -> None:
    lake.commit(
        series, rows(hours(first, last), series), lake.marks(series), Watermarks(START + (last - 1) * HOUR, START)
    )


def stored(lake: DeltaLakeManager, series: Series = BTC) -> list[int]:
    found: list[int] = lake.stored_open_times(series, 0, 2**40).tolist()
    return found


@pytest.mark.of_a_lake_folder("a handle is kept of a table in a folder")
def test_a_handle_goes_on_with_the_log_and_is_opened_anew_after_some_moves(tmp_path: Path, monkeypatch):
    opened = []
    original = writer_handles.DeltaTable
    monkeypatch.setattr(writer_handles, "DeltaTable", lambda uri: opened.append(uri) or original(uri))
    lake = DeltaLakeManager(tmp_path)
    marks = Watermarks()
    for place in range(25):  # who reads nothing in between has no snapshot to commit through
        after = Watermarks(START + place * HOUR, START)
        lake.commit(BTC, rows(hours(place, place + 1)), marks, after)
        marks = after
    assert len(stored(lake)) == 25
    assert 1 <= len(opened) <= 4


def test_commits_of_others_are_seen_before_the_next(tmp_path: Path):
    ours, theirs = DeltaLakeManager(tmp_path), DeltaLakeManager(tmp_path)
    for place in range(4):
        append(ours if place % 2 == 0 else theirs, place, place + 1)
    repeated = ours.commit(BTC, rows(hours(0, 4)), ours.marks(BTC), ours.marks(BTC))
    assert (repeated.new, repeated.repeats) == (0, 4)
    assert len(stored(ours)) == 4


@pytest.mark.of_a_lake_folder("nobody deletes the folder of a table in a store")
def test_a_table_made_anew_under_a_handle_is_taken_for_what_it_is(tmp_path: Path):
    lake, other = DeltaLakeManager(tmp_path), DeltaLakeManager(tmp_path)
    for place in range(3):
        append(lake, place, place + 1)
    for path in [*lake_path(lake, BTC.table).rglob("*")]:
        if path.is_file():
            path.unlink()
    append(other, 10, 11)
    append(other, 11, 12)
    append(lake, 12, 13)
    assert stored(lake) == stored(other) == [START + at * HOUR for at in (10, 11, 12)]


def test_a_log_that_was_cleaned_up_under_a_handle_stops_nothing(tmp_path: Path):
    lake, other = DeltaLakeManager(tmp_path), DeltaLakeManager(tmp_path)
    append(lake, 0, 1)
    for place in range(1, 25):
        append(other, place, place + 1)
    log = log_path(lake, BTC.table)
    checkpoints = sorted(log.glob("*.checkpoint.parquet"))
    for commit in log.glob("*.json"):
        if commit.name[:20] < checkpoints[-1].name[:20]:
            commit.unlink()
    append(lake, 25, 26)
    assert len(stored(lake)) == 26


def test_threads_do_not_share_a_handle(tmp_path: Path):
    lake = DeltaLakeManager(tmp_path)
    many = [Series(f"P{number}USD", "1h", "coinbase") for number in range(4)]

    def grow(series: Series) -> None:
        for place in range(12):
            append(lake, place, place + 1, series)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(grow, many))
    assert [len(stored(lake, series)) for series in many] == [12] * 4


@pytest.mark.of_a_lake_folder("a handle is kept of a table in a folder")
def test_a_handle_is_one_commits_alone(tmp_path: Path):
    lake = DeltaLakeManager(tmp_path)
    append(lake, 0, 1)
    handles = WriterHandles()
    first, second = (handles.take(lake.table_uri(BTC.table)) for _ in range(2))
    assert first is not None
    assert second is not None
    assert first.table is not second.table
    handles.give_back(first)
    assert handles.take(lake.table_uri(BTC.table)) is first


@pytest.mark.parametrize("uri", ["s3://bucket/table", "/nowhere/at/all"])
def test_elsewhere_a_table_is_opened_as_before(uri: str):
    assert WriterHandles().take(uri) is None
