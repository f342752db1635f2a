"""Price matrix: one value of many pairs side by side, a row a time, a column a pair, nothing where there is no bar."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from ffe_core.candles import TIMESTAMP, VALUES
from ffe_core.errors import InputError
from ffe_core.insight.aggregate import UTC
from ffe_core.insight.bars import Moment
from ffe_core.reading.asked import Lake, asked, lake_of
from ffe_core.reading.frames import checked_as, frame
from ffe_core.reading.load import ADJUSTMENT, rows_of
from ffe_core.settings import Settings
from ffe_core.storage.lake.snapshot import Ints, micros
from ffe_core.times import Instant


def price_matrix(
    pairs: str | Iterable[str],
    timeframe: str,
    start: Instant | None = None,
    end: Instant | None = None,
    provider: str | None = None,
    as_known_at: Moment | str | None = None,
    field: str = "close",
    resample: str | None = None,
    as_: str = "pandas",
    *,
    zone: str = UTC,
    adjust: str | None = None,
    lake: Lake | None = None,
    config: Mapping[str, Any] | Settings | None = None,
) -> Any:
    """Read one `field` (open, high, low, close or volume) of many pairs: a row for each time at which any has a bar.

    Everything else is as for `load_candles`. A pandas.DataFrame has the times as its index (UTC) and a float column a
    pair, in the order given, NaN where that pair has no bar; polars and Arrow have a column `timestamp` and nulls.
    Nothing is filled in from bars before. What it was adjusted for stands as `adjustment` in `attrs` of the DataFrame
    and in the metadata of the Arrow schema; polars has no room for it.
    """
    checked_as(as_)
    if field not in VALUES:
        raise InputError(f"{field!r} is unknown; use one of {', '.join(VALUES)}", field="field")
    place = lake_of(lake, config)
    question = asked(place, pairs, timeframe, start, end, provider, as_known_at, resample, zone, adjust, config)
    rows = rows_of(question, [field], config, is_own_lake=lake is None)
    table = _side_by_side([one.asset_pair for one in question.series], rows, field)
    if adjust is not None:
        table = table.replace_schema_metadata({ADJUSTMENT: adjust})
    found = frame(table, as_)
    if as_ == "pandas":
        found = found.set_index("timestamp")
        found.attrs |= {} if adjust is None else {ADJUSTMENT: adjust}
    return found


def _side_by_side(names: list[str], rows: list[pa.Table], field: str) -> pa.Table:
    each = [micros(table["timestamp"]) for table in rows]
    every = np.unique(np.concatenate(each))
    columns = [_column(every, own, table[field].to_numpy()) for own, table in zip(each, rows, strict=True)]
    return pa.Table.from_arrays([pa.array(every, pa.int64()).cast(TIMESTAMP), *columns], ["timestamp", *names])


def _column(every: Ints, own: Ints, values: np.ndarray) -> pa.Array:
    place = np.searchsorted(every, own)
    found, is_empty = np.zeros(len(every)), np.ones(len(every), dtype=bool)
    found[place], is_empty[place] = values, False
    return pa.array(found, pa.float64(), mask=is_empty)
