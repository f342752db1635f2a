"""Typed pairs: what they come to at their provider, and what to choose where that is not clear."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import streamlit as st

from ffe_core.errors import InputError
from ffe_core.operations.instruments.resolved import NotResolved, Resolved, SameBook
from pages.widgets.frame import service
from pages.widgets.tables import digest
from pages.widgets.text import plain


def resolve_pairs(provider: str, key: str) -> list[Resolved]:
    """What the pairs of a field come to, asking nobody. InputError for the first that cannot be asked for."""
    state = st.session_state
    return service().instruments.resolve(
        provider, state[key], allow_same_book=bool(state.get(_both(key))), refresh=False
    )


def check_pairs(provider: str, key: str) -> list[str]:
    """Say beside a field what its pairs come to, and offer what to choose; returns what is wrong with them."""
    found: list[Resolved] = []
    refused: dict[str, NotResolved] = {}
    unreadable: list[str] = []
    for pair in st.session_state[key]:
        try:
            found += service().instruments.resolve(provider, [pair], allow_same_book=True, refresh=False)
        except NotResolved as error:
            refused[pair] = error
        except InputError:
            unreadable.append(pair)
    wrong = _say_unreadable(unreadable) + _say_refused(provider, key, refused) + _say_books(provider, key, found)
    _say_notes(provider, key, found)
    waits = [one.typed for one in found if one.is_awaited]
    return wrong + (["the list of instruments is being read"] if waits else [])


def _say_unreadable(pairs: Sequence[str]) -> list[str]:
    if not pairs:
        return []
    st.caption(":red[:material/error: These cannot be pairs; use names like BTCUSD, BTC-USD or AAPL:]")
    st.text(", ".join(pairs))
    return ["a pair cannot be read"]


def _say_refused(provider: str, key: str, refused: dict[str, NotResolved]) -> list[str]:
    for pair, error in refused.items():
        st.caption(f":red[:material/error: {plain(error.said)}.]")
        _offer(provider, key, pair, error.choices)
    return ["choose what is meant by a pair"] if refused else []


def _say_books(provider: str, key: str, found: Sequence[Resolved]) -> list[str]:
    """Two names of one order book: refused until a person says that both are to be stored."""
    try:
        service().instruments.check_books(provider, found)
    except SameBook as error:
        st.caption(f":orange[:material/warning: {plain(error.said)}.]")
        both = st.checkbox("Store both names of the book on purpose", key=_both(key))
        return [] if both else ["one order book is asked for under two names"]
    return []


def _say_notes(provider: str, key: str, found: Iterable[Resolved]) -> None:
    for one in found:
        if one.note:
            st.caption(f":orange[:material/info: {plain(one.note)}.]")
            _offer(provider, key, one.typed, one.nearest)
        elif one.name != one.typed:
            title = f", {one.instrument.title}" if one.instrument and one.instrument.title else ""
            st.caption(plain(f"{one.typed} is stored as {one.name}{title}."))


def _offer(provider: str, key: str, pair: str, choices: Sequence[str]) -> None:
    """A button for each name that may be meant instead of a pair."""
    if not choices:
        return
    with st.container(horizontal=True, gap="small"):
        for choice in choices:
            st.button(
                plain(_label(provider, choice)),
                key=f"{key}_choice_{digest([pair, choice])}",
                on_click=_take,
                args=(key, pair, choice),
            )


def _label(provider: str, choice: str) -> str:
    instruments = service().instruments
    named = instruments.known(provider, choice)
    found = [named] if named else instruments.store.by_symbol(provider, choice)
    title = next((one.title for one in found if one.title), "")
    return f"{choice}: {title}" if title else choice


def _take(key: str, pair: str, choice: str) -> None:
    state = st.session_state
    state[key] = list(dict.fromkeys(choice if one == pair else one for one in state[key]))


def _both(key: str) -> str:
    return f"{key}_same_book"
