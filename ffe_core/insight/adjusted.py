"""Adjustment of a series: which splits and dividends on record count at a moment, and the closes before them."""

from __future__ import annotations

import hashlib
import math
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np

from ffe_core import times
from ffe_core.adjustments.actions import DIVIDEND, SPLIT, Action, Actions
from ffe_core.adjustments.factors import ALL, Steps, checked_adjustment, steps
from ffe_core.counts import many
from ffe_core.errors import InputError
from ffe_core.insight.bars import nearest, pieces
from ffe_core.insight.units import NumberFormat
from ffe_core.series import Series
from ffe_core.storage.lake.snapshot import MICROS, Snapshot, epochs

_CLOSE_DAYS = 10
"""A close is of the day before if no more days lie between: the longest closure of New York since 1933 took six."""
_MOST_CLOSES = 10_000
_Key = tuple[object, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Adjustment:
    """What bars are adjusted for, `splits` or `all`, by what was on record when it was made."""

    name: str
    splits: Mapping[str, Sequence[Action]]
    """Those of each pair, by day."""
    dividends: Mapping[str, Sequence[Action]] = field(default_factory=dict)

    def steps(self, snapshot: Snapshot, series: Series, start: int, known_at: int | None = None) -> Steps:
        """What the bars of a series that open from `start` on are adjusted by, as `steps_of` says."""
        pair = series.asset_pair
        own = self.splits.get(pair, ()), self.dividends.get(pair, ())
        return steps_of(*own, snapshot, series, start, known_at)

    @property
    def stamp(self) -> str:
        """The same while the same is on record."""
        said = repr((self.name, [(one.pair, one.day, one.value) for one in self._all()]))
        return hashlib.blake2b(said.encode(), digest_size=8).hexdigest()

    def said(self, pair: str, known_at: int | None = None) -> str:
        """How many actions of a pair count, in a sentence; `known_at` in epoch microseconds."""
        until = times.now() if known_at is None else known_at // MICROS
        when = "now" if known_at is None else "that moment"
        both = ((SPLIT, self.splits), (DIVIDEND, self.dividends))
        counts = {kind: sum(one.day <= until for one in of.get(pair, ())) for kind, of in both}
        found = " and ".join(many(count, kind) for kind, count in counts.items() if count) or "none"
        return f"On record of {pair} with an ex-day that had come by {when}: {found}."

    def _all(self) -> list[Action]:
        return [one for of in (self.splits, self.dividends) for pair in sorted(of) for one in of[pair]]

    def prices(self, series: Series, format_: NumberFormat) -> NumberFormat:
        """How adjusted prices of a series are written for people: rounded to more decimals the more it was split.

        The same for every range of it, and as `format_` says for a pair without actions.
        """
        pair = series.asset_pair
        if not self.splits.get(pair) and not self.dividends.get(pair):
            return format_
        products = steps(self.splits.get(pair, ()), (), {})
        largest = max(1.0, float((products.new / products.old).max()))
        return NumberFormat(format_.decimals, most=format_.decimals + 1 + math.floor(math.log10(largest)))


def adjustment_of(actions: Actions, adjust: str | None) -> Adjustment | None:
    """The adjustment of a name by what is on record; None for none. InputError for one that there is not, and if
    nothing is on record of it: raw prices would be called adjusted. StorageError."""
    if checked_adjustment(adjust) is None:
        return None
    assert adjust is not None
    kind = DIVIDEND if adjust == ALL else SPLIT
    if not actions.path(kind).exists():
        raise InputError(
            f"no {kind} is on record, as there is no {actions.path(kind)}; put them on record with ffe actions add, or"
            " leave the adjustment out",
            field="adjust",
        )
    return Adjustment(adjust, actions.by_pair(SPLIT), actions.by_pair(DIVIDEND) if adjust == ALL else {})


def steps_of(
    splits: Sequence[Action],
    dividends: Sequence[Action],
    snapshot: Snapshot,
    series: Series,
    start: int,
    known_at: int | None = None,
) -> Steps:
    """What the bars of a series that open from `start` on (epoch seconds) are adjusted by; actions are given by day.

    Actions whose ex-day had not come at the moment `known_at` (epoch microseconds; now if None) do not count, nor
    dividends after the last stored bar, whose closes nobody can know. InputError for a dividend whose close before it
    is not stored, though later bars are; StorageError.
    """
    until = times.now() if known_at is None else known_at // MICROS

    def counting(actions: Sequence[Action]) -> list[Action]:
        return [one for one in actions if start < one.day <= until]

    paid = counting(dividends)
    closes = _CLOSES.before(snapshot, series, paid, known_at) if paid else {}
    return steps(counting(splits), [one for one in paid if one.day in closes], closes)


class _Closes:
    """Closes before ex-days, the least used forgotten first: a chart asks for them with every move.

    Data files never change, so a close that was read from the same files is never stale.
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[_Key, float | None] = OrderedDict()
        self._lock = threading.Lock()

    def before(
        self, snapshot: Snapshot, series: Series, paid: Sequence[Action], known_at: int | None
    ) -> dict[int, float]:
        """The close before each ex-day by day, without the days that lie outside what is stored."""
        keys = {one.day: _key(snapshot, series, one.day, known_at) for one in paid}
        with self._lock:
            found = {day: self._kept[key] for day, key in keys.items() if key in self._kept}
        unknown = [one.day for one in paid if one.day not in found]
        if unknown:
            read = _read(snapshot, series, unknown, known_at)
            found |= {day: read.get(day) for day in unknown}
        self._keep({key: found[day] for day, key in keys.items()})
        for one in paid:
            if found[one.day] is None:
                _require_outside(snapshot, series, one, known_at)
        return {day: close for day, close in found.items() if close is not None}

    def _keep(self, closes: Mapping[_Key, float | None]) -> None:
        with self._lock:
            for key, close in closes.items():
                self._kept[key] = close
                self._kept.move_to_end(key)
            while len(self._kept) > _MOST_CLOSES:
                self._kept.popitem(last=False)


_CLOSES = _Closes()


def _key(snapshot: Snapshot, series: Series, day: int, known_at: int | None) -> _Key:
    files = snapshot.files(series).between(day - _CLOSE_DAYS * times.DAY, day)
    paths = hashlib.blake2b("\n".join(files.paths).encode(), digest_size=16).digest()
    return snapshot.uri, series, day, known_at, paths


def _read(snapshot: Snapshot, series: Series, days: Sequence[int], known_at: int | None) -> dict[int, float]:
    """The close before each of these days, of the last bar at most so many days before."""
    files = snapshot.files(series)
    begin = max(days[0] - _CLOSE_DAYS * times.DAY, int(files.first.min()))
    end = min(days[-1], int(files.last.max()) + 1)
    found: dict[int, float] = {}
    for piece in pieces(snapshot, series, begin, end, _moment(known_at), ["close"]) if begin < end else ():
        at, close = epochs(piece.bars["timestamp"]), piece.bars["close"].to_numpy()
        for day in days:
            place = int(np.searchsorted(at, day)) - 1
            if place >= 0 and at[place] >= day - _CLOSE_DAYS * times.DAY:
                found[day] = float(close[place])
    return found


def _require_outside(snapshot: Snapshot, series: Series, one: Action, known_at: int | None) -> None:
    """InputError if bars are stored before and after a dividend but none of the days before it."""
    if int(snapshot.files(series).first.min()) >= one.day:
        return
    if nearest(snapshot, series, one.day, _moment(known_at))[1] is not None:
        raise InputError(
            f"the close before the dividend of {one.pair} on {one.day_text} is not stored in {series}; backfill"
            " the days before it, or adjust for splits only",
            field="adjust",
        )


def _moment(known_at: int | None) -> datetime | None:
    return None if known_at is None else datetime.fromtimestamp(0, UTC) + timedelta(microseconds=known_at)
