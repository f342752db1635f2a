"""Does each kind of trouble with the state database have its own code, its own sentence and its own next step?"""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from ffe_core.errors import DatabaseError
from ffe_core.storage import sqlite_faults
from ffe_core.storage.state import database as databases
from ffe_core.storage.state import faults, migrations
from ffe_core.storage.state import upgrade as upgrades
from ffe_core.storage.state.database import Database
from tests.storage.state.releases import REMADE, print_of, revision, unpacked

pytestmark = pytest.mark.of_a_state_file("what is the matter with files; servers: test_postgresql")
NEWEST = migrations.revisions()[-1]


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """The database of release 0.1.0."""
    return unpacked(tmp_path) / "console.db"


def test_a_newer_one_is_left_alone(old: Path, tmp_path: Path):
    with pytest.MonkeyPatch.context() as later:
        later.setattr(migrations, "VERSIONS", [*migrations.VERSIONS, tmp_path])
        newest = revision(tmp_path, NEWEST, *REMADE)
        Database(old).close()
    before = print_of(old)
    with pytest.raises(DatabaseError, match=rf"newer release.*version {newest}.*up to {NEWEST}; install") as caught:
        Database(old)
    assert caught.value.code == "database_newer"
    assert print_of(old) == before


@pytest.mark.parametrize("content", [b"not a database" * 500, b"SQLite format 3\0" + b"\xff" * 8000])
def test_a_damaged_one(tmp_path: Path, content: bytes):
    (tmp_path / "console.db").write_bytes(content)
    with pytest.raises(DatabaseError, match=r"is damaged \(.*put a backup back") as caught:
        Database(tmp_path / "console.db")
    assert caught.value.code == "database_damaged"
    assert (tmp_path / "console.db").read_bytes() == content


def test_one_that_is_damaged_while_it_is_in_use(old: Path):
    Database(old).close()
    content = bytearray(old.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    old.write_bytes(content)
    with pytest.raises(DatabaseError, match="is damaged") as caught, Database(old).read() as connection:
        connection.execute(sa.text("SELECT * FROM runs")).all()
    assert caught.value.code == "database_damaged"


@pytest.mark.parametrize(
    ("left", "code", "words"),
    [
        (12 << 10, "database_disk_full", "cannot grow, as its disk is full"),
        (1 << 30, "database_disk_fails", "disk I/O"),
    ],
)
def test_one_whose_shared_memory_cannot_grow_is_told_by_the_room_that_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: int, code: str, words: str
):
    monkeypatch.setattr(sqlite_faults.shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(left, 0, left))
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = sqlite3.SQLITE_IOERR_SHMSIZE
    told = faults.in_words(str(tmp_path / "console.db"), sa.exc.OperationalError("", None, error))
    assert (told.code, words in str(told)) == (code, True)


@pytest.mark.parametrize("versioned", [True, False])
def test_one_that_another_program_locks(old: Path, versioned: bool, monkeypatch: pytest.MonkeyPatch):
    if versioned:
        Database(old).close()
    monkeypatch.setattr(databases, "BUSY_SECONDS", 0.1)
    monkeypatch.setattr(upgrades.faults, "BUSY_SECONDS", 0.1)
    with closing(sqlite3.connect(old, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode=EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(DatabaseError, match=r"is locked by another program.*close what has it open") as caught:
            _write(old)
    assert caught.value.code == "database_locked"
    _write(old)


def test_one_that_another_console_does_not_finish_opening(old: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(databases, "_LOCK_SECONDS", 0.1)
    with databases.FileLock(f"{old}.lock"), pytest.raises(DatabaseError, match="another console or") as caught:
        Database(old)
    assert caught.value.code == "database_locked"


def test_one_whose_tables_somebody_took_away(old: Path):
    with Database(old).write() as connection:
        connection.execute(sa.text("DROP TABLE notices"))
    with (
        pytest.raises(DatabaseError, match="does not hold the tables") as caught,
        Database(old).read() as connection,
    ):
        connection.execute(sa.text("SELECT * FROM notices"))
    assert caught.value.code == "database_other_tables"


def test_a_folder_in_its_place(tmp_path: Path):
    (tmp_path / "console.db").mkdir()
    with pytest.raises(DatabaseError, match="cannot be opened; check that its folder is there") as caught:
        Database(tmp_path / "console.db")
    assert caught.value.code == "database_not_opened"


def test_one_that_may_only_be_read(old: Path):
    Database(old).close()
    made = Database(old)
    with made.read() as connection:
        connection.exec_driver_sql("PRAGMA query_only = ON")
    with pytest.raises(DatabaseError, match="cannot be written; give the user") as caught, made.write() as connection:
        connection.execute(sa.text("DELETE FROM notices"))
    assert caught.value.code == "database_read_only"


def _write(file: Path) -> None:
    made = Database(file)
    try:
        with made.write() as connection:
            connection.execute(sa.text("DELETE FROM notices"))
    finally:
        made.close()
