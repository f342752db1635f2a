"""Fields: rows of filters, and words, of which what is too long stays as it was typed and is told beside it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

from pages.widgets.alerts import say_wrong
from pages.widgets.text import number


def words_fit(
    label: str, key: str, most: int, example: str = "the provider corrected its data", **options: Any
) -> bool:
    """Draw a text field for so many characters, and say below it when there are more; whether what is in it fits.

    A limit of the browser's own would drop what is pasted beyond it without a word.
    """
    return is_short((st.text_input(label, key=key, **options) or "").strip(), most, example)


def is_short(text: str, most: int, example: str) -> bool:
    """Whether a text has at most so many characters; below its field it is said when it has more."""
    if len(text) > most:
        say_wrong(f"These are {number(len(text))} characters, and {number(most)} have room; for example “{example}”.")
    return len(text) <= most


Draw = Callable[[], object]


def filter_row(shown: Sequence[Draw], more: Sequence[tuple[bool, Draw]] = ()) -> None:
    """A row of filters: those that are always `shown`, then a button with `more`, each as (narrows the list, draw).

    One that narrows the list stands in the row, where it is seen. What is behind the button is not made by the browser
    until it is pressed: a list costs it some 10 ms of a page.
    """
    with st.container(horizontal=True, key="filters"):
        for draw in shown:
            _field(draw)
        behind = [draw for narrows, draw in more if not narrows]
        if behind:
            with st.popover("More filters", icon=":material/filter_list:", key="more_filters"):
                for draw in behind:
                    draw()
        for narrows, draw in more:
            if narrows:
                _field(draw)


def _field(draw: Draw) -> None:
    with st.container():  # what is wrong with a field stands below it, not beside it
        draw()
