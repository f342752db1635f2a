"""Parts of a chart view: what each share of a range adds to it, its bars aggregated.

Bars are made of smaller ones of whole partitions, which are kept: panning through years of minutes reads each month
once. Data files never change, so what was made of the same files is never stale.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ffe_core.adjustments.factors import Steps
from ffe_core.candles import VALUES, partition_end
from ffe_core.errors import StorageError
from ffe_core.insight.aggregate import BarSize, aggregate, bar_size
from ffe_core.insight.bars import LINEAGE, Moment, Piece, moment_micros, pieces
from ffe_core.intervals import Times, clip_open_times, open_times_in, ranges_of
from ffe_core.series import Series
from ffe_core.storage.lake.snapshot import Files, Ints, Snapshot, epochs
from ffe_core.times import DAY

_BASES = tuple(bar_size(name) for name in ("1h", "15m", "5m"))
_BARS_OF_BASE = 3
"""A bar is made of so many of a base at least: fewer are as quickly read as kept."""
_MOST_BYTES = 16_000_000
"""Room for about 25 years of minutes of one pair by the hour, or two by five minutes."""


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A share of a view. Times are epoch seconds."""

    bars: pa.Table
    """By time: timestamp, the five values, `sources`, `expected`, `restated`; at the series' own size its lineage."""
    stored: Times
    """Runs of the stored bars; `open_times_in` gives back each."""
    later: Ints
    """Opens of the bars first stored after the moment asked for."""
    restated: Ints
    restated_since: Ints
    mocks: Times
    """Runs of the stored bars that are simulated."""

    @property
    def is_mock(self) -> bool:
        """Whether any of the bars is simulated."""
        return len(self.mocks) > 0

    @property
    def nbytes(self) -> int:
        """Bytes that it takes to keep."""
        arrays = (self.stored, self.later, self.restated, self.restated_since, self.mocks)
        return int(self.bars.nbytes) + sum(array.nbytes for array in arrays)

    def within(self, start: int, end: int, step: int) -> Part:
        """What of it lies in [start, end), which cuts none of its bars."""
        open_times = epochs(self.bars["timestamp"])
        first, last = np.searchsorted(open_times, [start, end]).tolist()
        if last - first == len(open_times):
            return self
        later, restated, restated_since = (
            opens[(opens >= start) & (opens < end)] for opens in (self.later, self.restated, self.restated_since)
        )
        return Part(
            bars=self.bars.slice(first, last - first),
            stored=clip_open_times(self.stored, step, start, end),
            later=later,
            restated=restated,
            restated_since=restated_since,
            mocks=clip_open_times(self.mocks, step, start, end),
        )

    def replaced(self, open_times: Ints, step: int) -> Ints:
        """Which of these ascending opens no stored bar of the part has."""
        if len(open_times) == 0 or len(self.stored) == 0:
            return open_times
        first, last = self.stored[:, 0].min(), self.stored[:, 1].max()
        if open_times[-1] < first or open_times[0] >= last:
            return open_times
        return np.setdiff1d(open_times, open_times_in(self.stored, step), assume_unique=True)


class Pyramid:
    """Parts of whole partitions in bars of a base, the least used forgotten first. Safe to use from several threads."""

    def __init__(self, most_bytes: int = _MOST_BYTES) -> None:
        self._most = most_bytes
        self._kept: OrderedDict[tuple[object, ...], Part] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def parts(
        self,
        snapshot: Snapshot,
        series: Series,
        size: BarSize,
        start: int,
        end: int,
        as_known_at: Moment | None,
        steps: Steps | None = None,
    ) -> Iterator[Part]:
        """The range part by part, by time: partitions from what is kept, the rest from the lake.

        Stored bars are adjusted by `steps` before larger ones are made of them.

        StorageError if something of the range cannot be read; what else of its partitions cannot does not matter.
        """
        base = _base(series, size)
        if base is None:
            yield from _read(snapshot, series, size, start, end, as_known_at, steps)
            return
        files = snapshot.files(series)
        for first, last, is_partition in _cut(files, series.timeframe, start, end):
            within = max(first, start), min(last, end)
            try:
                if is_partition:
                    whole = self._whole(snapshot, series, base, files, first, last, as_known_at, steps)
                    yield whole.within(*within, series.step)
                    continue
            except StorageError:
                if within == (first, last):
                    raise
            yield from _read(snapshot, series, base, *within, as_known_at, steps)

    def _whole(
        self,
        snapshot: Snapshot,
        series: Series,
        base: BarSize,
        files: Files,
        start: int,
        end: int,
        as_known_at: Moment | None,
        steps: Steps | None,
    ) -> Part:
        paths = tuple(files.between(start, end).paths)
        # What no step touches is the same part as without any.
        own = None if steps is None else steps.within(start, end)
        adjusted = b"" if own is None else own.key
        key = (snapshot.uri, series, base.name, moment_micros(as_known_at), adjusted, start, end, paths)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        made = _joined(list(_read(snapshot, series, base, start, end, as_known_at, own)))
        with self._lock:
            if key not in self._kept:
                self._kept[key] = made
                self._bytes += made.nbytes
            while self._bytes > self._most and len(self._kept) > 1:
                self._bytes -= self._kept.popitem(last=False)[1].nbytes
        return made


PYRAMID = Pyramid()
"""The one of this process."""


def _base(series: Series, size: BarSize) -> BarSize | None:
    """The largest bars worth keeping of which those of a size are made; None where there are none."""
    for base in _BASES:
        divides = size.months or size.seconds % base.seconds == 0
        if divides and series.step < base.seconds and size.seconds >= _BARS_OF_BASE * base.seconds:
            return base
    return None


def in_size(bars: pa.Table, series: Series, size: BarSize) -> pa.Table:
    """The bars of parts, or of several of them together, in the size of the view."""
    return bars if size.name == series.timeframe else aggregate(bars, series.step, size)


def _read(
    snapshot: Snapshot,
    series: Series,
    size: BarSize,
    start: int,
    end: int,
    as_known_at: Moment | None,
    steps: Steps | None,
) -> Iterator[Part]:
    columns = (*VALUES, *LINEAGE) if size.name == series.timeframe else (*VALUES, "is_mock")
    for piece in pieces(snapshot, series, start, end, as_known_at, columns):
        yield _part(piece, series, size, steps)


def _part(piece: Piece, series: Series, size: BarSize, steps: Steps | None) -> Part:
    open_times = epochs(piece.bars["timestamp"])
    bars = piece.bars if steps is None else steps.adjusted(piece.bars)
    return Part(
        bars=in_size(_counted(bars), series, size),
        stored=ranges_of(open_times, series.step),
        later=piece.later,
        restated=open_times[piece.bars["versions"].to_numpy() > 1],
        restated_since=piece.restated_since,
        mocks=ranges_of(open_times[np.asarray(piece.bars["is_mock"])], series.step),
    )


def _counted(bars: pa.Table) -> pa.Table:
    """Stored bars with the counts of shown ones: each stands for itself."""
    restated = pc.cast(pc.greater(bars["versions"], 1), pa.int64())
    ones = pa.array(np.ones(bars.num_rows, np.int64))
    counts = {"sources": ones, "expected": ones, "restated": restated}
    shown = {name: bars[name] for name in ("timestamp", *VALUES)}
    return pa.table(shown | counts | {name: bars[name] for name in LINEAGE if name in bars.column_names})


def _joined(parts: list[Part]) -> Part:
    if len(parts) == 1:
        return parts[0]
    return Part(
        bars=pa.concat_tables([part.bars for part in parts]).combine_chunks(),
        stored=np.concatenate([part.stored for part in parts]),
        later=np.concatenate([part.later for part in parts]),
        restated=np.concatenate([part.restated for part in parts]),
        restated_since=np.concatenate([part.restated_since for part in parts]),
        mocks=np.concatenate([part.mocks for part in parts]),
    )


def _cut(files: Files, timeframe: str, start: int, end: int) -> Iterator[tuple[int, int, bool]]:
    """Ranges that together cover [start, end), and whether each is a partition: then it may reach past the range."""
    begins = np.unique(files.periods.astype(np.int64) * DAY)
    if len(begins) == 0:
        yield start, end, False
        return
    known_end = partition_end(int(begins[-1]), timeframe)
    if start < begins[0]:
        yield start, min(end, int(begins[0])), False
    for first, last in zip(begins.tolist(), [*begins[1:].tolist(), known_end], strict=True):
        if first < end and start < last:
            yield first, last, True
    if end > known_end:
        yield max(start, known_end), end, False
