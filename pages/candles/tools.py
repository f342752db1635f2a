"""Choice of another tool's files, of the series and the range that a download is of."""

from __future__ import annotations

import streamlit as st

from ffe_core.exports.service import FORMS
from ffe_core.insight.aggregate import DERIVED, choices
from ffe_core.series import Series
from pages.widgets import plain


def tool_files(series: Series, query: str) -> None:
    """Draw the choice: the tool, and bars as they are stored or larger ones derived from them."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        form = st.selectbox("Files of another tool", list(FORMS), key="candles_form", width=220)
        size = st.selectbox("Bars", sizes(series), key=f"candles_form_size_{series.timeframe}", width=120)
        room = FORMS[form].timeframes
        st.link_button(
            "Export",
            f"/export?{query}&form={form}&size={size}",
            icon=":material/folder_zip:",
            disabled=bool(room) and size not in room,
        )
    lacks = f" It has no room for {size}, but for {', '.join(room)}." if room and size not in room else ""
    st.caption(plain(f"A zip of {FORMS[form].about}.{lacks}"))


def sizes(series: Series) -> list[str]:
    """The stored timeframe, then what can be derived from it."""
    return [size.name for size in choices(series) if size in DERIVED or size.name == series.timeframe]
