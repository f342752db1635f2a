"""Numbers as files write them: decimal point or comma, thousands apart, K and M behind; read as whole columns."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

_PLAIN = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
_NOT_FINITE = r"(?i)^[+-]?(nan|inf|infinity)$"
_SUFFIXES = {"K": "e3", "M": "e6", "B": "e9", "T": "e12"}
_LARGEST_EXACT = 2**53
_NO_VALUE = 2**63 - 1
"""What Databento writes where there is no price."""


@dataclass(frozen=True, slots=True)
class Numbers:
    """A column read as numbers: NaN where there is none."""

    values: Floats
    missing: Flags
    unreadable: Flags


@dataclass(frozen=True, slots=True)
class Style:
    """How numbers are written: the decimal sign, what stands between thousands ("" for nothing), what means none."""

    decimal: str = "."
    thousands: str = ""
    missing: tuple[str, ...] = ("",)
    divisor: float = 1.0
    fixed_point: int = 0


def read_numbers(column: pa.Array, style: Style) -> Numbers:
    """The column as float64, each value as near as a float can be to what is written."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_fixed_size_binary(column.type) and not pa.types.is_decimal(column.type):
        return _scaled(_fixed(column, style.fixed_point), np.asarray(column.is_null()), style)
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return _texts(column, style)
    return _typed(column, style)


def plain_numbers(column: pa.Array, style: Style) -> Floats | None:
    """The column as it is, where it holds finite floats alone; None for one that has to be looked at."""
    if not pa.types.is_float64(column.type) or column.null_count or style.divisor != 1.0:
        return None
    values: Floats = column.to_numpy(zero_copy_only=False)
    return values if np.isfinite(values).all() else None


def _typed(column: pa.Array, style: Style) -> Numbers:
    missing = np.asarray(column.is_null())
    if not (
        pa.types.is_integer(column.type)
        or pa.types.is_floating(column.type)
        or pa.types.is_decimal(column.type)
        or pa.types.is_null(column.type)
    ):
        none = np.full(len(column), np.nan)
        return Numbers(none, missing, ~missing)
    if pa.types.is_integer(column.type):
        missing = (
            missing | np.asarray(pc.fill_null(pc.equal(column, pa.scalar(_NO_VALUE, column.type)), False))
            if column.type.bit_width == 64
            else missing
        )
    values = pc.cast(column, pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return _scaled(np.where(missing, np.nan, values), missing, style)


def _texts(column: pa.Array, style: Style) -> Numbers:
    trimmed = pc.utf8_trim_whitespace(column)
    missing = np.asarray(pc.is_in(trimmed, pa.array(list(style.missing), trimmed.type))) | np.asarray(trimmed.is_null())
    text = pc.if_else(pa.array(missing), "nan", trimmed)
    if style.thousands or style.decimal != ".":
        text = _with_points(text, style)
    if pc.any(pc.match_substring_regex(text, "[KMBTkmbt]$"), min_count=0).as_py():
        for suffix, power in _SUFFIXES.items():
            text = pc.replace_substring_regex(text, f"(?i)([0-9]){suffix}$", rf"\1{power}")
    readable = np.asarray(pc.match_substring_regex(text, f"{_PLAIN}|{_NOT_FINITE}"))
    values = pc.cast(pc.replace_substring_regex(pc.if_else(pa.array(readable), text, "nan"), r"^\+", ""), pa.float64())
    found = np.asarray(values)
    largest = np.asarray(pc.equal(text, str(_NO_VALUE)))
    missing = missing | largest
    return _scaled(np.where(missing, np.nan, found), missing, style, ~readable & ~missing)


def _with_points(text: pa.Array, style: Style) -> pa.Array:
    """The text with a point for the decimal sign and nothing between thousands; what is written otherwise stays as it
    is and does not read as a number."""
    point, apart = re.escape(style.decimal), re.escape(style.thousands)
    digits = rf"(?:[0-9]{{1,3}}(?:{apart}[0-9]{{3}})+|[0-9]+)" if style.thousands else "[0-9]+"
    fits = pc.match_substring_regex(text, rf"^[+-]?{digits}(?:{point}[0-9]*)?(?:[eE][+-]?[0-9]+)?[KMBTkmbt]?$")
    bare = pc.replace_substring(text, style.thousands, "") if style.thousands else text
    plain = pc.replace_substring(bare, style.decimal, ".") if style.decimal != "." else bare
    odd = pc.or_(fits, pc.match_substring_regex(text, _NOT_FINITE))
    return pc.if_else(odd, plain, pc.binary_join_element_wise("?", text, ""))


def _scaled(values: Floats, missing: Flags, style: Style, unreadable: Flags | None = None) -> Numbers:
    none = np.zeros(len(values), bool)
    scaled = values if style.divisor == 1.0 else values / style.divisor
    return Numbers(scaled, missing, none if unreadable is None else unreadable)


def _fixed(column: pa.FixedSizeBinaryArray, decimals: int) -> Floats:
    """Little-endian integers of 8 or 16 bytes with so many decimals: the nearest float of each."""
    width = column.type.byte_width
    decimals = decimals or (9 if width == 8 else 16)
    data = np.frombuffer(column.buffers()[1], np.uint8)[column.offset * width : (column.offset + len(column)) * width]
    if width == 8:
        return data.view("<i8").astype(np.float64) / 10.0**decimals
    buffer = pa.py_buffer(data.tobytes())
    numbers = pa.Array.from_buffers(pa.decimal128(38, decimals), len(column), [None, buffer])
    return np.asarray(pc.cast(pc.cast(numbers, pa.string()), pa.float64()))


def style_of(texts: Sequence[str], given_decimal: str, given_thousands: str) -> tuple[str, str, bool]:
    """Decimal sign and thousands sign of cells, and whether that could not be told: 1,234 is a thousand, or one.

    What the profile gives is taken; the rest is what every cell fits.
    """
    cells = [text.strip() for text in texts if re.search("[0-9]", text)]
    if given_decimal:
        other = "," if given_decimal == "." else "."
        return given_decimal, given_thousands or (other if _are_apart(cells, other) else ""), False
    if not any("," in cell for cell in cells):
        several = any(cell.count(".") > 1 for cell in cells)
        return (",", ".", False) if several else (".", given_thousands, False)
    for decimal, apart in ((",", "."), (".", ",")):
        both = rf"{re.escape(apart)}\d{{3}}{re.escape(decimal)}|{re.escape(apart)}\d+{re.escape(apart)}"
        if any(re.search(both, cell) for cell in cells):
            return decimal, apart if _are_apart(cells, apart) else "", False
    with_comma = [cell for cell in cells if "," in cell]
    if any(not re.fullmatch(r"[+-]?[1-9]\d{0,2},\d{3}[KMBT%]?", cell) for cell in with_comma):
        return ",", "", False
    if any("." in cell for cell in cells):
        return ".", ",", False
    return ".", ",", True


def _are_apart(cells: Sequence[str], sign: str) -> bool:
    """Whether thousands are written apart by a sign: some are, and no larger number is written without."""
    some = any(re.search(rf"\d{re.escape(sign)}\d{{3}}(?!\d)", cell) for cell in cells)
    return some and not any(re.match(r"[+-]?\d{4}", cell) for cell in cells)
