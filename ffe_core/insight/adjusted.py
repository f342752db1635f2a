"""Adjustment of a series: which splits and dividends on record count at a moment, and the closes before them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np

from ffe_core import times
from ffe_core.adjustments.actions import DIVIDEND, SPLIT, Action, Actions
from ffe_core.adjustments.factors import ALL, Steps, steps
from ffe_core.errors import InputError
from ffe_core.insight.bars import pieces
from ffe_core.series import Series
from ffe_core.storage.lake.snapshot import MICROS, Snapshot, epochs

_CLOSE_DAYS = 10
"""A close is of the day before if no more days lie between: the longest closure of New York since 1933 took six."""


def require_on_record(actions: Actions, adjust: str) -> None:
    """InputError if nothing is on record of what is asked for: raw prices would be called adjusted."""
    kind = DIVIDEND if adjust == ALL else SPLIT
    if not actions.path(kind).exists():
        raise InputError(
            f"no {kind} is on record, as there is no {actions.path(kind)}; put them on record with ffe actions add, or"
            " leave the adjustment out",
            field="adjust",
        )


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
    closes = _closes(snapshot, series, paid, known_at) if paid else {}
    return steps(counting(splits), [one for one in paid if one.day in closes], closes)


def _closes(snapshot: Snapshot, series: Series, paid: list[Action], known_at: int | None) -> dict[int, float]:
    """The close before each ex-day by day, without the days that lie outside what is stored."""
    files = snapshot.files(series)
    first, end = int(files.first.min()), int(files.last.max()) + 1
    begin = paid[0].day - _CLOSE_DAYS * times.DAY
    moment = None if known_at is None else datetime.fromtimestamp(0, UTC) + timedelta(microseconds=known_at)
    found: dict[int, float] = {}
    last = first
    for piece in pieces(snapshot, series, begin, end, moment, ["close"]) if begin < end else ():
        at, close = epochs(piece.bars["timestamp"]), piece.bars["close"].to_numpy()
        last = max(last, int(at[-1]) if len(at) else last)
        for one in paid:
            place = int(np.searchsorted(at, one.day)) - 1
            if place >= 0 and at[place] >= one.day - _CLOSE_DAYS * times.DAY:
                found[one.day] = float(close[place])
    for one in paid:
        if one.day not in found and first < one.day <= last:
            raise InputError(
                f"the close before the dividend of {one.pair} on {one.day_text} is not stored in {series}; backfill"
                " the days before it, or adjust for splits only",
                field="adjust",
            )
    return found
