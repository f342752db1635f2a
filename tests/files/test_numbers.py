"""Numbers of files: whatever decimal sign and thousands, each float comes back as it was written."""

from __future__ import annotations

import math
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffe_core.files.numbers import Style, read_numbers, style_of

DECIMALS = st.decimals(min_value=0, max_value=10**9, places=5, allow_nan=False, allow_infinity=False)


@given(
    st.lists(DECIMALS, min_size=1, max_size=20),
    st.sampled_from([(".", ""), (".", ","), (",", "."), (",", ""), (",", " "), (".", "'")]),
)
def test_a_number_reads_as_what_is_written(values: list[Decimal], signs: tuple[str, str]) -> None:
    decimal, thousands = signs
    texts = [f"{value:,.5f}".replace(",", "_").replace(".", decimal).replace("_", thousands) for value in values]
    read = read_numbers(pa.array(texts), Style(decimal, thousands))
    assert read.values.tolist() == [float(value) for value in values]
    assert not read.unreadable.any()


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_written_in_full_comes_back(value: float) -> None:
    assert read_numbers(pa.array([repr(value)]), Style()).values[0] == value


@given(st.integers(-(10**12), 10**12), st.sampled_from([(8, 9), (16, 16)]))
def test_fixed_bytes_are_the_nearest_float(value: int, kind: tuple[int, int]) -> None:
    width, decimals = kind
    held = value * 10 ** (decimals - 4) if width == 16 else value
    column = pa.array([held.to_bytes(width, "little", signed=True)], pa.binary(width))
    expected = float(Decimal(held).scaleb(-decimals))
    assert read_numbers(column, Style(fixed_point=decimals)).values[0] == expected


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("338.26K", 338_260.0),
        ("1.07M", 1_070_000.0),
        ("2.5B", 2.5e9),
        (" 7 ", 7.0),
        ("+1.5", 1.5),
        ("2.20E-05", 2.2e-05),
        (".5", 0.5),
    ],
)
def test_what_sites_write_behind_numbers_counts(text: str, value: float) -> None:
    assert read_numbers(pa.array([text]), Style()).values[0] == value


@pytest.mark.parametrize("text", ["1,234.5", "1_000", "0x10", "12 34", "abc", "1.2.3", "--1", "1e", "٣"])
def test_what_is_no_number_is_told(text: str) -> None:
    assert read_numbers(pa.array([text]), Style()).unreadable[0]


@pytest.mark.parametrize("text", ["12,34.5", "1,23,456", "1.234", "1,2345"])
def test_thousands_at_other_places_are_no_number(text: str) -> None:
    read = read_numbers(pa.array([text]), Style(",", "."))
    assert read.unreadable[0] or text in ("1.234", "1,2345")


def test_what_stands_for_nothing_is_missing() -> None:
    read = read_numbers(pa.array(["", "null", "-", None, "9223372036854775807"]), Style(missing=("", "null", "-")))
    assert read.missing.all()
    assert not read.unreadable.any()


def test_a_typed_column_without_numbers_is_unreadable() -> None:
    assert read_numbers(pa.array([True]), Style()).unreadable[0]
    assert math.isnan(read_numbers(pa.array([None], pa.float64()), Style()).values[0])


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["1.5", "2.25"], (".", "", False)),
        (["1,5", "2,25"], (",", "", False)),
        (["1,234.5", "99.1"], (".", ",", False)),
        (["1.234,5", "99,1"], (",", ".", False)),
        (["1.234.567", "12"], (",", ".", False)),
        (["1,234", "2,345"], (".", ",", True)),
        (["109,123", "99,5"], (",", "", False)),
        (["1,234", "2.5"], (".", ",", False)),
    ],
)
def test_the_decimal_sign_is_told_by_all_cells_or_asked(cells: list[str], expected: tuple[str, str, bool]) -> None:
    assert style_of(cells, "", "") == expected


def test_one_cell_does_not_make_thousands_of_a_file_that_writes_none() -> None:
    assert style_of(["1234.5", "1,234.5"], ".", "") == (".", "", False)
