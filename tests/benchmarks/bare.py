"""The bare Streamlit page that the console's pages are measured against: a title and one dataframe."""

from __future__ import annotations

from pathlib import Path

_SCRIPT = """
import streamlit as st
st.set_page_config(layout="wide")
st.title("Bare")
st.dataframe([{{"Pair": f"C{{n:03}}USD", "Timeframe": "1h", "Stored": n}} for n in range({rows})], hide_index=True)
"""


def bare_page(path: Path, rows: int) -> Path:
    """Write the script; its table has so many rows."""
    path.write_text(_SCRIPT.format(rows=rows), encoding="utf-8")
    return path
