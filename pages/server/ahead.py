"""Ahead: the parts of Streamlit that each page draws, which a browser loads while it starts Streamlit itself.

Otherwise it asks for them, fifty files for a table, once the page has been run and sent: while it waits for them it
does nothing, and before that the server does nothing. What a page draws seldom is not named.
"""

from __future__ import annotations

from functools import cache

from pages.server.chunks import FOLDER, needed

OF_ALL = ("Html", "Button")
"""Parts that every page draws."""
PARTS: dict[str, tuple[str, ...]] = {
    "": ("DataFrame", "Metric", "PageLink"),
    "backfill": ("ButtonGroup", "DataFrame", "Multiselect", "Radio", "Selectbox", "TextInput"),
    "import_files": ("ButtonGroup", "Checkbox", "FileUploader", "Selectbox", "TextInput"),
    "runs": ("ButtonGroup", "DataFrame", "Multiselect", "Selectbox", "TextInput"),
    "run": ("DataFrame", "DownloadButton", "Metric", "PageLink"),
    "schedules": ("DataFrame",),
    "watermarks": ("DataFrame", "Selectbox", "TextInput"),
    "coverage": ("BidiComponent", "ButtonGroup", "DataFrame", "Metric", "Selectbox"),
    "candles": ("BidiComponent", "ButtonGroup", "Selectbox"),
    "dead_letters": ("ButtonGroup", "DataFrame", "DownloadButton", "PageLink", "Selectbox", "TextInput"),
    "findings": ("Checkbox", "Selectbox", "TextArea", "TextInput"),
    "restatements": ("DataFrame", "PageLink", "Selectbox"),
    "storage": ("DataFrame", "Metric"),
    "settings": ("DataFrame", "PageLink", "TextInput"),
}
"""By the address of a page; the Overview is at that of the console."""


def ahead(page: str) -> list[str]:
    """Files of Streamlit that a page is going to need, by its address: addresses below the console's own, each once."""
    return _files((*OF_ALL, *PARTS.get(page, ())))


@cache
def _files(parts: tuple[str, ...]) -> list[str]:
    return [f"{FOLDER}/{name}" for name in needed(parts)]
