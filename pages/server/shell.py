"""Shell: what stands in the head of every page before Streamlit draws anything.

Streamlit's own page learns where its server is, so that a deep link does not first look for it below the page; begins
to load what the page is going to need while it waits for it; runs the console's own scripts, which a visitor may use
before there is a page; and brings the console's style, which no drawing of a page then has to bring again.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Mapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pages.server.ahead import ahead

Addresses = Callable[[], list[str]]
_FIRST, _LAST, _END = b"<script", b"</head>", b"</body>"
"""Before these stand the console's scripts, which run first; what is loaded ahead, which comes last; and the style, as
Streamlit writes its own into the head."""
_OWN = "<script>window.__streamlit = { BACKEND_BASE_URL: new URL('.', location.href).href }</script>"
_OF_A_FILE = ("etag", "last-modified", "accept-ranges", "content-encoding")
"""Headers of the file as it is without the lines."""
_KEPT = (b"if-none-match", b"if-modified-since")


class Shell:
    """ASGI middleware: puts its own lines into the head of every page that is answered.

    `scripts` gives the addresses of scripts to run on every page, `own` those to load for a page beside Streamlit's, by
    its address such as "candles"; all relative to the console's own. `style` is the text of a style sheet.
    """

    def __init__(self, app: ASGIApp, scripts: Addresses, own: Mapping[str, Addresses], style: str) -> None:
        self._app, self._scripts, self._own, self._style = app, scripts, own, style

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on all but the page itself as it is."""
        if scope["type"] != "http" or scope["method"] != "GET":
            await self._app(scope, receive, send)
            return
        page = scope["path"].rpartition("/")[2]
        await self._app(_whole(scope), receive, _Answer(send, lambda body: self._filled(body, page)))

    def _filled(self, body: bytes, page: str) -> bytes:
        scripts = "".join(f'<script type="module" src="./{one}"></script>' for one in self._scripts())
        own = self._own[page]() if page in self._own else []
        early = "".join(f'<link rel="modulepreload" href="./{one}">' for one in (*own, *ahead(page)))
        body = body.replace(_FIRST, f"{_OWN}{scripts}".encode() + _FIRST, 1)
        body = body.replace(_LAST, early.encode() + _LAST, 1)
        return body.replace(_END, f"<style>{self._style}</style>".encode() + _END, 1)


def _whole(scope: Scope) -> Scope:
    """The question without what a browser has kept of a page, which another release may have answered."""
    if "text/html" not in Headers(scope=scope).get("accept", ""):
        return scope
    return {**scope, "headers": [one for one in scope["headers"] if one[0] not in _KEPT]}


class _Answer:
    """Sends an answer, a page after it was `filled`."""

    def __init__(self, send: Send, filled: Callable[[bytes], bytes]) -> None:
        self._send, self._filled = send, filled
        self._start: Message | None = None
        self._body = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start" and _is_page(message):
            self._start = message
        elif self._start is None:
            await self._send(message)
        else:
            self._body += message.get("body", b"")
            if not message.get("more_body"):
                await self._send_page(self._start)

    async def _send_page(self, start: Message) -> None:
        headers = MutableHeaders(scope=start)
        is_packed = headers.get("content-encoding") == "gzip"
        body = self._filled(gzip.decompress(self._body) if is_packed else self._body)
        for name in _OF_A_FILE:
            del headers[name]
        headers["content-length"] = str(len(body))
        await self._send(start)
        await self._send({"type": "http.response.body", "body": body})


def _is_page(start: Message) -> bool:
    headers = Headers(raw=start["headers"])
    return start["status"] == 200 and headers.get("content-type", "").startswith("text/html")
