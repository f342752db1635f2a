"""Is a database of a PostgreSQL server as good a state as the file, and is its trouble told in one sentence each?"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from ffe_core.errors import DatabaseError, InputError, StorageError
from ffe_core.series import Series
from ffe_core.settings import Settings
from ffe_core.storage.state import faults, migrations, places, postgresql
from ffe_core.storage.state.audit import Audit
from ffe_core.storage.state.database import Database
from ffe_core.storage.state.opening import open_state, state_notice
from ffe_core.storage.state.runs import NewRun, RunStore
from ffe_core.storage.state.schedules import ScheduleStore
from ffe_core.storage.state.watchlists import Watchlists
from ffe_core.storage.waiting import waits_on
from tests.postgresql import PASSWORD, Server, running
from tests.processes import at_once
from tests.storage.state.releases import revision
from tests.storage.state.test_upgrade import _but_the_index_made_by_hand, every_table

BTC = Series("BTCUSD", "1h", "coinbase")
NEWEST = migrations.revisions()[-1]


@pytest.fixture
def url(postgresql_server: Server) -> Iterator[str]:
    """The address of an empty database."""
    made = postgresql_server.database()
    yield made
    postgresql_server.drop(made)


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    opened = Database(url)
    yield opened
    opened.close()


@pytest.fixture
def own() -> Iterator[Server]:
    """A server that a test may end and start."""
    with running() as server:
        yield server


def version(server: Server, url: str) -> str | None:
    found = server.run("SELECT to_regclass('alembic_version') IS NOT NULL", name(url))
    return str(server.run("SELECT version_num FROM alembic_version", name(url))[0][0]) if found[0][0] else None


def name(url: str) -> str:
    return str(sa.make_url(url).database)


class TestTheTables:
    def test_are_what_the_code_declares(self, database: Database):
        assert database.is_new
        with database.read() as connection:
            context = MigrationContext.configure(
                connection, opts={"compare_type": True, "include_object": _but_the_index_made_by_hand}
            )
            assert compare_metadata(context, every_table()) == []
            found = sa.text("SELECT indexdef FROM pg_indexes WHERE indexname = 'schedules_by_name'")
            assert "UNIQUE" in str(connection.scalar(found))

    @pytest.mark.slow
    def test_are_made_once_by_processes_at_once(self, url: str):
        code = (
            "import sys, time; from ffe_core.storage.state.database import Database; from alembic import command\n"
            "while time.time() < float(sys.argv[2]): pass\n"
            "made = Database(sys.argv[1]); print(made.is_new); made.close()"
        )
        said = at_once(code, [(url, time.time() + 4)] * 4)
        assert sorted(one.strip() for one in said) == ["False"] * 3 + ["True"]

    def test_are_left_as_they_were_by_an_upgrade_that_fails(
        self, url: str, postgresql_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        Database(url).close()
        monkeypatch.setattr(migrations, "VERSIONS", [*migrations.VERSIONS, tmp_path])
        revision(tmp_path, NEWEST, "op.drop_table('run_log')", "raise LookupError('no such colour')")
        with pytest.raises(DatabaseError, match=r"no such colour.*nothing was changed") as caught:
            Database(url)
        assert caught.value.code == faults.UPGRADE_FAILED
        assert version(postgresql_server, url) == NEWEST
        assert postgresql_server.run("SELECT count(*) FROM run_log", name(url)) == [(0,)]

    def test_of_a_newer_release_are_left_alone(self, url: str, postgresql_server: Server):
        Database(url).close()
        postgresql_server.run("UPDATE alembic_version SET version_num = '9999'", name(url))
        with pytest.raises(DatabaseError, match=r"newer release.*version 9999") as caught:
            Database(url)
        assert caught.value.code == faults.NEWER
        assert "console.db" not in str(caught.value)

    def test_of_another_program_are_refused_by_name(self, url: str, postgresql_server: Server):
        postgresql_server.run("CREATE TABLE runs (id integer)", name(url))
        with pytest.raises(DatabaseError, match=r"table runs lacks .*name another, empty database") as caught:
            Database(url)
        assert caught.value.code == "database_other_tables"
        assert version(postgresql_server, url) is None

    def test_beside_other_tables_are_new_all_the_same(self, url: str, postgresql_server: Server):
        postgresql_server.run("CREATE TABLE somebody_elses (id integer)", name(url))
        opened = Database(url)
        assert opened.is_new
        opened.close()


class TestWhoWrites:
    def test_reads_first_what_stays_true(self, database: Database):
        """As in a file: without the lock two of them would read the same, and both add to it."""

        def add_one(_: int) -> None:
            with database.write() as connection:
                found = connection.scalar(sa.text("SELECT count(*) FROM audit")) or 0
                row = {"at": 0.0, "actor": "ann", "verb": "add", "target": str(found), "reason": ""}
                connection.execute(sa.text(
                    "INSERT INTO audit (at, actor, verb, target, reason, details)"
                    " VALUES (:at, :actor, :verb, :target, :reason, '{}')"
                ), row)  # fmt: skip

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(add_one, range(40)))
        assert sorted(int(row.target) for row in Audit(database).find()) == list(range(40))

    def test_and_then_sleeps_is_ended_by_the_server_and_others_go_on(
        self, database: Database, monkeypatch: pytest.MonkeyPatch
    ):
        assert f"'{postgresql._IDLE_SECONDS}s'" in postgresql._BEGIN_WRITE
        assert postgresql._IDLE_SECONDS < faults.BUSY_SECONDS
        monkeypatch.setattr(postgresql, "_BEGIN_WRITE", postgresql._BEGIN_WRITE.replace("'10s'", "'300ms'"))
        began, awake = threading.Event(), threading.Event()
        failed: list[str] = []

        def sleeper() -> None:
            try:
                with database.write() as connection:
                    connection.execute(sa.text("DELETE FROM notices"))
                    began.set()
                    awake.wait(30)
            except DatabaseError as error:
                failed.append(error.code)

        thread = threading.Thread(target=sleeper)
        thread.start()
        began.wait(30)
        Watchlists(database).save("Majors", "oanda", ["EURUSD"], ["1h"], "ann")
        awake.set()
        thread.join()
        assert failed == ["database_locked"]

    def test_waits_no_longer_than_for_a_file(self, database: Database, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(postgresql, "_BEGIN_WRITE", postgresql._BEGIN_WRITE.replace("'15s'", "'100ms'"))
        with (
            database.write(),
            pytest.raises(DatabaseError, match=r"another process is writing") as caught,
            database.write(),
        ):
            pass
        assert caught.value.code == faults.LOCKED

    def test_a_reader_sees_one_state_in_all_its_queries(self, database: Database):
        with database.read() as connection:
            before = connection.scalar(sa.text("SELECT count(*) FROM watchlists"))
            Watchlists(database).save("Majors", "oanda", ["EURUSD"], ["1h"], "ann")
            assert connection.scalar(sa.text("SELECT count(*) FROM watchlists")) == before == 0
        assert len(Watchlists(database).all()) == 1


def test_looking_goes_on_after_the_server_ended_what_idled(
    postgresql_server: Server, url: str, database: Database, monkeypatch: pytest.MonkeyPatch
):
    with database.looking():
        assert Watchlists(database).all() == []
        postgresql_server.run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name(url)}'")
        monkeypatch.setattr(database._look, "used", 0.0)
        assert Watchlists(database).all() == []


def test_a_text_with_nul_is_kept_without_it(database: Database):
    with Audit(database).act("an\0n", "look", "x\0y", "why\0", found=["a\0b"]):
        pass
    [row] = Audit(database).find()
    assert (row.actor, row.target, row.details) == ("an\ufffdn", "x\ufffdy", {"found": ["a\0b"]})


def test_a_run_of_any_number_can_be_asked_for(database: Database):
    assert RunStore(database).get(2**62) is None
    asked = NewRun("backfill", "coinbase", "resume", 0, 1, (BTC,), "ann", "console", "me", 2**40)
    run_id = RunStore(database).add(asked)
    assert RunStore(database).get(run_id).parent_id == 2**40


def test_sums_and_means_are_plain_numbers(database: Database):
    runs = RunStore(database)
    run_id = runs.add(NewRun("backfill", "coinbase", "resume", 0, 1, (BTC,), "ann", "console", "me"))
    runs.update_series(run_id, {0: {"records": 5, "pages_done": 1, "pages_planned": 3}})
    [found], _ = runs.find()
    assert (type(found.records_total), found.records_total) == (int, 5)
    assert (type(found.progress), round(found.progress, 3)) == (float, 0.333)
    with database.read() as connection:
        assert type(connection.scalar(sa.text("SELECT avg(count) FROM (VALUES (1), (2)) AS of(count)"))) is float


def test_a_number_that_json_lacks_is_kept_as_text(database: Database):
    store = ScheduleStore(database)
    store.add_notice("test", "a text", {"share": float("nan")}, "pending")
    assert [notice.details for notice in store.notices()] == [{"share": "NaN"}]


def test_its_size_is_told_and_vacuum_left_to_the_server(database: Database):
    size, free = database.size()
    assert (size > 10**6, free) == (True, 0)
    database.vacuum()
    assert not database.is_file


class TestTrouble:
    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            ((":{port}/", ":1/"), "Connection refused"),
            (("127.0.0.1", "nowhere.invalid"), "nowhere.invalid"),
            ((PASSWORD, "another-word"), "authentication failed"),
            (("/postgres", "/missing"), '"missing" does not exist'),
        ],
    )
    def test_at_the_start_is_a_sentence_with_host_and_reason(
        self, postgresql_server: Server, change: tuple[str, str], reason: str, caplog: pytest.LogCaptureFixture
    ):
        caplog.set_level(logging.DEBUG)
        before, after = (one.format(port=postgresql_server.port) for one in change)
        address = postgresql_server.url().replace(before, after)
        with pytest.raises(DatabaseError, match=rf"cannot be reached \(.*{reason}.*\); check that its") as caught:
            Database(address)
        assert caught.value.code == "database_unreachable"
        host = f"{sa.make_url(address).host}:{sa.make_url(address).port}"
        assert f"{sa.make_url(address).database} on {host}" in str(caught.value)
        told = "".join([str(caught.value), repr(caught.value.__cause__), caplog.text])
        assert PASSWORD not in told
        assert "another-word" not in told
        assert "\n" not in str(caught.value)

    def test_of_one_that_takes_no_writes(self, database: Database, postgresql_server: Server):
        postgresql_server.run(f"ALTER DATABASE {database.url.database} SET default_transaction_read_only = on")
        database.close()
        with pytest.raises(DatabaseError, match=r"cannot be written .*takes writes and the user that owns") as caught:
            Watchlists(database).delete("Majors")
        assert caught.value.code == "database_read_only"

    @pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
    def test_of_one_that_does_not_keep_every_text(self, postgresql_server: Server, encoding: str):
        """SQL_ASCII is what a server makes that was set up without a locale, such as in a small container."""
        address = postgresql_server.database(f"template0 ENCODING '{encoding}' LOCALE 'C'")
        with pytest.raises(DatabaseError, match=rf"is of the encoding {encoding}.*ENCODING 'UTF8'") as caught:
            Database(address)
        assert caught.value.code == faults.ENCODING
        assert postgresql_server.run("SELECT * FROM pg_tables WHERE schemaname = 'public'", name(address)) == []
        postgresql_server.drop(address)

    def test_of_a_user_who_may_not_make_tables(self, url: str, postgresql_server: Server):
        postgresql_server.run(f"CREATE ROLE {name(url)} LOGIN PASSWORD '{PASSWORD}'")
        with pytest.raises(DatabaseError, match=r"cannot be written .*permission denied") as caught:
            Database(url.replace("//ffe:", f"//{name(url)}:"))
        assert caught.value.code == "database_read_only"
        postgresql_server.run(f"DROP ROLE {name(url)}")

    def test_of_a_table_that_somebody_took_away(self, database: Database):
        with database.write() as connection:
            connection.execute(sa.text("DROP TABLE watchlists"))
        with pytest.raises(DatabaseError, match=r"does not hold the tables") as caught:
            Watchlists(database).all()
        assert caught.value.code == "database_other_tables"

    @pytest.mark.slow
    def test_of_one_that_went_is_over_when_it_is_back(self, own: Server):
        database = Database(own.database())
        Watchlists(database).save("Majors", "oanda", ["EURUSD"], ["1h"], "ann")
        own.stop()
        with pytest.raises(DatabaseError) as caught:
            Watchlists(database).all()
        assert caught.value.code == faults.UNREACHABLE
        own.start()
        assert [one.name for one in Watchlists(database).all()] == ["Majors"]
        database.close()

    @pytest.mark.slow
    def test_who_waits_goes_on_when_it_is_back_and_says_that_it_waited(
        self, own: Server, caplog: pytest.LogCaptureFixture
    ):
        database = Database(own.database())
        own.stop()

        def patient() -> None:
            waits_on.set(lambda waited: waited < 60)
            Watchlists(database).save("Majors", "oanda", ["EURUSD"], ["1h"], "ann")

        with ThreadPoolExecutor(1) as pool:
            saved = pool.submit(patient)
            while "It is waited for" not in caplog.text:
                time.sleep(0.05)
            own.start()
            saved.result(60)
        assert [one.name for one in Watchlists(database).all()] == ["Majors"]
        assert caplog.text.count("It is waited for") == 1
        database.close()


def on_one_lake(folder: Path, url: str, name: str) -> Settings:
    """Settings with a data directory of their own."""
    return Settings.load({"data_dir": str(folder / name), "lake_uri": str(folder / "lake"), "database_url": url})


@pytest.mark.of_a_state_file("each names its server itself")
@pytest.mark.of_a_lake_folder("each names its lake itself")
class TestThePlaces:
    def test_are_noted_once_and_known_again(self, url: str, tmp_path: Path):
        settings = Settings.load({"data_dir": str(tmp_path), "database_url": url})
        for _ in range(2):
            open_state(settings).close()
        assert not (tmp_path / "console.db").exists()

    def test_a_second_data_directory_with_a_lake_of_its_own_is_refused(self, url: str, tmp_path: Path):
        open_state(Settings.load({"data_dir": str(tmp_path / "one"), "database_url": url})).close()
        another = Settings.load({"data_dir": str(tmp_path / "two"), "database_url": url})
        with pytest.raises(DatabaseError, match=r"belongs to the lake .*/one/lake, not to .*/two/lake") as caught:
            open_state(another)
        assert caught.value.code == faults.OTHER_PLACE
        assert PASSWORD not in str(caught.value)

    def test_a_second_data_directory_on_the_same_lake_with_the_same_dead_letters_is_welcome(
        self, url: str, tmp_path: Path
    ):
        open_state(on_one_lake(tmp_path, url, "one")).close()
        (tmp_path / "two").mkdir()
        (tmp_path / "two" / "dlq").symlink_to(tmp_path / "one" / "dlq")
        for name_ in ("two", "one"):
            open_state(on_one_lake(tmp_path, url, name_)).close()

    def test_one_with_dead_letters_of_its_own_is_refused(self, url: str, tmp_path: Path):
        open_state(on_one_lake(tmp_path, url, "one")).close()
        for _ in range(2):
            with pytest.raises(DatabaseError, match=r"dead letters in .*/one/dlq, not to .*/two/dlq") as caught:
                open_state(on_one_lake(tmp_path, url, "two"))
            assert caught.value.code == faults.OTHER_PLACE
        open_state(on_one_lake(tmp_path, url, "one")).close()

    def test_one_that_is_started_at_the_same_moment_is_refused_too(self, url: str, tmp_path: Path):
        """It saw a state that knew nothing, and waited for the other one to note its places."""
        first, database = on_one_lake(tmp_path, url, "one"), Database(url)
        asked = places._all_known

        def late(*given: Any) -> bool:
            patch.undo()
            known = asked(*given)
            open_state(first).close()
            return known

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(places, "_all_known", late)
            with pytest.raises(DatabaseError, match="dead letters in"):
                places.check_places(database, on_one_lake(tmp_path, url, "two"))
        database.close()

    def test_dead_letters_of_another_lake_are_refused(self, url: str, tmp_path: Path, postgresql_server: Server):
        open_state(Settings.load({"data_dir": str(tmp_path / "one"), "database_url": url})).close()
        (tmp_path / "two").mkdir()
        (tmp_path / "two" / "dlq").symlink_to(tmp_path / "one" / "dlq")
        other = {"data_dir": str(tmp_path / "two"), "database_url": postgresql_server.database()}
        with pytest.raises(StorageError, match=r"dead letters in .*/two/dlq belong to another lake"):
            open_state(Settings.load(other))

    def test_a_lake_in_a_store_has_none_in_folders(self, url: str, tmp_path: Path):
        for name_ in ("one", "two"):
            given = {"data_dir": str(tmp_path / name_), "lake_uri": "s3://bucket/lake", "database_url": url}
            open_state(Settings.load(given)).close()

    def test_a_state_that_noted_its_data_directory_forgets_it(self, url: str, tmp_path: Path):
        """The release before refused a second one, which shared no locks with the first."""
        database = Database(url)
        with database.write() as connection:
            connection.execute(sa.text("INSERT INTO places VALUES ('data directory', 'x', '/elsewhere', 0)"))
        database.close()
        open_state(Settings.load({"data_dir": str(tmp_path / "data"), "database_url": url})).close()

    @pytest.mark.parametrize("lake", ["elsewhere", "s3://bucket/lake"])
    def test_a_second_lake_is_refused(self, url: str, tmp_path: Path, lake: str):
        given = {"data_dir": str(tmp_path / "data"), "database_url": url}
        open_state(Settings.load(given)).close()
        other = lake if "://" in lake else str(tmp_path / lake)
        with pytest.raises(DatabaseError, match=r"belongs to the lake .*; set FFE_LAKE_URI") as caught:
            open_state(Settings.load({**given, "lake_uri": other}))
        assert caught.value.code == faults.OTHER_PLACE

    def test_a_data_directory_that_was_moved_is_known_by_its_id(self, url: str, tmp_path: Path):
        open_state(Settings.load({"data_dir": str(tmp_path / "one"), "database_url": url})).close()
        (tmp_path / "one").rename(tmp_path / "two")
        open_state(Settings.load({"data_dir": str(tmp_path / "two"), "database_url": url})).close()

    def test_an_empty_state_beside_a_lake_is_said(self, url: str, tmp_path: Path):
        (tmp_path / "lake" / "raw_market_data_1h" / "_delta_log").mkdir(parents=True)
        settings = Settings.load({"data_dir": str(tmp_path), "database_url": url})
        opened = open_state(settings)
        told = state_notice(opened, settings)
        opened.close()
        assert told is not None
        assert told.startswith(f"the database {name(url)} on 127.0.0.1:")
        assert f"If {tmp_path}/console.db or another database holds them" in told


class TestTheSetting:
    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            ("sqlite:///x.db", "begins with sqlite"),
            ("mysql://u:Zw9-plain-word@h/d", "begins with mysql"),
            ("postgresql+psycopg://u:Zw9-plain-word@h", "names no database"),
            ("postgresql+psycopg://u:Zw9-plain#word@h/d", "blank, a #"),
            ("postgresql+psycopg://u:Zw9-plain@word@h/d", "more than one @"),
            ("postgresql+psycopg://u:Zw9-plain-word@h:port/d", "host and port cannot be read"),
            ("postgresql+psycopg://u:Zw9-plain/word@h/d", "host and port cannot be read"),
        ],
    )
    def test_that_is_none_is_told_without_showing_it(self, text: str, problem: str):
        with pytest.raises(InputError, match=problem) as caught:
            Settings.load({"database_url": text})
        assert caught.value.field == "FFE_DATABASE_URL"
        assert "Zw9" not in str(caught.value)
        assert "word" not in str(caught.value).replace("password", "")

    def test_shows_host_and_database_only(self):
        settings = Settings.load(
            {"database_url": f"postgresql://ffe:{PASSWORD}@db.example:5433/candles?sslmode=require"}
        )
        assert settings.database is not None
        assert settings.database.place == "candles on db.example:5433"
        assert PASSWORD not in repr(settings)
