"""Timeframes: the bar sizes there are, and where their grid lies."""

from __future__ import annotations

from ffe_core.errors import InputError

TIMEFRAMES: dict[str, int] = {"1m": 60, "5m": 300, "15m": 900, "1h": 3600, "4h": 14400, "1d": 86400}
"""Name of each timeframe -> its length in seconds."""


def seconds(timeframe: str) -> int:
    """Length of a bar in seconds; InputError for a timeframe that does not exist."""
    try:
        return TIMEFRAMES[timeframe]
    except (KeyError, TypeError):
        raise InputError(
            f"{timeframe!r} is unknown; use one of {', '.join(TIMEFRAMES)} (for example '1h')", field="timeframe"
        ) from None


def floor(epoch: int, step: int) -> int:
    """The grid point of the UTC grid at or before `epoch` (both in seconds)."""
    return epoch - epoch % step


def ceil(epoch: int, step: int) -> int:
    """The grid point of the UTC grid at or after `epoch` (both in seconds)."""
    return epoch + -epoch % step
