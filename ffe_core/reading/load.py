"""Loading of candles: the bars of many pairs in one frame, as they are stored or resampled."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa

from ffe_core.candles import TIMESTAMP, VALUES
from ffe_core.errors import InputError
from ffe_core.insight.aggregate import UTC
from ffe_core.insight.bars import Moment, checked_columns
from ffe_core.insight.gaps import Seen
from ffe_core.insight.reasons import reasons
from ffe_core.insight.resample import COUNTS, resample
from ffe_core.insight.stored import covered
from ffe_core.reading.asked import Asked, Lake, asked, lake_of
from ffe_core.reading.frames import checked_as, frame, package
from ffe_core.reading.known import Known, known
from ffe_core.series import Series
from ffe_core.settings import Config, Settings
from ffe_core.storage.lake.current_rows import current_frame, current_rows
from ffe_core.storage.lake.snapshot import epochs
from ffe_core.times import Instant

_KEYS = ("timestamp", "asset_pair")
REASONS = "missing"
"""The column that says why a resampled bar is not complete."""
ADJUSTMENT = "adjustment"
"""The column that says what the values are adjusted for."""
NAMES = pa.dictionary(pa.int32(), pa.string())


def load_candles(
    pairs: str | Iterable[str],
    timeframe: str,
    start: Instant | None = None,
    end: Instant | None = None,
    provider: str | None = None,
    as_known_at: Moment | str | None = None,
    columns: Sequence[str] | None = None,
    resample: str | None = None,
    as_: str = "pandas",
    *,
    zone: str = UTC,
    adjust: str | None = None,
    lake: Lake | None = None,
    config: Mapping[str, Any] | Settings | None = None,
) -> Any:
    """Read the bars of `pairs` that open in [start, end): pair after pair as given, each by time, every bar once.

    `start` and `end` are dates (the whole UTC day, the end's too), times with a zone or epoch seconds; None is all that
    is stored. `provider` may be left out where a pair is stored from one. `as_known_at` (a time with a zone) gives the
    bars as they were known then; without it the latest version of each.

    Columns: timestamp (bar open, UTC, microseconds), asset_pair (a category), then `columns`: open, high, low, close
    and volume if not said, or any of source_provider, _extracted_at, _ingestion_id, is_mock, _dead_letter_id.

    `resample`, or a derived `timeframe` (3m, 10m, 30m, 2h, 6h, 8h, 12h, 1w, 1mo), makes larger bars of stored ones, on
    the grid of UTC or of `zone`, whose days the dates are then: values as `insight.resample` says, and `sources`,
    `expected` and `is_complete` of each. Where `columns` names `missing`, that says why one is not complete: a text
    such as "1 dead_lettered, 2 to_come", kinds as in `insight.reasons`, null for a complete one. A derived timeframe is
    made of the stored one that holds most of the range.

    `adjust` "splits" or "all" (cash dividends too) adjusts values backward by what is on record in the data directory,
    as `adjustments.factors.steps` says: what is stored stays raw, larger bars are made of adjusted ones, and a column
    `adjustment` says it of every row. With `as_known_at` only ex-days up to that moment count.

    Returns a pandas.DataFrame, or a polars.DataFrame or pyarrow.Table for `as_` "polars" or "arrow". `lake` is another
    place than the settings' own, `config` settings as for the ingesters. InputError names the argument that is wrong
    and what there is; PackageMissing what is to be installed; StorageError what cannot be read.
    """
    checked_as(as_)
    place = lake_of(lake, config)
    question = asked(place, pairs, timeframe, start, end, provider, as_known_at, resample, zone, adjust, config)
    if as_ == "polars" and (at_once := _polars_at_once(question, names_of(question, columns))) is not None:
        return at_once
    return frame(table_of(question, columns, config, is_own_lake=lake is None), as_)


def _polars_at_once(question: Asked, names: Sequence[str]) -> Any:
    """Bars of many files as polars reads them, a fifth cheaper than by way of Arrow; None where that cannot be."""
    if question.size is not None or question.adjust is not None:
        return None
    found = current_frame(question.snapshot, question.series, question.start, question.end, names, question.known_at)
    return None if found is None else found[0].insert_column(1, _pair_series(question.series, found[1]))


def _pair_series(series: Sequence[Series], sizes: Sequence[int]) -> Any:
    """The pair of each bar as polars has it, for less than a third of what it costs by way of Arrow."""
    pairs = _categories(tuple(one.asset_pair for one in series))
    parts = [pairs.new_from_index(place, size) for place, size in enumerate(sizes)]
    return parts[0] if len(parts) == 1 else package("polars").concat(parts, rechunk=False)


@lru_cache(maxsize=16)
def _categories(pairs: tuple[str, ...]) -> Any:
    """Each pair once as polars has it: to make that costs as much as to repeat it for a year of hours."""
    polars = package("polars")
    return polars.Series("asset_pair", pairs, polars.Categorical)


def table_of(
    question: Asked, columns: Sequence[str] | None, config: Config | Settings | None, *, is_own_lake: bool = True
) -> pa.Table:
    """The answer to a question as an Arrow table, its columns as `load_candles` says."""
    names = names_of(question, columns)
    return joined(question.series, rows_of(question, names, config, is_own_lake=is_own_lake), names)


def rows_of(
    question: Asked, names: Sequence[str], config: Config | Settings | None, *, is_own_lake: bool
) -> list[pa.Table]:
    """The bars of each series: timestamp, `names` and perhaps more."""
    if question.size is None:
        rows = _stored(question, question.start, question.end, [name for name in names if name != ADJUSTMENT])
    else:
        rows = _resampled(question, Settings.load(config), is_own_lake=is_own_lake, with_reasons=REASONS in names)
    return [_labelled(table, question.adjust) for table in rows] if ADJUSTMENT in names else rows


def _stored(question: Asked, start: int, end: int, names: Sequence[str]) -> list[pa.Table]:
    """The stored bars of each series, adjusted if that is asked for."""
    rows = current_rows(question.snapshot, question.series, start, end, names, question.known_at)
    if question.adjust is None:
        return rows
    return [question.steps[one].adjusted(table) for one, table in zip(question.series, rows, strict=True)]


def _labelled(rows: pa.Table, adjust: str | None) -> pa.Table:
    codes = pa.array(np.zeros(rows.num_rows, np.int32))
    return rows.append_column(ADJUSTMENT, pa.DictionaryArray.from_arrays(codes, pa.array([adjust], pa.string())))


def names_of(question: Asked, columns: Sequence[str] | None) -> list[str]:
    """The columns beside timestamp and pair. InputError for one that these bars do not have."""
    chosen, label = _chosen(question, columns), [] if question.adjust is None else [ADJUSTMENT]
    if question.size is None:
        return [*chosen, *label]
    values, why = (name for name in chosen if name in VALUES), (name for name in chosen if name == REASONS)
    return [*values, *COUNTS, *why, *label]


def _chosen(question: Asked, columns: Sequence[str] | None) -> list[str]:
    if columns is None:
        return list(VALUES)
    if isinstance(columns, str):
        raise InputError(f"{columns!r} is one text; give a list, for example [{columns!r}]", field="columns")
    fixed = _KEYS if question.adjust is None else (*_KEYS, ADJUSTMENT)
    given = list(dict.fromkeys(name for name in columns if name not in fixed))
    if question.size is None:
        return list(checked_columns(given))
    there = (*VALUES, *COUNTS, REASONS)
    if unknown := [name for name in given if name not in there]:
        raise InputError(
            f"{', '.join(unknown)} cannot be had of resampled bars; they have {', '.join(there)}", field="columns"
        )
    return given


def _resampled(question: Asked, settings: Settings, *, is_own_lake: bool, with_reasons: bool) -> list[pa.Table]:
    assert question.size is not None
    start, end = question.source_range()
    if end <= start:
        empty = pa.schema([("timestamp", TIMESTAMP), *((name, pa.float64()) for name in VALUES)]).empty_table()
        stored = [empty for _ in question.series]
    else:
        stored = _stored(question, start, end, VALUES)
    made = []
    with known(settings, is_own_lake=is_own_lake) as what:
        for series, rows in zip(question.series, stored, strict=True):
            bars = resample(rows, series, question.size, what.calendar(series))
            if with_reasons:
                bars = bars.append_column(REASONS, _reasons(question, series, rows, bars, what))
            made.append(bars)
    return made


def _reasons(question: Asked, series: Series, rows: pa.Table, made: pa.Table, what: Known) -> pa.Array:
    """Why bars are not complete, by all that is known beside the lake; only a moment's later bars are read for it."""
    assert question.size is not None
    start, end = question.source_range()
    open_times = epochs(rows["timestamp"])
    later = np.empty(0, np.int64)
    if question.known_at is not None and end > start:
        [now] = current_rows(question.snapshot, [series], start, end, [])
        later = np.setdiff1d(epochs(now["timestamp"]), open_times, assume_unique=True)
    marked, dead = what.marked(series, start, end), what.dead(series, start, end)
    seen = Seen(series, what.calendar(series), covered(question.snapshot, series), marked)
    seen.add(open_times, later)
    return reasons(made, seen, dead, question.size)


def joined(series: Sequence[Series], rows: Sequence[pa.Table], names: Sequence[str]) -> pa.Table:
    """Bars of several series under one another, each with its pair."""
    pair = _pair_column(series, [table.num_rows for table in rows])
    together = pa.concat_tables([table.select(["timestamp", *names]) for table in rows])
    return together.add_column(1, pa.field("asset_pair", NAMES), pair)


def _pair_column(series: Sequence[Series], sizes: Sequence[int]) -> pa.DictionaryArray:
    """The pair of each of so many bars of each series."""
    codes = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)
    return pa.DictionaryArray.from_arrays(codes, pa.array([one.asset_pair for one in series], pa.string()))
