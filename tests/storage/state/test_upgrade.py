"""Is the state database upgraded whole or not at all, with nothing lost, whatever release it comes from?"""

from __future__ import annotations

import importlib
import os
import pkgutil
import shutil
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

import ffe_core.storage
from ffe_core.errors import DatabaseError
from ffe_core.storage.state import migrations, upgrade
from ffe_core.storage.state.database import Database, metadata
from tests import once
from tests.processes import at_once, finish, start
from tests.storage.state.releases import CHILDREN, REMADE, expected, print_of, revision, rows, unpacked, version

pytestmark = pytest.mark.of_a_state_file("how files are upgraded; servers: test_postgresql")
NEWEST = migrations.revisions()[-1]
Add = Callable[..., str]


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """The database of release 0.1.0."""
    return unpacked(tmp_path) / "console.db"


@pytest.fixture
def add(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Add:
    """Adds a revision after the newest, of these lines; its number."""
    folder = tmp_path / "later"
    folder.mkdir()
    monkeypatch.setattr(migrations, "VERSIONS", [*migrations.VERSIONS, folder])

    def added(*lines: str) -> str:
        return revision(folder, migrations.revisions()[-1], *lines)

    return added


def every_table() -> sa.MetaData:
    """The tables that the code of today declares."""
    for module in pkgutil.walk_packages(ffe_core.storage.__path__, "ffe_core.storage."):
        if ".migrations" not in module.name:
            importlib.import_module(module.name)
    return metadata


class TestANewDatabase:
    def test_is_what_the_code_declares(self, tmp_path: Path):
        declared = every_table()
        made = Database(tmp_path / "console.db")
        assert made.is_new
        with made.read() as connection:
            context = MigrationContext.configure(
                connection, opts={"compare_type": True, "include_object": _but_the_index_made_by_hand}
            )
            assert compare_metadata(context, declared) == []
        declared.create_all(other := sa.create_engine(f"sqlite:///{tmp_path / 'other.db'}"))
        assert _index(tmp_path / "console.db") == _index(tmp_path / "other.db")
        assert set(sa.inspect(other).get_table_names()) == set(expected()["tables"]) | {
            "file_runs",
            "instruments",
            "catalogues",
            "series_facts",
            "imported_files",
            "findings",
            "checked_series",
            "places",
            "lease",
            "pace",
        }
        other.dispose()

    @pytest.mark.slow
    def test_is_new_once_and_needs_no_alembic_the_second_time(self, tmp_path: Path):
        Database(tmp_path / "console.db").close()
        seen = finish(start(_OPENS_WITHOUT_ALEMBIC, tmp_path / "console.db"))
        assert seen.split() == ["False", "False"]

    def test_has_no_backup(self, tmp_path: Path):
        Database(tmp_path / "console.db").close()
        assert not list(tmp_path.glob("*.before-*"))

    def test_is_the_same_by_the_short_way_of_the_tests(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        by_alembic = Database(tmp_path / "console.db")
        monkeypatch.setattr(upgrade, "_run_revisions", once.run_revisions)
        short = Database(tmp_path / "short.db")
        assert short.is_new
        assert _dump(short) == _dump(by_alembic)


def _dump(database: Database) -> list[str]:
    """Its tables, rows and indexes, which SQLAlchemy makes in no order."""
    with database.read() as connection:
        return sorted(connection.connection.driver_connection.iterdump())


_OPENS_WITHOUT_ALEMBIC = """
import sys
from pathlib import Path
from ffe_core.storage.state.database import Database
print(Database(Path(sys.argv[1])).is_new, "alembic" in sys.modules)
"""


def _but_the_index_made_by_hand(item: object, name: str | None, *_: object) -> bool:
    """Alembic does not see it in the metadata, which makes it after its table: it would be dropped."""
    return name != "schedules_by_name"


def _index(file: Path) -> str:
    with closing(sqlite3.connect(file)) as connection:
        query = "SELECT sql FROM sqlite_master WHERE name = 'schedules_by_name'"
        return " ".join(connection.execute(query).fetchone()[0].split())


def test_the_revisions_are_one_line_and_their_names_say_their_numbers():
    script = ScriptDirectory(str(migrations.FOLDER), version_locations=[str(one) for one in migrations.VERSIONS])
    assert [one.revision for one in script.walk_revisions()][::-1] == migrations.revisions()
    assert script.get_heads() == [NEWEST]


class TestRelease010:
    def test_is_adopted_with_every_row(self, old: Path):
        assert not Database(old).is_new
        assert version(old) == NEWEST
        told = expected()["tables"]
        for table, found in rows(old).items():
            assert [{name: row[name] for name in told[table][0]} for row in found] == told[table], table

    def test_leaves_the_database_as_it_was_beside_it_and_says_so(self, old: Path, caplog: pytest.LogCaptureFixture):
        before = rows(old)
        Database(old).close()
        backup = old.with_name(f"console.db.before-{NEWEST}")
        assert rows(backup) == before
        assert version(backup) is None
        assert f"from 0.1.0 to {NEWEST}; the one before is kept as {backup}" in caplog.text

    def test_that_served_only_python_code_gets_the_tables_it_lacks(self, tmp_path: Path, old: Path):
        with closing(sqlite3.connect(old)) as connection:
            for table in set(expected()["tables"]) - {"marked_holes", "asked_without_answer"}:
                connection.execute(f'DROP TABLE "{table}"')
            connection.commit()
        Database(old).close()
        assert [len(rows(old)[table]) for table in ("marked_holes", "runs")] == [2, 0]
        assert _index(old)

    def test_with_other_columns_is_refused_by_name_and_left_alone(self, old: Path):
        with closing(sqlite3.connect(old)) as connection:
            connection.execute("ALTER TABLE runs DROP COLUMN parameters")
        before = rows(old)
        with pytest.raises(DatabaseError, match="table runs lacks parameters; stop every console") as caught:
            Database(old)
        assert caught.value.code == "database_other_tables"
        assert (version(old), rows(old)) == (None, before)


class TestALaterRevision:
    def test_that_makes_parents_anew_loses_no_row_of_a_child(self, old: Path, add: Add):
        newest, before = add(*REMADE), rows(old)
        Database(old).close()
        after = rows(old)
        assert all(before[child] for child in CHILDREN)
        assert {child: after[child] for child in CHILDREN} == {child: before[child] for child in CHILDREN}
        assert [row.pop("colour") for row in after["runs"]] == ["blue", *["red"] * (len(before["runs"]) - 1)]
        assert after["runs"] == before["runs"]
        assert (version(old), old.with_name(f"console.db.before-{newest}").exists()) == (newest, True)

    def test_that_fails_changes_nothing_and_says_what_to_do(self, old: Path, add: Add):
        add(*REMADE)
        newest, before = add("op.drop_column('runs', 'colour')", "raise LookupError('no such colour')"), rows(old)
        with pytest.raises(
            DatabaseError, match=rf"upgraded to version {newest} .*no such colour.*nothing was"
        ) as caught:
            Database(old)
        assert caught.value.code == "database_upgrade_failed"
        assert (version(old), rows(old)) == (None, before)

    def test_that_would_leave_a_row_without_its_parent_changes_nothing(self, old: Path, add: Add):
        before = rows(old)
        add("op.execute('DELETE FROM runs WHERE id = 1')")
        with pytest.raises(DatabaseError, match=r"it would leave rows: .* of run_series without their runs") as caught:
            Database(old)
        assert caught.value.code == "database_upgrade_failed"
        assert rows(old) == before

    def test_and_the_one_before_share_a_transaction(self, tmp_path: Path, add: Add):
        """A database that is made by a program whose last revision fails is not left half made."""
        add("raise LookupError('no')")
        with pytest.raises(DatabaseError):
            Database(tmp_path / "console.db")
        with closing(sqlite3.connect(tmp_path / "console.db")) as connection:
            assert connection.execute("SELECT name FROM sqlite_master").fetchall() == []


class TestTheBackup:
    def test_is_never_overwritten(self, tmp_path: Path, old: Path):
        again = shutil.copy(old, tmp_path / "again.db")
        Database(old).close()
        with closing(sqlite3.connect(again)) as connection:
            connection.execute("DELETE FROM run_log")
            connection.commit()
        first, second = (old.with_name(f"console.db.before-{NEWEST}{number}") for number in ("", "-2"))
        kept = print_of(first)
        for file in old.parent.glob("console.db*"):
            if file.suffix in (".db", ".db-wal", ".db-shm"):
                file.unlink()
        shutil.move(again, old)
        Database(old).close()
        assert (print_of(first), len(rows(second)["run_log"])) == (kept, 0)

    @pytest.mark.slow
    def test_of_an_attempt_that_was_killed_is_taken_for_the_next(self, old: Path, add: Add):
        """It is the very same: each attempt would leave another copy otherwise."""
        add("raise LookupError('no')")
        for _ in range(3):
            with pytest.raises(DatabaseError):
                Database(old)
        assert len(list(old.parent.glob("*.before-*"))) == 1

    def test_that_cannot_be_made_stops_the_upgrade(self, old: Path):
        old.with_name(f"console.db.before-{NEWEST}.part").mkdir()
        with pytest.raises(DatabaseError, match=r"cannot be copied before its upgrade .* make room") as caught:
            Database(old)
        assert caught.value.code == "database_no_backup"
        assert version(old) is None

    def test_is_no_copy_of_damage(self, old: Path):
        content = bytearray(old.read_bytes())
        content[8192:20480] = os.urandom(12288)
        old.write_bytes(content)
        with pytest.raises(DatabaseError, match="is damaged") as caught:
            Database(old)
        assert caught.value.code == "database_damaged"
        assert old.read_bytes() == content
        assert not list(old.parent.glob("*.before-*"))


_KILLED_AT = """
import os, shutil, signal, sys
from pathlib import Path
import sqlalchemy as sa
from alembic import command  # before the forks, which then cost next to nothing
from ffe_core.storage.state import migrations, upgrade
from ffe_core.storage.state.database import Database

old, folder, later = map(Path, sys.argv[1:])
migrations.VERSIONS.append(later)

def upgrade_until(place, file):
    steps = 0
    def step(connection, cursor=None, statement="COMMIT", *_):
        nonlocal steps
        if not statement.strip().startswith(("SELECT", "PRAGMA main.")):  # what only looks leaves nothing behind
            steps += 1
        if steps == place:
            os.kill(os.getpid(), signal.SIGKILL)
    for moment in ("after_cursor_execute", "commit"):
        sa.event.listen(sa.Engine, moment, step)
    Database(file).close()

place, killed = 0, True
while killed:
    place += 1
    file = folder / str(place) / "console.db"
    file.parent.mkdir()
    shutil.copy(old, file)
    child = os.fork()
    if child == 0:
        upgrade_until(place, file)
        os._exit(0)
    killed = os.WIFSIGNALED(os.waitpid(child, 0)[1])
print(place - 1)
"""


@pytest.mark.slow
@pytest.mark.slow
def test_an_upgrade_that_is_killed_at_any_step_is_taken_up_again(tmp_path: Path, old: Path, add: Add):
    newest, before = add(*REMADE), rows(old)
    (tmp_path / "killed").mkdir()
    kills = int(finish(start(_KILLED_AT, old, tmp_path / "killed", tmp_path / "later")))
    assert kills > 20
    for place in range(1, kills + 1):
        file = tmp_path / "killed" / str(place) / "console.db"
        assert version(file) in (None, newest), place
        if version(file) is None:
            assert rows(file) == before, place
        Database(file).close()
        after = rows(file)
        assert {row.pop("colour") for name in ("runs", "schedules") for row in after[name]} == {"red", "blue"}
        assert all(row.pop("second_reader") is None for row in after["audit"])
        assert (version(file), after) == (newest, before), place
        assert len(list(file.parent.glob("*.before-*"))) == 1


_UPGRADE = """
import sys, time
from pathlib import Path
from alembic import command
from ffe_core.storage.state.database import Database
while time.time() < float(sys.argv[2]):
    pass
Database(Path(sys.argv[1])).close()
"""


@pytest.mark.slow
@pytest.mark.slow
def test_processes_at_once_upgrade_it_once(old: Path):
    before = rows(old)
    at_once(_UPGRADE, [(old, time.time() + 4)] * 3)
    assert rows(old) == before
    assert len(list(old.parent.glob("*.before-*"))) == 1


def test_next_steps_on_record_get_their_codes_and_stay_as_they_were(old: Path):
    before = rows(old)
    Database(old).close()
    with closing(sqlite3.connect(old)) as connection:
        told = dict(connection.execute("SELECT DISTINCT next_step, next_step_code FROM run_series"))
    assert told == {
        None: None,
        "look at the gaps, then fetch them again or mark them": "look_at_gaps",
        "asking again would give the same answer: mend the request or the credentials": "change_request",
        "mend what still fails, then replay it": "edit_and_replay",
    }
    assert rows(old) == before
