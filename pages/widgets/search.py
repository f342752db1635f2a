"""Instrument search of a form: find by any part of symbol or name, and how old the catalogue is.

`form` begins the keys of all that is drawn; the pairs of the form are under its `_pairs`.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from functools import partial
from typing import Any

import streamlit as st

from ffe_core.instruments.model import Instrument
from pages.widgets.fields import words_fit
from pages.widgets.frame import actor, section, service
from pages.widgets.tables import digest, height_of, show_table
from pages.widgets.text import duration, number, plain
from pages.widgets.url import are_shown
from pages.widgets.verbs import changing

MOST_FOUND = 50
LONGEST_SEARCH = 80
"""Characters of what is looked for."""


@st.fragment
def find_instruments(provider: str, form: str) -> None:
    """The search and what it finds; choosing a row puts its stored name into the pairs, or takes it out of them."""
    with section("The search"):
        fits = words_fit(
            "Find an instrument",
            f"{form}_find",
            LONGEST_SEARCH,
            "bitcoin",
            type="search",
            icon=":material/search:",
            live=True,
            placeholder="Any part of a symbol or a name",
        )
        if fits and (text := (st.session_state[f"{form}_find"] or "").strip()):
            _results(provider, text, form)
    if st.session_state.pop(f"{form}_chosen", False):
        st.rerun()


def _results(provider: str, text: str, form: str) -> None:
    found = service().instrument_search.search(text, provider, MOST_FOUND + 1)
    if found:
        _table(provider, text, form, found)
    else:
        st.caption(f"No symbol and no name in the list of {plain(provider)} has it. What is typed into Pairs is tried.")
    if service().instrument_search.can_ask(provider):
        _ask_for_more(provider, text, form)


def _table(provider: str, text: str, form: str, found: Sequence[Instrument]) -> None:
    shown, pairs = found[:MOST_FOUND], st.session_state[f"{form}_pairs"]
    key = f"{form}_found_{digest([text, *(one.name for one in shown), *pairs])}"
    rows = rows_of(shown, _stored(provider), pairs)
    show_table(
        rows,
        key=key,
        alt=f"Instruments of {provider} that have it in symbol or name",
        height=height_of(len(rows)),
        on_select=partial(_chosen, form, key, [one.name for one in shown]),
        selection_mode="single-cell",
        column_config={
            "Chosen": st.column_config.TextColumn("Chosen", width=60),
            "Symbol": st.column_config.TextColumn(width=120),
            "Name": st.column_config.TextColumn(width="medium"),
            "Here": st.column_config.TextColumn("Stored", help="Whether you have candles of it", width=60),
            "Hours": st.column_config.TextColumn(help="As the provider tells them; the calendar of the market counts"),
            "Same order book": st.column_config.TextColumn(help="Other names of it: store one of them"),
        },
    )
    more = f" The first {MOST_FOUND} are shown: type more to narrow it." if len(found) > MOST_FOUND else ""
    st.caption(f"Click a row to add it to Pairs, again to take it out.{more}")


def rows_of(found: Sequence[Instrument], stored: Collection[str], pairs: Collection[str]) -> list[dict[str, Any]]:
    """Instruments as rows of the table; columns that say nothing of any of them are left out."""
    rows = [
        {
            "Chosen": "✓" if one.name in pairs else None,
            "Symbol": one.symbol,
            "Name": one.title,
            "Kind": one.kind,
            "Status": one.status,
            "Here": "yes" if one.name in stored else None,
            "Stored as": one.name,
            "Listed": one.listed,
            "Delisted": one.delisted,
            "Region": one.region,
            "Currency": one.quote if one.region else None,
            "Hours": one.hours,
            "Same order book": ", ".join(one.same_as) or None,
        }
        for one in found
    ]
    said = [name for name in rows[0] if any(row[name] not in (None, "") for row in rows)]
    return [{name: row[name] for name in said} for row in rows]


def _ask_for_more(provider: str, text: str, form: str) -> None:
    """A button that has the provider search beyond its list, and what that came to."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.button(
            f"Ask {plain(provider)}",
            key=f"{form}_ask",
            icon=":material/travel_explore:",
            on_click=_ask,
            args=(provider, text, form),
            disabled=service().instruments.catalogues.is_reading(provider) or not service().acts,
            help="It finds more than it lists, other exchanges too. One request of the day's quota.",
        )
        answer = service().instrument_search.last(provider)
        if answer is not None and answer.text == text:
            if answer.error:
                st.caption(f":orange[:material/warning: It could not be asked: {plain(answer.error)}]", width="content")
            else:
                st.caption(f"It was asked for this, and found {number(len(answer.names))}.", width="content")


@changing()
def _ask(provider: str, text: str, form: str) -> None:
    service().instrument_search.ask_in_background(provider, text, actor())
    st.session_state[f"{form}_chosen"] = True  # the whole page waits for it


def _stored(provider: str) -> set[str]:
    series = (entry.series for entry in service().watermarks.entries())
    return {one.asset_pair for one in series if one.provider == provider}


def _chosen(form: str, key: str, names: Sequence[str]) -> None:
    state, field = st.session_state, f"{form}_pairs"
    for row, _ in state[key]["selection"]["cells"]:
        pairs, name = list(state[field]), names[row]
        state[field] = [one for one in pairs if one != name] if name in pairs else [*pairs, name]
        state[f"{form}_chosen"] = True


# --- The catalogue


def catalogue_age(provider: str, form: str) -> None:
    """How old the list of a provider is, what the last try failed for, and a button to read it again."""
    with section("The list of instruments"):
        st.session_state.pop(f"{form}_chosen", None)  # this redraw of the whole page shows it
        service().instruments.catalogues.refresh_in_background(provider)
        reading = service().instruments.catalogues.is_reading(provider)
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.caption(plain(_age(provider, reading)), width="content")
            st.button(
                "Read again",
                key=f"{form}_read_again",
                icon=":material/refresh:",
                type="tertiary",
                on_click=_read_again,
                args=(provider,),
                disabled=reading or not service().acts,
                help="Ask the provider for its list of instruments now",
            )
        copy = service().instruments.catalogues.copy_of(provider)
        if copy.error and not reading:
            ago = duration(time.time() - (copy.tried_at or time.time()))
            st.caption(f":orange[:material/warning: Reading it failed {ago} ago: {plain(copy.error)}]")
        st.session_state[f"{form}_reading"] = reading


def _age(provider: str, reading: bool) -> str:
    instruments = service().instruments
    copy = instruments.catalogues.copy_of(provider)
    if reading:
        return f"Asking {provider} for its instruments"
    if copy.read_at is None:
        return f"The list of {provider} has not been read: names are taken as typed"
    return f"{number(instruments.store.count(provider))} instruments, read {duration(copy.age)} ago"


def wait_for_list(provider: str, form: str, fields: Collection[str]) -> None:
    """Have the page drawn anew once the list is read and the browser shows the form, as its `fields`, one of each kind,
    tell. The last on a page: what a rerun leaves undrawn is forgotten."""
    if st.session_state.pop(f"{form}_reading", False):  # as `catalogue_age` has just said
        st.session_state[f"{form}_fresh"] = True
        _wait(provider, form, fields)


@st.fragment(run_every=1)
def _wait(provider: str, form: str, fields: Collection[str]) -> None:
    is_fresh = st.session_state.pop(f"{form}_fresh", False)  # drawn with the page, whose notes are to be seen
    if not is_fresh and not service().instruments.catalogues.is_reading(provider) and are_shown(fields):
        st.rerun()


@changing()
def _read_again(provider: str) -> None:
    service().instruments.catalogues.read_again(provider, service().audit, actor())
