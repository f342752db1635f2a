"""The console's frame: navigation, and what every page says about the state of the service."""

from pathlib import Path

import streamlit as st

from pages.ui.frame import banner, service
from pages.ui.travel import follow

# A Material icon as the page's own would be fetched from the web.
ICON = Path(__file__).parent / "ui" / "icon.svg"
st.set_page_config(page_title="FFE console", page_icon=str(ICON), layout="wide")

page = st.navigation(
    {
        "": [
            st.Page(
                "overview.py",
                title="Overview",
                icon=":material/space_dashboard:",
                default=True,
                help="What there is, how fresh it is, and what needs attention.",
            )
        ],
        "Ingest": [
            st.Page(
                "backfill.py",
                title="Backfill",
                icon=":material/download:",
                help="Choose series and a range, see what it costs, and start.",
            ),
            st.Page(
                "runs.py",
                title="Runs",
                icon=":material/play_circle:",
                help="Every backfill and replay: progress, outcome, retry and continue.",
            ),
            st.Page("run.py", title="Run", icon=":material/play_circle:", visibility="hidden"),
            st.Page(
                "schedules.py",
                title="Schedules",
                icon=":material/schedule:",
                help="What runs by itself, when it is due next, and what became of every fire.",
            ),
        ],
        "Inspect": [
            st.Page(
                "watermarks.py",
                title="Watermarks",
                icon=":material/water:",
                help="How far every series has been read, how well it is, and how to move that.",
            ),
            st.Page(
                "coverage.py",
                title="Coverage",
                icon=":material/grid_on:",
                help="What should be there, what is, what is missing and why.",
            ),
            st.Page(
                "candles.py",
                title="Candles",
                icon=":material/candlestick_chart:",
                help="Chart any stored series over any range.",
            ),
            st.Page(
                "dead_letters.py",
                title="Dead letters",
                icon=":material/mark_email_unread:",
                help="Records that broke a rule: see why, mend them, try them, replay them.",
            ),
            st.Page(
                "restatements.py",
                title="Restatements",
                icon=":material/history:",
                help="Which bars were given other values later, when, and by how much.",
            ),
        ],
    }
)
with st.sidebar:
    st.caption(f"FFE console · {service().settings.data_dir}")
banner()
follow(page.url_path)
page.run()
