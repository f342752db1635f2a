"""The service as pages reach it, and how a failure stays in its own section."""

from __future__ import annotations

import getpass
import logging
from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st
from streamlit.runtime.scriptrunner import RerunException, StopException

from ffe_core.errors import DatabaseError, FFEError, InputError, NewerFormatError, sentence
from ffe_core.operations.console import ConsoleService, shared
from ffe_core.redaction import redact
from pages.widgets.alerts import alert
from pages.widgets.states import state_badge
from pages.widgets.text import dated, plain

_HEADING_HEIGHT = 36
"""Pixels of a button."""
log = logging.getLogger(__name__)


def service() -> ConsoleService:
    """The one service of this process; when it cannot be opened, the page says why and stops."""
    try:
        return shared()
    except (FFEError, InputError) as error:
        what = "state database" if isinstance(error, DatabaseError) else "data directory"
        st.title(f"The {what} cannot be used", icon=":material/error:", anchor=False)
        st.code(dated(sentence(error)), language=None, wrap_lines=True)
        if not isinstance(error, DatabaseError | NewerFormatError):  # they say themselves what to do
            st.write("Check the settings and the rights on the folder, then try again.")
        st.button("Try again", icon=":material/refresh:")
        st.stop()


def banner() -> None:
    """Say on every page that this is a standby, and who leads; and what is amiss with the data directory."""
    console = service()
    if not console.acts:
        _standby()
    if console.state_notice is not None:
        alert("warning", "The state database was made anew:", [console.state_notice])
        st.button("I have seen this", key="seen_notice", on_click=lambda: console.acknowledge(actor()))


@st.fragment(run_every=2)
def _standby() -> None:
    """Looked at again every two seconds: an open page sees that its server took over."""
    console = service()
    if console.acts:
        st.rerun()
    st.warning(
        f"This console is a standby: it shows everything and starts nothing. The leader is {plain(console.leader)}.",
        icon=":material/visibility:",
    )


def actor() -> str:
    """Who is at the console: the logged-in user where there is a log-in, else the user the server runs as."""
    email = st.user.get("email") if st.user else None
    if email:
        return str(email)
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "console"


def heading(title: str) -> None:
    """The title of a page that has nothing beside it, as high as one that has."""
    with st.container(height=_HEADING_HEIGHT, border=False, horizontal=True, vertical_alignment="center"):
        st.title(plain(title), width="content", anchor=False)


@contextmanager
def heading_row(title: str, state: str | None = None) -> Iterator[None]:
    """The title of a page and a state after it; what is drawn inside stands to the right."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.title(plain(title), width="content", anchor=False)
        if state is not None:
            state_badge(state)
        st.space("stretch")
        yield


@contextmanager
def section(what: str) -> Iterator[None]:
    """Draw one part of a page; its failure is told in its place, with the next step, and the rest goes on."""
    try:
        yield
    except (RerunException, StopException):
        raise
    except (FFEError, InputError) as error:
        _tell(what, sentence(error))
    except Exception as error:
        log.exception("%s could not be shown", what)
        _tell(what, f"{type(error).__name__}; the server's log has the details")


def _tell(what: str, why: str) -> None:
    with st.container(border=True):
        st.write(f":red[:material/error:] **{plain(what)} cannot be shown.** Reload to try again.")
        st.code(dated(redact(why)), language=None, wrap_lines=True)
