"""Verb calls from pages: what changes something, and what came of it, told once on the next redraw."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

from ffe_core.errors import FFEError, InputError, sentence
from pages.widgets.alerts import alert
from pages.widgets.frame import service
from pages.widgets.text import few, plain

_DONE, _REFUSED, _CHANGED = "_verb_done", "_verb_refused", "_verb_changed"


class NotAsShown(InputError):
    """What was asked for is not what was shown: nothing was done, and it is shown anew."""


@contextmanager
def changing() -> Iterator[None]:
    """Around or on what changes something: the leader alone does it, and `told` says why it was refused."""
    with refusable():
        service().require_lead()
        yield


@contextmanager
def refusable() -> Iterator[None]:
    """Around or on what a standby may do, too; `told` says why it was refused."""
    try:
        yield
    except NotAsShown as error:
        st.session_state[_CHANGED] = error.problem
    except (FFEError, InputError) as error:
        st.session_state[_REFUSED] = few(sentence(error).splitlines())


def done(what: str) -> None:
    """Leave for `told` what a verb has come to."""
    st.session_state[_DONE] = what


def told() -> None:
    """Say once what the last verb has come to, or why it was refused, as plain text."""
    if what := st.session_state.pop(_DONE, None):
        st.success(plain(what), icon=":material/check_circle:")
    if changed := st.session_state.pop(_CHANGED, None):
        st.warning(f"{plain(changed)}.", icon=":material/visibility:")
    if why := st.session_state.pop(_REFUSED, None):
        alert("error", "That was refused:", why.splitlines())
