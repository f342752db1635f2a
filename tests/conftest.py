"""What does every test share? Settings that are nobody's own, and hypothesis at one pace."""

from __future__ import annotations

import logging
import os
import shutil
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, settings

from ffe_core import redaction
from ffe_core.storage.dead_letters.stored import StoredFiles
from ffe_core.storage.state import database, postgresql
from tests import copies, once
from tests import object_store as object_store_server
from tests.children import told
from tests.postgresql import Server, States, programs, running

# Deterministic and short here; `--hypothesis-profile=wide` looks further, differently each time, and `quick` less far.
settings.register_profile(
    "tests", deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile(
    "wide", deadline=None, max_examples=1000, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("quick", settings.get_profile("tests"), max_examples=20)
settings.load_profile("tests")


_STATE = Path(__file__).parent / "storage" / "state"
_SLOW_FOLDERS = {"benchmarks", "cli", "integration"}
"""Their tests start processes of their own; any other test that does is marked where it stands."""


_BOTH_STATES = {"checks", "operations"}
"""Their tests run once more with the state in PostgreSQL; so does any other test that is marked so."""
_OF_FILES = ("of_a_state_file", "of_a_lake_folder")
_MEMORY = Path("/dev/shm")
_ROOM = 2 * 1024**3
"""Bytes: several times what a whole run leaves there (three hundred megabytes)."""


def pytest_configure() -> None:
    """Let temporary folders lie in memory where there is room: each flush to a disk is waited for, and there are many.

    PYTEST_DEBUG_TEMPROOT names another place, `--basetemp` the very folder. What a kill leaves behind is the same.
    """
    if os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free > _ROOM:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(_MEMORY))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark whole folders as slow; `make fast` leaves out what is.

    And with both at real servers leave out what is about files by nature: it would run as it does every time.
    """
    here = Path(__file__).parent
    for item in items:
        if item.path.relative_to(here).parts[0] in _SLOW_FOLDERS:
            item.add_marker(pytest.mark.slow)
    if config.getoption("--state") == "postgresql" and config.getoption("--store"):
        of_files = [one for one in items if all(one.get_closest_marker(name) for name in _OF_FILES)]
        config.hook.pytest_deselected(items=of_files)
        items[:] = [one for one in items if one not in set(of_files)]


def pytest_runtest_setup() -> None:
    """Begin each test with the level of the log as Python has it: a command called in this process sets it higher."""
    logging.getLogger().setLevel(logging.WARNING)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Iterator[None]:
    """Forget the secrets of a test after it: a token that is a plain word would be masked in all that follows.

    And the providers' clocks: the next fake exchange may get the port of one whose clock was off.
    """
    known = set(redaction._secrets)
    try:
        return (yield)
    finally:
        redaction._secrets &= known
        if (clock := sys.modules.get("ffe_core.providers.clock")) is not None:
            clock._clocks.clear()


@pytest.fixture(scope="session", autouse=True)
def _nobodys_settings() -> Iterator[None]:
    """No FFE_ variable, secrets file or key of a cloud of whoever runs the tests reaches them."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [*os.environ]:
            if name.startswith("FFE_") or name in object_store_server.names_of_clouds():
                patch.delenv(name)
        patch.setattr("ffe_core.settings.SECRETS_FILE", Path("no-such-folder/secrets.toml"))
        yield


@pytest.fixture(autouse=True)
def _tables_made_once(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each new state database of this process has its tables at once; where they are what is tested, by Alembic."""
    if _STATE not in request.path.parents:
        monkeypatch.setattr("ffe_core.storage.state.upgrade._run_revisions", once.run_revisions)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Have tests that are marked so run against both kinds of state, and those marked so with the lake and the dead
    letters in an object store too, with the state in a file, or with both at servers; or any in this process with what
    is named alone."""
    marks, named = metafunc.definition.get_closest_marker, metafunc.config.getoption
    both = marks("both_states") or metafunc.definition.path.relative_to(Path(__file__).parent).parts[0] in _BOTH_STATES
    # Hypothesis takes a method that runs twice for a flaky one; such methods are about no state.
    is_pure = metafunc.cls is not None and getattr(metafunc.function, "is_hypothesis_test", False)
    moves_state = marks("of_a_state_file") is None and not is_pure
    moves_lake = marks("of_a_lake_folder") is None and not is_pure
    if (state := named("--state")) or named("--store"):
        cases = [
            (state if state and moves_state else "sqlite", "store" if named("--store") and moves_lake else "folder")
        ]
    else:
        cases = [("sqlite", "folder")]
        cases += [("postgresql", "folder")] if both and moves_state else []
        cases += [("sqlite", "store")] if marks("both_stores") and moves_lake else []
        cases += [("postgresql", "store")] if marks("both_servers") else []
    if cases != [("sqlite", "folder")]:
        metafunc.parametrize(("state_kind", "store_kind"), [_case(*one) for one in cases], indirect=True)


def _case(state: str, store: str) -> Any:
    """Whatever needs a server of its own is slow."""
    name = "-".join(kind for kind in (state, store) if kind not in ("sqlite", "folder")) or "sqlite"
    return pytest.param(state, store, id=name, marks=[] if name == "sqlite" else pytest.mark.slow)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Both together run every test of this process against real servers, marked or not."""
    parser.addoption("--state", choices=("sqlite", "postgresql"), default=None)
    parser.addoption("--store", action="store_true", help="every test with lake and dead letters in an object store")


@pytest.fixture(autouse=True)
def state_kind(request: pytest.FixtureRequest) -> Iterator[str]:
    """What keeps the state in this test. With PostgreSQL each file `console.db` is a database of a real server."""
    kind = getattr(request, "param", "sqlite")
    if kind == "sqlite":
        yield kind
        return
    server, template = request.getfixturevalue("postgresql_server"), request.getfixturevalue("state_template")
    states, connect, make = States(server, template), postgresql.connect, database.Database.__init__
    opened: list[database.Database] = []

    def remembered(made: database.Database, url: str | Path) -> None:
        make(made, url)
        opened.append(made)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(database.Database, "__init__", remembered)
        patch.setattr(database, "sqlite_url", states.url_of)
        patch.setattr(postgresql, "connect", lambda *given, **options: states.remember(connect(*given, **options)))
        request.node.stash[copies.STATES] = states
        with told(lambda data_dir: {"FFE_DATABASE_URL": states.address_of(data_dir / database.DATABASE_FILE)}):
            yield kind
    _opened(request, states.number, kind)
    for one in opened:
        one.close()  # else its leases would be renewed, and the connection for that be found open in another test
    states.remove()


@pytest.fixture(autouse=True)
def store_kind(request: pytest.FixtureRequest) -> Iterator[str]:
    """What keeps lake and dead letters in this test. With an object store each folder of a lake is a place of its own
    in a real server, and the dead letters of a data directory lie where its lake does."""
    kind = getattr(request, "param", "folder")
    if kind == "folder":
        yield kind
        return
    store = request.getfixturevalue("object_store")
    lakes = object_store_server.Lakes(store)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**store.variables(), **store.own_variables()}.items():
            patch.setenv(name, value)
        for module in ("ffe_core.settings", "ffe_core.storage.lake.delta_lake_manager", "ffe_core.reading.asked"):
            patch.setattr(f"{module}.lake_address", lakes.lake_address)
        patch.setattr(StoredFiles, "fresh_seconds", 0.0)
        patch.setattr("ffe_core.storage.dead_letters.queue.LocalFiles", lakes.dead_letters)
        request.node.stash[copies.LAKES] = lakes
        where = {**store.variables(), **store.own_variables()}
        with told(lambda data_dir: {"FFE_LAKE_URI": lakes.lake_address(data_dir / "lake"), **where}):
            yield kind
    _opened(request, lakes.number, kind)


def _opened(request: pytest.FixtureRequest, number: int, kind: str) -> None:
    """Note what a test has opened at a server, for the summary: most tests need neither a state nor a lake."""
    if number:
        request.node.user_properties.append(("opened", kind))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many tests opened a state or a lake at a real server."""
    ended = [one for one in terminalreporter.getreports("") if getattr(one, "when", None) == "teardown"]
    opened = Counter(frozenset(kind for name, kind in one.user_properties if name == "opened") for one in ended)
    both, states, lakes = (opened[frozenset(one)] for one in (("postgresql", "store"), ("postgresql",), ("store",)))
    if both + states + lakes:
        told = f"{both + states} tests opened a state in PostgreSQL, {both + lakes} a lake in an object store"
        terminalreporter.write_line(f"{told}, {both} of them both")


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[Server]:
    """A real server, one a process of the tests. Where a change is let in, it is there; elsewhere it may be missing."""
    if programs() is None and not os.environ.get("CI"):
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    with running() as server:
        yield server


@pytest.fixture(scope="session")
def object_store() -> Iterator[object_store_server.Store]:
    """A real S3 server, one a process of the tests."""
    with object_store_server.running() as store:
        yield store


@pytest.fixture
def store_proxy(object_store: object_store_server.Store) -> Iterator[object_store_server.Proxy]:
    """A way to that server that counts what is asked and has faults."""
    with object_store_server.proxied(object_store) as proxy:
        yield proxy


@pytest.fixture(scope="session")
def state_template(postgresql_server: Server) -> str:
    """The name of a database that the revisions have been run in."""
    url = postgresql_server.database()
    database.Database(url).close()
    return str(sa.make_url(url).database)
