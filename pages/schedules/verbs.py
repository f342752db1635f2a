"""Calls of a schedule's verbs from a page, and how it tells what came of it."""

from __future__ import annotations

from typing import Any

import streamlit as st

from pages.widgets.url import keep_in_url
from pages.widgets.verbs import changing, told


def do(verb: Any, *arguments: Any, then: str | None = None) -> None:
    """Call a verb that changes something; what came of it is told on the page."""
    with changing():
        result = verb(*arguments)
        if then == "run":
            st.session_state.sched_started = result
        elif then == "open":
            go(schedule=result.id)
        elif then == "list":
            go()


def go(**address: Any) -> None:
    """Another view of this page."""
    st.query_params.clear()
    keep_in_url(**address)


def told_in_full() -> None:
    """What the last verb has come to, with a link to the run it started."""
    told()
    started = st.session_state.pop("sched_started", None)
    if started is not None:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.success(f"Run {started} has started.", icon=":material/play_circle:")
            st.page_link(
                "run/page.py", label="Open the run", icon=":material/arrow_forward:", query_params={"id": str(started)}
            )
