"""The console's frame: navigation, and what every page says about the state of the service."""

from typing import Any

import streamlit as st

from pages.widgets.contents import FRONT, SECTIONS, Listed
from pages.widgets.frame import banner, service
from pages.widgets.sidebar import ICON, counted, head, named, waiting
from pages.widgets.travel import follow
from pages.widgets.url import as_left, bound_address

if "_is_framed" not in st.session_state:  # a tab keeps icon and width, and each setting costs it a drawing
    st.set_page_config(page_title="FFE console", page_icon=ICON, layout="wide")
    st.session_state["_is_framed"] = True
waits = waiting()


made: dict[str, Any] = st.session_state.setdefault("_pages", {})
"""The pages of this tab, by address: each looks its file up when it is made, a fourteenth of a drawing for all."""


def listed(one: Listed, **options: Any) -> Any:
    """A page as Streamlit lists it, with what waits on it."""
    title = counted(one.title, waits.get(one.address))
    if (kept := made.get(one.address)) is None or kept.title != title:
        options = {"url_path": one.address, "title": title, "icon": f":material/{one.icon}:", **options}
        kept = made[one.address] = st.Page(f"{one.address}/page.py", help=one.help, **options)
    return kept


front = listed(FRONT, url_path="front", default=True)


def to_the_front() -> None:
    """The Overview has the address of the console itself; who types its name gets there."""
    st.switch_page(front)


sections: dict[str, list[Any]] = {
    "": [
        front,
        st.Page(to_the_front, url_path=FRONT.address, title=FRONT.title, visibility="hidden"),
        st.Page("run/page.py", url_path="run", title="Run", icon=":material/play_circle:", visibility="hidden"),
    ],
    **{name: [listed(one) for one in some] for name, some in SECTIONS.items()},
}
page = st.navigation(sections, expanded=True)
with st.sidebar:
    head(service())
st.set_page_config(page_title=f"{named(page)} · FFE console")
banner()
bound_address()
follow(page.url_path or "overview")
as_left(page.url_path or "overview")
page.run()
