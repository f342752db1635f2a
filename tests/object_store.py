"""A real S3 server for tests: moto's, in a process of its own, gone with them; and a proxy with faults of its own.

Each test has a bucket's prefix of its own. What a store is asked for is counted at the proxy.
"""

from __future__ import annotations

import ctypes
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import uuid4

from ffe_core.locations import lake_address, local_folder
from ffe_core.settings import Settings
from ffe_core.storage.dead_letters.stored import StoredFiles
from ffe_core.storage.objects import objects_of

BUCKET = "candles"
SECRET = "Zk4-plain-word"
"""Of the tests' own store, which keeps nothing and asks nobody for it."""
_WAIT = 60.0
_OF_CLOUDS = ("AWS_", "AZURE_", "GOOGLE_")


class Store:
    """One server with one bucket; `options` as delta-rs takes them."""

    def __init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as bound:
            self.port = int(bound.getsockname()[1])
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, empty but for its bucket, and wait until it answers."""
        # -P: else names of folders here would stand before those of libraries.
        command = [sys.executable, "-P", str(Path(__file__).with_name("object_store_server.py")), str(self.port)]
        self._process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=_end_with_parent
        )
        until = time.monotonic() + _WAIT
        while not self._has_bucket():
            assert self._process.poll() is None, "the server has ended"
            assert time.monotonic() < until, "the server does not answer"
            time.sleep(0.05)

    def stop(self) -> None:
        """End it at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(_WAIT)
            self._process = None

    def address(self) -> str:
        """The address of a new lake."""
        return f"s3://{BUCKET}/{uuid4().hex[:16]}"

    def copied(self, address: str, to: str) -> str:
        """`to`, with every object of another lake."""
        told = {"bucket": BUCKET, "from": address, "to": to}
        for name in ("from", "to"):
            told[name] = told[name].removeprefix(f"s3://{BUCKET}/")
        with urllib.request.urlopen(urllib.request.Request(f"{self.url}/_copied", json.dumps(told).encode())):
            return to

    def settings(self, url: str | None = None) -> dict[str, Any]:
        """The section `store` of settings by which it is reached, at its own address or a proxy's."""
        return {
            "endpoint_url": url or self.url,
            "region": "us-east-1",
            "access_key_id": "tests",
            "secret_access_key": SECRET,
            "allow_http": True,
        }

    def variables(self, url: str | None = None) -> dict[str, str]:
        """The same as variables of the environment."""
        return {f"FFE_STORE__{name.upper()}": str(value).lower() if value is True else value
                for name, value in self.settings(url).items()}  # fmt: skip

    def own_variables(self) -> dict[str, str]:
        """The same as the variables of S3's own libraries."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "tests",
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_ALLOW_HTTP": "true",
        }

    def _has_bucket(self) -> bool:
        request = urllib.request.Request(f"{self.url}/{BUCKET}", method="PUT")
        try:
            with urllib.request.urlopen(request, timeout=5):
                return True
        except urllib.error.HTTPError as error:
            error.close()
            return False
        except OSError:
            return False


class Proxy:
    """Between a client and the store: counts what is asked, drops a header, answers no more, or loses an answer."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.asked: list[tuple[str, str]] = []
        """Method and path of each request."""
        self.drops: tuple[str, ...] = ()
        """Headers that do not get through."""
        self.is_gone = False
        self.loses: str | None = None
        """The next request with this in its path is done, and its answer lost."""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if proxy.is_gone:
                    self.close_connection = True
                    return
                proxy.asked.append((self.command, self.path))
                status, headers, content = proxy._passed_on(self.command, self.path, dict(self.headers), body)
                if proxy.loses is not None and self.command == "PUT" and proxy.loses in self.path:
                    proxy.loses = None
                    self.close_connection = True
                    return
                self.send_response(status)
                for name, value in headers:
                    if name.lower() not in ("transfer-encoding", "connection", "content-length", "date", "server"):
                        self.send_header(name, value)
                length = next((value for name, value in headers if name.lower() == "content-length"), len(content))
                self.send_header("Content-Length", str(length if self.command == "HEAD" else len(content)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(content)

            do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = handle_any

            def log_message(self, *_: object) -> None:
                pass

        return Handler

    def _passed_on(
        self, method: str, path: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        kept = {name: value for name, value in headers.items() if name.lower() not in self.drops}
        connection = http.client.HTTPConnection("127.0.0.1", self._store.port, timeout=30)
        try:
            connection.request(method, path, body, kept)
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            connection.close()


@contextmanager
def running() -> Iterator[Store]:
    """A server for the time of a block, and no credentials of whoever runs the tests."""
    store = None
    try:
        store = Store()
        yield store
    finally:
        if store is not None:
            store.stop()


@contextmanager
def proxied(store: Store) -> Iterator[Proxy]:
    """A proxy for the time of a block."""
    proxy = Proxy(store)
    try:
        yield proxy
    finally:
        proxy.close()


def names_of_clouds() -> list[str]:
    """Variables of the environment by which a store's own library finds credentials."""
    return [name for name in os.environ if name.startswith(_OF_CLOUDS)]


class Lakes:
    """Addresses in the place of folders, one a folder: what opens a lake there opens it in the store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._addresses: dict[Path, str] = {}

    @property
    def number(self) -> int:
        """How many there are."""
        return len(self._addresses)

    def lake_address(self, place: str | Path, name: str = "lake_uri") -> str:
        """In the place of `locations.lake_address`: a folder's address; those of a store as ever."""
        address = lake_address(place, name)
        folder = local_folder(address)
        return address if folder is None else self._addresses.setdefault(folder, self._store.address())

    def copied(self, address: str) -> str:
        """The address of a new lake that is like another."""
        return self._store.copied(address, self._store.address())

    def laid(self, folder: Path, address: str) -> str:
        """The address of a lake in the place of a folder, which is from then on like another."""
        return self._store.copied(address, self.lake_address(folder))

    def dead_letters(self, folder: Path) -> StoredFiles:
        """In the place of `LocalFiles`: those beside the lake of the data directory that the folder is of."""
        address = self.lake_address(folder.parent / "lake")
        return StoredFiles(objects_of(address, Settings.load().store.options(address)), folder)


def _end_with_parent() -> None:
    """Have the kernel end the server at once when the tests are killed (PR_SET_PDEATHSIG)."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
