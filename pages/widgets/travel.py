"""Travel to another page after a verb: it says where, and the frame goes there until it has arrived.

A script may be cut short at any Streamlit call, so "go" is a state that is kept until the goal is reached, never a
single call that could be lost.
"""

from __future__ import annotations

import streamlit as st

from ffe_core.file_sources import is_file_source
from ffe_core.series import Series

OF_FILES = "Imported files cannot be asked for more: import them again."
_GOAL = "_goal"


def go(page: str, **params: str) -> None:
    """Go to a page (its address, such as "run") with these parameters, at the next full run of the script."""
    st.session_state[_GOAL] = page, params


def backfill_form(series: Series, **more: str) -> dict[str, str]:
    """Parameters of the form of a backfill that fill it in with a series."""
    return {"provider": series.provider, "pairs": series.asset_pair, "timeframes": series.timeframe, **more}


def import_form(series: Series) -> dict[str, str]:
    """Parameters of the form of an import that fill it in with a series."""
    return {"source": series.provider, "pair": series.asset_pair, "timeframe": series.timeframe}


def backfill_link(series: Series, label: str, **more: str) -> None:
    """A link to the form of a backfill of a series, as `backfill_form`; of imported files, to that of an import."""
    if is_file_source(series.provider):
        st.page_link(
            "import_files/page.py",
            label="Import files again",
            icon=":material/upload_file:",
            query_params=import_form(series),
        )
        return
    st.page_link(
        "backfill/page.py", label=label, icon=":material/download:", query_params=backfill_form(series, **more)
    )


def new_backfill(key: str) -> None:
    """The button to a backfill, on a page that has nothing to show without one. In a fragment, see `is_leaving`."""
    st.button("New backfill", key=key, type="primary", icon=":material/download:", on_click=go, args=("backfill",))


def is_leaving() -> bool:
    """Whether a goal is set: a fragment then asks for a full run."""
    return _GOAL in st.session_state


def follow(here: str) -> None:
    """Called by the frame with the address of the page it is about to draw."""
    if _GOAL not in st.session_state:
        return
    page, params = st.session_state[_GOAL]
    if here == page and all(st.query_params.get(name) == value for name, value in params.items()):
        del st.session_state[_GOAL]
        return
    st.switch_page(f"{page}/page.py", query_params=params)
