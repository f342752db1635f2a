"""Bars of an export: stored ones as they are or were known at a moment, or larger ones derived from them, in pieces."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

from ffe_core.adjustments.factors import Steps
from ffe_core.candles import VALUES
from ffe_core.insight.aggregate import BarSize
from ffe_core.insight.bars import LINEAGE, Moment, pieces
from ffe_core.insight.resample import COUNTS, resample
from ffe_core.insight.units import NumberFormat
from ffe_core.instruments.names import AssetClass, asset_class, split_pair
from ffe_core.reading.calendars import CalendarOf
from ffe_core.series import Series
from ffe_core.storage.lake.snapshot import Ints, Snapshot, epochs


@dataclass(frozen=True, slots=True, eq=False)
class SeriesBars:
    """The bars of a series that open in [start, end) (epoch seconds), of the size that is wanted."""

    snapshot: Snapshot
    series: Series
    start: int
    end: int
    known_at: Moment | None
    size: BarSize | None
    """What larger bars are derived; None for bars as they are stored."""
    calendar_of: CalendarOf
    prices: NumberFormat
    """How its prices are written."""
    adjust: str | None = None
    """What they are adjusted for; None for bars as they were traded."""
    steps: Steps | None = None
    """What they are adjusted by."""

    @property
    def timeframe(self) -> str:
        """The size of the bars by name."""
        return self.series.timeframe if self.size is None else self.size.name

    @property
    def seconds(self) -> int:
        """Length of a bar; the mean length of a month."""
        return self.series.step if self.size is None else self.size.seconds

    @property
    def names(self) -> tuple[str, str] | None:
        """Base and quote; None where it has none."""
        return split_pair(self.series.asset_pair, self.series.provider)

    @property
    def kind(self) -> AssetClass:
        """Which kind of market it trades in, as far as its name says."""
        return asset_class(self.series.asset_pair, self.series.provider)

    @property
    def columns(self) -> tuple[str, ...]:
        """What each bar has beside its timestamp."""
        return (*VALUES, *(LINEAGE if self.size is None else COUNTS))

    def ends(self, open_times: Ints) -> Ints:
        """Where each bar ends, epoch seconds, from its open."""
        return open_times + self.series.step if self.size is None else self.size.after(open_times)

    def tables(self) -> Iterator[pa.Table]:
        """The bars by time, piece by piece: timestamp, then `columns`. Memory does not grow with the range."""
        if self.size is None:
            for piece in self._pieces((*VALUES, *LINEAGE)):
                if piece.num_rows:
                    yield piece
        else:
            yield from self._derived(self.size)

    def _pieces(self, columns: tuple[str, ...]) -> Iterator[pa.Table]:
        start, end = self._source_range()
        if end > start:
            for piece in pieces(self.snapshot, self.series, start, end, self.known_at, columns):
                bars = piece.bars.select(["timestamp", *columns])
                yield bars if self.steps is None else self.steps.adjusted(bars)

    def _source_range(self) -> tuple[int, int]:
        """The stored bars that those which open in the range are made of."""
        if self.size is None:
            return self.start, self.end
        first, end = self.size.widened(self.start, self.end)
        return (first if first == self.start else self.size.widened(first, first + 1)[1]), end

    def _derived(self, size: BarSize) -> Iterator[pa.Table]:
        """Larger bars; the source bars of the last one are held until the next piece has what belongs to it."""
        calendar, held = self.calendar_of(self.series), None
        for piece in self._pieces(VALUES):
            together = piece if held is None else pa.concat_tables([held, piece])
            if together.num_rows == 0:
                continue
            buckets = size.buckets(epochs(together["timestamp"]))
            whole = int((buckets < buckets[-1]).sum())
            held = together.slice(whole)
            if whole:
                yield resample(together.slice(0, whole), self.series, size, calendar)
        if held is not None:
            yield resample(held, self.series, size, calendar)
