"""Stored series, from when to when: answered from the log alone, without opening a data file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from ffe_core.candles import table_name
from ffe_core.errors import InputError
from ffe_core.providers import PROVIDERS
from ffe_core.series import Series, Watermarks
from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager
from ffe_core.storage.lake.snapshot import Files, Snapshot
from ffe_core.timeframes import TIMEFRAMES

_SHOWN = 12


@dataclass(frozen=True, slots=True)
class SeriesSummary:
    """What the log says of a series."""

    series: Series
    first: int
    """Open of the first bar, epoch seconds."""
    last: int
    files: int
    rows: int
    """Stored rows; a restated bar counts once for each version."""
    is_estimate: bool
    """True if a file holds several providers of the pair: `first` may be early, `rows` is shared out evenly."""


def stored_series(lake: DeltaLakeManager) -> list[SeriesSummary]:
    """Every series with rows in the lake, by pair, timeframe and provider. StorageError if a table cannot be read."""
    found = []
    for timeframe in TIMEFRAMES:
        snapshot = lake.snapshot(table_name(timeframe))
        if snapshot is not None:
            found += list(_summaries(snapshot, timeframe))
    return sorted(found, key=lambda summary: summary.series)


def require_stored(lake: DeltaLakeManager, series: Series) -> Snapshot:
    """The snapshot of a series' table; InputError listing what there is if it holds nothing of the series."""
    snapshot = lake.snapshot(series.table)
    if snapshot is None or not is_stored(snapshot, series):
        raise InputError(_unknown(series, [summary.series for summary in stored_series(lake)]))
    return snapshot


def covered(snapshot: Snapshot, series: Series) -> tuple[int, int]:
    """What a stored series was asked for so far (epoch seconds, half-open): between its marks, or its bars without."""
    marks, files = snapshot.marks(series), snapshot.files(series)
    low = int(files.first.min()) if marks.low is None else marks.low
    last = int(files.last.max()) if marks.watermark is None else marks.watermark
    return low, last + series.step


def is_stored(snapshot: Snapshot, series: Series) -> bool:
    """Whether the table holds bars of a series, as far as the log tells."""
    files = snapshot.files(series)
    if series.provider in files.providers.ravel().tolist():  # a first or a last of a file is there
        return True
    return series.provider in _providers(snapshot, series, files)


def providers_of(snapshot: Snapshot, asset_pair: str, timeframe: str) -> list[str]:
    """Who has bars of a pair in the table of a timeframe, by name."""
    everything = snapshot.all_files()
    files = everything.where(everything.pairs == asset_pair)
    return _providers(snapshot, Series(asset_pair, timeframe, ""), files) if len(files) else []


def _providers(snapshot: Snapshot, pair_of: Series, files: Files) -> list[str]:
    """Who has rows in the files: those named by statistics, and those between two named that left marks in the log."""
    low, high = files.providers[:, 0], files.providers[:, 1]
    named = {*low.tolist(), *high.tolist()}
    known = (*PROVIDERS, *snapshot.sources)
    between = [name for name in known if name not in named and ((low < name) & (name < high)).any()]
    marked = [name for name in between if snapshot.marks(replace(pair_of, provider=name)) != Watermarks()]
    return sorted({*named, *marked})


def _summaries(snapshot: Snapshot, timeframe: str) -> Iterator[SeriesSummary]:
    for pair, files in snapshot.by_pair():
        names = _providers(snapshot, Series(pair, timeframe, ""), files)
        sharing = _sharing(files, names)
        for place, provider in enumerate(names):
            yield _summary(snapshot, Series(pair, timeframe, provider), files, sharing, place)


def _sharing(files: Files, names: list[str]) -> np.ndarray:
    """(files, names) bool: which providers may have rows in which file."""
    low, high = files.providers[:, :1], files.providers[:, 1:]
    every = np.array([names], dtype=object)
    return (low <= every) & (every <= high)


def _summary(snapshot: Snapshot, series: Series, files: Files, sharing: np.ndarray, place: int) -> SeriesSummary:
    own = sharing[:, place]
    shared = sharing[own].sum(axis=1)
    mine = files.where(own)
    last = int(mine.last.max())
    if shared.max() > 1:
        marked = snapshot.marks(series).watermark
        last = last if marked is None else min(last, marked)
    rows = int((mine.rows / shared).sum())
    return SeriesSummary(series, int(mine.first.min()), last, len(mine), rows, bool(shared.max() > 1))


def _unknown(series: Series, known: list[Series]) -> str:
    if not known:
        return f"series: {series} is not stored, and nothing else is; backfill a series first"
    nearby = sorted(known, key=lambda other: (other.asset_pair != series.asset_pair, other))
    more = f" and {len(known) - _SHOWN} more" if len(known) > _SHOWN else ""
    return f"series: {series} is not stored; there is {', '.join(map(str, nearby[:_SHOWN]))}{more}"
