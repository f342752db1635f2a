"""Chart component: a bundle of TradingView's lightweight-charts with code of our own, served by a route of this server.

Streamlit takes a component's files only from an installed package; the console may also run from a folder. So the
component itself is a few lines that import the bundle from `/chart/`, where the browser keeps it.
"""

from __future__ import annotations

import gzip
import hashlib
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import streamlit as st
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

_HERE = Path(__file__).parent
_A_YEAR = "public, max-age=31536000, immutable"


class _Bundle(NamedTuple):
    name: str
    body: bytes
    packed: bytes


@cache
def _bundle() -> _Bundle:
    body = (_HERE / "chart.js").read_bytes()
    return _Bundle(f"chart-{hashlib.sha256(body).hexdigest()[:16]}.js", body, gzip.compress(body, 9, mtime=0))


async def bundle(request: Request) -> Response:
    """`/chart/NAME`: the bundle, for ever under the name that holds its hash; 404 under any other."""
    found = _bundle()
    if request.path_params["name"] != found.name:
        return PlainTextResponse("There is no such file; reload the page.", 404, {"Cache-Control": "no-store"})
    headers = {"Cache-Control": _A_YEAR, "Vary": "Accept-Encoding"}
    if "gzip" in request.headers.get("accept-encoding", ""):
        return Response(found.packed, headers={**headers, "Content-Encoding": "gzip"}, media_type="text/javascript")
    return Response(found.body, headers=headers, media_type="text/javascript")


_renderer = st.components.v2.component(
    "ffe_chart",
    html='<div class="chart"><p class="waiting">The chart is being loaded.</p></div>',
    css=(_HERE / "chart.css").read_text(encoding="utf-8"),
    js=(_HERE / "shim.js").read_text(encoding="utf-8").replace("BUNDLE", f"chart/{_bundle().name}"),
)


def live_chart(data: bytes, key: str, **callbacks: Any) -> Any:
    """Draw the chart of `columns.packed`; callbacks are on_shown_change and on_failed_change.

    `st.session_state[key]["shown"]` is then the range that somebody came to by hand: [start, end), epoch seconds.
    """
    return _renderer(data=data, key=key, **callbacks)
