"""What do browser tests share? Servers that are always ended and read for tracebacks, visitors whose faults count."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.browser.driver import Server, Visitor, chromium, chromium_path
from tests.browser.screenshots import fill

Serve = Callable[..., Server]
Visit = Callable[..., Visitor]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)


# Not for the session: while Playwright's event loop is up, no asyncio test can run in the same process.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A running Chromium. Where there is none: a failure under CI, a skip elsewhere."""
    path = chromium_path()
    if path is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("no Chromium: install it or set FFE_CHROMIUM")
    with chromium(path) as opened:
        yield opened


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """`serve(data_dir=None, env=None, *arguments)`: a started server, ended after the test.

    The test fails if a server's log holds a traceback, or if it does not end in order.
    """
    servers: list[Server] = []

    def started(data_dir: Path | None = None, env: dict[str, str] | None = None, *arguments: str) -> Server:
        servers.append(Server(data_dir or tmp_path / "data", env, *arguments))
        return servers[-1].start()

    yield started
    codes = [server.stop() for server in servers]
    for server, code in zip(servers, codes, strict=True):
        assert not server.tracebacks
        # The server's own way to end: it drains, then lets the signal end it.
        assert code in (0, -signal.SIGTERM), f"the server ended with {code}: {server.log[-2000:]}"


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with something to show on every page."""
    folder = tmp_path_factory.mktemp("full") / "data"
    fill(folder)
    return folder


@pytest.fixture
def visit(browser: Browser) -> Iterator[Visit]:
    """`visit(server, path="/", scheme="light")`: a visitor with a fresh browser profile on that page.

    The test fails if the visitor met an error on the browser's console or a request to another server.
    """
    visitors: list[Visitor] = []

    def visiting(server: Server, path: str = "/", scheme: str = "light") -> Visitor:
        visitors.append(Visitor(browser, server.base, scheme))
        return visitors[-1].open(path)

    yield visiting
    for visitor in visitors:
        visitor.close()
    faults = [fault for visitor in visitors for fault in visitor.faults]
    assert not faults
