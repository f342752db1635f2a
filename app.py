"""The server: `streamlit run app.py` opens the service before any browser comes, and drains it at the end."""

import ctypes
import gc
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

# Read when Arrow is loaded: its own pool keeps what it has freed, the system's hands it back.
os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")

import anyio
import streamlit as st
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from ffe_core.operations import service
from ffe_core.redaction import log_redacted
from pages.ui.download import download

_M_ARENA_MAX = -8
"""From glibc's malloc.h."""


def _libc(function: str, *arguments: int) -> None:
    """Call a function of glibc; another C library (musl, macOS, Windows) knows no such thing, and needs none."""
    with suppress(OSError, TypeError, AttributeError):
        getattr(ctypes.CDLL(None), function)(*arguments)


# Every page is drawn in a thread of its own, and each would get an arena of its own that is never handed back whole.
_libc("mallopt", _M_ARENA_MAX, 2)


@asynccontextmanager
async def lifespan(_: Any) -> AsyncIterator[None]:
    """A data directory that cannot be used does not keep the server down: every page says so and tries again."""
    log_redacted()
    await anyio.to_thread.run_sync(service.try_shared)
    # What is loaded by now stays for good: collections need not look at it again. What it took to load it may go.
    gc.collect()
    gc.freeze()
    _libc("malloc_trim", 0)
    try:
        yield
    finally:
        await anyio.to_thread.run_sync(lambda: service.drain_shared(for_good=True))


def healthz(_: Request) -> JSONResponse:
    """State, leader or standby, last error: 200 while the service is open, 503 otherwise."""
    report = service.shared_health()
    return JSONResponse(report, status_code=200 if report["status"] == "ok" else 503)


app = st.App("pages/console.py", lifespan=lifespan, routes=[Route("/healthz", healthz), Route("/export", download)])
