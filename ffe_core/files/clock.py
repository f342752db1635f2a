"""Times as files write them: epochs of four units, dates in six forms, offsets, and local clocks with their changes.

Everything comes out as microseconds: of UTC where the text says its offset or is an epoch, else of the wall clock,
which `WallClock` turns into UTC. An hour that a clock shows twice is told apart by the order of the rows, where both
are there.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ffe_core.files.profile import TimeFormat, fixed_offset

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

UNREADABLE = np.iinfo(np.int64).min
MICROS = 1_000_000
DAY = 86_400 * MICROS
_LAST = 253_402_300_800 * MICROS
"""The year 10000."""
_TO_MICROS = {"s": 1_000_000, "ms": 1_000, "us": 1}
_SIZES = {"s": (0, 10**11), "ms": (10**11, 10**14), "us": (10**14, 10**17), "ns": (10**17, 2**63)}
"""How large an epoch is in each unit, from 1970 into the year 5138."""
COUNTED = {"ms_of_day": (1_000, DAY), "s_of_period": (1_000_000, 366 * DAY)}
"""Microseconds of what is counted from the start of a file's day or period, and how long that can be."""
_MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec".split()
_CLOCK = (
    r"(?:[T ,]+(?P<H>\d{1,2})(?::(?P<M>\d{2}))?(?::(?P<S>\d{2})(?:[.,](?P<f>\d{1,9}))?)?(?:[ -]?(?P<p>[AaPp][Mm]))?)?"
)
_COMPACT_CLOCK = r"(?P<H>\d{2}):?(?P<M>\d{2})(?::?(?P<S>\d{2}))?"
_OFFSET = r" ?(?:GMT|UTC)?(?P<z>Z|[+-]\d{2}:?\d{2})?"
_Y4 = r"(?P<y>\d{4})"
_SHORT = r"(?P<y>\d{4}|\d{2})"
PATTERNS: dict[TimeFormat, str] = {
    "ymd": rf"^{_Y4}[-/.](?P<m>\d{{1,2}})[-/.](?P<d>\d{{1,2}}){_CLOCK}{_OFFSET}$",
    "dmy": rf"^(?P<d>\d{{1,2}})[-/.](?P<m>\d{{1,2}})[-/.]{_Y4}{_CLOCK}{_OFFSET}$",
    "mdy": rf"^(?P<m>\d{{1,2}})[-/.](?P<d>\d{{1,2}})[-/.]{_Y4}{_CLOCK}{_OFFSET}$",
    "day_month_name": rf"^(?P<d>\d{{1,2}})[-/ .](?P<b>[A-Za-z]{{3}})[a-z]*[-/ ,.]+{_SHORT}{_CLOCK}{_OFFSET}$",
    "month_name_day": rf"^(?P<b>[A-Za-z]{{3}})[a-z]*[ .]+(?P<d>\d{{1,2}}),? +{_Y4}{_CLOCK}{_OFFSET}$",
    "compact": rf"^{_Y4}(?P<m>\d{{2}})(?P<d>\d{{2}})(?:[ T]?{_COMPACT_CLOCK})?{_OFFSET}$",
}
_EPOCH = r"^-?\d{9,19}(\.\d*)?$"


@dataclass(frozen=True, slots=True)
class Times:
    """A column of times: microseconds, `UNREADABLE` where there is none."""

    micros: Ints
    is_utc: Flags
    """Whether the instant is certain; elsewhere it is a wall clock's."""
    local: Ints
    """What the wall clock shows, where the text says an offset; else the same as `micros`."""


def read_times(column: pa.Array, form: TimeFormat, unit: str = "", day: Ints | int = 0) -> Times:
    """The times of a column; `day` is the midnight (wall clock, microseconds) that what is no epoch is counted from."""
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        return _typed(column)
    if form in ("epoch", *COUNTED):
        numbers = _whole(column)
        if form in COUNTED:
            size, most = COUNTED[form]
            known = (numbers >= 0) & (numbers <= most // size)
            micros = np.where(known, np.asarray(day) + np.where(known, numbers, 0) * size, UNREADABLE)
            return Times(micros, np.zeros(len(micros), bool), micros)
        micros = epoch_micros(numbers, unit)
        return Times(micros, np.ones(len(micros), bool), micros)
    return _written(pc.cast(column, pa.string()), PATTERNS[form])


def epoch_micros(numbers: Ints, unit: str = "") -> Ints:
    """Epochs as microseconds; without a unit each by its size: seconds below 10^11, then milli-, micro-, nanoseconds.

    A nanosecond that is no whole microsecond comes back as the odd microsecond after it, which lies on no grid.
    """
    if (scale := _one_scale(numbers, unit)) is not None:
        return numbers * scale
    size = np.abs(np.where(numbers == UNREADABLE, 0, numbers))
    found = np.full(len(numbers), UNREADABLE, dtype=np.int64)
    for name, (low, high) in _SIZES.items():
        chosen = (numbers != UNREADABLE) & (
            (size >= low) & (size < high) if not unit else np.full(len(numbers), name == unit)
        )
        if name == "ns":
            values = numbers[chosen] // 1000
            found[chosen] = np.where(numbers[chosen] % 1000 != 0, values | 1, values)
        else:
            fits = chosen & (size <= _LAST // _TO_MICROS[name])
            found[fits] = numbers[fits] * _TO_MICROS[name]
    return np.where((found != UNREADABLE) & (np.abs(found) >= _LAST), UNREADABLE, found)


def _one_scale(numbers: Ints, unit: str) -> int | None:
    """What all of them are to be multiplied by, where they are of one unit that is no finer than a microsecond."""
    if len(numbers) == 0:
        return None
    low, high = int(numbers.min()), int(numbers.max())
    for name, (first, last) in _SIZES.items():
        if first <= low and high < last and unit in ("", name) and name in _TO_MICROS:
            return _TO_MICROS[name] if high * _TO_MICROS[name] < _LAST else None
    return None


def units_of(numbers: Ints) -> list[str]:
    """The units that epochs have by their size, the most frequent first."""
    size = np.abs(numbers[numbers != UNREADABLE])
    places = np.searchsorted([10**11, 10**14, 10**17], size, side="right")
    return [("s", "ms", "us", "ns")[place] for place, _ in Counter(places.tolist()).most_common()]


def whole_numbers(column: pa.Array) -> Ints:
    """A column as whole numbers, `UNREADABLE` where there is none."""
    return _whole(column)


def formats_of(texts: Sequence[str]) -> list[TimeFormat]:
    """The formats that nearly every text fits; several where days and months cannot be told apart by these alone."""
    cells = [text.strip() for text in texts if text.strip()]
    if not cells:
        return []
    column = pa.array(cells, pa.string())
    found: list[TimeFormat] = []
    for name, pattern in PATTERNS.items():
        times = _written(column, pattern)
        share = float((times.micros != UNREADABLE).mean())
        if share >= 0.9:
            found.append(name)
    epochs = sum(bool(re.match(_EPOCH, cell)) for cell in cells)
    if epochs >= 0.9 * len(cells) and "compact" not in found:
        found.append("epoch")
    return found


@dataclass(frozen=True, slots=True)
class Zone:
    """A zone by name, and how often each wall clock time stands in the file that its autumn shows twice."""

    name: str
    twice: dict[int, int]
    descending: bool = False


class WallClock:
    """Turns wall clock times of one file into UTC, in the order of its rows."""

    def __init__(self, zone: Zone) -> None:
        self._zone = zone
        self._seen: Counter[int] = Counter()

    def utc(self, local: Ints) -> tuple[Ints, Flags, Flags]:
        """UTC, and which times the clock never showed or shows twice without telling which; those are as they were."""
        known = local != UNREADABLE
        micros = np.where(known, local, 0)
        nothing = np.zeros(len(local), bool)
        if (offset := fixed_offset(self._zone.name)) is not None:
            return np.where(known, micros - offset * MICROS, UNREADABLE), nothing, nothing
        early, late, skipped = in_zone(micros, self._zone.name)
        unclear = known & (early != late) & ~skipped
        utc = early.copy()
        told = nothing.copy()
        for place in np.flatnonzero(unclear).tolist():
            stamp = int(local[place])
            self._seen[stamp] += 1
            if self._zone.twice.get(stamp) == 2:
                told[place] = True
                first = (self._seen[stamp] == 1) != self._zone.descending
                utc[place] = early[place] if first else late[place]
        return np.where(known, utc, UNREADABLE), known & skipped, unclear & ~told


def in_zone(local: Ints, zone: str) -> tuple[Ints, Ints, Flags]:
    """Earlier and later UTC of wall clock times, and which of them the clock never showed."""
    clock = pa.array(local, pa.int64()).cast(pa.timestamp("us"))

    def utc(which: str) -> tuple[pa.Array, Ints]:
        stamps = pc.assume_timezone(clock, zone, ambiguous=which, nonexistent="earliest")
        return stamps, np.asarray(stamps.cast(pa.int64()))

    stamps, early = utc("earliest")
    _, late = utc("latest")
    shown = np.asarray(pc.local_timestamp(stamps).cast(pa.int64()))
    return early, late, shown != local


def shown_twice(local: Ints, zone: str) -> Ints:
    """Those of the wall clock times that the zone's clock shows twice."""
    if fixed_offset(zone) is not None or len(local) == 0:
        return local[:0]
    readable = local[local != UNREADABLE]
    early, late, skipped = in_zone(readable, zone)
    twice: Ints = readable[(early != late) & ~skipped]
    return twice


def _typed(column: pa.Array) -> Times:
    aware = pa.types.is_timestamp(column.type) and column.type.tz is not None
    stamps = pc.cast(column, pa.timestamp("us", column.type.tz if aware else None), safe=False)
    micros = np.asarray(pc.fill_null(stamps.cast(pa.int64()), UNREADABLE))
    shown = pc.local_timestamp(stamps) if aware else stamps
    local = np.asarray(pc.fill_null(shown.cast(pa.int64()), UNREADABLE))
    return Times(micros, np.full(len(micros), aware), local)


def _whole(column: pa.Array) -> Ints:
    if pa.types.is_integer(column.type):
        if pa.types.is_uint64(column.type):
            column = pc.if_else(pc.greater(column, pa.scalar(2**63 - 1, pa.uint64())), None, column)
        return np.asarray(pc.fill_null(pc.cast(column, pa.int64()), UNREADABLE))
    if pa.types.is_floating(column.type):
        values = np.asarray(pc.fill_null(column, np.nan), dtype=np.float64)
        fits = np.isfinite(values) & (values == np.floor(values)) & (np.abs(values) < 2**53)
        return np.where(fits, np.where(fits, values, 0).astype(np.int64), UNREADABLE)
    text = pc.utf8_trim_whitespace(pc.cast(column, pa.string()))
    bare = pc.replace_substring_regex(text, r"\.0*$", "")
    fits = pc.fill_null(pc.match_substring_regex(bare, r"^-?[0-9]{1,18}$|^[1-8][0-9]{18}$"), False)
    numbers = pc.cast(pc.if_else(fits, bare, None), pa.int64())
    return np.asarray(pc.fill_null(numbers, UNREADABLE))


def _written(column: pa.Array, pattern: str) -> Times:
    found = pc.extract_regex(pc.utf8_trim_whitespace(column), pattern)
    fits = np.asarray(found.is_valid())
    names = [field.name for field in found.type]
    parts = {name: pc.struct_field(found, [place]) for place, name in enumerate(names)}
    year = _number(parts["y"])
    year = np.where(year < 100, np.where(year < 70, 2000, 1900) + year, year)
    month = _month(parts["b"]) if "b" in parts else _number(parts["m"])
    hour, minute, second = (_number(parts[name]) if name in parts else 0 * year for name in "HMS")
    if "p" in parts:
        half = np.asarray(pc.fill_null(pc.utf8_lower(parts["p"]), ""), dtype=object)
        fits = fits & ((half == "") | ((hour >= 1) & (hour <= 12)))
        hour = np.where(half == "", hour, hour % 12 + 12 * (half == "pm"))
    local = (
        _civil(year, month, _number(parts["d"]))
        + ((hour * 60 + minute) * 60 + second) * MICROS
        + _fraction(parts.get("f"))
    )
    fits &= (month >= 1) & (month <= 12) & _is_day(year, month, _number(parts["d"]))
    fits &= (hour < 24) & (minute < 60) & (second < 60) & (year >= 1)
    offset, has_offset = _offset(parts["z"])
    return Times(np.where(fits, local - offset, UNREADABLE), has_offset & fits, np.where(fits, local, UNREADABLE))


def _number(column: pa.Array) -> Ints:
    filled = pc.fill_null(column, "")
    return np.asarray(pc.cast(pc.if_else(pc.equal(filled, ""), "0", filled), pa.int64()))


def _month(column: pa.Array) -> Ints:
    place = pc.index_in(pc.utf8_slice_codeunits(pc.utf8_lower(pc.fill_null(column, "")), 0, 3), pa.array(_MONTHS))
    return np.asarray(pc.fill_null(place, -1)).astype(np.int64) + 1


def _fraction(column: pa.Array | None) -> Ints | int:
    """Microseconds of a fraction; one that is finer becomes the odd microsecond after it, which lies on no grid."""
    if column is None:
        return 0
    nanos = _number(pc.utf8_rpad(pc.fill_null(column, ""), 9, "0"))
    return np.where(nanos % 1000 != 0, (nanos // 1000) | 1, nanos // 1000)


def _offset(column: pa.Array) -> tuple[Ints, Flags]:
    texts = pc.fill_null(column, "")
    has = np.asarray(pc.not_equal(texts, ""))
    if not has.any():
        return np.zeros(len(has), np.int64), has
    sizes = {text: _offset_micros(text) for text in pc.unique(texts).to_pylist()}
    return np.array([sizes[text] for text in texts.to_pylist()], dtype=np.int64), has


def _offset_micros(text: str) -> int:
    if text in ("", "Z"):
        return 0
    size = int(text[1:3]) * 3600 + int(text[-2:]) * 60
    return (size if text[0] == "+" else -size) * MICROS


def _civil(year: Ints, month: Ints, day: Ints) -> Ints:
    months = (np.clip(year, 1, 9999) - 1970) * 12 + np.clip(month, 1, 12) - 1
    days = months.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64) + day - 1
    return days * DAY


def _is_day(year: Ints, month: Ints, day: Ints) -> Flags:
    months = (np.clip(year, 1, 9999) - 1970) * 12 + np.clip(month, 1, 12) - 1
    first, after = ((months + plus).astype("datetime64[M]").astype("datetime64[D]").astype(np.int64) for plus in (0, 1))
    fits: Flags = (day >= 1) & (day <= after - first)
    return fits


def joined(columns: Iterable[pa.Array]) -> pa.Array:
    """Date and time of two columns as one text."""
    texts = [pc.utf8_trim_whitespace(pc.cast(column, pa.string())) for column in columns]
    return texts[0] if len(texts) == 1 else pc.binary_join_element_wise(*texts, " ")
