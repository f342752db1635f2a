"""Does clean-up delete what nobody needs, and nothing else, whatever is interrupted or damaged?"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import obstore
import pytest

from ffe_core.errors import InputError, StorageError
from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager
from ffe_core.storage.lake.upkeep.log import checkpoint, clean_up, log_state
from ffe_core.storage.lake.upkeep.vacuum import set_retention, unused, vacuum
from tests import lake_files
from tests.insight.lakes import JANUARY
from tests.lake_files import StoredPath
from tests.storage.lake.upkeep.lakes import (
    BTC,
    age,
    compacted,
    folder_of,
    handle,
    live,
    place_of,
    rows,
    trickle,
    uri_of,
)

DAY_AGO = time.time() - 86_400


@pytest.fixture
def lake(tmp_path: Path) -> DeltaLakeManager:
    made = DeltaLakeManager(tmp_path / "lake")
    trickle(made, BTC, range(25))
    return made


def log_of(lake: DeltaLakeManager) -> Path | StoredPath:
    return folder_of(lake) / "_delta_log"


def versions(lake: DeltaLakeManager, suffix: str = "json") -> list[int]:
    return sorted(int(path.name[:20]) for path in log_of(lake).glob(f"*.{suffix}"))


def version(lake: DeltaLakeManager) -> int:
    table = lake.open(BTC.table)
    assert table is not None
    return int(table.version())


# --- the log ---


def test_young_entries_stay(lake: DeltaLakeManager):
    checkpoint(*place_of(lake))
    assert clean_up(*place_of(lake), 1) == 0
    assert versions(lake) == list(range(version(lake) + 1))


def test_old_entries_go_up_to_the_newest_checkpoint_but_one(lake: DeltaLakeManager):
    checkpoints = versions(lake, "checkpoint.parquet")
    assert len(checkpoints) >= 2
    before, marks = rows(lake), lake.marks(BTC)
    age(log_of(lake), DAY_AGO)
    expired = log_state(uri_of(lake), version(lake), 1, options=lake.storage_options).expired
    assert clean_up(*place_of(lake), 1) == expired
    assert expired
    assert versions(lake)[0] == checkpoints[-2]
    assert (rows(lake), lake.marks(BTC)) == (before, marks)
    trickle(lake, BTC, [40])
    assert len(rows(lake)) == len(before) + 1


def test_the_table_still_opens_when_the_newest_checkpoint_is_damaged_after_a_clean_up(lake: DeltaLakeManager):
    before = rows(lake)
    age(log_of(lake), DAY_AGO)
    assert clean_up(*place_of(lake), 1)
    newest = max(log_of(lake).glob("*.checkpoint.parquet"))
    newest.write_bytes(newest.read_bytes()[:-40])
    assert rows(DeltaLakeManager(lake.storage_path)) == before


def test_a_damaged_checkpoint_is_no_reason_to_delete_what_it_sums_up(lake: DeltaLakeManager):
    newest = max(log_of(lake).glob("*.checkpoint.parquet"))
    newest.write_bytes(b"PAR1")
    age(log_of(lake), DAY_AGO)
    assert clean_up(*place_of(lake), 1) == 0
    assert versions(lake)[0] == 0


def test_entries_within_the_retention_can_still_be_travelled_to(lake: DeltaLakeManager):
    """Those since the last checkpoint before it stay too, as they are nothing without it."""
    checkpoints = versions(lake, "checkpoint.parquet")
    names = (path for path in log_of(lake).iterdir() if path.name[:20].isdigit())
    lake_files.age((path for path in names if int(path.name[:20]) <= checkpoints[0] + 3), DAY_AGO)
    assert clean_up(*place_of(lake), 1)
    assert versions(lake)[0] == checkpoints[0]
    assert len(lake.read_table(BTC.table, version=checkpoints[0] + 4)) == checkpoints[0] + 4


def test_a_clean_up_that_is_interrupted_leaves_a_whole_log(lake: DeltaLakeManager, monkeypatch: pytest.MonkeyPatch):
    before = rows(lake)
    age(log_of(lake), DAY_AGO)
    left = [4]

    def failing(verb: Callable[..., None]) -> Callable[..., None]:
        def fails(*arguments: Any, **more: Any) -> None:
            left[0] -= 1
            if not left[0]:
                raise OSError(5, "Input/output error")
            verb(*arguments, **more)

        return fails

    monkeypatch.setattr(Path, "unlink", failing(Path.unlink))
    monkeypatch.setattr("obstore.delete", failing(obstore.delete))
    with pytest.raises(StorageError, match=r"cannot be (cleaned up|deleted): .*(?i:input/output error)"):
        clean_up(*place_of(lake), 1)
    monkeypatch.undo()
    assert rows(DeltaLakeManager(lake.storage_path)) == before
    assert clean_up(*place_of(lake), 1)
    assert rows(DeltaLakeManager(lake.storage_path)) == before


def test_a_checkpoint_leaves_nothing_to_be_read_commit_by_commit(lake: DeltaLakeManager):
    trickle(lake, BTC, range(30, 33))
    assert log_state(uri_of(lake), version(lake), 1, options=lake.storage_options).since_checkpoint
    assert checkpoint(*place_of(lake)) == version(lake)
    assert log_state(uri_of(lake), version(lake), 1, options=lake.storage_options).since_checkpoint == 0


def test_other_files_in_the_log_are_nobodys_business(lake: DeltaLakeManager):
    note = log_of(lake) / "00000000000000000001.txt"
    note.write_text("mine")
    age(log_of(lake), DAY_AGO)
    clean_up(*place_of(lake), 1)
    assert note.exists()


# --- vacuum ---


def replaced(lake: DeltaLakeManager) -> list[str]:
    """The files that a compaction has replaced, by their names."""
    before = live(lake)
    compacted(lake)
    return [path.name for path in before if path not in live(lake)]


def names(paths: tuple[str, ...]) -> list[str]:
    return sorted(path.rpartition("/")[2] for path in paths)


def test_files_that_were_replaced_a_moment_ago_stay_though_they_are_old(lake: DeltaLakeManager):
    """A reader that opened the table before is still at them."""
    age(folder_of(lake), DAY_AGO, "*.parquet")
    gone = replaced(lake)
    assert gone
    assert unused(*place_of(lake), 1).paths == vacuum(*place_of(lake), 1).paths == ()


@pytest.mark.both_stores
def test_files_that_were_replaced_long_ago_go_and_every_answer_stays(lake, monkeypatch):
    now = time.time()
    monkeypatch.setattr("ffe_core.storage.lake.upkeep.compaction.time.time", lambda: now - 7300)
    gone = replaced(lake)
    monkeypatch.undo()
    before = rows(lake)
    assert unused(*place_of(lake), 3).paths == ()
    found = unused(*place_of(lake), 2)
    assert names(found.paths) == sorted(gone)
    assert found.bytes > 0
    version_before = version(lake)
    assert vacuum(*place_of(lake), 2) == found
    assert version(lake) == version_before, "it adds no commits"
    assert not [path for path in folder_of(lake).rglob("*.parquet") if path.name in gone]
    assert rows(lake) == before
    assert vacuum(*place_of(lake), 2).paths == ()


def test_what_a_killed_writer_left_goes_once_it_is_old_and_other_peoples_files_stay(lake: DeltaLakeManager):
    partition = live(lake)[0].parent
    orphan, young = partition / "part-orphan.parquet", partition / "part-young.parquet"
    mine = [folder_of(lake) / "notes.txt", partition / "notes.txt", folder_of(lake) / "other.parquet"]
    for path in (orphan, young, *mine):
        path.write_text("x")
    lake_files.age([orphan, *mine], DAY_AGO)
    assert names(vacuum(*place_of(lake), 1).paths) == [orphan.name]
    assert young.exists()
    assert all(path.exists() for path in mine)


def test_a_retention_that_readers_do_not_have_enough_of_is_refused_with_the_reason(lake: DeltaLakeManager):
    with pytest.raises(InputError, match=r"0 is too short: a chart, an export or another tool .* use 1 or more hours"):
        vacuum(*place_of(lake), 0)


def test_another_tools_vacuum_at_the_same_moment_breaks_nothing(lake, monkeypatch):
    now = time.time()
    monkeypatch.setattr("ffe_core.storage.lake.upkeep.compaction.time.time", lambda: now - 7300)
    replaced(lake)
    monkeypatch.undo()
    found, before = unused(*place_of(lake), 1), rows(lake)
    monkeypatch.setattr("ffe_core.storage.lake.upkeep.vacuum._unused", lambda *_: found)
    handle(lake).vacuum(0, dry_run=False, enforce_retention_duration=False)
    # A store answers the deletion of what is gone like any other.
    assert vacuum(*place_of(lake), 1).paths == (found.paths if isinstance(folder_of(lake), StoredPath) else ())
    assert rows(lake) == before


def test_the_retention_is_written_into_the_table_once(lake: DeltaLakeManager):
    assert set_retention(*place_of(lake), 3, 1)
    assert not set_retention(*place_of(lake), 3, 1)
    assert set_retention(*place_of(lake), 4, 1)
    held = handle(lake).metadata().configuration
    assert held["delta.deletedFileRetentionDuration"] == "interval 4 hours"
    assert held["delta.logRetentionDuration"] == "interval 1 hours"
    trickle(lake, BTC, [50])
    assert lake.current(BTC, JANUARY, JANUARY + 10**7).num_rows == 26
