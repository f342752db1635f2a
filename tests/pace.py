"""How many examples does hypothesis try where a test says a number of its own? Fewer in `make fast`, as elsewhere."""

from __future__ import annotations

from hypothesis import settings

_NORMAL = 100
"""What the profile of the whole suite tries."""


def examples(number: int) -> int:
    """This number, or under a profile that tries less than normal the same share of it."""
    profile = settings.default
    assert profile is not None
    return max(1, min(number, number * profile.max_examples // _NORMAL))
