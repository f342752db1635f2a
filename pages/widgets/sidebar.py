"""Sidebar: the console's mark, whose data it shows and who leads at its head, and counts beside its pages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import streamlit as st

from ffe_core.errors import FFEError, InputError
from ffe_core.operations.console import ConsoleService, shared
from ffe_core.provider_settings import OandaSettings
from ffe_core.storage.dead_letters.search import Wanted
from pages.widgets.text import number, plain, short_path

_HERE = Path(__file__).parent
# Material icons as the page's own, and fonts, would be fetched from the web.
ICON, _WORDMARK = str(_HERE / "icon.svg"), str(_HERE / "wordmark.svg")
_FIND = '<button type="button" class="ffe-find">Find anything <kbd>/</kbd></button>'
"""Opens the palette, whose script hears it."""
STYLE = (_HERE / "style.css").read_text(encoding="utf-8")
"""What the theme cannot say, on every page."""


def head(console: ConsoleService) -> None:
    """The mark, a link to the Overview; below it the data directory, who leads, and the button of the palette."""
    st.logo(_WORDMARK, size="large", icon_image=ICON)
    folder = console.settings.data_dir
    # Few elements: all of this is drawn with every page.
    with st.container(key="sidebar_head", gap="xsmall"):
        shown = short_path(folder)
        st.caption(plain(shown), help=plain(folder) if shown.startswith("…") else None)
        st.markdown(_badges(console))
        st.html(_FIND)


def _badges(console: ConsoleService) -> str:
    if console.leads:
        role = ":green-badge[:material/verified: leads]"
    elif console.acts:
        role = ":green-badge[:material/check: works]"
    else:
        role = ":orange-badge[:material/visibility: standby]"
    account = environment(console)
    colour = "orange" if "live" in account else "gray"
    return f"{role} :{colour}-badge[:material/key: {plain(account)}]" if account else role


def environment(console: ConsoleService) -> str:
    """Where the token of OANDA is good for; empty without one, as nothing else has environments."""
    oanda = console.settings.section("oanda", OandaSettings)
    return f"OANDA {oanda.environment}" if oanda.api_token else ""


def waiting() -> dict[str, int]:
    """How much waits on a page, by its address; nothing while that cannot be told, which the pages say themselves."""
    try:
        console = shared()
        with console.database.looking():
            active = console.runs.count_active()
            pending = console.queue.count(Wanted(status="pending"))
            return {"runs": active, "dead_letters": pending, "findings": console.checks.count_open()}
    except (FFEError, InputError):
        return {}


def counted(title: str, count: int | None) -> str:
    """The title of a page with what waits there, for the list of pages."""
    return f"{title} :gray-badge[{number(count)}]" if count else title


def named(page: Any) -> str:
    """The title of a page without its count."""
    return str(page.title).partition(" :")[0]
