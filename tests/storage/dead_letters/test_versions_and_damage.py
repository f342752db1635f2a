"""Are files of an older release read, those of a newer one left alone, and is a damaged index built anew anywhere?"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from sqlite3 import connect
from typing import Any

import pytest

from ffe_core import DeadLetterQueue
from ffe_core.errors import InputError, NewerFormatError, StorageError
from ffe_core.series import Series
from ffe_core.storage.dead_letters import index as dead_letter_index
from ffe_core.storage.dead_letters.file import step
from tests.storage.dead_letters.harness import BTC, HOUR, START, SWAPPED, dead_lettered, upside_down
from tests.storage.dead_letters.test_file import content, written

pytestmark = pytest.mark.of_a_lake_folder("files of a folder and their times; those of a store: test_stored")
INDEX = ".index.sqlite"


@pytest.fixture(scope="module")
def two_entries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("two") / "dlq"
    for hour in (0, 5):
        dead_lettered(folder, hour)
    return folder


@pytest.fixture
def folder(two_entries: Path, tmp_path: Path) -> Path:
    """Two entries, and an index that knows them: files are copied with their times."""
    return shutil.copytree(two_entries, tmp_path / "dlq")


class TestTheVersionOfAFile:
    @pytest.mark.parametrize("version", [{}, {"format_version": 1}])
    def test_one_that_is_known_is_read_and_changed(self, tmp_path: Path, version: dict[str, int]):
        """Release 0.1.0 and other tools write none, and a change writes none into theirs."""
        path = written(tmp_path, content(**version))
        queue = DeadLetterQueue(tmp_path)
        queue.change(["entry"], lambda _: {"entry": [step("discard", "ann", why="w", records=[0])]})
        assert [record.status for record in queue.read("entry").records] == ["discarded", "pending", "pending"]
        assert ("format_version" in path.read_text()) == bool(version)

    def test_a_newer_one_is_refused_in_one_sentence_and_left_alone(self, tmp_path: Path):
        path = written(tmp_path, content(format_version=2, history=[{"verb": "from the future"}]))
        before, queue = path.read_bytes(), DeadLetterQueue(tmp_path)
        (found,) = queue.quarantined()
        assert "written by a newer release of this program: it has version 2, this one reads versions up to 1" in (
            found.reason
        )
        with pytest.raises(InputError, match=r"entry\.json was written by a newer release"):
            queue.change(["entry"], lambda _: {"entry": [step("discard", "ann", why="w", records=[0])]})
        with pytest.raises(InputError, match="newer release"):
            queue.remove(["entry"], lambda _: True)
        assert queue.count() == 0
        assert path.read_bytes() == before

    @pytest.mark.parametrize("version", ["1", 0, 1.0, True, [1]])
    def test_what_is_no_version_is_said(self, tmp_path: Path, version: Any):
        written(tmp_path, content(format_version=version))
        assert "is not a number from 1 up" in DeadLetterQueue(tmp_path).quarantined()[0].reason


def test_an_index_of_a_newer_release_is_refused_and_left_alone(folder: Path):
    with closing(connect(folder / INDEX)) as connection:
        connection.execute("PRAGMA user_version = 99")
    before = (folder / INDEX).read_bytes()
    with pytest.raises(NewerFormatError, match=r"\.index\.sqlite was written by a newer release.*99"):
        DeadLetterQueue(folder).count()
    assert (folder / INDEX).read_bytes() == before
    (folder / INDEX).unlink()
    assert DeadLetterQueue(folder).count() == 2


def _overwrite(folder: Path) -> None:
    """The first page stays: it is found out only by who reads the rest."""
    whole = (folder / INDEX).read_bytes()
    (folder / INDEX).write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))


def _drop(folder: Path) -> None:
    with closing(connect(folder / INDEX)) as connection:
        for table in ("entries", "records", "cells"):
            connection.execute(f"DROP TABLE {table}")
        connection.commit()


def _folder(folder: Path) -> None:
    (folder / INDEX).unlink()
    (folder / INDEX / "x").mkdir(parents=True)


DAMAGE: dict[str, Callable[[Path], object]] = {
    "overwritten": _overwrite,
    "cut": lambda folder: os.truncate(folder / INDEX, 5000),
    "emptied": lambda folder: os.truncate(folder / INDEX, 0),
    "no database": lambda folder: (folder / INDEX).write_bytes(b"x" * 9000),
    "tables gone": _drop,
    "gone": lambda folder: (folder / INDEX).unlink(),
    "a folder": _folder,
}
SERIES = Series("BTCUSD", "1h", "coinbase")
VERBS: dict[str, Callable[[DeadLetterQueue], object]] = {
    "find": lambda queue: queue.find(),
    "count": lambda queue: queue.count(),
    "entries": lambda queue: queue.batches(),
    "groups": lambda queue: queue.groups("reason"),
    "largest": lambda queue: queue.largest(["reason", "run"]),
    "select": lambda queue: queue.select(),
    "rows": lambda queue: queue.rows(list(queue.select())),
    "span": lambda queue: queue.span(queue.select()),
    "quarantined": lambda queue: queue.quarantined(),
    "open_times": lambda queue: queue.open_times(SERIES, START, START + 9 * HOUR).tolist(),
    "open_times_by_series": lambda queue: [*queue.open_times_by_series(START, START + 9 * HOUR)],
    "save": lambda queue: queue.save([upside_down(5)], "validation_failed", BTC, [SWAPPED]).repeats,
    "change": lambda queue: queue.change(
        list(queue.select()),
        lambda batches: {batch_id: [step("discard", "ann", why="w", records=[0])] for batch_id in batches},
    ),
    "remove": lambda queue: len(queue.remove(list(queue.select()), lambda _: True)),
}


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_index_is_built_anew_wherever_it_is_met(folder: Path, tmp_path: Path, damage: str, verb: str):
    sound = shutil.copytree(folder, tmp_path / "sound")
    expected = VERBS[verb](DeadLetterQueue(sound))
    DAMAGE[damage](folder)
    queue = DeadLetterQueue(folder)
    assert repr(VERBS[verb](queue)) == repr(expected)
    assert queue.groups("day") == DeadLetterQueue(sound).groups("day")


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("damage", [name for name in DAMAGE if name != "a folder"])
def test_so_is_one_that_is_damaged_between_two_looks(
    folder: Path, tmp_path: Path, damage: str, verb: str, monkeypatch: pytest.MonkeyPatch
):
    """The queue has just looked, so it does not look again: who asks the index finds the damage."""
    sound = shutil.copytree(folder, tmp_path / "sound")
    expected = VERBS[verb](DeadLetterQueue(sound))
    queue = DeadLetterQueue(folder)
    queue.refresh()
    DAMAGE[damage](folder)
    with monkeypatch.context() as patch:
        looks = iter([True])
        patch.setattr(type(queue._index), "_is_current", lambda _: next(looks, False))
        assert repr(VERBS[verb](queue)) == repr(expected)
    assert queue.groups("day") == DeadLetterQueue(sound).groups("day")


def test_an_index_that_another_program_locks_is_not_taken_for_damaged(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(dead_letter_index, "_BUSY_SECONDS", 0.1)
    queue, before = DeadLetterQueue(folder), (folder / INDEX).stat().st_ino
    with closing(connect(folder / INDEX, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StorageError, match="locked"):
            queue.count()
    assert (folder / INDEX).stat().st_ino == before
    assert queue.count() == 2
