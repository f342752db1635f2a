"""Does the real frontend draw an escaped text letter by letter, whatever markdown it would be?"""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.browser.driver import ROOT, Server, Visitor

TEXTS = [
    *(":red[x]", ":red-background[x]", ":small[x]", ":badge[x]", ":color[x]{foreground=red}", ":shortcut[K]"),
    *(":material/home:", ":streamlit:", ":smile:", ":+1:", ":100:", "$x^2$", "$$y$$", r"\(z\)", "`c`", "==m=="),
    *("![i](http://evil.example/x.png)", "[l](http://evil.example)", "http://evil.example/a", "HTTPS://evil.example"),
    *("www.evil.example", "WWW.evil.example", "a@evil.example", "mailto:a@evil.example", "ftp://evil.example"),
    *("**b**", "__b__", "*i*", "_i_", "~~s~~", "~s~", "<b>h</b>", "<img src=x>", "&amp; &lt;", "# h", "- li", "+ li"),
    *("1. one", "1) one", "> q", "---", "***", "|a|b|", "[^1]", "[x]", "- [ ] t", "\\", "\\*", "a -> b <- c <-> d"),
    *(
        "a >= b <= c != d -- e --- f ... g",
        "=>",
        "javascript:alert(1)",
        "10:00 to 12:30:45",
        "für März 日本 😀",
    ),
]
SCRIPT = """
import streamlit as st
from pages.widgets.text import plain
from tests.browser.test_plain_text import TEXTS

for place, text in enumerate(TEXTS):
    with st.container(key=f"text_{place}"):
        st.markdown(plain(text))
        st.caption("A " + plain(text) + " Z")
        st.warning(plain(text))
        st.button(plain(text), key=f"button_{place}")
    with st.container(key=f"wrong_{place}"):
        st.caption(f":red[{plain(text)}]")
        if "[" not in text:  # which a badge escapes by itself
            st.badge(plain(text))
"""
_DRAWN = (
    "a, img, strong, em, del, code, pre, h1, h2, h3, li, hr, table, blockquote, mark, svg, .katex, span:not(:empty)"
)
_TEXTS = "[data-testid=stMarkdownContainer], [data-testid=stCaptionContainer]"


@pytest.fixture
def visitor(tmp_path: Path, browser: Browser):
    """A visitor of a page that draws every text."""
    (tmp_path / "script.py").write_text(SCRIPT, encoding="utf-8")
    env = {"PYTHONPATH": str(ROOT), "STREAMLIT_SERVER_HEADLESS": "1", "STREAMLIT_BROWSER_GATHER_USAGE_STATS": "0"}
    server = Server(tmp_path / "data", env, script="script.py", cwd=tmp_path).start()
    opened = Visitor(browser, server.base).open()
    yield opened
    opened.close()
    assert server.stop() in (0, -signal.SIGTERM)
    assert not opened.faults


def test_a_plain_text_is_drawn_as_it_is(visitor: Visitor) -> None:
    for place, text in enumerate(TEXTS):
        drawn = visitor.page.locator(f".st-key-text_{place}").locator(_TEXTS)
        assert drawn.all_text_contents() == [text, f"A {text} Z", text, text], "what one copies"
        assert drawn.locator(_DRAWN).count() == 0, text
        wrong = visitor.page.locator(f".st-key-wrong_{place}").locator(_TEXTS)
        assert set(wrong.all_text_contents()) == {text}, "in colour"
