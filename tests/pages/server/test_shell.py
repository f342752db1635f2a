"""Does every page come with the console's own lines in its head, whatever the browser asks, and nothing else?"""

from __future__ import annotations

import gzip
import re
from collections.abc import Mapping

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from pages.candles.routes import loaded_ahead
from pages.server import chunks
from pages.server.ahead import OF_ALL, PARTS
from pages.server.shell import Shell
from pages.widgets.assets import Script, script_route
from pages.widgets.contents import LISTED
from pages.widgets.scripts import SCRIPT_ROUTES, addresses
from pages.widgets.sidebar import STYLE

_PAGE = chunks.index()
_BROWSER = {"accept": "text/html,*/*;q=0.8", "accept-encoding": "gzip"}


async def _answer(request: Request) -> Response:
    """The page, kept by its tag, as Streamlit answers."""
    if request.headers.get("if-none-match") == "the file":
        return Response(status_code=304)
    if request.url.path.endswith(".txt"):
        return PlainTextResponse("<script></head>")
    status = 404 if request.url.path == "/gone" else 200
    return HTMLResponse(_PAGE, status, {"etag": "the file", "last-modified": "long ago", "cache-control": "no-cache"})


_APP = Starlette(
    routes=[*SCRIPT_ROUTES, Route("/{name:path}", _answer, methods=["GET", "POST"])],
    middleware=[
        Middleware(Shell, scripts=addresses, own={"candles": loaded_ahead}, style=STYLE),
        Middleware(GZipMiddleware),
    ],
)


async def _got(path: str, headers: Mapping[str, str] = _BROWSER, method: str = "GET") -> httpx.Response:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(_APP), base_url="http://console") as client:
        return await client.request(method, path, headers=dict(headers))


async def test_the_page_knows_its_server_runs_the_consoles_scripts_and_loads_ahead() -> None:
    text = (await _got("/candles?pair=BTCUSD")).text
    server, palette, streamlit = (text.index(words) for words in ("BACKEND_BASE_URL", "shell/palette-", "js/index."))
    assert server < streamlit
    assert palette < streamlit  # modules run in this order
    loaded = re.findall(r'<link rel="modulepreload" href="\./([^"]+)">', text)
    assert any(re.fullmatch(r"chart/chart-\w+\.js", one) for one in loaded)
    assert any("/BidiComponent." in one for one in loaded)
    assert "/BidiComponent." not in (await _got("/runs")).text
    assert len(loaded) == len(set(loaded))
    assert "chart/chart-" not in (await _got("/runs")).text


async def test_the_page_has_the_consoles_style_after_what_streamlit_writes_into_the_head() -> None:
    text = (await _got("/runs")).text
    assert text.index("</head>") < text.index(f"<style>{STYLE}</style>") < text.index("</body>")


async def test_a_kept_page_of_another_release_is_not_shown_again() -> None:
    answer = await _got("/", {**_BROWSER, "if-none-match": "the file"})
    assert answer.status_code == 200
    assert "BACKEND_BASE_URL" in answer.text
    assert not {"etag", "last-modified", "content-encoding"} & set(answer.headers)
    assert int(answer.headers["content-length"]) == len(answer.content)


@pytest.mark.parametrize(("path", "method"), [("/a.txt", "GET"), ("/gone", "GET"), ("/", "POST")])
async def test_what_is_no_page_stays_as_it_is(path: str, method: str) -> None:
    assert "BACKEND_BASE_URL" not in (await _got(path, method=method)).text


async def test_the_scripts_are_where_the_page_looks_for_them() -> None:
    for address in addresses():
        answer = await _got(f"/{address}")
        assert answer.headers["content-type"].startswith("text/javascript")
        assert "immutable" in answer.headers["cache-control"]
        assert answer.text
        assert "STYLE`" not in answer.text


async def test_a_script_has_another_name_when_it_is_another_and_none_other_is_answered() -> None:
    first, second = Script.of("a", b"1"), Script.of("a", b"2")
    assert first.name != second.name
    assert gzip.decompress(first.packed) == first.body
    app = Starlette(routes=[script_route("own", lambda: [first])])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://console") as client:
        assert (await client.get(f"/own/{first.name}")).content == b"1"
        assert (await client.get(f"/own/{second.name}")).status_code == 404


def test_what_a_part_of_a_page_needs_is_found_whole_and_without_what_every_page_has() -> None:
    found = chunks.needed(["DataFrame"])
    assert next(name.partition(".")[0] for name in found) == "DataFrame"
    assert "arrowFormatUtils" in {name.partition(".")[0] for name in found}
    assert not [name for name in found if name in chunks.index()]
    assert len(found) == len(set(found))


def test_a_part_that_streamlit_does_not_know_needs_nothing() -> None:
    assert chunks.needed(["NoSuchPart"]) == []


def test_streamlit_has_the_parts_that_are_loaded_ahead() -> None:
    """A new release of Streamlit may call them otherwise; then nothing is loaded ahead, and pages are slower."""
    for part in {*OF_ALL, *(part for parts in PARTS.values() for part in parts)}:
        assert chunks.needed([part]), part


def test_what_is_loaded_ahead_is_of_pages_that_there_are() -> None:
    assert PARTS.keys() <= {"", "run", *(one.address for one in LISTED)}
