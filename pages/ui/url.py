"""Filters in the address: a view can be sent to a colleague, and an address mended by hand never breaks a page."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

import streamlit as st

Value = TypeVar("Value")
_NOTES = "_url_notes"


def from_url(name: str, read: Callable[[str], Value], default: Value) -> Value:
    """A parameter of the address, or the default with a note when it makes no sense."""
    text = st.query_params.get(name)
    if text is None:
        return default
    try:
        return read(text)
    except (ValueError, KeyError, TypeError, OverflowError):
        _noted(name)
        st.query_params.pop(name, None)
        return default


def one_of(options: Iterable[str]) -> Callable[[str], str]:
    """A reader for `from_url` that takes one of the options."""
    known = set(options)

    def read(text: str) -> str:
        if text not in known:
            raise ValueError(text)
        return text

    return read


def listed(name: str, read: Callable[[str], Value], default: Iterable[Value] = ()) -> list[Value]:
    """A comma-separated parameter of the address: what makes sense of it, with a note when some of it does not."""
    text, found = st.query_params.get(name), []
    if text is None:
        return list(default)
    for part in filter(None, map(str.strip, text.split(","))):
        try:
            found.append(read(part))
        except (ValueError, KeyError):
            _noted(name)
    return found


def keep_in_url(**values: str | int | None) -> None:
    """Write filters to the address; None and empty text leave it."""
    for name, value in values.items():
        if value is None or value == "":
            st.query_params.pop(name, None)
        elif st.query_params.get(name) != str(value):
            st.query_params[name] = str(value)


def notes() -> None:
    """Say once which parts of the address were not understood."""
    names = st.session_state.pop(_NOTES, [])
    if names:
        st.caption(f":material/info: Not understood in the address, in part or whole: {', '.join(names)}.")


def _noted(name: str) -> None:
    st.session_state.setdefault(_NOTES, [])
    if name not in st.session_state[_NOTES]:
        st.session_state[_NOTES].append(name)
