"""How is the real console driven? The server as a process of its own, and a visitor with a real Chromium."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Locator, Page, Request, sync_playwright

from tests import children

ROOT = Path(__file__).parents[2]
REFERENCE = {"width": 1440, "height": 900}
"""The reference size: a 13-inch laptop."""
_CHROMIUM_ARGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    " --disable-component-update --disable-sync --disable-dev-shm-usage"
).split()
_CONNECTED = "[data-testid=stApp][data-test-script-state=notRunning][data-test-connection-state=CONNECTED]"
_UNSETTLED = "[data-testid=stSkeleton], [data-testid=stSpinner], [data-stale=true]"
_OWN_SCHEMES = ("data:", "blob:", "about:")
_QUIET_MS = 155
"""A rerun shows in the page within this time of what caused it."""

Found = TypeVar("Found")


def poll(check: Callable[[], Found], what: str, timeout: float = 30.0) -> Found:
    """The first true answer of `check`; AssertionError saying `what` was waited for when none comes in time."""
    deadline = time.monotonic() + timeout
    while not (found := check()):
        assert time.monotonic() < deadline, f"waited {timeout:.0f} s for {what}"
        time.sleep(0.05)
    return found


# --- The server


class Server:
    """`streamlit run app.py` on a free port with a data directory of its own; may be stopped, killed and restarted.

    `log` is everything it said; `tracebacks` are what no test may leave behind.
    """

    def __init__(
        self,
        data_dir: Path,
        env: Mapping[str, str] | None = None,
        *arguments: str,
        script: str = "app.py",
        cwd: Path = ROOT,
    ) -> None:
        self.data_dir, self._env, self._arguments = data_dir, dict(env or {}), arguments
        self._script, self._cwd = script, cwd
        self.port = _free_port()
        self.base = f"http://127.0.0.1:{self.port}"
        self._log_file = data_dir.parent / f"{data_dir.name}-server-{self.port}.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, **env: str) -> Server:
        """Start it, with more variables if given, and wait until it answers (also when it says "unavailable")."""
        self._env.update(env)
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("FFE_")}
        told = children.variables(self.data_dir)
        command = [sys.executable, "-m", "streamlit", "run", self._script, "--server.port", str(self.port)]
        with self._log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [*command, *self._arguments],
                cwd=self._cwd,
                env={**inherited, **told, "FFE_DATA_DIR": str(self.data_dir), **self._env},
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        poll(self._answers, f"the server to answer; it said: {self.log[-2000:]}", 120)
        return self

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"the server ended with {self._process.returncode}: {self.log[-4000:]}"
        try:
            with urlopen(f"{self.base}/_stcore/health", timeout=10):
                return True
        except (URLError, ConnectionError, TimeoutError):
            return False

    def health(self) -> dict[str, Any]:
        """What /healthz says, whatever its status code."""
        try:
            with urlopen(f"{self.base}/healthz", timeout=10) as answer:
                return dict(json.load(answer))
        except HTTPError as error:
            return dict(json.load(error))

    @property
    def pid(self) -> int:
        """The process id of the running server."""
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> str:
        """Everything it wrote to stdout and stderr, over all its starts."""
        return self._log_file.read_text(encoding="utf-8", errors="replace") if self._log_file.exists() else ""

    @property
    def tracebacks(self) -> str:
        """The log from its first traceback on; empty if there is none."""
        _, found, rest = self.log.partition("Traceback (most recent call last)")
        return found + rest[:4000]

    def stop(self) -> int:
        """SIGTERM, as an orderly end of the machine does it; returns the exit code."""
        return self._end(signal.SIGTERM)

    def kill(self) -> int:
        """SIGKILL: nothing is written, nothing is given back."""
        return self._end(signal.SIGKILL)

    def restart(self, **env: str) -> Server:
        """Start it again on the same port and data directory, after `stop` or `kill`."""
        return self.start(**env)

    def _end(self, how: signal.Signals) -> int:
        process, self._process = self._process, None
        if process is None:
            return 0
        process.send_signal(how)
        try:
            return process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


# --- The visitor


def chromium_path() -> str | None:
    """Where Chromium is: FFE_CHROMIUM, or the one on the path; None if there is none."""
    return os.environ.get("FFE_CHROMIUM") or shutil.which("chromium")


@contextmanager
def chromium(path: str) -> Iterator[Browser]:
    """A running Chromium without a window."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=_CHROMIUM_ARGS)
        try:
            yield browser
        finally:
            browser.close()


def settled(page: Page, timeout: float = 30.0, quiet: float = _QUIET_MS) -> None:
    """Wait until the page has drawn everything that what was just done to it asks for."""
    page.wait_for_timeout(quiet)
    page.wait_for_selector(_CONNECTED, timeout=timeout * 1000)
    page.wait_for_function("what => !document.querySelector(what)", arg=_UNSETTLED, timeout=timeout * 1000, polling=50)


class Visitor:
    """A person with a fresh browser profile at one server; `faults` are what no page may do.

    Faults: an error on the browser's console, and a request to anything but the server.
    """

    def __init__(self, browser: Browser, base: str, scheme: Any = "light") -> None:
        self.base = base
        self.faults: list[str] = []
        self.clicks = 0
        self.server_may_vanish = False
        """Set while the server is stopped on purpose: the browser says that it lost it."""
        self._context: BrowserContext = browser.new_context(viewport=REFERENCE, color_scheme=scheme)  # type: ignore[arg-type]
        self.page = self._context.new_page()
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self.faults.append(f"page error: {error}"))
        self.page.on("request", self._asked)

    def _said(self, message: ConsoleMessage) -> None:
        # On a deep link the frontend first looks for its server below the page's own path.
        where = message.location.get("url", "")
        seeking = "/_stcore/" in where and "404" in message.text
        if message.type == "error" and not self.server_may_vanish and not seeking:
            self.faults.append(f"console error: {message.text} ({where})")

    def _asked(self, request: Request) -> None:
        host = self.base.partition("://")[2]
        own = (f"http://{host}", f"ws://{host}", *_OWN_SCHEMES)
        if not request.url.startswith(own):
            self.faults.append(f"request to another server: {request.url}")

    def open(self, path: str = "/") -> Visitor:
        """Go to a path of the server, and wait for the page."""
        self.page.goto(self.base + path)
        settled(self.page)
        return self

    def at(self, key: str) -> Locator:
        """The widget with this key."""
        return self.page.locator(f".st-key-{key}")

    def click(self, target: str | Locator) -> None:
        """Click a button by its key, or any locator; counted, and waited for."""
        found = self.at(target).get_by_role("button").first if isinstance(target, str) else target
        found.click()
        self.clicks += 1
        settled(self.page)

    def follow(self, label: str) -> None:
        """Click a link by its text; counted, and waited for."""
        self.click(self.page.get_by_role("link", name=label).first)

    def text(self) -> str:
        """What is written on the page, without the navigation."""
        return self.page.get_by_test_id("stMain").inner_text()

    def sees(self, words: str, timeout: float = 30.0) -> None:
        """Wait until the page says these words, in any case (a theme may draw them in capitals)."""
        poll(lambda: words.lower() in self.text().lower(), f"'{words}' on {self.page.url}", timeout)

    def sees_dialog(self, words: str) -> None:
        """Wait for a dialog that says these words."""
        self.page.get_by_role("dialog").get_by_text(words).first.wait_for()

    def close(self) -> None:
        """Close the browser profile, as closing the tab does."""
        self._context.close()
