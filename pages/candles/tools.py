"""Choice of another tool's files, of the series and the range that a download is of."""

from __future__ import annotations

import streamlit as st

from ffe_core.exports.service import FORMS
from ffe_core.insight.aggregate import DERIVED, choices
from ffe_core.series import Series
from pages.widgets import plain


def tool_files(series: Series, query: str, *, adjusted: bool) -> None:
    """Draw the choice: the tool, and bars as they are stored or larger ones derived from them.

    Adjusted ones are not for a tool that adjusts raw ones by itself.
    """
    with st.container(horizontal=True, vertical_alignment="bottom"):
        form = st.selectbox("Files of another tool", list(FORMS), key="candles_form", width=220)
        size = st.selectbox("Bars", sizes(series), key=f"candles_form_size_{series.timeframe}", width=120)
        room, is_apart = FORMS[form].timeframes, adjusted and not FORMS[form].takes_adjusted
        st.link_button(
            "Export",
            f"/export?{query}&form={form}&size={size}",
            icon=":material/folder_zip:",
            disabled=is_apart or (bool(room) and size not in room),
        )
    lacks = f" It has no room for {size}, but for {', '.join(room)}." if room and size not in room else ""
    lacks += " Its tool adjusts raw prices by itself: show them as they were traded to export them." * is_apart
    st.caption(plain(f"A zip of {FORMS[form].about}.{lacks}"))


def sizes(series: Series) -> list[str]:
    """The stored timeframe, then what can be derived from it."""
    return [size.name for size in choices(series) if size in DERIVED or size.name == series.timeframe]
