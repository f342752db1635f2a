"""Is every route of the real server answered only under its own names, to its own pages, bounded, and never framed?"""

from __future__ import annotations

import asyncio
import re
import resource
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from ffe_core.cli import main
from pages.server import guard
from pages.server.addresses import Addresses
from pages.server.guard import LARGEST_BODY, LARGEST_UPLOAD, LONGEST_ADDRESS, Guard
from tests.browser.driver import Server

EXPORT = "/export?series=BTCUSD/1h/simulated&start=0&end=2000000000&format=csv"
BARS = "/bars?series=BTCUSD/1h/simulated&start=0&end=2000000000"
STATIC = "/static/"
STREAM = "/_stcore/stream"
UPLOAD = "/_stcore/upload_file/session/file"
OTHER = "other.example"
ROUTES = [
    *("/", "/candles?pair=BTCUSD", "/nowhere", "/healthz", EXPORT, "/export", BARS, STATIC, STREAM, "/favicon.png"),
    *("/_stcore/health", "/_stcore/host-config", "/_stcore/metrics", "/_stcore/agent/interact", "/media/x.png"),
    *("/component/x/y.html", "/auth/login", "/oauth2callback", "/_stcore/upload_file/a/b", "/app/static/x"),
    *("/bars", "/bars/ticks?series=BTCUSD/1h/simulated", "/chart/chart.js", "/shell/palette.js"),
]
WANTED = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


def asked(server: Server, path: str, host: str | None = None, method: str = "GET", *lines: str, body: bytes = b""):
    """Status, headers and body of a request sent line by line; `host` is the server's own unless another is given."""
    own = f"127.0.0.1:{server.port}"
    head = [f"{method} {path} HTTP/1.1", f"Host: {own if host is None else host}", "Connection: close", *lines]
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall("\r\n".join([*head, "", ""]).encode() + body)
        answer = b""
        while not (answer and upgraded(answer)) and (part := _received(connection)):
            answer += part
    first, _, rest = answer.partition(b"\r\n")
    headers, _, content = rest.partition(b"\r\n\r\n")
    pairs = (line.split(": ", 1) for line in headers.decode("latin-1").splitlines() if ": " in line)
    return int(first.split()[1]), {name.lower(): value for name, value in pairs}, content.decode(errors="replace")


def _received(connection: socket.socket) -> bytes:
    try:
        return connection.recv(65_536)
    except ConnectionError:
        return b""


def upgraded(answer: bytes) -> bool:
    return answer.startswith(b"HTTP/1.1 101") and b"\r\n\r\n" in answer


def streaming(server: Server, host: str | None = None, *lines: str):
    """The answer to the opening of a websocket."""
    wanted = ("Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: MDEyMzQ1Njc4OTAxMjM0NQ==")
    head = [f"GET {STREAM} HTTP/1.1", f"Host: {host or f'127.0.0.1:{server.port}'}", "Connection: Upgrade"]
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall("\r\n".join([*head, *wanted, *lines, "", ""]).encode())
        answer = _received(connection)
    return int(answer.split(b" ", 2)[1]), answer.decode("latin-1").lower()


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("guard") / "data"
    backfill = "backfill --provider simulated --pairs BTCUSD --timeframes 1h --start 2024-01-01 --end 2024-01-02"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FFE_DATA_DIR", str(folder))
        assert main(backfill.split()) == 0
    return folder


@pytest.fixture(scope="module")
def server(filled: Path) -> Iterator[Server]:
    """The console as it is delivered."""
    with few_descriptors():
        running = Server(filled).start()
    yield running
    running.stop()
    assert not running.tracebacks


@contextmanager
def few_descriptors() -> Iterator[None]:
    """As a login shell has it: what is started here may open 1,024 files at first."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The console behind https://candles.example, framed by a portal."""
    env = {
        "FFE_CONSOLE__ORIGINS": '["https://candles.example"]',
        "FFE_CONSOLE__FRAME_ANCESTORS": '["https://portal.example"]',
    }
    running = Server(tmp_path_factory.mktemp("proxied") / "data", env).start()
    yield running
    running.stop()
    assert not running.tracebacks


@pytest.mark.parametrize("path", ROUTES)
def test_no_route_answers_under_another_name(server: Server, path: str) -> None:
    for host in (OTHER, f"{OTHER}:{server.port}", f"127.0.0.1.{OTHER}:{server.port}", "127.0.0.2", ""):
        status, headers, text = asked(server, path, host)
        assert (status, "server.allowedHosts" in text) == (421, True), host
        assert "--allowed-host" in text, host
        assert WANTED.items() <= headers.items()
    assert asked(server, path)[0] not in (421, 403)


def test_a_forwarded_name_is_not_the_name(server: Server) -> None:
    own = f"127.0.0.1:{server.port}"
    for header in ("X-Forwarded-Host", "X-Host", "X-Original-Host"):
        assert asked(server, EXPORT, OTHER, "GET", f"{header}: {own}")[0] == 421
    assert asked(server, EXPORT, OTHER, "GET", f"Forwarded: host={own}")[0] == 421
    assert asked(server, EXPORT, own, "GET", f"X-Forwarded-Host: {OTHER}")[0] == 200
    assert asked(server, f"http://{own}/healthz", OTHER)[0] == 421


def guarded(*routes: Route) -> Starlette:
    """The guard alone before some routes."""
    return Starlette(routes=routes, middleware=[Middleware(Guard, read=lambda: (Addresses(), ()))])


def test_two_names_are_no_name(server: Server) -> None:
    assert asked(server, "/healthz", None, "GET", f"Host: {OTHER}")[0] in (400, 421)

    async def get() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(guarded())) as client:
            return await client.get("http://localhost/", headers=[("Host", "localhost"), ("Host", OTHER)])

    assert asyncio.run(get()).status_code == 421, "a server that lets both through"


@pytest.mark.parametrize("path", ROUTES)
def test_no_route_answers_another_sites_page(server: Server, path: str) -> None:
    port = server.port
    for origin in (f"http://{OTHER}", "null", f"http://127.0.0.1:{port + 1}", f"http://localhost:{port}", "x"):
        status, headers, _ = asked(server, path, None, "GET", f"Origin: {origin}")
        assert status == 403, origin
        assert WANTED.items() <= headers.items()
    assert asked(server, path, None, "GET", f"Origin: http://127.0.0.1:{port}")[0] != 403


@pytest.mark.parametrize("path", ["/", EXPORT, STATIC])
def test_a_link_may_be_followed_but_nothing_of_the_console_is_embedded(server: Server, path: str) -> None:
    def fetched(site: str, mode: str, dest: str) -> int:
        lines = (f"Sec-Fetch-Site: {site}", f"Sec-Fetch-Mode: {mode}", f"Sec-Fetch-Dest: {dest}")
        return asked(server, path, None, "GET", *lines)[0]

    for site in ("cross-site", "same-site"):
        for mode, dest in (("no-cors", "image"), ("no-cors", "script"), ("navigate", "iframe"), ("navigate", "object")):
            assert fetched(site, mode, dest) == 403
        assert fetched(site, "navigate", "document") != 403
    assert fetched("same-origin", "no-cors", "image") != 403
    assert fetched("none", "navigate", "document") != 403


def test_the_websocket_opens_for_the_consoles_own_pages_only(server: Server) -> None:
    port = server.port
    assert streaming(server, None, f"Origin: http://127.0.0.1:{port}")[0] == 101
    assert streaming(server, f"localhost:{port}", f"Origin: http://localhost:{port}")[0] == 101
    for origin in (f"http://{OTHER}", "null", f"http://127.0.0.1:{port + 1}", "http://127.0.0.1", "http://localhost"):
        status, answer = streaming(server, None, f"Origin: {origin}")
        assert (status, "x-frame-options: deny" in answer) == (403, True), origin
    assert streaming(server, OTHER, f"Origin: http://{OTHER}")[0] == 421


def test_every_answer_bears_the_headers_whatever_it_is(server: Server) -> None:
    script = re.search(r'src="\.?(/static/js/[^"]+)"', asked(server, "/")[2])
    assert script
    answers = {
        200: asked(server, EXPORT),
        400: asked(server, "/export"),
        404: asked(server, "/media/x.png"),
        405: asked(server, "/healthz", None, "DELETE"),
        206: asked(server, EXPORT, None, "GET", "Range: bytes=0-9"),
    }
    for status, (seen, headers, _) in answers.items():
        assert seen == status
        assert WANTED.items() <= headers.items(), status
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert "img-src 'self' data: blob:;" in headers["content-security-policy"]
    assert WANTED.items() <= asked(server, script.group(1))[1].items()


def test_a_failure_inside_bears_the_headers_and_tells_nothing() -> None:
    async def fails(_: Request) -> PlainTextResponse:
        raise RuntimeError("s3cret")

    app = guarded(Route("/", fails))

    async def get() -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.get("/")

    answer = asyncio.run(get())
    assert answer.status_code == 500
    assert WANTED.items() <= answer.headers.items()
    assert "s3cret" not in answer.text


@pytest.mark.parametrize("path", ["/", "/export", "/healthz", "/_stcore/agent/interact"])
def test_a_body_is_bounded(server: Server, path: str) -> None:
    too_long = f"Content-Length: {LARGEST_BODY + 1}"
    assert asked(server, path, None, "POST", too_long)[0] == 413


def test_a_body_that_does_not_say_its_length_is_counted() -> None:
    async def reads(request: Request) -> PlainTextResponse:
        return PlainTextResponse(str(len(await request.body())))

    app = guarded(Route("/", reads, methods=["POST"]))

    async def post(pieces: int) -> httpx.Response:
        async def body():
            for _ in range(pieces):
                yield b"x" * 100_000

        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
            return await client.post("/", content=body())

    assert asyncio.run(post(10)).status_code == 200
    assert asyncio.run(post(11)).status_code == 413


def test_an_address_is_bounded(server: Server) -> None:
    assert asked(server, f"{EXPORT}&series={'x' * LONGEST_ADDRESS}")[0] == 414


def test_an_upload_comes_from_an_open_page_of_the_console_alone(server: Server) -> None:
    assert asked(server, UPLOAD, None, "PUT")[0] == 403  # without the token of a page
    assert asked(server, UPLOAD, None, "POST")[0] == 405
    assert asked(server, UPLOAD, None, "PUT", "Origin: https://other.example")[0] == 403
    cookie = ("Cookie: _streamlit_xsrf=x", "X-Xsrftoken: x")
    assert asked(server, UPLOAD, None, "PUT", *cookie)[0] == 403  # one that was made up


def test_only_an_upload_may_be_large_and_it_is_bounded(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for path, most in (("/_stcore/upload_file", LARGEST_BODY), ("/export", LARGEST_BODY), (UPLOAD, LARGEST_UPLOAD)):
        status, _, text = asked(server, path, None, "PUT", f"Content-Length: {most + 1}")
        assert (status, text[:23]) == (413, "The body is larger than")
        assert f"{most:,}" in text
    monkeypatch.setattr(guard, "held_bytes", lambda: guard.MOST_HELD)
    app = guarded(Route(UPLOAD, lambda _: PlainTextResponse("kept"), methods=["PUT"]))

    async def put() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
            return await client.put(UPLOAD, content=b"x")

    answer = asyncio.run(put())
    assert (answer.status_code, answer.text[:23]) == (413, "Too much is being uploa")


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_server_may_open_as_many_files_as_the_machine_allows(server: Server) -> None:
    limits = Path(f"/proc/{server.pid}/limits").read_text()
    soft, hard = re.search(r"Max open files +(\d+|unlimited) +(\d+|unlimited)", limits).groups()  # type: ignore[union-attr]
    assert int(soft) >= min(65_536, int(hard) if hard != "unlimited" else 65_536)


def test_behind_a_proxy_the_named_origin_is_exact(proxied: Server) -> None:
    assert asked(proxied, "/healthz", "candles.example")[0] == 200
    assert asked(proxied, "/healthz", OTHER)[0] == 421
    assert streaming(proxied, "candles.example", "Origin: https://candles.example")[0] == 101
    assert streaming(proxied, None, "Origin: https://candles.example")[0] == 101
    assert streaming(proxied, None, f"Origin: http://127.0.0.1:{proxied.port}")[0] == 101
    for origin in ("http://candles.example", "https://candles.example:8443", f"https://{OTHER}"):
        assert streaming(proxied, "candles.example", f"Origin: {origin}")[0] == 403


def test_a_page_may_be_framed_by_whom_the_setting_names(proxied: Server) -> None:
    lines = ("Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: iframe")
    status, headers, _ = asked(proxied, "/", None, "GET", *lines)
    assert status == 200
    assert "frame-ancestors https://portal.example" in headers["content-security-policy"]
    assert "x-frame-options" not in headers
