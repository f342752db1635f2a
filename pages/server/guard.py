"""One guard before every route, Streamlit's own, the static files and the websocket included.

Without a log-in, whatever reaches the console may read the lake. What keeps other sites out: a browser says which
name it asked for (Host), whose page asked (Origin, Sec-Fetch-Site) and that it obeys the headers of the answer.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cached_property

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ffe_core.operations.imports.uploads import MOST_MB
from pages.server.addresses import Addresses
from pages.server.uploads import MOST_HELD, held_bytes

LONGEST_ADDRESS = 16_384
"""Bytes of a path with its query."""
LARGEST_BODY = 1_000_000
"""Bytes; no route of the console takes more than a few hundred, but for uploads."""
LARGEST_UPLOAD = MOST_MB * 2**20 + 10_000
"""Bytes of a file with what a form puts around it. Streamlit takes it from an open page of the console alone."""
_UPLOAD = re.compile(r"(?:/[\w.~-]+)*/_stcore/upload_file/[\w-]+/[\w-]+", re.ASCII)
_EMBEDDED = ("iframe", "frame", "embed", "object", "fencedframe")


class Refused(Exception):
    """A request that goes no further: its status and the sentence that says why."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class Guard:
    """ASGI middleware: refuses what is not the console's own, and puts the security headers on every answer.

    `read` gives the addresses and whose pages may frame the console, once, at the first request.
    """

    def __init__(self, app: ASGIApp, read: Callable[[], tuple[Addresses, tuple[str, ...]]]) -> None:
        self._app, self._read = app, read

    @cached_property
    def _known(self) -> tuple[Addresses, tuple[str, ...]]:
        return self._read()

    @cached_property
    def _headers(self) -> dict[str, str]:
        return security_headers(self._known[1])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer it with 400, 403, 404, 413, 414 or 421 and a sentence."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        answer = _Answer(send, self._headers)
        try:
            self._check(scope)
            counted = _bounded(receive, _largest_body(scope)) if scope["type"] == "http" else receive
            await self._app(scope, counted, answer)
        except Refused as refused:
            await answer.end(scope, receive, str(refused), refused.status)
        except Exception:
            await answer.end(scope, receive, "The server failed; its log says why.", 500)
            raise

    def _check(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        self._check_host(headers)
        self._check_origin(headers, "GET" if scope["type"] == "websocket" else scope["method"])
        if len(scope.get("raw_path") or scope["path"]) + len(scope["query_string"]) > LONGEST_ADDRESS:
            raise Refused(414, f"The address is longer than {LONGEST_ADDRESS:,} bytes; ask for less at once.")
        most = _largest_body(scope)
        length = headers.get("content-length", "0")
        if not (length.isascii() and length.isdigit() and len(length) < 10 and int(length) <= most):
            raise _too_large(most)
        if most > LARGEST_BODY and held_bytes() + int(length) > MOST_HELD:
            raise Refused(413, "Too much is being uploaded at once; try again when the others have ended.")

    def _check_host(self, headers: Headers) -> None:
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self._known[0].answers_to(hosts[0]):
            raise Refused(
                421,
                "The console does not answer under this name. If it is the console's, start it with `ffe console"
                " --allowed-host NAME`, or add the name to server.allowedHosts in .streamlit/config.toml, or the whole"
                " origin to FFE_CONSOLE__ORIGINS.",
            )

    def _check_origin(self, headers: Headers, method: str) -> None:
        origins = headers.getlist("origin")
        is_foreign = len(origins) > 1 or any(not self._known[0].is_own(one, headers["host"]) for one in origins)
        if is_foreign or (not origins and self._is_asked_by_another_site(headers, method)):
            raise Refused(
                403,
                "The console is not used from other sites' pages. If this is the console's own address, add its origin"
                " to FFE_CONSOLE__ORIGINS.",
            )

    def _is_asked_by_another_site(self, headers: Headers, method: str) -> bool:
        """A link to the console may be followed; an image, a script or a frame of another site's page may not ask."""
        if headers.get("sec-fetch-site") not in ("cross-site", "same-site"):
            return False
        is_followed = headers.get("sec-fetch-mode") == "navigate" and method in ("GET", "HEAD")
        is_framed = headers.get("sec-fetch-dest") in _EMBEDDED
        return not is_followed or (is_framed and not self._known[1])


class _Answer:
    """Sends an answer with the security headers on it."""

    def __init__(self, send: Send, headers: dict[str, str]) -> None:
        self._send, self._headers = send, headers
        self._began = False

    async def __call__(self, message: Message) -> None:
        if message["type"] in ("http.response.start", "websocket.http.response.start"):
            headers = MutableHeaders(scope=message)
            for name, value in self._headers.items():
                headers[name] = value
        self._began = True
        await self._send(message)

    async def end(self, scope: Scope, receive: Receive, text: str, status: int) -> None:
        """Answer with a sentence, unless an answer has begun."""
        if self._began:
            return
        if scope["type"] == "websocket" and "websocket.http.response" not in scope.get("extensions", {}):
            await self({"type": "websocket.close", "code": 1008, "reason": ""})
            return
        await PlainTextResponse(text, status, {"Connection": "close"})(scope, receive, self)


def security_headers(frame_ancestors: tuple[str, ...]) -> dict[str, str]:
    """The headers of every answer. `frame_ancestors` are the origins whose pages may frame the console, or 'self'."""
    policy = {
        "default-src": "'self'",
        # Streamlit's own page has scripts and styles in it, and its charts build functions.
        "script-src": "'self' 'unsafe-inline' 'unsafe-eval' blob:",
        "style-src": "'self' 'unsafe-inline'",
        # A picture in somebody's text would tell its server who looks at the console, and when.
        "img-src": "'self' data: blob:",
        "font-src": "'self' data:",
        "connect-src": "'self'",
        "worker-src": "'self' blob:",
        "object-src": "'none'",
        "base-uri": "'self'",
        "form-action": "'self'",
        "frame-ancestors": " ".join(frame_ancestors) or "'none'",
    }
    headers = {
        "Content-Security-Policy": "; ".join(f"{name} {sources}" for name, sources in policy.items()),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
    }
    if frame_ancestors in ((), ("'self'",)):
        headers["X-Frame-Options"] = "SAMEORIGIN" if frame_ancestors else "DENY"
    return headers


def _largest_body(scope: Scope) -> int:
    return LARGEST_UPLOAD if scope["type"] == "http" and _UPLOAD.fullmatch(scope["path"]) else LARGEST_BODY


def _bounded(receive: Receive, most: int) -> Receive:
    """A body is counted as it comes, whatever length it announced."""
    read = 0

    async def counted() -> Message:
        nonlocal read
        message = await receive()
        read += len(message.get("body", b""))
        if read > most:
            raise _too_large(most)
        return message

    return counted


def _too_large(most: int) -> Refused:
    return Refused(413, f"The body is larger than {most:,} bytes; this route of the console takes no more.")
