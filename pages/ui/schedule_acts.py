"""How a page of schedules calls a verb, and how it tells what came of it."""

from __future__ import annotations

from typing import Any

import streamlit as st

from ffe_core.errors import FFEError, InputError
from pages.ui.frame import service, tell_refusal
from pages.ui.url import keep_in_url


def do(verb: Any, *arguments: Any, then: str | None = None) -> None:
    """Call a verb that changes something; a refusal is told on the page."""
    try:
        service().require_lead()
        result = verb(*arguments)
    except (FFEError, InputError) as error:
        st.session_state.sched_refused = str(error)
        return
    if then == "run":
        st.session_state.sched_started = result
    elif then == "open":
        go(schedule=result.id)
    elif then == "list":
        go()


def go(**address: Any) -> None:
    """Another view of this page; the form begins anew."""
    st.session_state.pop("sched_marker", None)
    st.query_params.clear()
    keep_in_url(**address)


def refusal() -> None:
    tell_refusal("sched_refused")
    started = st.session_state.pop("sched_started", None)
    if started is not None:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.success(f"Run {started} has started.", icon=":material/play_circle:")
            st.page_link(
                "run.py", label="Open the run", icon=":material/arrow_forward:", query_params={"id": str(started)}
            )
