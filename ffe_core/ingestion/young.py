"""Young bars: tell which of the newest stored bars are read again, as they may have changed after they were read."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from ffe_core.series import Series, Watermarks
from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager
from ffe_core.storage.watermark_store import WatermarkStore


def first_young(
    series: Series, held: Watermarks, settle: int, lake: DeltaLakeManager, watermarks: WatermarkStore
) -> int | None:
    """Open of the first of the newest stored bars that was read less than `settle` seconds after its close; or None.

    It may even have been stored unfinished, by a clock that was ahead. Read again once that is over, it is settled.
    """
    newest = held.watermark
    if not settle or newest is None:
        return None
    settled = watermarks.settled(series)
    if settled is not None and settled >= newest:
        return None
    tail = lake.current(series, newest - settle, newest + 1, ["_extracted_at"])
    opens, extracted = (pc.cast(tail[name], pa.int64()).to_numpy() for name in ("timestamp", "_extracted_at"))
    young = opens[extracted < opens + (series.step + settle) * 1_000_000] // 1_000_000
    return max(int(young.min()), held.low or int(young.min())) if len(young) else None
