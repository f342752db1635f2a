"""Is a table that hides columns at the reference size noticed, and one that fits not?"""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.browser.driver import ROOT, Server, Visitor, settled
from tests.browser.screenshots import PADDING, hidden_width

SCRIPT = """
import streamlit as st
from pages.widgets.tables import show_table

columns = int(st.query_params["columns"])
widths = {f"c{n}": st.column_config.NumberColumn(width=200) for n in range(columns)}
show_table([dict.fromkeys(widths, 1)], column_config=widths)
"""


@pytest.fixture
def visitor(tmp_path: Path, browser: Browser):
    """A visitor of a page with a table of as many wide columns as its address says."""
    (tmp_path / "script.py").write_text(SCRIPT, encoding="utf-8")
    env = {"PYTHONPATH": str(ROOT), "STREAMLIT_SERVER_HEADLESS": "1", "STREAMLIT_BROWSER_GATHER_USAGE_STATS": "0"}
    server = Server(tmp_path / "data", env, script="script.py", cwd=tmp_path).start()
    opened = Visitor(browser, server.base)
    yield opened
    opened.close()
    assert server.stop() in (0, -signal.SIGTERM)
    assert not opened.faults


def test_columns_that_a_table_hides_are_measured(visitor: Visitor) -> None:
    for columns, hides in ((2, False), (12, True)):
        visitor.open(f"/?columns={columns}")
        visitor.page.locator(".dvn-scroller").wait_for()
        settled(visitor.page)
        assert (hidden_width(visitor.page) > PADDING) == hides
