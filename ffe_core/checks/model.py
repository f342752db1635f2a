"""Check model: what a check is, and what it finds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ffe_core.candles import VALUES
from ffe_core.checks.bars import Bars, Floats, Ints
from ffe_core.errors import InputError
from ffe_core.insight.units import NumberFormat
from ffe_core.series import Series

ERROR, WARNING, NOTICE = "error", "warning", "notice"
SEVERITIES = (ERROR, WARNING, NOTICE)
"""How bad it is if it is true, the worst first: prices that nobody traded at; something to look into; to know."""
Evidence = Mapping[str, Any]
_MIX = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """Bars that one check is about, [start, end) in epoch seconds."""

    kind: str
    series: Series
    start: int
    end: int
    bars: int
    size: float
    """How far off the worst of them is, in what the check counts in."""
    evidence: Evidence
    at: Ints
    """Opens of the bars concerned."""
    prints: npt.NDArray[np.uint64]
    """A number for each of them, which changes with its values."""
    other: Series | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """One check. `find` gives what it finds in a window of bars, `says` puts evidence into one sentence,
    prices as those of its series are written."""

    name: str
    sentence: str
    """What it looks for and why that is odd, for people."""
    severity: str
    find: Callable[[Bars], Iterable[Found]]
    says: Callable[[Evidence, NumberFormat], str]
    join: int = 2
    """Finds so many bars apart or less are one finding."""


def checked_severity(name: str) -> str:
    """The severity, or InputError listing those there are."""
    if name not in SEVERITIES:
        raise InputError(f"{name!r} is unknown; use one of {', '.join(SEVERITIES)}", field="severity")
    return name


def grouped(
    kind: str,
    bars: Bars,
    places: Ints,
    sizes: Floats,
    evidence: Callable[[int], Evidence],
    *,
    join: int = 2,
    other: Series | None = None,
    beside: Sequence[Floats] = (),
) -> Iterator[Found]:
    """Findings of the bars at some ascending places, those near each other as one.

    `sizes` (n,) say how far off each is; `evidence` is asked for the worst place of each finding; `beside` are columns
    over the bars that belong to them on the other side.
    """
    if len(places) == 0:
        return
    prints = _prints(bars, places, beside)
    cuts = np.flatnonzero(np.diff(places) > join) + 1
    for first, last in zip([0, *cuts.tolist()], [*cuts.tolist(), len(places)], strict=True):
        own = slice(first, last)
        at = bars.open_times[places[own]]
        worst = first + int(np.argmax(np.abs(sizes[own])))
        named = {"at": int(bars.open_times[places[worst]]), **evidence(int(places[worst]))}
        yield Found(
            kind,
            bars.series,
            int(at[0]),
            int(at[-1]) + bars.series.step,
            len(at),
            float(sizes[worst]),
            named,
            at,
            prints[own],
            other,
        )


def missing(
    kind: str, bars: Bars, start: int, end: int, count: int, evidence: Evidence, other: Series | None = None
) -> Found:
    """A finding about bars that are not there: it changes when they come."""
    at = np.array([start], np.int64)
    return Found(kind, bars.series, start, end, count, float(count), {"at": start, **evidence}, at, _mixed(at), other)


def _prints(bars: Bars, places: Ints, beside: Sequence[Floats]) -> npt.NDArray[np.uint64]:
    found = _mixed(bars.open_times[places])
    for column in (*(bars.values[name] for name in VALUES), *beside):
        bits = np.ascontiguousarray(column[places] + 0.0).view(np.int64)
        found = _mixed(bits) + found * np.uint64(31)
    return found


def _mixed(numbers: Ints) -> npt.NDArray[np.uint64]:
    """Numbers spread over 64 bits, so that their sum tells one set from another."""
    mixed = numbers.astype(np.uint64) * _MIX
    mixed ^= mixed >> np.uint64(29)
    spread: npt.NDArray[np.uint64] = mixed * np.uint64(0xBF58476D1CE4E5B9)
    return spread
