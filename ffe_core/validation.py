"""Validation rules: records checked on whole columns, all reasons kept.

A rule is a code with its words in `REASONS`, and a check on columns: one about prices is a line in `_PRICE_RULES`. A
sudden price move is not a rule: AAPL really fell 52 % on 2000-09-29.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from itertools import repeat
from operator import itemgetter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ffe_core.candles import PRICES, TIMESTAMP, VALUES
from ffe_core.columns import CandleColumns

Columns = Mapping[str, np.ndarray]

SUPERSEDED = "superseded"
"""The code of a record that is well, and that a later one of its batch replaced."""
_LACKS_SOURCES = "incomplete_sources"
"""The code, and the field by which a built bar says so."""
REASONS: dict[str, str] = {
    "not_a_record": "what came is not a record with named fields",
    _LACKS_SOURCES: "a bar built from shorter ones lacks a source bar, or one of them is broken",
    "missing_field": "a required field is absent or null",
    "not_a_number": "a field does not read as a number",
    "not_finite": "a field is NaN or infinite",
    "time_unreadable": "the time does not read as a time with a zone",
    "off_grid": "the time is not on the timeframe's grid",
    "price_not_positive": "a price is zero or negative",
    "high_below_low": "high is below low",
    "open_outside_range": "open is not between low and high",
    "close_outside_range": "close is not between low and high",
    "volume_negative": "volume is negative",
    "line_broken": "the line of a file is no row: too few or too many cells, or it cannot be read",
    "cut_line": "the file ends within this line: what it says may be only a part",
    "time_ambiguous": "the clock of the file's zone shows this time twice, and nothing says which is meant",
    "time_skipped": "the clock of the file's zone never shows this time",
    "in_future": "the time lies in the future",
    "other_symbol": "the row of a file is of another symbol than its series",
    SUPERSEDED: "a later record of the same bar came in the same batch with other values",
}
"""Every reason code, with the rule in words. A code may be followed by `:field`."""

OF_FILES = frozenset({"line_broken", "cut_line", "time_ambiguous", "time_skipped", "in_future", "other_symbol"})
"""Codes of what only a file can have: who reads it gives them."""

_PRICE_RULES: dict[str, Callable[[Columns], np.ndarray]] = {
    "high_below_low": lambda c: c["high"] < c["low"],
    "open_outside_range": lambda c: (c["open"] < c["low"]) | (c["open"] > c["high"]),
    "close_outside_range": lambda c: (c["close"] < c["low"]) | (c["close"] > c["high"]),
}
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_NOT_FINITE = re.compile(r"[+-]?(nan|inf|infinity)", re.IGNORECASE)
_FEW = 8
"""So many times are read one by one: calling Arrow costs more than that."""
_UNREADABLE = np.iinfo(np.int64).min
# What Arrow raises for a column it cannot take as a whole; a text that is no UTF-8 is a ValueError.
_REFUSED = (ValueError, TypeError, NotImplementedError, OverflowError)


@dataclass(slots=True)
class Failure:
    """One record that is not a candle, as received, with all its reasons and its place in the batch."""

    record: Any
    reasons: list[str]
    index: int
    open: int | None = None
    """Bar open in epoch seconds, where the time could be read."""

    @property
    def superseded(self) -> bool:
        """True when the record is valid and only replaced by a later one of the same batch."""
        return self.reasons == [SUPERSEDED]


@dataclass(slots=True)
class Checked:
    """The outcome of one batch: `received = len(candles) + len(failures) + duplicates`."""

    candles: pa.Table
    """Valid candles sorted by time, one a bar: timestamp[us, UTC], open, high, low, close, volume (float64)."""
    failures: list[Failure] = field(default_factory=list)
    duplicates: int = 0
    """Records identical to a later one of the batch."""


def read_open_times(records: Sequence[Any]) -> np.ndarray:
    """Bar open of each record in epoch seconds (int64); `UNREADABLE` where `date` is not an aware time.

    A fraction of a second comes back as an odd second, which lies on no grid.
    """
    if isinstance(records, CandleColumns):
        return records.open_times
    micros = _read_dates(_sent_dates(records))
    open_times = micros // 1_000_000
    fractions = (open_times * 1_000_000 != micros) & (micros != _UNREADABLE)
    return np.where(fractions, open_times | 1, open_times)


UNREADABLE = _UNREADABLE // 1_000_000
"""What `read_open_times` gives for a time that cannot be read."""


def first_open_time(records: Sequence[Any]) -> int:
    """What `read_open_times` gives for the first of some records, for a third of what a column of one costs."""
    if isinstance(records, CandleColumns):
        return int(records.open_times[0])
    record = records[0]
    micros = _date(record.get("date")) if isinstance(record, dict) else _UNREADABLE
    return micros // 1_000_000 | (micros != _UNREADABLE and micros % 1_000_000 != 0)


def validate(
    records: Sequence[Any],
    grid: int,
    open_times: np.ndarray | None = None,
    has_volume: bool | np.ndarray = False,
) -> Checked:
    """Check a batch of records against every rule; one bad record never costs its batch.

    `grid` is the distance in seconds at which bars may open; `open_times` is `read_open_times(records)` if
    already known.
    Where the provider sends volumes (`has_volume`, of all or of each) a record without one lacks a field; elsewhere its
    volume is 0.0.
    """
    open_times = read_open_times(records) if open_times is None else open_times
    columns, flags, shape = _read(records, open_times, has_volume)
    flags |= _grid_flags(open_times, grid)
    flags |= _rule_flags(columns)
    bad = _any([*flags.values(), *shape.values()], len(records))
    failures = [
        Failure(records[i], _codes(shape, i) or _codes(flags, i), int(i), _open_of(open_times[i]))
        for i in np.flatnonzero(bad).tolist()
    ]
    return _deduplicated(records.__getitem__, columns, open_times, np.flatnonzero(~bad), failures)


def validate_columns(
    open_times: np.ndarray,
    columns: Columns,
    flags: Mapping[str, np.ndarray],
    grid: int,
    record_of: Callable[[int], Any],
) -> Checked:
    """Check rows that were read as columns against every rule.

    `open_times` as of `read_open_times`, `columns` the five values (float64, NaN where there is none), `flags` what the
    reader found wrong, by reason code; `record_of` makes the record of a row that fails.
    """
    found = {**flags, **_grid_flags(open_times, grid), **_rule_flags(columns)}
    bad = _any(list(found.values()), len(open_times))
    failures = [
        Failure(record_of(i), _codes(found, i), i, _open_of(open_times[i])) for i in np.flatnonzero(bad).tolist()
    ]
    return _deduplicated(record_of, columns, open_times, np.flatnonzero(~bad), failures)


def _read(
    records: Sequence[Any], open_times: np.ndarray, has_volume: bool | np.ndarray
) -> tuple[Columns, dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The five values as float columns, the flags of what could not be read, and of records that are none."""
    if isinstance(records, CandleColumns):
        infinite = {f"not_finite:{name}": ~np.isfinite(records.values[name]) for name in VALUES}
        return records.values, _raised(infinite), {}
    rows, lacking = _rows(records)
    columns, flags = _read_values(rows, has_volume)
    return columns, flags | _time_flags(rows, open_times), _shape_flags(records, lacking, open_times)


def _rows(records: Sequence[Any]) -> tuple[Sequence[dict[str, Any]], list[int]]:
    """The records, an empty one in place of what is not a record with named fields; the places of those that say they
    lack sources."""
    with suppress(TypeError):  # which a method of dicts raises for anything else: one pass asks both
        if not any(map(dict.__contains__, records, repeat(_LACKS_SOURCES))):
            return records, []
    rows = [record if isinstance(record, dict) else {} for record in records]
    return rows, [place for place, row in enumerate(rows) if _LACKS_SOURCES in row]


def _sent_dates(records: Sequence[Any]) -> list[Any]:
    """`date` of every record, None where there is none."""
    try:
        return list(map(dict.__getitem__, records, repeat("date")))
    except (TypeError, KeyError):
        return [record.get("date") if isinstance(record, dict) else None for record in records]


def _column(rows: Sequence[dict[str, Any]], name: str) -> list[Any]:
    """One field of every row, None where it is absent."""
    try:
        return list(map(itemgetter(name), rows))
    except KeyError:
        return [row.get(name) for row in rows]


def _read_values(
    rows: Sequence[dict[str, Any]], has_volume: bool | np.ndarray
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Float columns of the five values (NaN where unreadable) and the flags of what could not be read."""
    columns: dict[str, np.ndarray] = {}
    flags: dict[str, np.ndarray] = {}
    for name in VALUES:
        values, missing, unreadable = _read_numbers(_column(rows, name))
        if name == "volume":
            none = missing & np.logical_not(has_volume)
            values, missing = np.where(none, 0.0, values), missing & ~none
        flags[f"missing_field:{name}"] = missing
        flags[f"not_a_number:{name}"] = unreadable
        flags[f"not_finite:{name}"] = ~np.isfinite(values) & ~missing & ~unreadable
        columns[name] = values
    return columns, _raised(flags)


def _raised(flags: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The flags that any record raises."""
    return {code: mask for code, mask in flags.items() if mask.any()}


def _read_numbers(values: list[Any]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(float64 values, missing, unreadable): the whole column in Arrow, one by one only where that refuses."""
    try:
        array = pa.array(values)
        if not _is_plain(array.type):
            raise pa.ArrowInvalid(f"a column of {array.type} is read one by one")
        numbers = pc.cast(array, pa.float64())
        none = np.zeros(len(values), bool)
        missing = np.asarray(numbers.is_null()) if numbers.null_count else none
        return numbers.to_numpy(zero_copy_only=False), missing, none
    except _REFUSED:
        read = [_number(value) for value in values]
        numbers = np.array([np.nan if number is None else number for number in read], dtype=np.float64)
        missing = np.array([value is None for value in values], dtype=bool)
        return numbers, missing, np.array([number is None for number in read], dtype=bool) & ~missing


def _is_plain(kind: pa.DataType) -> bool:
    """Whether Arrow reads such a column as `_number` reads each value: a check never depends on the neighbours."""
    types = pa.types
    return any(is_(kind) for is_ in (types.is_string, types.is_floating, types.is_integer, types.is_null))


def _number(value: Any) -> float | None:
    """The float a value stands for, None if it stands for none."""
    if isinstance(value, str):
        readable = _NUMBER.fullmatch(value) or _NOT_FINITE.fullmatch(value)
        return float(value) if readable else None
    if isinstance(value, int | float | Decimal | np.integer | np.floating) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            return math.inf if value > 0 else -math.inf
        except ValueError:
            return None  # a signalling NaN
    return None


def _read_dates(dates: list[Any]) -> np.ndarray:
    """Microseconds since the epoch, `_UNREADABLE` where there is no aware time."""
    if len(dates) <= _FEW:
        return _read_one_by_one(dates)
    try:
        texts = pa.array(dates)
        if not pa.types.is_string(texts.type):  # told to make texts, Arrow would take bytes for them
            raise pa.ArrowInvalid(f"a column of {texts.type} is read one by one")
        stamps = pc.cast(texts, TIMESTAMP)
        return np.asarray(pc.fill_null(pc.cast(stamps, pa.int64()), _UNREADABLE))
    except _REFUSED:
        return _read_one_by_one(dates)


def _read_one_by_one(dates: list[Any]) -> np.ndarray:
    return np.array([_date(value) for value in dates], dtype=np.int64)


def _date(value: Any) -> int:
    try:
        stamp = value if isinstance(value, datetime) else datetime.fromisoformat(value)
        if stamp.tzinfo is None or (isinstance(value, str) and not value.isascii()):
            return _UNREADABLE
        whole = int(stamp.replace(microsecond=0).timestamp())
        return whole * 1_000_000 + stamp.microsecond
    except (TypeError, ValueError, OverflowError):
        return _UNREADABLE


def _grid_flags(open_times: np.ndarray, grid: int) -> dict[str, np.ndarray]:
    off = open_times // grid * grid != open_times  # numpy's remainder takes four times as long
    return _raised({"off_grid": off & (open_times != UNREADABLE)})


def _time_flags(rows: Sequence[dict[str, Any]], open_times: np.ndarray) -> dict[str, np.ndarray]:
    unreadable = open_times == UNREADABLE
    if not unreadable.any():
        return {}
    absent = np.array([date is None for date in _column(rows, "date")], dtype=bool)
    return _raised({"missing_field:date": unreadable & absent, "time_unreadable": unreadable & ~absent})


def _rule_flags(columns: Columns) -> dict[str, np.ndarray]:
    """Comparisons with NaN are false, so a rule speaks only of values that could be read."""
    flags = {f"price_not_positive:{name}": columns[name] <= 0 for name in PRICES}
    flags |= {code: rule(columns) for code, rule in _PRICE_RULES.items()}
    flags["volume_negative"] = columns["volume"] < 0
    return _raised(flags)


def _shape_flags(records: Sequence[Any], lacking: list[int], open_times: np.ndarray) -> dict[str, np.ndarray]:
    """What is wrong with a record as a whole: a provider hands on what it could not map, and that has no time."""
    foreign = np.zeros(len(records), dtype=bool)
    for i in np.flatnonzero(open_times == UNREADABLE).tolist():
        foreign[i] = not isinstance(records[i], dict) or records[i].keys() == {"raw"}
    incomplete = np.zeros(len(records), dtype=bool)
    incomplete[lacking] = True
    return _raised({"not_a_record": foreign, _LACKS_SOURCES: incomplete})


def _any(masks: list[np.ndarray], size: int) -> np.ndarray:
    return np.logical_or.reduce(masks) if masks else np.zeros(size, bool)


def _codes(flags: Mapping[str, np.ndarray], index: int) -> list[str]:
    return [code for code, mask in flags.items() if mask[index]]


def _open_of(open_: np.int64) -> int | None:
    return None if open_ == UNREADABLE else int(open_)


def _deduplicated(
    record_of: Callable[[int], Any],
    columns: Columns,
    open_times: np.ndarray,
    good: np.ndarray,
    failures: list[Failure],
) -> Checked:
    """One candle a bar, the last received; an identical one is a repeat, a different one is superseded."""
    if len(good) == len(open_times) and (open_times[1:] > open_times[:-1]).all():
        return Checked(_table(open_times, columns), failures, 0)
    order = good[np.argsort(open_times[good], kind="stable")]
    opens = open_times[order]
    repeated = opens[1:] == opens[:-1]
    if not repeated.any():
        return Checked(_table(opens, {name: columns[name][order] for name in VALUES}), failures, 0)
    last = np.append(~repeated, True)
    kept, others, kept_open_times = order[last], order[~last], opens[last]
    winners = kept[np.searchsorted(kept_open_times, open_times[others])]
    same = np.logical_and.reduce([columns[name][others] == columns[name][winners] for name in VALUES])
    failures += [Failure(record_of(i), [SUPERSEDED], i, _open_of(open_times[i])) for i in others[~same].tolist()]
    candles = _table(kept_open_times, {name: columns[name][kept] for name in VALUES})
    return Checked(candles, failures, int(same.sum()))


def _table(open_times: np.ndarray, columns: Columns) -> pa.Table:
    stamps = pa.array(open_times * 1_000_000, pa.int64()).cast(TIMESTAMP)
    return pa.table({"timestamp": stamps, **{name: pa.array(columns[name]) for name in VALUES}})
