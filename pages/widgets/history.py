"""One entry of the browser's history for each view, so that its Back leads to what was looked at before."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

_one_entry = st.components.v2.component(
    "one_entry_a_view", js=(Path(__file__).parent / "history.js").read_text("utf-8")
)


def one_entry_a_view() -> None:
    """Called by the frame on every page: what only filters a page makes no entry of its own."""
    _one_entry(key="one_entry_a_view", height=1)
