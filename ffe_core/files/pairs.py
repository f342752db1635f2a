"""Pairs of files: what somebody types as one, and what the path of a file says of pair and timeframe."""

from __future__ import annotations

import re

from ffe_core.errors import InputError
from ffe_core.instruments.names import normalize_pair
from ffe_core.timeframes import TIMEFRAMES

_LENGTH = re.compile(r"\d+(s|sec|m|min|h|d|w|mo|mon|y)|[mhdw]\d+|mn1?", re.IGNORECASE | re.ASCII)
"""A length of time, whether it is a timeframe or not."""


def file_pair(text: str, source: str) -> str:
    """The stored name of a pair that was typed for files. InputError for what cannot be one.

    No catalogue tells a pair of files from a place such as `files:mine/BTCUSD/1h`, of whose signs each stands in some
    symbol: what has a colon, two slashes or a timeframe is none, so that nothing is stored under a wrong name.
    """
    parts = [part.strip() for part in text.split("/")]
    if len(parts) > 1 and _LENGTH.fullmatch(parts[-1]) and parts[-1].lower() not in TIMEFRAMES:
        raise InputError(f"{parts[-1]!r} is no timeframe; use one of {', '.join(TIMEFRAMES)}", field="as")
    ends = re.split(r"[-_/ ]", text.strip().lower())
    if ":" in text or len(parts) > 2 or (len(ends) > 1 and {ends[0], ends[-1]} & set(TIMEFRAMES)):
        problem = "cannot be a pair; give the pair alone, like BTCUSD, BTC-USD, EUR_USD, BRK-B, TSCO.LON or AAPL"
        raise InputError(f"{text[:60]!r} {problem}", field="pair")
    return normalize_pair(text, source)
