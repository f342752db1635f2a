"""How a dialog ends: a button in it redraws the dialog alone, so its end takes a rerun of the whole page."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import streamlit as st

from pages.ui.frame import section

_ANSWERED = "_dialog_answered"


def dialog(title: str, **options: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """`st.dialog` with a body whose failure is told in its place: it is drawn outside of any section of its page."""

    def decorated(draw: Callable[..., None]) -> Callable[..., None]:
        @st.dialog(title, **options)
        @wraps(draw)
        def guarded(*arguments: Any) -> None:
            with section("The dialog"):
                draw(*arguments)

        return guarded

    return decorated


def unanswered() -> None:
    """Called by what opens a dialog: an answer that a cut script left behind is not one to this."""
    st.session_state.pop(_ANSWERED, None)


def answered() -> None:
    """Called by what a dialog's button does."""
    st.session_state[_ANSWERED] = True


def close_when_answered() -> None:
    """The last line of a dialog."""
    if st.session_state.pop(_ANSWERED, False):
        st.rerun()
