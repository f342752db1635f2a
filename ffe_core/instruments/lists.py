"""Lists of names as people paste them, one text for all."""

from __future__ import annotations

import re
from collections.abc import Callable

_BETWEEN = re.compile(r"[,;|\t\r\n\u3001\uff0c\uff1b]+")
_JOINT = re.compile(r"[-_/]")
_LONG = 5
"""Characters from which on a word is a pair or a symbol by itself: no code of a currency has as many."""


def split_names(text: str, is_listed: Callable[[str], bool] = lambda _: False) -> list[str]:
    """The names of a list, each once, in their order: split at commas, semicolons, bars and line ends.

    A blank may stand within a name (EUR USD), and where a browser has taken line ends out. It splits only where every
    part is a name by itself: `is_listed`, or long, or with a separator of its own.
    """
    parts = [name for part in _BETWEEN.split(text) for name in _at_blanks(part, is_listed)]
    return list(dict.fromkeys(parts))


def _at_blanks(text: str, is_listed: Callable[[str], bool]) -> list[str]:
    words = text.split()
    if all(len(word) >= _LONG or _JOINT.search(word) or is_listed(word) for word in words):
        return words
    return [" ".join(words)]
