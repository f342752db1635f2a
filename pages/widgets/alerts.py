"""Alerts and words below fields that hold the whole sentence: what happened and why in one place."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from pages.widgets.text import bounded, dated, plain

_ICONS = {"error": ":material/error:", "warning": ":material/warning:", "info": ":material/info:"}


def alert(kind: str, sentence: str, details: Sequence[str], icon: str | None = None) -> None:
    """Draw an `error`, `warning` or `info`: a sentence of ours, then somebody's own words, several as a list."""
    draw = {"error": st.error, "warning": st.warning, "info": st.info}[kind]
    told = [plain(dated(line)) for line in details]
    text = f"{sentence} {told[0]}" if len(told) == 1 else "\n".join([sentence, "", *(f"- {line}" for line in told)])
    draw(text, icon=icon or _ICONS[kind])


def say_wrong(problem: str) -> None:
    """Say below a field what is wrong with it, in one sentence; the words may be somebody's own."""
    st.caption(f":red[:material/error: {plain(bounded(dated(problem)))}]")
