"""What do page tests share? The console run in this process over a data directory of its own, without a browser."""

from __future__ import annotations

import functools
import logging
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from streamlit.components.v2 import manifest_scanner
from streamlit.testing.v1 import AppTest
from streamlit.util import calc_hash

from ffe_core.operations import console as service
from ffe_core.operations.console import ConsoleService
from ffe_core.operations.runs.backfill import BackfillRequest
from tests import copies

CONSOLE = Path(__file__).parents[2] / "pages" / "console.py"
PAGES = sorted(path.parent.name for path in CONSOLE.parent.glob("*/page.py"))
"""Every page there is."""
Open = Callable[..., AppTest]
Fill = Callable[[Path], None]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Drawing whole pages takes a third of a second each and was a third of the fast tests: `make pages` runs them."""
    for item in items:
        if "open_page" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.slow)


_installed = functools.cache(manifest_scanner.scan_component_manifests)


@pytest.fixture(autouse=True)
def _installed_packages_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each new AppTest looks through all installed packages for components: a third of what these tests would cost."""
    monkeypatch.setattr(manifest_scanner, "scan_component_manifests", _installed)


@pytest.fixture(autouse=True)
def _no_browser_to_wait_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The Candles page gives a browser time to draw its chart; here there is none."""
    monkeypatch.setattr("pages.candles.live.CHART_FIRST_SECONDS", 0)


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The data directory of the console under test, not yet there; its service is drained after the test."""
    folder = tmp_path / "data"
    monkeypatch.setenv("FFE_DATA_DIR", str(folder))
    service.drain_shared()
    yield folder
    service.drain_shared()


@pytest.fixture
def console(data_dir: Path) -> ConsoleService:
    """The service the pages will use: fill it before a page is opened."""
    return service.shared()


@pytest.fixture(scope="session")
def filled_once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Fill], Path]:
    """The data directory that `fill` has filled in this process."""

    def filled(fill: Fill) -> Path:
        folder = tmp_path_factory.mktemp("filled") / "data"
        fill(folder)
        return folder

    return functools.cache(filled)


@pytest.fixture(scope="session")
def filled_at_servers() -> dict[Fill, copies.Filled]:
    """Those that tests of this process have filled there."""
    return {}


@pytest.fixture
def filled_by(
    data_dir: Path,
    state_kind: str,
    store_kind: str,
    filled_once: Callable[[Fill], Path],
    filled_at_servers: dict[Fill, copies.Filled],
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
) -> Callable[[Fill], ConsoleService]:
    """`filled_by(fill)`: the service the pages will use, over a data directory as `fill` leaves it.

    One is filled once a process, and each test gets a copy; where a server keeps but a part of it, it is filled anew.
    """

    def filled(fill: Fill) -> ConsoleService:
        if (state_kind, store_kind) == ("sqlite", "folder"):
            shutil.copytree(filled_once(fill), data_dir)
        elif (state_kind, store_kind) == ("postgresql", "store"):
            states, lakes = request.node.stash[copies.STATES], request.node.stash[copies.LAKES]
            if fill in filled_at_servers:
                copies.lay(filled_at_servers[fill], data_dir, states, lakes)
            else:
                fill(data_dir)
                folder = tmp_path_factory.mktemp("filled") / "data"
                filled_at_servers[fill] = copies.kept(data_dir, folder, states, lakes)
        else:
            fill(data_dir)
        return service.shared()

    return filled


def one_run(folder: Path) -> None:
    """One run: a series that is stored, and one that failed."""
    console = ConsoleService({"data_dir": str(folder)})
    request = BackfillRequest.of("simulated", ["BTCUSD", "NOPEUSD"], ["1h"], "2024-01-01", "2024-01-10")
    console.run_service.wait(console.run_service.start(request, "ann"), 30)
    console.drain()


@pytest.fixture
def backfilled(filled_by: Callable[[Fill], ConsoleService]) -> ConsoleService:
    """The service the pages will use, after that run."""
    return filled_by(one_run)


@pytest.fixture
def open_page(data_dir: Path) -> Open:
    """`open_page("run", id="7")`: the page as first drawn for this address, ready to be worked with."""

    def opened(page: str = "overview", /, **address: str) -> AppTest:
        at = AppTest.from_file(str(CONSOLE), default_timeout=20)
        if page != "overview":
            at._page_hash = calc_hash(page)  # `switch_page` asks for a run of the overview before
        for name, value in address.items():
            at.query_params[name] = value
        at.run()
        drawn = calc_hash("front" if page == "overview" else page)  # it has the address of the console itself
        assert at._finished_page_script_hash == drawn, "another page was drawn than was asked for"
        return at

    return opened


@pytest.fixture(autouse=True)
def _nothing_unforeseen(caplog: pytest.LogCaptureFixture, request: pytest.FixtureRequest) -> Iterator[None]:
    """No page may fail in a way that nobody foresaw; a test that provokes one asks for `failures_are_logged`."""
    yield
    if "failures_are_logged" not in request.fixturenames:
        records = [record for when in ("setup", "call") for record in caplog.get_records(when)]
        failures = [record for record in records if record.exc_info and record.levelno >= logging.ERROR]
        assert not failures, [record.getMessage() for record in failures]


@pytest.fixture
def failures_are_logged() -> None:
    """For a test that makes something fail on purpose: its failure may stand in the log."""


def words(at: AppTest) -> str:
    """Everything the page says, in one text, as it is read: without the escapes of what is plain."""
    kinds = (
        "title",
        "header",
        "subheader",
        "markdown",
        "caption",
        "text",
        "code",
        "info",
        "warning",
        "error",
        "success",
    )
    said = "\n".join(str(element.value) for kind in kinds for element in getattr(at, kind))
    return as_read(said)


def as_read(markdown: str) -> str:
    """A text of a page as it is read: without the escapes of what is plain."""
    return re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", markdown.replace(":color{}", ""))
