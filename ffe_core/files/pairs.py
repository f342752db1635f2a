"""Pairs of files: what somebody types as one, and what the path of a file says of pair and timeframe."""

from __future__ import annotations

import re

from ffe_core.errors import InputError
from ffe_core.files.names import timeframe_named
from ffe_core.instruments.currencies import KNOWN
from ffe_core.instruments.names import normalize_pair, split_pair
from ffe_core.timeframes import TIMEFRAMES

_LENGTH = re.compile(r"\d+(s|sec|m|min|h|d|w|mo|mon|y)|[mhdw]\d+|mn1?", re.IGNORECASE | re.ASCII)
"""A length of time, whether it is a timeframe or not."""
_ENDINGS = re.compile(
    r"(?i)(\.(csv|tsv|txt|jsonl?|ndjson|parquet|feather|arrow|ipc|dat|prn|gz|zst|zip|tar|tgz))+$|\s*\(\d+\)$"
)
_DATE = re.compile(r"(19|20)(\d{2}|\d{4}|\d{6})")
_NAME = re.compile(r"(?=.*[A-Z])(?=[^.])[A-Z0-9\-]+(\.[A-Z0-9\-]+)*")
_NO_PAIRS = frozenset(
    "DATA CANDLE CANDLES OHLC OHLCV PRICE PRICES QUOTE QUOTES BAR BARS KLINES CHART CHARTS EXPORT EXPORTS HISTORY FILE"
    " FILES DOWNLOAD DOWNLOADS TABLE SHEET IMPORT UPLOAD UPLOADS".split()
)
"""What files and folders of candles are called, whatever their pair."""


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


def named_in(path: str) -> tuple[str, str]:
    """Pair and timeframe as a path says them where no form has a rule of its own for that; "" for what it does not.

    Read are ONEUSD_1d.csv, 1h-BTC-USD.csv, `AAPL daily.csv` and the folders ONEUSD/1d.csv and 1d/ONEUSD.csv, with dates
    behind them or without. Of what has a second reading, such as 1M or three words, nothing is said: it is asked.
    """
    folder, own = ["", *re.split("[/!]", path)][-2:]
    pair, timeframe = _words(own)
    of_folder, folders_timeframe = _words(folder)
    if timeframe and not pair and not _rest(own) and not folders_timeframe:
        return of_folder, timeframe
    if pair and not timeframe and folders_timeframe and not _rest(folder):
        return pair, folders_timeframe
    is_known = timeframe or split_pair(normalize_pair(pair)) if pair else True
    return (pair if is_known else ""), timeframe


def _words(name: str) -> tuple[str, str]:
    """What one name says: its first or last word is a timeframe, the others are a pair."""
    words = _cut(name)
    ends = {place: found for place in (0, len(words) - 1) if words and (found := _timeframe(words[place]))}
    if len(ends) > 1:
        return "", ""
    timeframe = next(iter(ends.values()), "")
    return _pair([word for place, word in enumerate(words) if place not in ends]), timeframe


def _rest(name: str) -> list[str]:
    return [word for word in _cut(name) if not _timeframe(word)]


def _cut(name: str) -> list[str]:
    """The words of a name, without its endings and the dates behind them."""
    words = [word for word in re.split("[-_ ]+", _ENDINGS.sub("", _ENDINGS.sub("", name))) if word]
    dates = len(words)
    while dates > 1 and words[dates - 1].isdigit():
        dates -= 1
    return words[:dates] if dates < len(words) and _DATE.fullmatch(words[dates]) else words


def _timeframe(word: str) -> str:
    """1M may be a month, 60 anything, and d a letter."""
    is_open = word == "1M" or word.isdigit() or len(word) < 2
    return "" if is_open else timeframe_named(word) or ""


def _pair(words: list[str]) -> str:
    """One name in capitals, or base and quote; in small letters both must be known ones."""
    name = "-".join(words).upper()
    if (
        len(words) not in (1, 2)
        or not 2 <= len(name) <= 20
        or not _NAME.fullmatch(name)
        or _NO_PAIRS & {*name.split("-")}
    ):
        return ""
    if len(words) == 2 and words[1].upper() not in KNOWN:
        is_class = words[0].isupper() and len(words[1]) == 1 and words[1].isupper()  # BRK-B
        return name if is_class else ""
    parts = split_pair(normalize_pair(name))
    is_spelt = all(word.isupper() for word in words) or (parts is not None and set(parts) <= KNOWN)
    return name if is_spelt else ""
