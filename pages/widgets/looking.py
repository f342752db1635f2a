"""Looking at files: how many have been looked at, told while that goes on, as there may be thousands."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import streamlit as st

from pages.widgets.text import many

_TOLD_SECONDS = 0.5


@contextmanager
def looking() -> Iterator[Callable[[int], None]]:
    """What to tell how many files there have been; it is shown now and then, and gone in the end.

    Where it is shown, a page that was left, or asks for something else, stops.
    """
    place, told = st.empty(), time.monotonic()

    def tell(count: int) -> None:
        nonlocal told
        if time.monotonic() - told > _TOLD_SECONDS:
            told = time.monotonic()
            place.caption(f"Looked at {many(count, 'file')}")

    yield tell
    place.empty()
