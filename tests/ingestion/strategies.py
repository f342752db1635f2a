"""Record strategies: draw good candles, broken ones, and things that are no candles at all."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from ffe_core import times

_LONE_SURROGATE = "\ud800"


def texts() -> st.SearchStrategy[str]:
    """Any text, lone surrogates and control characters among it, as JSON escapes can bring it."""
    return st.text(st.characters(exclude_categories=()), max_size=8)


def json_values() -> st.SearchStrategy[Any]:
    """What a JSON parser can return, integers of any size and bare NaN and Infinity included."""
    leaves = st.none() | st.booleans() | st.integers() | st.just(-(10**4000)) | st.floats() | texts()
    return st.recursive(
        leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts(), inner, max_size=3), max_leaves=5
    )


def prices() -> st.SearchStrategy[Any]:
    """Mostly a number or its text, so that many records are candles."""
    numbers = st.sampled_from([1, 2, 2.5, 3, "1", "2", "2.50", "3", "1e0"])
    odd = st.sampled_from([0, -1, "", "n/a", "NaN", "inf", "-Infinity", "1e999", " 1", "0x1", "٣", _LONE_SURROGATE])
    return st.one_of(numbers, numbers, numbers, odd, json_values())


def dates(start: int, step: int, bars: int) -> st.SearchStrategy[Any]:
    """Mostly an open in the range, sometimes beside it or beside the grid."""
    open_times = st.integers(-1, bars).map(lambda at: times.iso(start + at * step))
    beside = st.integers(-2 * step, (bars + 2) * step).map(lambda second: times.iso(start + second))
    return st.one_of(open_times, open_times, open_times, beside, json_values())


def records(start: int, step: int, bars: int) -> st.SearchStrategy[Any]:
    """A record whose open mostly is one of `bars` opens from `start`."""
    fields = {name: prices() for name in ("open", "high", "low", "close")}
    candle = st.fixed_dictionaries({"date": dates(start, step, bars), **fields}, optional={"volume": prices()})
    flat = st.tuples(dates(start, step, bars), st.sampled_from([1, "2", "2.50", 3.0])).map(
        lambda pair: {"date": pair[0], "open": pair[1], "high": pair[1], "low": pair[1], "close": pair[1]}
    )
    partial = st.dictionaries(st.sampled_from(["date", "open", "high", "low", "close", "volume", "raw"]), prices())
    return st.one_of(flat, flat, candle, partial, json_values())
