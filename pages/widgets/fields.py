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
    typed = len((st.text_input(label, key=key, **options) or "").strip())
    if typed > most:
        say_wrong(f"These are {number(typed)} characters, and {number(most)} have room; for example “{example}”.")
    return typed <= most
