"""Is the log's list of files read right, whatever of its statistics is missing?"""

from __future__ import annotations

from typing import Any, cast

import pyarrow as pa
import pytest
from deltalake import DeltaTable
from hypothesis import given
from hypothesis import strategies as st

from ffe_core.candles import TIMESTAMP
from ffe_core.storage.lake.snapshot import Snapshot, micros

DAY = 86_400_000_000
TEXTS = ("path", "min.source_provider", "max.source_provider", "min._ingestion_id", "max._ingestion_id")
TIMES = ("min.timestamp", "max.timestamp", "min._extracted_at", "max._extracted_at")
FILES: list[dict[str, Any]] = [
    dict(zip((*TEXTS, *TIMES), ("a%20b", "oanda", "oanda", "x", "x", 0, DAY, 5, 5), strict=True)),
    dict(zip((*TEXTS, *TIMES), ("b", None, None, None, None, None, None, None, None), strict=True)),
    dict(zip((*TEXTS, *TIMES), ("c", "coinbase", "oanda", "x", "y", DAY, 2 * DAY, 5, 5), strict=True)),
    dict(zip((*TEXTS, *TIMES), ("d", "oanda", "oanda", "x", "x", DAY, 2 * DAY, 5, 6), strict=True)),
]


class LogOf:
    """A handle of a table whose log names these files, in pieces of so many."""

    table_uri = "/lake/raw_market_data_1h"

    def __init__(self, files: list[dict[str, Any]], piece: int) -> None:
        self._pieces = [files[start : start + piece] for start in range(0, len(files), piece)]

    def version(self) -> int:
        return 0

    def get_add_actions(self, *, flatten: bool) -> pa.Table:
        assert flatten
        kinds = {**dict.fromkeys(TEXTS, pa.string()), **dict.fromkeys(TIMES, TIMESTAMP), "num_records": pa.int64()}
        return pa.concat_tables([pa.Table.from_pylist(files, pa.schema(kinds)) for files in self._pieces])


@pytest.mark.parametrize("piece", [1, 2, 4])
def test_what_the_log_does_not_say_is_unbounded(piece: int) -> None:
    files = Snapshot(cast("DeltaTable", LogOf([*FILES, {**FILES[0], "num_records": 7}], piece))).all_files()
    assert files.paths.tolist() == ["a b", "b", "c", "d", "a b"]
    assert files.rows.tolist() == [0, 0, 0, 0, 7]
    assert files.sizes.tolist() == [-1] * 5  # such a log has no sizes at all
    assert files.first[[0, 2, 3]].tolist() == [0, 86_400, 86_400]
    assert files.last[[0, 2, 3]].tolist() == [86_400, 172_800, 172_800]
    assert files.first[1] < -(2**40) < 2**40 < files.last[1]
    assert files.newest[[0, 2, 3]].tolist() == [1005, 1005, 1006]
    assert files.providers[1].tolist() == ["", "\U0010ffff"]
    assert files.of_one_commit.tolist() == [True, False, False, False, True]


@given(st.lists(st.lists(st.integers(-(2**62), 2**62), max_size=9), max_size=4), st.integers(0, 5))
def test_times_are_read_as_they_are_stored(pieces: list[list[int]], start: int) -> None:
    column = pa.chunked_array([pa.array(piece, pa.int64()).cast(TIMESTAMP) for piece in pieces], TIMESTAMP)
    held = [time for piece in pieces for time in piece]
    assert micros(column.slice(start)).tolist() == held[start:]
