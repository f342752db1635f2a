"""Typed pairs: what they come to at their provider, and what to choose where that is not clear."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import streamlit as st

from ffe_core.errors import InputError
from ffe_core.instruments.lists import split_names
from ffe_core.instruments.matching import is_part_of, matching_names
from ffe_core.instruments.names import compact
from ffe_core.operations.instruments.resolved import NotResolved, Resolved, SameBook
from pages.widgets.alerts import say_wrong
from pages.widgets.frame import service
from pages.widgets.tables import digest, height_of, show_table
from pages.widgets.text import bounded, few, many, number, plain

_MOST_APART = 3
"""Names that are told one by one; more are summed up."""
_LONGEST_QUOTE = 60
"""Characters of a filter that are told: the field is a few words wide."""


def pairs_field(provider: str, key: str, **options: Any) -> None:
    """The field for pairs: chosen, typed, or pasted as a whole list into one line."""
    typed = st.session_state[key]
    st.multiselect(
        "Pairs",
        list(dict.fromkeys([*typed, *service().instruments.suggested(provider)])),
        key=key,
        accept_new_options=True,
        # Enter takes the highlighted line: "all matches" would add BTCUSDT to a typed BTCUSD.
        select_all=False,
        placeholder="Choose, type or paste a list, like BTCUSD, ETHUSD",
        on_change=_split,
        args=(provider, key),
        **options,
    )


def pair_filter(key: str, of: str, known: Callable[[], Sequence[str]], **options: Any) -> None:
    """The field that filters a page by pairs; what fits none of those that are known is told below it.

    `of` says what the page lists, one of it: "run". What is known is asked for only where something is typed.
    """
    typed = (st.text_input("Pair", key=key, placeholder="Any, or BTCUSD", **options) or "").strip()
    if typed and not pairs_meant(typed, known()):
        say_wrong(f"no {of} has {bounded(typed, _LONGEST_QUOTE)!r}; use a pair or a part of one, for example BTC")


def pairs_meant(text: str, known: Sequence[str]) -> tuple[str, ...]:
    """The pairs that a filter means: those it names, one or a list, else those it is a part of."""
    return tuple(dict.fromkeys(name for one in split_names(text) for name in _meant(one, known)))


def _meant(text: str, known: Sequence[str]) -> Sequence[str]:
    try:
        exact = matching_names(text, known)
    except InputError:  # no name at all: it says so below the field
        exact = ()
    return exact or [name for name in known if compact(text) and is_part_of(text, name)]


def _split(provider: str, key: str) -> None:
    """Turn each text of the field that is a list into its names."""
    known = service().instruments
    st.session_state[key] = split_names(",".join(st.session_state[key]), partial(known.has_name, provider))


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
    if len(refused) > _MOST_APART:
        _sum_up(provider, key, refused)
    else:
        for pair, error in refused.items():
            st.caption(f":red[:material/error: {plain(error.said)}.]")
            _offer(provider, key, pair, error.choices)
    return ["choose what is meant by a pair"] if refused else []


def _sum_up(provider: str, key: str, refused: Mapping[str, NotResolved]) -> None:
    """One table for all names that cannot be asked for, with what may be meant, and two ways to be done with them."""
    typed = many(len(st.session_state[key]), "name")
    st.caption(f":red[:material/error: {number(len(refused))} of {typed} cannot be asked for at {plain(provider)}:]")
    show_table(
        [
            {"Typed": pair, "May be meant": ", ".join(error.choices), "Why": error.said}
            for pair, error in refused.items()
        ],
        height=height_of(len(refused)),
    )
    nearest = {pair: error.choices[0] for pair, error in refused.items() if error.choices}
    with st.container(horizontal=True, gap="small"):
        st.button("Leave them out", key=f"{key}_leave_out", on_click=_replace, args=(key, dict.fromkeys(refused)))
        if nearest:
            label = f"Take the nearest of {many(len(nearest), 'name')}"
            st.button(label, key=f"{key}_nearest", on_click=_replace, args=(key, nearest))


def _say_books(provider: str, key: str, found: Sequence[Resolved]) -> list[str]:
    """Two names of one order book: refused until a person says that both are to be stored."""
    try:
        service().instruments.check_books(provider, found)
    except SameBook as error:
        st.caption(f":orange[:material/warning: {plain(error.said)}.]")
        both = st.checkbox("Store both names of the book on purpose", key=_both(key))
        return [] if both else ["one order book is asked for under two names"]
    return []


def _say_notes(provider: str, key: str, found: Sequence[Resolved]) -> None:
    noted = [one for one in found if one.note]
    renamed = [one for one in found if not one.note and one.name != one.typed]
    for one in noted[:_MOST_APART]:
        st.caption(f":orange[:material/info: {plain(one.note)}.]")
        _offer(provider, key, one.typed, one.nearest)
    if len(noted) > _MOST_APART:
        with st.expander(f"{many(len(noted) - _MOST_APART, 'more name')} with a note", icon=":material/info:"):
            st.text("\n".join(str(one.note) for one in noted[_MOST_APART:]))
    if len(renamed) > _MOST_APART:
        st.caption(f"{many(len(renamed), 'name')} are stored in another spelling:")
        st.text(few([f"{one.typed} as {one.name}" for one in renamed], _MOST_APART))
        return
    for one in renamed:
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
    _replace(key, {pair: choice})


def _replace(key: str, instead: Mapping[str, str | None]) -> None:
    """Put other names in the place of some; None takes one out."""
    state = st.session_state
    names = (instead.get(one, one) for one in state[key])
    state[key] = list(dict.fromkeys(filter(None, names)))


def _both(key: str) -> str:
    return f"{key}_same_book"
