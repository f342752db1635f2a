"""Is what is read together read from one state, of a file as of a server, and never an older one than was written?"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa

from ffe_core.errors import DatabaseError
from ffe_core.storage.state import database as state
from ffe_core.storage.state.database import Database
from ffe_core.storage.state.runs import RunStore
from ffe_core.storage.state.watchlists import Watchlists
from tests.postgresql import Server

pytestmark = pytest.mark.of_a_state_file("each kind of state is named here")


@pytest.fixture(params=["file", "server"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str | Path]:
    """Where an empty database may be."""
    if request.param == "file":
        yield tmp_path / "console.db"
        return
    server: Server = request.getfixturevalue("postgresql_server")
    made = server.database()
    yield made
    server.drop(made)


@pytest.fixture
def database(url: str | Path) -> Iterator[Database]:
    opened = Database(url)
    yield opened
    opened.close()


@pytest.fixture
def begun(database: Database) -> list[str]:
    found: list[str] = []
    sa.event.listen(database._engine, "begin", lambda _: found.append("begin"))
    return found


def test_takes_one_transaction_and_sees_one_state(url: str | Path, database: Database, begun: list[str]):
    lists, others = Watchlists(database), Database(url)
    with database.looking():
        assert lists.all() == []
        Watchlists(others).save("mine", "coinbase", ["BTCUSD"], ["1h"], "ann")
        assert lists.all() == []
        with database.looking():
            assert RunStore(database).count_active() == 0
    assert begun == ["begin"]
    assert [one.name for one in lists.all()] == ["mine"]
    others.close()


def test_sees_what_it_has_written(database: Database):
    lists = Watchlists(database)
    with database.looking():
        assert lists.all() == []
        lists.save("mine", "coinbase", ["BTCUSD"], ["1h"], "ann")
        assert [one.name for one in lists.all()] == ["mine"]


def test_sees_what_another_thread_of_the_process_has_written(database: Database):
    """Who keeps an answer by how much was written would keep an old one for new."""
    lists = Watchlists(database)
    with database.looking(), ThreadPoolExecutor(1) as other:
        assert lists.all() == []
        other.submit(lists.save, "mine", "coinbase", ["BTCUSD"], ["1h"], "ann").result()
        assert [one.name for one in lists.all()] == ["mine"]


def test_ends_no_transaction_that_is_being_read(database: Database):
    lists = Watchlists(database)
    with database.looking(), ThreadPoolExecutor(1) as other, database.read() as connection:
        other.submit(lists.save, "mine", "coinbase", ["BTCUSD"], ["1h"], "ann").result()
        lists.all()
        assert connection.scalar(sa.text("SELECT 1")) == 1


def test_goes_on_after_what_failed(database: Database):
    with database.looking():
        with pytest.raises(DatabaseError), database.read() as connection:
            connection.execute(sa.text("SELECT nothing FROM nowhere"))
        assert Watchlists(database).all() == []


def test_leaves_other_threads_their_own_transaction(database: Database, begun: list[str]):
    with database.looking(), ThreadPoolExecutor(1) as other:
        assert Watchlists(database).all() == []
        assert other.submit(Watchlists(database).all).result() == []
    assert len(begun) == 2


@pytest.mark.parametrize("url", ["file"], indirect=True)
def test_a_file_without_a_journal_of_its_own_is_written_to_after_a_look(
    url: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a network drive, where SQLite cannot have a WAL and a reader keeps writers waiting."""

    def without(connection: object, _: object) -> None:
        connection.isolation_level = None  # type: ignore[attr-defined]

    monkeypatch.setattr(state, "_tune_sqlite", without)
    monkeypatch.setattr(state, "BUSY_SECONDS", 0.1)
    database = Database(url)
    lists = Watchlists(database)
    with database.looking():
        assert lists.all() == []
        lists.save("mine", "coinbase", ["BTCUSD"], ["1h"], "ann")
        assert [one.name for one in lists.all()] == ["mine"]
    database.close()
