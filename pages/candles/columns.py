"""Columns of a chart for its component: a window packed as bytes, the same for the first view and for every later one.

Four bytes say how long the head is, a little-endian whole number; the head is JSON, padded with blanks so that what
follows begins at a multiple of eight; then the columns that it names, one after another, little-endian float64.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ffe_core.insight.gaps import KINDS
from ffe_core.insight.window import Window
from ffe_core.storage.files import strict_json
from pages.candles.gaps import MOST_SHADES

_MOST_DEAD = 1_000
ID_LETTERS = 18


def packed(window: Window, facts: Mapping[str, Any] | None = None) -> bytes:
    """A window with what is missing in it, and `facts` for the head."""
    view = window.view
    head = {
        "start": view.start,
        "end": view.end,
        "size": {"name": view.size.name, "seconds": view.size.seconds},
        "rows": len(window.slots),
        "columns": list(window.columns),
        "gaps": [[gap.start, gap.end, gap.candles, KINDS.index(gap.kind)] for gap in widest(view.gaps)],
        "ingestions": [name[:ID_LETTERS] for name in window.ingestions],
        "dead": view.dead_letters[:_MOST_DEAD].tolist(),
        **({"facts": facts} if facts else {}),
    }
    text = strict_json(head).encode()
    text += b" " * (-(len(text) + 4) % 8)
    body = np.concatenate(list(window.columns.values())).astype("<f8").tobytes()
    return len(text).to_bytes(4, "little") + text + body


def widest(gaps: list[Any], most: int = MOST_SHADES) -> list[Any]:
    """At most so many gaps, the widest, by time."""
    return sorted(sorted(gaps, key=lambda gap: gap.start - gap.end)[:most])
