"""The server: `streamlit run app.py` opens the service before any browser comes, and drains it at the end."""

from pages.widgets import memory  # before everything that takes some

# isort: split
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import streamlit as st
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from ffe_core.descriptors import raise_descriptor_limit
from ffe_core.operations import console as service
from ffe_core.redaction import log_redacted
from pages.candles.download import download
from pages.candles.routes import CHART_ROUTES, loaded_ahead
from pages.server.ending import Ending
from pages.server.guard import Guard
from pages.server.hashed import Hashed
from pages.server.settings import let_streamlit_know, surface
from pages.server.shell import Shell
from pages.server.sockets import send_at_once
from pages.widgets.palette.routes import PALETTE_ROUTES
from pages.widgets.scripts import SCRIPT_ROUTES, addresses
from pages.widgets.sidebar import STYLE


@asynccontextmanager
async def lifespan(_: Any) -> AsyncIterator[None]:
    """A data directory that cannot be used does not keep the server down: every page says so and tries again."""
    log_redacted()
    raise_descriptor_limit()
    let_streamlit_know()
    send_at_once()
    ending = Ending()
    await anyio.to_thread.run_sync(service.try_shared)
    memory.settle()
    try:
        yield
    finally:
        await anyio.to_thread.run_sync(lambda: service.drain_shared(for_good=True))
        ending.end()


def healthz(_: Request) -> JSONResponse:
    """State, leader or standby, last error: 200 while the service is open, 503 otherwise."""
    report = service.shared_health()
    return JSONResponse(report, status_code=200 if report["status"] == "ok" else 503)


app = st.App(
    "pages/console.py",
    lifespan=lifespan,
    routes=[Route("/healthz", healthz), Route("/export", download), *CHART_ROUTES, *PALETTE_ROUTES, *SCRIPT_ROUTES],
    middleware=[
        Middleware(Guard, read=surface),
        Middleware(Hashed),
        Middleware(Shell, scripts=addresses, own={"candles": loaded_ahead}, style=STYLE),
    ],
)
