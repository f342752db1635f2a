"""Window of a chart: a view with what is laid over it and its indicators, as columns over its slots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from ffe_core.candles import VALUES
from ffe_core.insight.bars import Moment
from ffe_core.insight.chart import ChartView, bars_in
from ffe_core.insight.indicators import Floats, Indicator, computed
from ffe_core.insight.slots import Slots, slots
from ffe_core.series import Series
from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager
from ffe_core.storage.lake.snapshot import MICROS, epochs, micros
from ffe_core.times import DAY

_SPARE = 1.3
"""Bars before a view are looked for in a little more time than they take in it."""


@dataclass(frozen=True, slots=True, eq=False)
class Over:
    """What is laid over a chart: the closes of a series, as known at a moment or now."""

    series: Series
    as_known_at: Moment | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """A view, and columns over its slots: (n,) float64 each, NaN where there is nothing."""

    view: ChartView
    slots: Slots
    columns: dict[str, Floats]
    """time (epoch seconds), open, high, low, close, volume, sources, expected, restated, missing (see `Slots`), then
    `over:N` for each of `overs`, and `KEY:LINE` for each line of an indicator. At the series' own size also extracted
    (epoch seconds), ingestion (a place in `ingestions`) and edited (1 for what was a dead letter)."""
    ingestions: tuple[str, ...] = ()


def window(lake: DeltaLakeManager, view: ChartView, overs: Sequence[Over] = ()) -> Window:
    """The window of a view; what is laid over it is adjusted as it is.

    InputError for a series that is not stored, StorageError if something cannot be read.
    """
    span, size = (view.start, view.end), view.size.name
    laid = [bars_in(lake, one.series, *span, size, one.as_known_at, view.adjustment) for one in overs]
    found = slots(view, *laid)
    columns = {"time": found.open_times.astype(np.float64)}
    columns |= {name: found.column(view.bars, name) for name in (*VALUES, "sources", "expected", "restated")}
    columns["missing"] = found.missing.astype(np.float64)
    columns |= {f"over:{place}": found.column(table, "close") for place, table in enumerate(laid)}
    lineage, ingestions = _lineage(view, found)
    return Window(view, found, columns | lineage, ingestions)


def _lineage(view: ChartView, found: Slots) -> tuple[dict[str, Floats], tuple[str, ...]]:
    if "_ingestion_id" not in view.bars.column_names:
        return {}, ()
    named = view.bars["_ingestion_id"].combine_chunks().dictionary_encode()
    table = pa.table(
        {
            "timestamp": view.bars["timestamp"],
            "extracted": micros(view.bars["_extracted_at"]) / MICROS,
            "ingestion": named.indices,
            "edited": view.bars["_dead_letter_id"].is_valid(),
        }
    )
    columns = {name: found.column(table, name) for name in ("extracted", "ingestion", "edited")}
    return columns, tuple(str(name) for name in named.dictionary.to_pylist())


def with_indicators(
    lake: DeltaLakeManager, given: Window, indicators: Sequence[Indicator], as_known_at: Moment | None = None
) -> Window:
    """The window with the lines of the indicators, which see the bars before it too. StorageError."""
    view, found = given.view, given.slots
    shown = [one for one in indicators if not (one.is_daily and view.size.seconds >= DAY)]
    if not shown:
        return given
    start = _begin(view, len(found), shown)
    bars = view.bars.select(["timestamp", *VALUES])
    if start < view.start:
        before = bars_in(lake, view.series, start, view.start, view.size.name, as_known_at, view.adjustment)
        bars = pa.concat_tables([before.select(bars.column_names), bars])
    open_times, values = epochs(bars["timestamp"]), {name: bars[name].to_numpy() for name in VALUES}
    columns = dict(given.columns)
    for one in shown:
        for name, line in zip(one.lines, computed(one, open_times, values), strict=True):
            columns[f"{one}:{name}"] = found.column(pa.table({"timestamp": bars["timestamp"], "line": line}), "line")
    return replace(given, columns=columns)


def _begin(view: ChartView, places: int, indicators: Sequence[Indicator]) -> int:
    """When the first bar opens that the indicators have to see: there is more time than bars where a market closes."""
    bars = max(one.warm_up for one in indicators)
    seconds = (view.end - view.start) / max(1, places)
    start = view.start - int(bars * max(seconds, view.size.seconds) * _SPARE) if bars else view.start
    return min(start, view.start - view.start % DAY) if any(one.is_daily for one in indicators) else start
