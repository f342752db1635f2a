"""Words for what checks came to, the same in the log, on pages and on the command line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ffe_core.counts import many


def in_words(result: Mapping[str, Any]) -> str:
    """What the checks of a pair came to, in one line."""
    parts = [f"{many(result['bars'], 'bar')} of {result['series']:,} series: {many(result['findings'], 'finding')}"]
    for name, text in (("new", "new"), ("again", "open again"), ("gone", "gone")):
        if result[name]:
            parts.append(f"{result[name]:,} {text}")
    return ", ".join(parts)
