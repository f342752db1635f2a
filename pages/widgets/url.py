"""Filters in the address: a view can be sent to a colleague, and an address edited by hand never breaks a page."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable
from typing import TypeVar

import streamlit as st
from streamlit.proto.WidgetStates_pb2 import WidgetState
from streamlit.runtime.scriptrunner import get_script_run_ctx

from ffe_core.errors import InputError, sentence

Value = TypeVar("Value")
_NOTES = "_url_notes"
_ADDRESS = "_url_address"
_PAGE, _LEFT = "_url_page", "_url_left"
_OF_ONE_LOOK = {"entry", "record", "place", "rows", "schedule", "edit", "id"}
"""Parameters that name one thing to look at, and not how a page is filtered or filled in."""
_LATE_SECONDS = 3.0
_MOST_SHOWN = 12
_LONGEST = 80
_MOST_PARAMETERS = 40
LONGEST_VALUE = 8_192
"""Characters of a parameter: a page keeps what is longer by itself."""
_LARGEST = 2**31 - 1


def arrived(widget: str) -> bool:
    """Whether the page is to be filled in from its address: somebody came by it, it did not write it itself.

    `widget` is the key of one of its widgets. Streamlit forgets it with the page, so coming back to the same address
    is an arrival too. What a user chooses in between stays: the address follows, by `keep_in_url`.
    """
    here = _here()
    known, replaced, at = st.session_state.get(_ADDRESS, (None, None, 0.0))
    # A click may be on its way before the browser knows what the page has just written.
    is_late = here == replaced and time.monotonic() - at < _LATE_SECONDS
    is_new = widget not in st.session_state or (here != known and not is_late)
    if is_new:
        st.session_state[_ADDRESS] = here, None, 0.0
    return is_new


def are_shown(fields: Collection[str]) -> bool:
    """Whether the browser has told what these fields hold, as each does once it is shown.

    Streamlit tells a field what fills it in with one drawing only: drawn anew before it is shown, it would be empty.
    """
    told = [one.id for one in _told()]
    return all(any(id_.endswith(f"-{field}") for id_ in told) for field in fields)


def holds_text(field: str, text: str) -> bool:
    """Whether the browser has told that this text field holds this text.

    Filled in once more with what it holds, it would lose what is being typed in it just then.
    """
    return any(one.id.endswith(f"-{field}") and one.string_value == text for one in _told())


def _told() -> list[WidgetState]:
    context = get_script_run_ctx()
    return [] if context is None else context.session_state.get_widget_states()


def as_left(page: str) -> None:
    """Called by the frame before a page is drawn: who comes by its name alone finds it as it was left in this tab.

    Forms, filters and the chosen series are parameters of the address, so these are what is kept.
    """
    state = st.session_state
    if state.get(_PAGE) != page:
        state[_PAGE] = page
        if not st.query_params and (left := state.setdefault(_LEFT, {}).get(page)):
            st.query_params.from_dict(left)
    _remember()


def _remember() -> None:
    here = {
        name: text
        for name, text in st.query_params.items()
        if name not in _OF_ONE_LOOK and (name, text) != ("view", "mend")
    }
    if "edit" in st.query_params or here.keys() == {"new"}:  # fields of one thing, and a form that holds nothing yet
        here = {}
    if (page := st.session_state.get(_PAGE)) is not None:
        st.session_state.setdefault(_LEFT, {})[page] = here


def from_url(name: str, read: Callable[[str], Value], default: Value) -> Value:
    """A parameter of the address, or the default with a note when it makes no sense: `read` raises ValueError for that,
    InputError to say why."""
    text = st.query_params.get(name)
    if text is None:
        return default
    try:
        return read(text)
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        note(name, text, error)
        st.query_params.pop(name, None)
        return default


def bound_address() -> None:
    """Leave out of the address, with a note, what is longer than any page writes there; before a page reads it."""
    for place, (name, text) in enumerate(list(st.query_params.items())):
        if place >= _MOST_PARAMETERS or len(name) > _LONGEST or len(text) > LONGEST_VALUE:
            st.query_params.pop(name, None)
            note(name, text, InputError("too many of them" if place >= _MOST_PARAMETERS else "too long"))


def whole(text: str) -> int:
    """A reader for `from_url` that takes a whole number from 0 on that a database can hold."""
    if not (text.isascii() and text.isdigit()) or len(text) > 10 or int(text) > _LARGEST:
        raise InputError(f"use a whole number from 0 to {_LARGEST}")
    return int(text)


def one_of(options: Iterable[str]) -> Callable[[str], str]:
    """A reader for `from_url` that takes one of the options."""
    known = dict.fromkeys(options)

    def read(text: str) -> str:
        if text not in known:
            few = [*known][:_MOST_SHOWN]
            raise InputError(f"use {', '.join(few)}" if few else "there is none yet")
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
        except (ValueError, KeyError) as error:
            note(name, part, error)
    return found


def keep_in_url(**values: str | int | None) -> None:
    """Write filters to the address; None and empty text leave it, and what is longer than one is read back."""
    before = _here()
    texts = {name: "" if value is None else str(value) for name, value in values.items()}
    kept = {name: text for name, text in st.query_params.to_dict().items() if name not in texts}
    wanted = {**kept, **{name: text for name, text in texts.items() if 0 < len(text) <= LONGEST_VALUE}}
    if wanted != st.query_params.to_dict():
        st.query_params.from_dict(wanted)  # at once: each change is an entry of the browser's history
    _remember()
    if (here := _here()) != before or _ADDRESS not in st.session_state:
        st.session_state[_ADDRESS] = here, before, time.monotonic()


def _here() -> tuple[tuple[str, str], ...]:
    return tuple(sorted(st.query_params.items()))


def note(name: str, text: str, error: Exception) -> None:
    """Remember that a parameter was left out, for `notes` to say."""
    why = f" ({sentence(error)})" if isinstance(error, InputError) else ""
    known = st.session_state.setdefault(_NOTES, {})
    if len(known) < _MOST_SHOWN:
        known[f"{_short(name)}={_short(text)}{_short(why, 4 * _LONGEST)}"] = None


def _short(text: str, most: int = _LONGEST) -> str:
    return text if len(text) <= most else f"{text[:most]}..."


def notes() -> None:
    """Say once which parts of the address were not understood, and why."""
    lines = st.session_state.pop(_NOTES, {})
    if lines:
        st.caption(":material/info: Not understood in the address, and left out:")
        st.text("\n".join(lines))
