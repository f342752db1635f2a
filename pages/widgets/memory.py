"""Memory of a resting server, kept small. Imported before everything else; measured by `tests.benchmarks.console`."""

import ctypes
import gc
import os
from contextlib import suppress

# Read when Arrow is loaded: its own pool keeps what it has freed, the system's hands it back.
os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")

from plotly.validator_cache import ValidatorCache

_M_ARENA_MAX = -8
"""From glibc's malloc.h."""


def _libc(function: str, *arguments: int) -> None:
    """Call a function of glibc; another C library (musl, macOS, Windows) knows no such thing, and needs none."""
    with suppress(OSError, TypeError, AttributeError):
        getattr(ctypes.CDLL(None), function)(*arguments)


def settle() -> None:
    """To be called once everything is loaded: that stays for good, and what it took to load it may go."""
    gc.collect()
    gc.freeze()
    _libc("malloc_trim", 0)


# Every page is drawn in a thread of its own, and each would get an arena of its own that is never handed back whole.
_libc("mallopt", _M_ARENA_MAX, 2)

# To register its theme, Streamlit has Plotly read its description of every property: 3 MB of JSON, 9 MB as objects.
# What is loaded next takes their place; the first chart of a server reads it again, in some 20 ms.
ValidatorCache._json_cache = None
