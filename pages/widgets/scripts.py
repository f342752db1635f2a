"""Scripts that run before Streamlit draws anything: the palette, entries of history, and keys of the chart."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from pages.widgets.assets import Script, script_route
from pages.widgets.palette import script

_HERE = Path(__file__).parent
_FOLDER = "shell"


@cache
def _scripts() -> tuple[Script, ...]:
    return (
        Script.of("history", (_HERE / "history.js").read_bytes()),
        Script.of("range_keys", (_HERE / "range_keys.js").read_bytes()),
        Script.of("palette", script().encode()),
    )


def addresses() -> list[str]:
    """Where they are, below the console's own address."""
    return [f"{_FOLDER}/{one.name}" for one in _scripts()]


SCRIPT_ROUTES = [script_route(_FOLDER, _scripts)]
