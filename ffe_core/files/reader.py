"""Reader of one part: its rows as candles' columns, each with the line it stands in and what is wrong with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ffe_core import times
from ffe_core.candles import PRICES, VALUES
from ffe_core.files import clock
from ffe_core.files.clock import DAY, MICROS, WallClock, Zone
from ffe_core.files.forms.base import Block, Source
from ffe_core.files.numbers import Style, plain_numbers, read_numbers
from ffe_core.files.profile import Profile, fixed_offset
from ffe_core.validation import UNREADABLE

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
_DAY_SECONDS = 86_400


@dataclass(slots=True)
class Rows:
    """Some rows of a part: open times (epoch seconds), the five values, and flags by reason code."""

    open_times: Ints
    columns: dict[str, npt.NDArray[np.float64]]
    flags: dict[str, Flags]
    lines: Ints
    block: Block
    reader: Reader
    broken: list[tuple[int, str]] = field(default_factory=list)
    unfinished: int = 0
    """Rows that say that their bar was not closed; they are left out."""
    left_out: int = 0
    """Rows of another symbol or venue than the one that was asked for."""
    copies: int = 0
    """Rows that repeat an earlier one of the file, value for value."""

    def __len__(self) -> int:
        return len(self.lines)

    def record(self, place: int) -> dict[str, Any]:
        """One row as a dead letter keeps it: where it stands, its text, and what was read of it."""
        return self.reader.record(self, place)


@dataclass(frozen=True, slots=True)
class Known:
    """What a look through the whole part has found out."""

    twice: dict[int, int] = field(default_factory=dict)
    """Wall clock times (microseconds) that the clock shows twice, and how often each is there."""
    repeated: dict[int, int] = field(default_factory=dict)
    """Open times (epoch seconds) that several rows have, and how many."""
    descending: bool = False


class Reader:
    """Reads the rows of one part by a profile that leaves nothing open."""

    def __init__(
        self, name: str, source: Source, profile: Profile, step: int, day: int = 0, known: Known | None = None
    ) -> None:
        """`step` is the length of a bar in seconds, `day` the midnight (microseconds) that a day's file counts from."""
        self.name, self.source, self.profile, self.step, self._day = name, source, profile, step, day
        self._known = known or Known()
        self._clock = WallClock(Zone(profile.zone or "UTC", self._known.twice, self._known.descending))
        self.time_columns = [part.strip() for part in profile.time.split(" + ")]
        self._values = profile.prices
        if profile.without_volume:
            self._values.pop("volume", None)
        self._seen: dict[int, tuple[float, ...]] = {}
        self._counted: Counter[int] = Counter()
        self._styles = Style(
            profile.decimal or ".", profile.thousands, profile.missing, profile.price_divisor, profile.fixed_point
        )
        self._last_line = -1

    def rows(self) -> Iterator[Rows]:
        """The rows, block by block."""
        numbers, whole = self._typed()
        held: Rows | None = None
        for block in self.source.blocks(self._wanted(), numbers, whole):
            if held is not None:
                yield held
            held = self.of_block(block)
        if held is not None:
            if getattr(self.source, "is_cut", False):
                self._flag_last(held)
            yield held

    def record(self, rows: Rows, place: int) -> dict[str, Any]:
        line = int(rows.lines[place])
        opened = int(rows.open_times[place])
        record: dict[str, Any] = {"file": self.name, self.source.unit_of_place: line, "text": self.source.raw(line)}
        is_time = opened != UNREADABLE
        record["date"] = times.iso(opened) if is_time else self._text(rows.block, self.time_columns, place)
        for name in VALUES:
            column = self._values.get(name)
            if column is None:
                continue
            value = rows.columns[name][place]
            record[name] = float(value) if np.isfinite(value) else self._text(rows.block, [column], place) or None
        if self.profile.without_volume:
            record["volume"] = 0.0
        return record

    def broken_record(self, line: int, text: str) -> dict[str, Any]:
        """A line that is no row, as a dead letter keeps it."""
        return {"file": self.name, self.source.unit_of_place: line, "text": text[:10_000]}

    # -- inside

    def _wanted(self) -> list[str]:
        profile = self.profile
        others = (profile.symbol_column, profile.venue_column, profile.quote_volume, profile.unfinished_column)
        return list(dict.fromkeys([*self.time_columns, *self._values.values(), *(one for one in others if one)]))

    def _typed(self) -> tuple[list[str], list[str]]:
        """Columns that a text holds as plain numbers, as far as the profile says so."""
        plain = self.profile.decimal == "." and not self.profile.thousands
        whole = self.time_columns if self.profile.time_format == "epoch" else []
        return (list(self._values.values()) if plain else []), (whole if plain and len(whole) == 1 else [])

    def of_block(self, block: Block) -> Rows:
        """The rows of one block."""
        if len(block) == 0:
            none = np.empty(0, np.int64)
            return Rows(none, {name: np.empty(0) for name in VALUES}, {}, none, block, self, block.broken)
        chosen, left_out, unfinished, flags = self._chosen(block)
        if not chosen.all():
            kept = pa.array(chosen)
            block = Block(
                {name: column.filter(kept) for name, column in block.columns.items()}, block.lines[chosen], block.broken
            )
            flags = {code: mask[chosen] for code, mask in flags.items()}
        open_times, wrong = self.open_times(block)
        columns, unreadable = self._read_values(block)
        flags = {code: mask for code, mask in {**flags, **wrong, **unreadable}.items() if mask.any()}
        rows = Rows(open_times, columns, flags, block.lines, block, self, block.broken, unfinished, left_out)
        return self._without_repeats(rows) if self._known.repeated else rows

    def _chosen(self, block: Block) -> tuple[Flags, int, int, dict[str, Flags]]:
        """Which rows are of this series and closed, how many others there are, and what is wrong with some."""
        profile, everything = self.profile, np.ones(len(block), bool)
        flags: dict[str, Flags] = {}
        mine = everything.copy()
        for column, value, is_asked in (
            (profile.symbol_column, profile.symbol, profile.other_symbols == "left out"),
            (profile.venue_column, profile.venue, True),
        ):
            if column and value:
                same = np.asarray(pc.fill_null(pc.equal(pc.cast(block.columns[column], pa.string()), value), False))
                if is_asked:
                    mine &= same
                else:
                    flags["other_symbol"] = ~same
        closed = everything
        if profile.unfinished_column:
            said = pc.cast(block.columns[profile.unfinished_column], pa.string())
            closed = ~np.asarray(pc.fill_null(pc.equal(said, profile.unfinished_value), False))
        return mine & closed, int((~mine).sum()), int((mine & ~closed).sum()), flags

    def open_times(self, block: Block) -> tuple[Ints, dict[str, Flags]]:
        """The open of each row's bar in epoch seconds, and which times cannot be read or told."""
        profile = self.profile
        column = (
            clock.joined([block.columns[name] for name in self.time_columns])
            if len(self.time_columns) > 1
            else block.columns[self.time_columns[0]]
        )
        read = clock.read_times(column, profile.time_format or "epoch", profile.unit, self._day)
        absent = np.asarray(column.is_null())
        if pa.types.is_string(column.type):
            absent = absent | np.asarray(pc.equal(pc.fill_null(column, ""), ""))
        micros, skipped, ambiguous = self._utc(read)
        known = micros != clock.UNREADABLE
        is_clear = known.all() and not (skipped.any() or ambiguous.any())
        if is_clear and profile.stamp != "close" and (plain := self._whole_seconds(micros)) is not None:
            return plain, {}
        if profile.stamp == "close" and not self._is_date(column):
            micros = np.where(known, micros - self.step * MICROS, micros)
        seconds = micros // MICROS
        seconds = np.where(known, np.where(micros % MICROS != 0, seconds | 1, seconds), UNREADABLE)
        future = known & (seconds > times.now() + _DAY_SECONDS)
        flags = {
            "missing_field:date": ~known & absent, "time_unreadable": ~known & ~absent, "time_skipped": skipped,
            "time_ambiguous": ambiguous, "in_future": future,
        }  # fmt: skip
        return np.where(skipped | ambiguous, UNREADABLE, seconds), flags

    def _whole_seconds(self, micros: Ints) -> Ints | None:
        """Times in seconds, where each is a whole one and none lies ahead."""
        seconds = micros // MICROS
        plain = (seconds * MICROS == micros).all() and int(seconds.max(initial=0)) <= times.now()
        return seconds if plain else None

    def _utc(self, read: clock.Times) -> tuple[Ints, Flags, Flags]:
        """UTC of what was read. A day's bar has its date, whatever the zone: 00:00 of it."""
        is_wall = (~read.is_utc | self.profile.wall_epoch) & (read.micros != clock.UNREADABLE)
        is_day = np.zeros(len(read.micros), bool)
        if self.step == _DAY_SECONDS:
            local = self._local_midnights(read)
            is_day = (local % DAY == 0) & (local != clock.UNREADABLE)
            is_wall &= ~is_day
        found = np.where(is_day, local, read.micros) if is_day.any() else read.micros
        if not is_wall.any():
            return found, is_wall, is_wall
        utc, skipped, ambiguous = self._clock.utc(np.where(is_wall, read.local, clock.UNREADABLE))
        return np.where(is_wall, utc, found), skipped, ambiguous

    def _local_midnights(self, read: clock.Times) -> Ints:
        """What the wall clock shows; of an instant in UTC that of the zone that the profile names, if any."""
        zone = self.profile.zone
        certain = read.is_utc & (read.local == read.micros)
        if not zone or fixed_offset(zone) == 0 or self.profile.wall_epoch or not certain.any():
            return read.local
        stamps = pa.array(np.where(read.micros == clock.UNREADABLE, 0, read.micros), pa.int64()).cast(
            pa.timestamp("us", "UTC")
        )
        offset = fixed_offset(zone)
        if offset is not None:
            shown = np.where(read.micros == clock.UNREADABLE, 0, read.micros) + offset * MICROS
        else:
            shown = np.asarray(pc.local_timestamp(stamps.cast(pa.timestamp("us", zone))).cast(pa.int64()))
        return np.where(certain & (read.micros != clock.UNREADABLE), shown, read.local)

    def _is_date(self, column: pa.Array) -> bool:
        """Whether a day's bar is named by its date alone, which is no instant at its end."""
        if self.step != _DAY_SECONDS:
            return False
        return pa.types.is_date(column.type) or (
            self.profile.time_format not in ("epoch", *clock.COUNTED) and not pa.types.is_timestamp(column.type)
        )

    def _read_values(self, block: Block) -> tuple[dict[str, npt.NDArray[np.float64]], dict[str, Flags]]:
        columns: dict[str, npt.NDArray[np.float64]] = {}
        flags: dict[str, Flags] = {}
        for name in VALUES:
            column = self._values.get(name)
            if column is None:
                columns[name] = np.zeros(len(block))
                continue
            style = self._styles if name in PRICES else self.volume_style
            if (plain := plain_numbers(block.columns[column], style)) is not None:
                columns[name] = plain
                continue
            read = read_numbers(block.columns[column], style)
            columns[name] = read.values
            flags[f"missing_field:{name}"], flags[f"not_a_number:{name}"] = read.missing, read.unreadable
            flags[f"not_finite:{name}"] = ~np.isfinite(read.values) & ~read.missing & ~read.unreadable
        if self.profile.volumes == "by-price" and self.profile.quote_volume:
            columns["volume"] = self._base_volume(block, columns)
        return columns, flags

    @property
    def volume_style(self) -> Style:
        """How volumes are written."""
        own = self._styles
        return Style(own.decimal, own.thousands, own.missing, self.profile.volume_divisor, own.fixed_point)

    def _base_volume(self, block: Block, columns: dict[str, npt.NDArray[np.float64]]) -> npt.NDArray[np.float64]:
        """The volume in the base currency: the other column where the two are swapped."""
        quote = read_numbers(block.columns[self.profile.quote_volume], self.volume_style).values
        return np.where(is_swapped(columns["volume"], quote, columns["close"]), quote, columns["volume"])

    def _without_repeats(self, rows: Rows) -> Rows:
        """Of rows of one bar the first or the last of the file counts; the others are superseded, equal ones copies."""
        superseded, copies = np.zeros(len(rows), bool), np.zeros(len(rows), bool)
        wanted = np.fromiter(self._known.repeated, np.int64, len(self._known.repeated))
        for place in np.flatnonzero(np.isin(rows.open_times, wanted)).tolist():
            opened = int(rows.open_times[place])
            values = tuple(float(rows.columns[name][place]) for name in VALUES)
            self._counted[opened] += 1
            is_last = self._counted[opened] == self._known.repeated[opened]
            if self._counted[opened] > 1 and self._seen[opened] == values and self.profile.repeats == "first":
                copies[place] = True
            elif self.profile.repeats == "first":
                superseded[place] = self._counted[opened] > 1
            else:
                superseded[place] = not is_last
            self._seen.setdefault(opened, values)
        if superseded.any():
            rows.flags["superseded"] = superseded
        return _without(rows, copies) if copies.any() else rows

    def _flag_last(self, rows: Rows) -> None:
        if len(rows) and (not rows.broken or rows.lines[-1] > rows.broken[-1][0]):
            flag = np.zeros(len(rows), bool)
            flag[-1] = True
            rows.flags["cut_line"] = flag

    def _text(self, block: Block, columns: Sequence[str], place: int) -> str:
        values = [block.columns[column][place].as_py() for column in columns]
        return " ".join(
            "" if value is None else value.hex() if isinstance(value, bytes) else str(value) for value in values
        )


def _without(rows: Rows, copies: Flags) -> Rows:
    kept = ~copies
    block = Block(
        {name: column.filter(pa.array(kept)) for name, column in rows.block.columns.items()},
        rows.lines[kept],
        rows.block.broken,
    )
    columns = {name: values[kept] for name, values in rows.columns.items()}
    flags = {code: mask[kept] for code, mask in rows.flags.items()}
    return Rows(
        rows.open_times[kept],
        columns,
        flags,
        rows.lines[kept],
        block,
        rows.reader,
        rows.broken,
        rows.unfinished,
        rows.left_out,
        int(copies.sum()),
    )


def is_swapped(
    volume: npt.NDArray[np.float64], quote: npt.NDArray[np.float64], close: npt.NDArray[np.float64]
) -> Flags:
    """Where the two volumes fit the price the other way round: base times price is about the quote's."""
    with np.errstate(divide="ignore", invalid="ignore"):
        as_named = np.abs(np.log(volume * close / quote))
        swapped = np.abs(np.log(quote * close / volume))
        found: Flags = np.isfinite(as_named) & np.isfinite(swapped) & (swapped < as_named)
    return found
