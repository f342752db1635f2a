"""Route of the command palette: what a typed text leads to."""

from __future__ import annotations

import anyio
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from ffe_core.errors import FFEError, InputError
from ffe_core.operations.console import shared
from ffe_core.redaction import redact
from pages.widgets.palette.found import found

LONGEST = 100
"""Letters; the field takes no more."""
_NO_STORE = {"Cache-Control": "no-store"}
_LIMITER = anyio.CapacityLimiter(1)


async def find(request: Request) -> Response:
    """`/find?q=TEXT`: a list of entries as JSON; 400 for a text too long, 503 for a state that cannot be read."""
    text = request.query_params.get("q", "")
    if len(text) > LONGEST:
        return PlainTextResponse(f"q has {len(text):,} letters; give {LONGEST} at most.", 400, _NO_STORE)
    try:
        entries = await anyio.to_thread.run_sync(lambda: found(shared(), text), limiter=_LIMITER)
    except (FFEError, InputError) as error:
        return PlainTextResponse(redact(str(error)), 503, _NO_STORE)
    return JSONResponse([entry.shown() for entry in entries], headers=_NO_STORE)


PALETTE_ROUTES = [Route("/find", find)]
