"""Do files get their names only when whole, and is what killed writers left cleaned, but nothing of a living one?"""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

import pytest
from filelock import FileLock

from ffe_core import DeadLetterQueue, WatermarkStore
from ffe_core.errors import StorageError
from ffe_core.storage import files
from ffe_core.storage.files import remove_left_overs, replacing, write_atomically
from tests.processes import start

OURS = ".watermarks.json.0a1b2c3d.tmp"
HOUR = 3600


def left(folder: Path, name: str, age: float = 0.0) -> Path:
    """A temporary file that nobody writes any more."""
    path = folder / name
    path.write_text("half")
    at = path.stat().st_mtime - age
    os.utime(path, (at, at))
    return path


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


class TestReplacing:
    def test_the_name_is_taken_when_all_is_written_and_nothing_else_stays(self, tmp_path: Path):
        target = tmp_path / "file.json"
        target.write_text("old")
        with replacing(target) as file:
            file.write(b"new")
            assert target.read_text() == "old"
        assert (target.read_text(), names(tmp_path)) == ("new", {"file.json"})

    def test_what_fails_leaves_the_old_file_and_no_other(self, tmp_path: Path):
        target = tmp_path / "file.json"
        write_atomically(target, "old")
        with pytest.raises(TypeError), replacing(target) as file:
            file.write("no bytes")  # type: ignore[arg-type]
        assert (target.read_text(), names(tmp_path)) == ("old", {"file.json"})

    def test_the_cause_is_told_also_where_what_is_left_cannot_be_removed(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        def refused(*_: object, **__: object) -> None:
            raise PermissionError("not this one")

        monkeypatch.setattr(Path, "unlink", refused)
        with pytest.raises(ZeroDivisionError), replacing(tmp_path / "file.json"):
            raise ZeroDivisionError
        monkeypatch.undo()
        assert remove_left_overs(tmp_path) == 1
        assert names(tmp_path) == set()

    def test_a_file_that_was_cleaned_before_it_was_locked_is_made_anew(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        cleaned = []

        def late(file: object, how: int, lock: object = fcntl.flock) -> None:
            if not cleaned:
                monkeypatch.setattr(fcntl, "flock", lock)
                cleaned.append(remove_left_overs(tmp_path))
            lock(file, how)  # type: ignore[operator]

        monkeypatch.setattr(fcntl, "flock", late)
        write_atomically(tmp_path / "file.json", "whole")
        assert (cleaned, (tmp_path / "file.json").read_text(), names(tmp_path)) == ([1], "whole", {"file.json"})


class TestLeftOvers:
    def test_a_file_that_is_being_written_stays_and_gets_its_name(self, tmp_path: Path):
        with replacing(tmp_path / "watermarks.json") as file:
            temporary = next(iter(names(tmp_path)))
            os.utime(tmp_path / temporary, (0, 0))
            assert remove_left_overs(tmp_path) == 0
            file.write(b"whole")
        assert names(tmp_path) == {"watermarks.json"}

    def test_that_of_a_killed_process_goes_at_once(self, tmp_path: Path):
        writer = start(
            "import os, sys, pathlib\n"
            "from ffe_core.storage.files import replacing\n"
            "with replacing(pathlib.Path(sys.argv[1]) / 'watermarks.json') as file:\n"
            "    file.write(b'half'); file.flush(); print('ready', flush=True); import time; time.sleep(60)\n",
            tmp_path,
        )
        try:
            assert writer.stdout is not None
            assert writer.stdout.readline().strip() == "ready"
            assert remove_left_overs(tmp_path) == 0
        finally:
            writer.kill()
            writer.communicate()
        assert (remove_left_overs(tmp_path), names(tmp_path)) == (1, set())

    def test_of_delta_rs_what_has_its_name_and_what_is_old(self, tmp_path: Path):
        commit = left(tmp_path, "00000000000000000003.json")
        os.link(commit, tmp_path / "00000000000000000003.json#1")
        left(tmp_path, "00000000000000000003.json#2")
        old = ["00000000000000000004.json#1", "_commit_a.json.tmp", "_last_checkpoint#1", "part-0.parquet#1"]
        for name in old:
            left(tmp_path, name, HOUR + 1)
        assert remove_left_overs(tmp_path) == 1 + len(old)
        assert names(tmp_path) == {"00000000000000000003.json", "00000000000000000003.json#2"}

    def test_young_ones_of_delta_rs_and_the_files_of_others_stay(self, tmp_path: Path):
        others = {"00000000000000000004.json#1", "_commit_a.json.tmp", "notes#1", "notes.tmp", ".hidden.tmp", "a.json"}
        for name in others:
            left(tmp_path, name, HOUR + 1 if not name.startswith(("0", "_")) else 0)
        left(tmp_path, OURS)
        assert remove_left_overs(tmp_path) == 1
        assert names(tmp_path) == others

    def test_a_folder_that_is_not_there_is_clean(self, tmp_path: Path):
        assert remove_left_overs(tmp_path / "none") == 0


class TestLocks:
    @pytest.mark.of_a_lake_folder("a lock of a folder")
    def test_a_folder_whose_holder_is_stopped_is_waited_for_a_bounded_time(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(files, "LOCK_SECONDS", 0.2)
        marks, letters = WatermarkStore(tmp_path / "watermarks"), DeadLetterQueue(tmp_path / "dlq")
        held = [FileLock(tmp_path / "watermarks" / ".watermarks.lock"), FileLock(tmp_path / "dlq" / ".lock")]
        for lock in held:
            lock.acquire()
        context = {"asset_pair": "BTCUSD", "timeframe": "1h", "provider": "coinbase"}
        for act in (
            lambda: marks.set("BTCUSD", "1h", "2024-01-01T00:00:00Z"),
            lambda: letters.save([{"open": "x"}], "broken", context),
        ):
            with pytest.raises(StorageError, match=r"another process has held .*lock for 0.2 seconds; if it is"):
                act()
        for lock in held:
            lock.release()
        marks.set("BTCUSD", "1h", "2024-01-01T00:00:00Z")
        assert letters.save([{"open": "x"}], "broken", context).saved == 1


def test_a_file_system_without_locks_is_written_and_nothing_is_cleaned_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = tmp_path / ".b.json.0123abcd.tmp"
    left.write_text("half of so")

    def none(file: object, how: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", none)
    write_atomically(tmp_path / "a.json", "whole")
    assert (tmp_path / "a.json").read_text() == "whole"
    assert remove_left_overs(tmp_path) == 0
    assert left.exists()
