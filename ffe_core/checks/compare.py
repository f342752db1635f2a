"""Comparison of two series bar by bar: what differs, how much, and what only one of them has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from ffe_core.candles import VALUES
from ffe_core.checks.bars import Bars, Floats, Ints, Mask
from ffe_core.checks.kinds.aligned import shared
from ffe_core.checks.kinds.timeframes import Parts, differing, parts_of
from ffe_core.checks.windows import Around, windows
from ffe_core.errors import InputError
from ffe_core.insight.bars import Moment
from ffe_core.series import Series
from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager

_MOST_EXAMPLES = 20


@dataclass(slots=True)
class Difference:
    """What one column of the compared bars comes to."""

    differing: int = 0
    """Bars in which it differs by more than half a tick, of volumes by more than a millionth."""
    sum: float = 0.0
    """Of the differences, without their signs."""
    largest: float = 0.0
    at: int | None = None
    """Open of the bar with the largest, epoch seconds."""
    here: float = 0.0
    there: float = 0.0

    @property
    def mean(self) -> float:
        """Of those that differ; 0.0 if none does."""
        return self.sum / self.differing if self.differing else 0.0


@dataclass(slots=True)
class Held:
    """What is stored of one side."""

    bars: int = 0
    first: int | None = None
    """First and last open, epoch seconds."""
    last: int | None = None
    with_volume: int = 0

    def add(self, bars: Bars, begin: int) -> None:
        """Count the new bars of a window."""
        new = bars.open_times[begin:]
        if len(new):
            self.first = int(new[0]) if self.first is None else self.first
            self.last, self.bars = int(new[-1]), self.bars + len(new)
            self.with_volume += int(np.count_nonzero(bars.values["volume"][begin:] > 0))


@dataclass(slots=True)
class Comparison:
    """What the bars of a series are beside those of another, or beside what finer ones come to."""

    series: Series
    other: Series
    """The same timeframe, or a finer one whose bars are put together."""
    here: Held = field(default_factory=Held)
    there: Held = field(default_factory=Held)
    compared: int = 0
    """Bars of both, with every finer bar there that the calendar expects."""
    different: int = 0
    """Of those, bars of which any column differs."""
    partly: int = 0
    """Bars some of whose finer bars are missing: they are counted apart."""
    partly_different: int = 0
    only_here: int = 0
    only_there: int = 0
    """Bars of the other that no bar of this one holds."""
    columns: dict[str, Difference] = field(default_factory=lambda: {name: Difference() for name in VALUES})
    examples: list[int] = field(default_factory=list)
    """Opens of the first bars that differ."""


def compare(
    lake: DeltaLakeManager, one: Series, other: Series, around: Around, as_known_at: Moment | None = None
) -> Comparison:
    """Compare two stored series, the coarser with what the finer comes to; memory does not grow with their length.

    InputError for a series with itself, for one that is not stored, and for timeframes of which none holds the other
    whole; StorageError.
    """
    if one == other:
        raise InputError(f"{one} is compared with itself; name another", field="series")
    series, beside = sorted((one, other), key=lambda one: -one.step) if one.step != other.step else (one, other)
    if series.step % beside.step:
        raise InputError(
            f"{series.timeframe} is not made of whole {beside.timeframe}; name other series", field="series"
        )
    found = Comparison(series, beside)
    for shown, begins in windows(lake, [series, beside], around, as_known_at):
        _add(found, shown[series], shown[beside], begins)
    return found


def _add(found: Comparison, bars: Bars, other: Bars, begins: Mapping[Series, int]) -> None:
    found.here.add(bars, begins[bars.series])
    found.there.add(other, begins[other.series])
    parts = _beside(bars, other)
    new = np.arange(begins[bars.series], len(bars))
    found.only_here += len(new) - int(np.count_nonzero(np.isin(new, parts.places)))
    found.only_there += int(np.count_nonzero(~_is_held(bars, other)[begins[other.series] :]))
    parts = _those(parts, parts.places >= begins[bars.series])
    differ = differing(bars, parts)
    any_of = np.logical_or.reduce([mask for name, mask in differ.items() if _says(bars, other, name)])
    found.compared += int(np.count_nonzero(parts.is_whole))
    found.different += int(np.count_nonzero(any_of & parts.is_whole))
    found.partly += int(np.count_nonzero(~parts.is_whole))
    found.partly_different += int(np.count_nonzero(any_of & ~parts.is_whole))
    opens = bars.open_times[parts.places]
    found.examples += opens[any_of & parts.is_whole][: _MOST_EXAMPLES - len(found.examples)].tolist()
    for name, mask in differ.items():
        if _says(bars, other, name):
            _count(
                found.columns[name], mask & parts.is_whole, opens, bars.values[name][parts.places], parts.values[name]
            )


def _says(bars: Bars, other: Bars, name: str) -> bool:
    """Whether a column can be compared: volumes only where both sources have some."""
    return name != "volume" or bool((bars.values[name] > 0).any() and (other.values[name] > 0).any())


def _beside(bars: Bars, other: Bars) -> Parts:
    """What the other comes to at the opens of the bars."""
    if other.series.step < bars.series.step:
        found = parts_of(bars, other)
        return _nothing(other) if found is None else found
    here, there = shared(bars, other)
    values = {name: other.values[name][there] for name in VALUES}
    return Parts(other.series, here, values, np.ones(len(here), dtype=bool))


def _nothing(other: Bars) -> Parts:
    none = np.empty(0)
    return Parts(other.series, none.astype(np.int64), dict.fromkeys(VALUES, none), none.astype(bool))


def _those(parts: Parts, chosen: Mask) -> Parts:
    values = {name: column[chosen] for name, column in parts.values.items()}
    return Parts(parts.series, parts.places[chosen], values, parts.is_whole[chosen])


def _is_held(bars: Bars, other: Bars) -> Mask:
    """Which of the other's bars lie in one of the bars."""
    if len(bars) == 0:
        return np.zeros(len(other), dtype=bool)
    owner = np.searchsorted(bars.open_times, other.open_times, side="right") - 1
    held: Mask = (owner >= 0) & (other.open_times < bars.open_times[np.maximum(owner, 0)] + bars.series.step)
    return held


def _count(total: Difference, differs: Mask, opens: Ints, here: Floats, there: Floats) -> None:
    places = np.flatnonzero(differs)
    if len(places) == 0:
        return
    off = np.abs(here[places] - there[places])
    total.differing += len(places)
    total.sum += float(np.nansum(off))
    worst = int(np.nanargmax(off)) if np.isfinite(off).any() else 0
    if total.at is None or off[worst] > total.largest:
        place = places[worst]
        total.largest, total.at = float(off[worst]), int(opens[place])
        total.here, total.there = float(here[place]), float(there[place])
