"""Are the rows that an ingestion or a stretch of time brought counted as they lie there, however files are cut?"""

from __future__ import annotations

import tempfile
from itertools import pairwise
from pathlib import Path
from uuid import UUID

import pyarrow as pa
import pyarrow.compute as pc
from hypothesis import given, settings
from hypothesis import strategies as st

from ffe_core.candles import TIMESTAMP, VALUES
from ffe_core.ingestion.enrich import enrich
from ffe_core.series import Series
from ffe_core.storage.lake.brought import ByIngestion, ByTime
from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager
from ffe_core.storage.lake.snapshot import micros
from tests.ingestion.fakes import BTC, HOUR, START, stored

OTHER = Series("BTCUSD", "1h", "oanda")
IDS = [str(UUID(int=number << 96)) for number in (3, 1, 2)]
# Hours of which some lie in the year before, another partition.
WRITES = st.tuples(st.sampled_from((BTC, OTHER)), st.sampled_from(IDS), st.integers(-6, 6), st.integers(1, 8),
                   st.integers(0, 1), st.booleans())  # fmt: skip


def written(lake: DeltaLakeManager, series: Series, ingestion: str, first: int, count: int, price: int) -> None:
    opens = [START + hour * HOUR for hour in range(first, first + count)]
    values = {name: pa.array([100.0 + price] * count) for name in VALUES}
    candles = pa.table({"timestamp": pa.array([at * 1_000_000 for at in opens], pa.int64()).cast(TIMESTAMP), **values})
    marks = lake.marks(series)
    lake.commit(series, enrich(candles, series, f"{ingestion}{series.provider}", is_mock=False), marks, marks)


@settings(max_examples=8, deadline=None)
@given(st.lists(WRITES, min_size=1, max_size=6))
def test_rows_and_restated_ones_are_those_that_lie_there(writes: list[tuple[Series, str, int, int, int, bool]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        lake = DeltaLakeManager(Path(folder) / "lake")
        for series, ingestion, first, count, price, is_compacted in writes:
            written(lake, series, ingestion, first, count, price)
            if is_compacted:
                lake.open(series.table).optimize.compact()
        rows = stored(Path(folder))
        for series in (BTC, OTHER):
            mine = rows.filter(pc.equal(rows["source_provider"], series.provider))
            found = sorted(zip(micros(mine["timestamp"].combine_chunks()).tolist(),
                               micros(mine["_extracted_at"].combine_chunks()).tolist(),
                               mine["_ingestion_id"].to_pylist(), strict=True))  # fmt: skip
            again = [row for before, row in pairwise(found) if before[0] == row[0]]
            for ingestion in (f"{one}{series.provider}" for one in IDS):
                wanted = (sum(row[2] == ingestion for row in found), sum(row[2] == ingestion for row in again))
                assert lake.brought(series, ByIngestion(ingestion)) == wanted
            moments = sorted({row[1] for row in found})
            for since, until in [
                (0, 2**62),
                *((moments[0], one) for one in moments),
                *((one, 2**62) for one in moments),
            ]:
                wanted = tuple(sum(since <= row[1] < until for row in some) for some in (found, again))
                assert lake.brought(series, ByTime(since, until)) == wanted


def test_of_a_table_that_there_is_none_nothing_was_brought(tmp_path: Path) -> None:
    assert DeltaLakeManager(tmp_path).brought(BTC, ByIngestion(IDS[0])) == (0, 0)
