"""Text of bars: numbers that read back as the same floats, times by a pattern, and lines of columns."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ffe_core.candles import PRICES
from ffe_core.insight.units import NumberFormat
from ffe_core.storage.lake.snapshot import Ints

Floats = npt.NDArray[np.float64]


def price_texts(table: pa.Table, prices: NumberFormat) -> list[pa.Array]:
    """Open, high, low and close as text."""
    return [prices.plain(table[name].to_numpy()) for name in PRICES]


def volume_texts(table: pa.Table) -> pa.Array:
    """The volume as text, whole."""
    return NumberFormat().plain(table["volume"].to_numpy())


def times(seconds: Ints, pattern: str, zone: str = "UTC") -> pa.Array:
    """Epoch seconds as a wall clock of a zone shows them, by a pattern of strftime."""
    stamps = pa.array(seconds, pa.int64()).cast(pa.timestamp("s", "UTC")).cast(pa.timestamp("s", zone))
    return pc.strftime(stamps, pattern)


def constant(text: str, count: int) -> pa.Array:
    """A column of one text."""
    return pa.repeat(text, count)


def lines(columns: Sequence[pa.Array]) -> bytes:
    """Rows of comma-separated values, each with its end."""
    joined: list[str] = pc.binary_join_element_wise(*columns, ",").to_pylist()
    return "\n".join([*joined, ""]).encode()
