"""Command palette: `/` or Ctrl+K on any page, a few letters, and Enter leads to a page, series, run or verb.

The dialog is a script in the shell of every page (`pages.server.shell`), so that its keys work from the first moment;
what Streamlit draws is its button, and brings it the pages and the session.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import streamlit as st

from pages.widgets.travel import go

_HERE = Path(__file__).parent
_KEY = "palette"
_component = st.components.v2.component(
    "ffe_palette",
    html='<button type="button">Find anything <kbd>/</kbd></button>',
    css=(_HERE / "button.css").read_text("utf-8"),
    # Of several lines: Streamlit takes a text of one for the name of a file.
    js="export default function (component) {\n  window.ffePalette?.attach(component)\n}",
)


def palette(pages: Sequence[tuple[str, str]]) -> None:
    """Called by the frame on every page with all of them: title and address. Others are found by `/find`."""
    _component(
        data={"pages": tuple(pages)},  # not a list: of one, Streamlit would ask pandas whether it is a table
        key=_KEY,
        height="content",
        on_chosen_change=lambda: _go({address for _, address in pages}),
    )


def _go(known: set[str]) -> None:
    """On to what was chosen, in the same session: the browser loads nothing anew."""
    chosen = st.session_state[_KEY].get("chosen") or {}
    page, params = chosen.get("page"), chosen.get("params") or {}
    if page in known | {"run"}:
        go(page, **{str(name): str(value) for name, value in params.items()})
