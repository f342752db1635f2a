"""What is in the lake of a test? Bars of chosen values, committed as the pipeline does it, at chosen moments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from ffe_core.candles import TIMESTAMP, VALUES
from ffe_core.ingestion.enrich import enrich
from ffe_core.series import Series, Watermarks
from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager
from ffe_core.storage.lake.snapshot import MICROS

Values = tuple[float, float, float, float, float]
JANUARY = 1_704_067_200
"""2024-01-01, a Monday, of a leap year."""
HOUR, DAY = 3600, 86_400


def candles(bars: Mapping[int, Values]) -> pa.Table:
    """Bars by open as the table that validation hands over."""
    open_times = sorted(bars)
    columns = np.array([bars[at] for at in open_times], dtype=float).reshape(-1, 5)
    times = pa.array(np.array(open_times, dtype=np.int64) * MICROS).cast(TIMESTAMP)
    return pa.table({"timestamp": times, **{name: columns[:, place] for place, name in enumerate(VALUES)}})


def flat(open_times: Sequence[int], price: float = 100.0) -> dict[int, Values]:
    """Bars that differ from one another, around a price."""
    return {at: (price, price + 2, price - 2, price + (at // 60 % 97) / 97, 1.0 + at % 7) for at in open_times}


def put(
    lake: DeltaLakeManager,
    series: Series,
    bars: Mapping[int, Values],
    ingestion: str = "first",
    *,
    is_mock: bool = False,
) -> int:
    """Commit bars and move the marks over them; the newest `_extracted_at` of the table, epoch microseconds."""
    rows = enrich(candles(bars), series, ingestion, is_mock=is_mock)
    before = lake.marks(series)
    low = min(min(bars), before.low if before.low is not None else min(bars))
    lake.commit(series, rows, before, Watermarks(max(max(bars), before.watermark or 0), low))
    stored = lake.read_table(series.table, columns=["_extracted_at"])["_extracted_at"]
    return int(stored.dt.as_unit("us").astype("int64").max())


def as_dict(bars: pa.Table) -> dict[int, Values]:
    """A table of bars as a dict by open."""
    columns = [bars[name].to_pylist() for name in VALUES]
    open_times = (np.asarray(bars["timestamp"].cast(pa.int64())) // MICROS).tolist()
    return dict(zip(open_times, zip(*columns, strict=True), strict=True))
