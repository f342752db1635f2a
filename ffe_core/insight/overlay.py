"""Overlay of two series, or of one at two moments of knowledge: their differences bar by bar."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from ffe_core.candles import VALUES
from ffe_core.insight.aggregate import stamps
from ffe_core.insight.versions import change_bps
from ffe_core.storage.lake.snapshot import Ints, epochs


def overlay(a: pa.Table, b: pa.Table) -> pa.Table:
    """Two tables of bars of one size (timestamp and the five values, by time) side by side.

    One row for each open that either has: timestamp, `close_a`, `close_b` (null where there is no bar),
    `difference_bps` (b above a, in basis points of a; null unless both are there) and `is_different`: whether any of
    the five values differs, or only one side has the bar.
    """
    opens_a, opens_b = epochs(a["timestamp"]), epochs(b["timestamp"])
    open_times = np.union1d(opens_a, opens_b)
    place_a, place_b = _places(open_times, opens_a), _places(open_times, opens_b)
    close_a, close_b = a["close"].take(place_a), b["close"].take(place_b)
    both = place_a.is_valid().to_numpy(zero_copy_only=False) & place_b.is_valid().to_numpy(zero_copy_only=False)
    difference = change_bps(_numbers(close_a), _numbers(close_b))
    return pa.table(
        {
            "timestamp": stamps(open_times),
            "close_a": close_a,
            "close_b": close_b,
            "difference_bps": pa.array(difference, pa.float64(), mask=~both),
            "is_different": pa.array(~both | _differs(a, b, place_a, place_b)),
        }
    )


def _places(open_times: Ints, own: Ints) -> pa.Array:
    """Where each open is in `own`; null where it is not."""
    place = np.searchsorted(own, open_times)
    there = np.isin(open_times, own, assume_unique=True)
    return pa.array(place, pa.int64(), mask=~there)


def _differs(a: pa.Table, b: pa.Table, place_a: pa.Array, place_b: pa.Array) -> np.ndarray:
    found = np.zeros(len(place_a), dtype=bool)
    for name in VALUES:
        found |= _numbers(a[name].take(place_a)) != _numbers(b[name].take(place_b))
    return found


def _numbers(column: pa.ChunkedArray) -> np.ndarray:
    """Floats, NaN for null."""
    numbers: np.ndarray = column.to_numpy()
    return numbers
