"""Dialog ends: a button in a dialog redraws it alone, so its end takes a rerun of the whole page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

import streamlit as st

from pages.widgets.frame import section
from pages.widgets.verbs import changing, told

Drawing = Callable[..., None]
_ANSWERED = "_dialog_answered"


def dialog(
    title: str, asked: str | None = None, **options: Any
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """`st.dialog` that closes once answered, and tells in itself what failed or was refused: the page stands behind it.

    `asked` names what in the session has the page draw it for as long as it is open, through redraws of the page.
    """

    def closed() -> None:
        if asked is not None:
            st.session_state.pop(asked, None)

    def decorated(draw: Drawing) -> Drawing:
        @st.dialog(title, on_dismiss="ignore" if asked is None else closed, **options)
        @wraps(draw)
        def guarded(*arguments: Any) -> None:
            with section("The dialog"):
                draw(*arguments)
            if st.session_state.pop(_ANSWERED, False):
                closed()
                st.rerun()
            told()

        return guarded

    return decorated


def unanswered() -> None:
    """Called by what opens a dialog: an answer that a cut script left behind is not one to this."""
    st.session_state.pop(_ANSWERED, None)


def answered() -> None:
    """Called by what a dialog's button does."""
    st.session_state[_ANSWERED] = True


@contextmanager
def answering() -> Iterator[None]:
    """Around what changes something from a dialog: done, it is answered; refused, it stays with all that was typed."""
    with changing():
        yield
        answered()
