"""Routes of the chart: its bundle, its bars, and where something is missing."""

from __future__ import annotations

from functools import cache

from starlette.routing import Route

from pages.candles.bars import bars, ticks
from pages.candles.component import FOLDER, bundle
from pages.server.chunks import FOLDER as STREAMLIT
from pages.server.chunks import needed
from pages.widgets.assets import script_route

CHART_ROUTES = [script_route(FOLDER, lambda: [bundle()]), Route("/bars", bars), Route("/bars/ticks", ticks)]
PARTS = ("BidiComponent", "Selectbox", "ButtonGroup", "Button")
"""Parts of Streamlit that the page draws with."""


@cache
def loaded_ahead() -> list[str]:
    """What the browser loads for the Candles page before it is known to need it: addresses below the console's own."""
    return [f"{FOLDER}/{bundle().name}", *(f"{STREAMLIT}/{name}" for name in needed(PARTS))]
