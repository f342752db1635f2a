"""Command palette: `/` or Ctrl+K on any page, a few letters, and Enter leads to a page, series, run or verb.

It is a script in the shell of every page (`pages.server.shell`), so that its keys work from the first moment; what it
finds besides pages comes from `/find`.
"""

from __future__ import annotations

import json
from pathlib import Path

from pages.widgets.contents import LISTED

_HERE = Path(__file__).parent


def script() -> str:
    """The script, with its style and the pages in it."""
    text, style = ((_HERE / name).read_text(encoding="utf-8") for name in ("palette.js", "dialog.css"))
    pages = json.dumps([(one.title, one.address) for one in LISTED])
    return text.replace("STYLE", style).replace("ALL_PAGES", pages)
