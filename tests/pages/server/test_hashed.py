"""Are Streamlit's own files answered at once, whole and as Streamlit would, and is everything else passed on?"""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from streamlit.file_util import get_static_dir
from streamlit.web.server.starlette.starlette_static_routes import create_streamlit_static_assets_routes

from pages.server.hashed import Hashed

_ROOT = Path(get_static_dir()) / "static"
_ALL = [file.relative_to(_ROOT.parent).as_posix() for file in sorted(_ROOT.rglob("*")) if file.is_file()]


async def _passed_on(request: Request) -> Response:
    return PlainTextResponse("passed on")


_APP = Starlette(routes=[Route("/{name:path}", _passed_on, methods=["GET", "POST"])], middleware=[Middleware(Hashed)])


async def _got(path: str, app: Starlette = _APP, method: str = "GET", **headers: str) -> httpx.Response:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://console") as client:
        return await client.request(method, path, headers=headers)


async def test_every_file_is_answered_whole() -> None:
    assert len(_ALL) > 300
    for name in _ALL:
        assert (await _got(f"/{name}")).content == (_ROOT.parent / name).read_bytes(), name


async def test_a_browser_is_told_of_it_what_streamlit_tells() -> None:
    own = Starlette(routes=create_streamlit_static_assets_routes(None))
    of_a_file = {"etag", "last-modified", "accept-ranges"}  # for questions about parts and changes, and none changes
    for ending in (".js", ".css", ".woff2"):
        name = next(one for one in _ALL if one.endswith(ending))
        told, expected = await _got(f"/{name}"), await _got(f"/{name}", own)
        assert dict(told.headers) == {key: text for key, text in expected.headers.items() if key not in of_a_file}


async def test_it_is_found_below_a_path_that_the_console_is_served_at() -> None:
    assert (await _got(f"/lake/console/{_ALL[0]}")).content == (_ROOT.parent / _ALL[0]).read_bytes()


@pytest.mark.parametrize(
    "path", ["/", "/candles", "/static/js", "/static/js/", "/static/js/none.js", "/static/js/../../index.html", "/js/"]
)
async def test_everything_else_is_passed_on(path: str) -> None:
    assert (await _got(path)).text == "passed on"


async def test_other_questions_about_a_file_are_passed_on() -> None:
    assert (await _got(f"/{_ALL[0]}", range="bytes=0-9")).text == "passed on"
    assert (await _got(f"/{_ALL[0]}", method="POST")).text == "passed on"
