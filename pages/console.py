"""The console's frame: navigation, and what every page says about the state of the service."""

from typing import Any

import streamlit as st

from pages.widgets.frame import banner, service
from pages.widgets.palette import palette
from pages.widgets.sidebar import ICON, counted, head, named, style, waiting
from pages.widgets.travel import follow
from pages.widgets.url import as_left, bound_address

st.set_page_config(page_title="FFE console", page_icon=ICON, layout="wide")
style()
waits = waiting()
front = st.Page(
    "overview/page.py",
    url_path="front",
    title="Overview",
    icon=":material/space_dashboard:",
    default=True,
    help="What there is, how fresh it is, and what needs attention.",
)


def to_the_front() -> None:
    """The Overview has the address of the console itself; who types its name gets there."""
    st.switch_page(front)


sections: dict[str, list[Any]] = {
    "": [front, st.Page(to_the_front, url_path="overview", title="Overview", visibility="hidden")],
    "Ingest": [
        st.Page(
            "backfill/page.py",
            url_path="backfill",
            title="Backfill",
            icon=":material/download:",
            help="Choose series and a range, see what it costs, and start.",
        ),
        st.Page(
            "import_files/page.py",
            url_path="import_files",
            title="Import",
            icon=":material/upload_file:",
            help="Bring candles from files: see how they are read, answer what they leave open, and start.",
        ),
        st.Page(
            "runs/page.py",
            url_path="runs",
            title=counted("Runs", waits.get("runs")),
            icon=":material/play_circle:",
            help="Every backfill, replay, upkeep and check: progress, outcome, retry and continue.",
        ),
        st.Page("run/page.py", url_path="run", title="Run", icon=":material/play_circle:", visibility="hidden"),
        st.Page(
            "schedules/page.py",
            url_path="schedules",
            title="Schedules",
            icon=":material/schedule:",
            help="What runs by itself, when it is due next, and what became of every tick.",
        ),
    ],
    "Inspect": [
        st.Page(
            "watermarks/page.py",
            url_path="watermarks",
            title="Watermarks",
            icon=":material/water:",
            help="How far every series has been read, how well it is, and how to move that.",
        ),
        st.Page(
            "coverage/page.py",
            url_path="coverage",
            title="Coverage",
            icon=":material/grid_on:",
            help="What should be there, what is, what is missing and why.",
        ),
        st.Page(
            "candles/page.py",
            url_path="candles",
            title="Candles",
            icon=":material/candlestick_chart:",
            help="Chart any stored series over any range.",
        ),
        st.Page(
            "dead_letters/page.py",
            url_path="dead_letters",
            title=counted("Dead letters", waits.get("dead_letters")),
            icon=":material/mark_email_unread:",
            help="Records that broke a rule: see why, edit them, try them, replay them.",
        ),
        st.Page(
            "findings/page.py",
            url_path="findings",
            title=counted("Findings", waits.get("findings")),
            icon=":material/fact_check:",
            help="What checks found of stored bars: evidence, and what is to be done about it.",
        ),
        st.Page(
            "restatements/page.py",
            url_path="restatements",
            title="Restatements",
            icon=":material/history:",
            help="Which bars were given other values later, when, and by how much.",
        ),
        st.Page(
            "storage/page.py",
            url_path="storage",
            title="Storage",
            icon=":material/database:",
            help="How the lake is stored, what upkeep has done and would win, and the room that is left.",
        ),
        st.Page(
            "settings/page.py",
            url_path="settings",
            title="Settings",
            icon=":material/settings:",
            help="Every setting and where it comes from, and whether the providers answer.",
        ),
    ],
}
page = st.navigation(sections, expanded=True)
with st.sidebar:
    head(service())
    palette([(named(one), one.url_path or "overview") for some in sections.values() for one in some if one.help])
st.set_page_config(page_title=f"{named(page)} · FFE console")
banner()
bound_address()
follow(page.url_path or "overview")
as_left(page.url_path or "overview")
page.run()
