"""What the browser loads ahead for each page: scripts that it draws with, asked for before it is known to need them."""

from __future__ import annotations

from functools import cache

from pages.candles import component as chart
from pages.server.chunks import FOLDER, needed

PARTS: dict[str, tuple[str, ...]] = {
    "candles": ("Selectbox", "ButtonGroup", "Button"),
}
"""Parts of Streamlit by the address of the page."""


@cache
def loaded_ahead(page: str) -> list[str]:
    """Addresses below the console's own; none for an address that is no page."""
    if page not in PARTS:
        return []
    own = [f"{chart.FOLDER}/{chart.bundle().name}"] if page == "candles" else []
    return [*own, *(f"{FOLDER}/{name}" for name in needed(PARTS[page]))]
