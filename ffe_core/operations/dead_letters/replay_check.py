"""Replay check: what would become of dead letters if they were replayed now; a replay acts on it too.

Each record goes through the rules that every candle goes through, and is then compared with what the lake holds.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ffe_core.candles import VALUES
from ffe_core.ingestion.hour_grid import HourGrid
from ffe_core.operations.dead_letters.edits import LANDED_OTHERWISE, NOT_CLOSED
from ffe_core.providers import has_volume
from ffe_core.rules.model import Rule
from ffe_core.rules.sift import sifted
from ffe_core.series import Series
from ffe_core.storage.dead_letters.file import PENDING, DeadLetterRecord
from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager
from ffe_core.validation import UNREADABLE, read_open_times, validate

Outcome = Literal["passes", "fails", "collides", "identical", "landed"]
Replayed = tuple[int, dict[str, float]]
"""Open (epoch seconds) and the five values of a row that a replay stored."""
_NOTHING: Mapping[str, Replayed] = MappingProxyType({})
_EVER = 2**40
_READ_BARS = 500_000


@dataclass(frozen=True, slots=True)
class ReplayCheck:
    """One record, evaluated. `open` in epoch seconds; `candle` and `stored` hold the five values by name.

    passes: it would be stored. fails: `reasons` say why. collides: `stored` has other values for the bar. identical:
    the same values are stored, or come again in the selection. landed: an earlier replay has stored just this.
    """

    batch_id: str
    number: int
    revision: int
    outcome: Outcome
    reasons: tuple[str, ...] = ()
    open: int | None = None
    candle: dict[str, float] | None = None
    stored: dict[str, float] | None = None

    @property
    def dead_letter_id(self) -> str:
        """What a replayed row carries."""
        return dead_letter_id(self.batch_id, self.number)


def dead_letter_id(batch_id: str, number: int) -> str:
    """Entry and record of a replayed row, as its `_dead_letter_id` says it."""
    return f"{batch_id}#{number}"


def compared_with(check: ReplayCheck, stored: dict[str, float]) -> ReplayCheck:
    """A record that passes, evaluated against a candle that will be stored before it."""
    return replace(check, outcome="identical" if check.candle == stored else "collides", stored=stored)


def already_replayed(lake: DeltaLakeManager, series: Series, ids: Collection[str]) -> dict[str, Replayed]:
    """What earlier replays stored under these dead letter ids: of each the newest row that carries it."""
    snapshot = lake.snapshot(series.table)
    if snapshot is None or not ids:
        return {}
    columns = ["timestamp", "_extracted_at", "_dead_letter_id", *VALUES]
    rows = snapshot.rows(series, -_EVER, _EVER, columns, where=pc.field("_dead_letter_id").is_valid())
    rows = rows.filter(pc.is_in(rows["_dead_letter_id"], pa.array(list(ids), pa.string()))).sort_by("_extracted_at")
    open_times = np.asarray(pc.cast(rows["timestamp"], pa.int64())) // 1_000_000
    candles: list[dict[str, Any]] = rows.select(list(VALUES)).to_pylist()
    return dict(zip(rows["_dead_letter_id"].to_pylist(), zip(open_times.tolist(), candles, strict=True), strict=True))


def evaluate(
    lake: DeltaLakeManager,
    series: Series,
    records: Sequence[tuple[str, DeadLetterRecord]],
    closed_before: int,
    already: Mapping[str, Replayed] = _NOTHING,
    hours: HourGrid | None = None,
    rules: Sequence[Rule] = (),
) -> list[ReplayCheck]:
    """Judge pending records of one series, in the order given; `already` is what has landed of them, `hours` where in
    the hour its bars open, `rules` those of one's own.

    One that was edited after it had landed fails: a record is stored once. Bars that open at `closed_before` (epoch
    seconds) or later have not closed.
    """
    records = [item for item in records if item[1].status == PENDING]
    there = [(batch_id, record) for batch_id, record in records if dead_letter_id(batch_id, record.number) in already]
    known = _still_as_replayed(series, there, already)
    waiting = [item for item in records if dead_letter_id(item[0], item[1].number) not in known]
    evaluated = iter(_evaluated(lake, series, waiting, closed_before, hours, rules))
    return [known.get(dead_letter_id(batch_id, record.number)) or next(evaluated) for batch_id, record in records]


def _still_as_replayed(
    series: Series, records: Sequence[tuple[str, DeadLetterRecord]], already: Mapping[str, Replayed]
) -> dict[str, ReplayCheck]:
    """Checks by dead letter id on letters that have landed: does each say today what it said then?"""
    checks: dict[str, ReplayCheck] = {}
    while records:
        # Of two records of a bar in one batch the rules let one supersede the other: each is read alone.
        open_times = read_open_times([record.value for _, record in records]).tolist()
        alone = dict(zip(open_times, records, strict=True))
        candles = _by_open(validate([record.value for _, record in alone.values()], series.grid).candles)
        for open_, (batch_id, record) in alone.items():
            id_ = dead_letter_id(batch_id, record.number)
            then, stored = already[id_]
            check = ReplayCheck(batch_id, record.number, record.revision, "landed")
            if (open_, candles.get(open_)) != (then, stored):
                reasons = (LANDED_OTHERWISE,)
                check = replace(check, outcome="fails", reasons=reasons, open=then, stored=stored)
            checks[id_] = check
        records = [item for item in records if dead_letter_id(item[0], item[1].number) not in checks]
    return checks


def _evaluated(
    lake: DeltaLakeManager,
    series: Series,
    records: Sequence[tuple[str, DeadLetterRecord]],
    closed_before: int,
    hours: HourGrid | None,
    rules: Sequence[Rule],
) -> list[ReplayCheck]:
    values = [record.value for _, record in records]
    open_times = read_open_times(values)
    # A person who edits a record may leave its volume out; a provider that has volumes may not.
    as_sent = np.array([record.value == record.raw for _, record in records], bool)
    checked = validate(values, series.grid, open_times, as_sent & has_volume(series))
    checked = sifted(checked, rules, values.__getitem__, open_times)
    reasons = {failure.index: tuple(failure.reasons) for failure in checked.failures}
    for place in np.flatnonzero((open_times >= closed_before) & (open_times != UNREADABLE)).tolist():
        reasons.setdefault(place, (NOT_CLOSED,))
    if hours is not None:
        for place in np.flatnonzero(hours.elsewhere(open_times)).tolist():
            reasons.setdefault(place, ("off_grid",))
    last = {int(open_times[place]): place for place in range(len(records)) if place not in reasons}
    candles = _by_open(checked.candles)
    stored = _stored(lake, series, sorted(last))
    return [
        _check(batch_id, record, int(open_times[place]), reasons.get(place, ()), last, candles, stored, place)
        for place, (batch_id, record) in enumerate(records)
    ]


def _check(
    batch_id: str,
    record: DeadLetterRecord,
    open_: int,
    reasons: tuple[str, ...],
    last: dict[int, int],
    candles: dict[int, dict[str, float]],
    stored: dict[int, dict[str, float]],
    place: int,
) -> ReplayCheck:
    if reasons:
        readable = None if open_ == UNREADABLE else open_
        return ReplayCheck(
            batch_id, record.number, record.revision, "fails", reasons, readable, stored=stored.get(open_)
        )
    candle, held = candles[open_], stored.get(open_)
    same = last[open_] != place or held == candle
    outcome: Outcome = "identical" if same else "passes" if held is None else "collides"
    return ReplayCheck(batch_id, record.number, record.revision, outcome, (), open_, candle, held)


def _stored(lake: DeltaLakeManager, series: Series, open_times: Sequence[int]) -> dict[int, dict[str, float]]:
    """The stored candles of these bars; far-apart ones are read apart, so memory does not grow with the distance."""
    found: dict[int, dict[str, float]] = {}
    wanted = set(open_times)
    for start, end in _stretches(open_times, series.step * _READ_BARS):
        found |= {
            open_: candle for open_, candle in _by_open(lake.current(series, start, end)).items() if open_ in wanted
        }
    return found


def _stretches(open_times: Sequence[int], longest: int) -> list[tuple[int, int]]:
    """Half-open ranges around all the opens (sorted), none longer than `longest`."""
    ranges: list[tuple[int, int]] = []
    for open_ in open_times:
        if ranges and open_ - ranges[-1][0] < longest:
            ranges[-1] = (ranges[-1][0], open_ + 1)
        else:
            ranges.append((open_, open_ + 1))
    return ranges


def _by_open(candles: pa.Table) -> dict[int, dict[str, float]]:
    open_times = np.asarray(pc.cast(candles["timestamp"], pa.int64())) // 1_000_000
    rows: list[dict[str, Any]] = candles.select(list(VALUES)).to_pylist()
    return dict(zip(open_times.tolist(), rows, strict=True))
