"""Routes of the chart: its bundle, its bars, and where something is missing."""

from __future__ import annotations

from starlette.routing import Route

from pages.candles.bars import bars, ticks
from pages.candles.component import FOLDER, bundle
from pages.widgets.assets import script_route

CHART_ROUTES = [script_route(FOLDER, lambda: [bundle()]), Route("/bars", bars), Route("/bars/ticks", ticks)]


def loaded_ahead() -> list[str]:
    """What the browser loads for the Candles page beside Streamlit's own: addresses below the console's."""
    return [f"{FOLDER}/{bundle().name}"]
