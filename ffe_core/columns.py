"""Candle columns: hold the records of answers as typed columns, and make a record only for whoever asks for it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from ffe_core.candles import VALUES


@dataclass(frozen=True, slots=True, eq=False)
class CandleColumns(Sequence[Any]):
    """A sequence of records, each as `record` gives it, whose times and values have all been read already.

    Only what reads whole becomes columns: every time is a whole second, every value a number (NaN and infinite among
    them), nothing is missing. `validation` judges them as it would the records.
    """

    open_times: npt.NDArray[np.int64]
    """(n,) bar open of each record, epoch seconds."""
    values: Mapping[str, npt.NDArray[np.float64]]
    """(n,) each of `VALUES`."""
    unfinished: npt.NDArray[np.bool_]
    """(n,) whether the record itself says that its bar is not closed."""
    record: Callable[[int], Any]
    """The record at a place, as sent."""

    def __len__(self) -> int:
        return len(self.open_times)

    @overload
    def __getitem__(self, place: int) -> Any: ...
    @overload
    def __getitem__(self, place: slice) -> CandleColumns: ...
    def __getitem__(self, place: int | slice) -> Any:
        if isinstance(place, slice):
            return self.take(np.arange(len(self))[place])
        return self.record(range(len(self))[place])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    def take(self, places: npt.NDArray[np.int64]) -> CandleColumns:
        """The records at some places, in their order."""
        values = {name: column[places] for name, column in self.values.items()}
        return CandleColumns(
            self.open_times[places], values, self.unfinished[places], lambda i: self.record(int(places[i]))
        )


def joined(parts: Sequence[CandleColumns]) -> CandleColumns:
    """The records of all parts, one after the other; at least one part."""
    if len(parts) == 1:
        return parts[0]
    ends = list(accumulate(map(len, parts)))

    def record(place: int) -> Any:
        part = bisect_right(ends, place)
        return parts[part].record(place - (ends[part - 1] if part else 0))

    return CandleColumns(
        np.concatenate([part.open_times for part in parts]),
        {name: np.concatenate([part.values[name] for part in parts]) for name in VALUES},
        np.concatenate([part.unfinished for part in parts]),
        record,
    )
