"""Versions of one bar: all that are stored, and where each comes from."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from ffe_core.candles import VALUES
from ffe_core.insight.bars import LINEAGE
from ffe_core.insight.stored import require_stored
from ffe_core.series import Series
from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager

BASIS_POINTS = 10_000


def versions(lake: DeltaLakeManager, series: Series, open_: int) -> pa.Table:
    """All versions of the bar that opens at `open_` (epoch seconds), the first stored first; no row if there is none.

    Columns: `version` from 1, timestamp, the five values, source_provider, _extracted_at, _ingestion_id, is_mock,
    _dead_letter_id, and `change_bps`: the close against the version before, null for the first. InputError for an
    unknown series, StorageError if the table cannot be read.
    """
    snapshot = require_stored(lake, series)
    rows = snapshot.rows(series, open_, open_ + 1, ["timestamp", *VALUES, *LINEAGE]).sort_by("_extracted_at")
    numbers = pa.array(np.arange(1, rows.num_rows + 1))
    close = rows["close"].to_numpy()
    change = change_bps(close[:-1], close[1:])
    changes = pa.concat_arrays([pa.nulls(min(1, len(close)), pa.float64()), pa.array(change, pa.float64())])
    return rows.add_column(0, "version", numbers).append_column("change_bps", changes)


def change_bps(old: np.ndarray, new: np.ndarray) -> np.ndarray:
    """By how many basis points new prices lie above old ones; NaN or infinite where the old one is zero."""
    with np.errstate(divide="ignore", invalid="ignore"):
        change: np.ndarray = (new / old - 1) * BASIS_POINTS
    return change
