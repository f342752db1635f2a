"""Word of a drawn chart: each browser says the one it was given when it asks for the ticks of the margin.

A page that told it by a rerun would draw everything twice.
"""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict

_MOST = 1_000
_LETTERS = 16
_expected: OrderedDict[str, threading.Event] = OrderedDict()
_lock = threading.Lock()


def expect() -> str:
    """A word for one browser to say; the oldest of a thousand is forgotten."""
    word = secrets.token_hex(_LETTERS // 2)
    with _lock:
        _expected[word] = threading.Event()
        while len(_expected) > _MOST:
            _expected.popitem(last=False)
    return word


def note(word: str) -> None:
    """That a browser said a word; one that nobody expects is nothing."""
    with _lock:
        said = _expected.get(word)
    if said is not None:
        said.set()


def is_said(word: str, seconds: float = 0) -> bool:
    """Whether a word was said, waiting so long for it at most."""
    with _lock:
        said = _expected.get(word)
    return said is not None and said.wait(seconds)
