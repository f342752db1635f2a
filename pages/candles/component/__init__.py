"""Chart component: a bundle of TradingView's lightweight-charts with code of our own, served by a route of this server.

Streamlit takes a component's files only from an installed package; the console may also run from a folder. So the
component itself is a few lines that import the bundle from `/chart/`, where the browser keeps it.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import streamlit as st

from pages.widgets.assets import Script

_HERE = Path(__file__).parent
FOLDER = "chart"


@cache
def bundle() -> Script:
    """The bundle, for the route that serves it."""
    return Script.of("chart", (_HERE / "chart.js").read_bytes())


_renderer = st.components.v2.component(
    "ffe_chart",
    html='<div class="chart"><p class="waiting">The chart is being loaded.</p></div>',
    css=(_HERE / "chart.css").read_text(encoding="utf-8"),
    js=(_HERE / "shim.js").read_text(encoding="utf-8").replace("BUNDLE", f"{FOLDER}/{bundle().name}"),
)


def live_chart(data: bytes, key: str, **callbacks: Any) -> Any:
    """Draw the chart of `columns.packed`; callbacks are on_shown_change and on_failed_change.

    `st.session_state[key]["shown"]` is then the range that somebody came to by hand: [start, end), epoch seconds.
    """
    return _renderer(data=data, key=key, **callbacks)
