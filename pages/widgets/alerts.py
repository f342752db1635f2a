"""Alerts that hold the whole sentence: what happened and why in one place, not a heading with a box below it."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from pages.widgets.text import plain

_ICONS = {"error": ":material/error:", "warning": ":material/warning:", "info": ":material/info:"}


def alert(kind: str, sentence: str, details: Sequence[str], icon: str | None = None) -> None:
    """Draw an `error`, `warning` or `info`: a sentence of ours, then somebody's own words, several as a list."""
    draw = {"error": st.error, "warning": st.warning, "info": st.info}[kind]
    listed = [f"- {plain(line)}" for line in details]
    text = f"{sentence} {plain(details[0])}" if len(details) == 1 else "\n".join([sentence, "", *listed])
    draw(text, icon=icon or _ICONS[kind])
