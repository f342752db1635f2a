"""The hash of a table's rows: the same in any order, another for any other row."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pyarrow as pa
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ffe_core.operations.migration.tables import row_hashes, tables_of

pytestmark = [pytest.mark.of_a_state_file("it opens none"), pytest.mark.of_a_lake_folder("it opens none")]
SCHEMA = pa.schema(
    {
        "at": pa.timestamp("us", "UTC"),
        "day": pa.date32(),
        "price": pa.float64(),
        "count": pa.int64(),
        "pair": pa.string(),
        "mock": pa.bool_(),
        "more": pa.list_(pa.int64()),
    }
)
VALUES = st.fixed_dictionaries(
    {
        "at": st.none() | st.integers(0, 2**40).map(lambda seconds: datetime.fromtimestamp(seconds / 512, UTC)),
        "day": st.none() | st.dates(date(1990, 1, 1), date(2090, 1, 1)),
        "price": st.none() | st.floats(allow_nan=False, allow_infinity=False),
        "count": st.none() | st.integers(-(2**63), 2**63 - 1),
        "pair": st.none() | st.text(max_size=4),
        "mock": st.none() | st.booleans(),
        "more": st.none() | st.lists(st.integers(0, 9), max_size=2),
    }
)
ROWS = st.lists(VALUES, min_size=1, max_size=6)


def total(rows: list[dict[str, object]]) -> int:
    batch = pa.RecordBatch.from_pylist(rows, SCHEMA)
    return sum(int(one) for one in row_hashes(batch)) % 2**64


@given(ROWS, st.randoms(use_true_random=False), st.integers(0, 6))
def test_neither_order_nor_portions_matter(rows: list[dict[str, object]], random: object, cut: int) -> None:
    mixed = list(rows)
    random.shuffle(mixed)  # type: ignore[attr-defined]
    parts = [part for part in (mixed[:cut], mixed[cut:]) if part]
    assert sum(map(total, parts)) % 2**64 == total(rows)


@given(ROWS, VALUES, st.integers(0, 5))
def test_another_row_is_another_hash(rows: list[dict[str, object]], other: dict[str, object], place: int) -> None:
    place %= len(rows)
    assume(repr(other) != repr(rows[place]) and other != rows[place])
    assert total([*rows[:place], other, *rows[place + 1 :]]) != total(rows)
    assert total([*rows, rows[0]]) != total(rows), "a row that is there twice counts"


@given(st.lists(st.integers(-9, 9), min_size=2, max_size=2, unique=True))
def test_values_of_two_rows_cannot_be_swapped(values: list[int]) -> None:
    one, two = values
    as_they_are = [{"price": float(one), "count": one}, {"price": float(two), "count": two}]
    swapped = [{"price": float(two), "count": one}, {"price": float(one), "count": two}]
    assert total(as_they_are) != total(swapped)


def test_tables_are_folders_with_a_log() -> None:
    listed = {
        "a/_delta_log/0.json": 1,
        "a/p=1/x.parquet": 2,
        "b/x.parquet": 3,
        ".ffe-id": 4,
        "c/d/_delta_log/0.json": 5,
    }
    assert [(one.name, one.bytes) for one in tables_of(listed)] == [("a", 3)]
