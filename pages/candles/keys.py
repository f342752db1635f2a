"""Arrow keys of the chart, which still move it after a range was clicked."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

_keys = st.components.v2.component("ffe_range_keys", js=(Path(__file__).parent / "keys.js").read_text("utf-8"))


def free_keys() -> None:
    """Called where the ranges are drawn: a clicked one hands the arrow keys back to the page."""
    _keys(key="candles_keys", height=1)
