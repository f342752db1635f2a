"""Scripts of our own, each under a name that holds its hash, so that browsers may keep it for ever."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable, Iterable
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

_A_YEAR = "public, max-age=31536000, immutable"


class Script(NamedTuple):
    """A script as a browser gets it: as it is, or packed."""

    name: str
    body: bytes
    packed: bytes

    @classmethod
    def of(cls, name: str, body: bytes) -> Script:
        """Under `name`, its hash and `.js`."""
        return cls(f"{name}-{hashlib.sha256(body).hexdigest()[:16]}.js", body, gzip.compress(body, 9, mtime=0))


def script_route(folder: str, read: Callable[[], Iterable[Script]]) -> Route:
    """`/FOLDER/NAME`: each of the scripts under its name; 404 under any other. `read` is called for each answer."""

    async def answer(request: Request) -> Response:
        found = next((one for one in read() if one.name == request.path_params["name"]), None)
        if found is None:
            return PlainTextResponse("There is no such file; reload the page.", 404, {"Cache-Control": "no-store"})
        headers = {"Cache-Control": _A_YEAR, "Vary": "Accept-Encoding"}
        if "gzip" in request.headers.get("accept-encoding", ""):
            return Response(found.packed, headers={**headers, "Content-Encoding": "gzip"}, media_type="text/javascript")
        return Response(found.body, headers=headers, media_type="text/javascript")

    return Route(f"/{folder}/{{name}}", answer)
