"""How a dialog ends: a button in it redraws the dialog alone, so its end takes a rerun of the whole page."""

from __future__ import annotations

import streamlit as st

_ANSWERED = "_dialog_answered"


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
