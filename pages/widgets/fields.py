"""Fields of words: what is too long stays as it was typed, and is told beside it."""

from __future__ import annotations

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
