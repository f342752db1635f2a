"""Survey of a whole part before its first row is stored: what only all of its rows together tell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ffe_core import times
from ffe_core.candles import VALUES
from ffe_core.counts import many
from ffe_core.files import clock
from ffe_core.files.found import Look
from ffe_core.files.numbers import read_numbers
from ffe_core.files.profile import fixed_offset
from ffe_core.files.questions import Choice, Question
from ffe_core.files.reader import Known, Reader, Rows, is_swapped
from ffe_core.validation import UNREADABLE

Ints = npt.NDArray[np.int64]
_MOST_TIMES = 10_000_000
"""Bars of a file in no order that are held against each other; what comes after them is not."""
_MOST_NAMED = 8
_ODD = np.arange(1, 11, 2, dtype=np.uint64)
_SWAPS = 3
"""So many rows that fit the other way round are no chance."""


class _Found:
    """What the rows have told so far."""

    def __init__(self) -> None:
        self.last: int | None = None
        self.local: Counter[int] = Counter()
        self.symbols: Counter[str] = Counter()
        self.venues: Counter[str] = Counter()
        self.swapped = self.rows = self.readable = 0
        self.rising = self.falling = 0
        self.swap_at = 0


def surveyed(look: Look) -> None:
    """Look through the part, and add what is known and what has to be asked to the look.

    A form that is known to be clean needs none, unless its clock may show an hour twice.
    """
    profile = look.profile
    has_changes = profile.zone and fixed_offset(profile.zone) is None
    if not (profile.survey or has_changes or profile.symbol_column or profile.venue_column):
        return
    found = _Found()
    reader = Reader(look.content.part.name, look.source, profile.with_answers(volumes=""), look.step, look.named.day)
    for rows in reader.rows():
        look.content.opened.tick()
        if len(rows):
            _take(found, rows, look)
    repeated = _repeated(found, _reader(look), look.content.opened.tick)
    look.known = Known(dict(found.local), repeated if profile.repeats else {}, found.falling > found.rising)
    _ask_symbol(look, found)
    _ask_venue(look, found)
    _ask_volumes(look, found)
    _ask_repeats(look, repeated)


def _reader(look: Look) -> Reader:
    """A reader of the part as it stands, before anything of it is put right."""
    profile = look.profile.with_answers(volumes="")
    return Reader(look.content.part.name, look.source, profile, look.step, look.named.day)


def _take(found: _Found, rows: Rows, look: Look) -> None:
    profile = look.profile
    known = rows.open_times[rows.open_times != UNREADABLE]
    apart = np.diff(known if found.last is None else np.concatenate([[found.last], known]))
    found.last = int(known[-1]) if len(known) else found.last
    found.rising, found.falling = found.rising + int((apart > 0).sum()), found.falling + int((apart < 0).sum())
    found.readable += len(known)
    found.rows += len(rows)
    if profile.zone:
        column = [rows.block.columns[name] for name in rows.reader.time_columns]
        read = clock.read_times(
            clock.joined(column) if len(column) > 1 else column[0],
            profile.time_format or "epoch",
            profile.unit,
            look.named.day,
        )
        is_wall = ~read.is_utc | profile.wall_epoch
        found.local.update(clock.shown_twice(read.local[is_wall], profile.zone).tolist())
    for column_name, counter in ((profile.symbol_column, found.symbols), (profile.venue_column, found.venues)):
        if column_name:
            names = pc.cast(rows.block.columns[column_name], pa.string()).filter(pa.array(_read_well(rows)))
            counts = pc.value_counts(names)
            counter.update({str(one["values"]): one["counts"] for one in counts.to_pylist()})
    if profile.quote_volume and profile.quote_volume in rows.block.columns:
        quote = read_numbers(rows.block.columns[profile.quote_volume], rows.reader.volume_style).values
        swapped = is_swapped(rows.columns["volume"], quote, rows.columns["close"])
        found.swapped += int(swapped.sum())
        if swapped.any():
            found.swap_at = int(rows.open_times[np.flatnonzero(swapped)[0]])


def _read_well(rows: Rows) -> npt.NDArray[np.bool_]:
    """The rows that are no header in the middle and the like: what they say counts."""
    wrong = [np.zeros(len(rows), bool), *(mask for code, mask in rows.flags.items() if code != "other_symbol")]
    well: npt.NDArray[np.bool_] = (rows.open_times != UNREADABLE) & ~np.logical_or.reduce(wrong)
    return well


def _repeated(found: _Found, reader: Reader, tick: Callable[[], object]) -> dict[int, int]:
    """Open times that rows with different values have; a file in strict order has none and is not read again."""
    if max(found.rising, found.falling) >= found.readable - 1:
        return {}
    times_, digests, size = [], [], 0
    for rows in reader.rows():
        tick()
        good = _read_well(rows) if len(rows) else np.zeros(0, bool)
        values = np.column_stack([rows.columns[name][good] for name in VALUES])
        times_.append(rows.open_times[good])
        digests.append((values.view(np.uint64) * _ODD).sum(axis=1, dtype=np.uint64))
        size += int(good.sum())
        if size >= _MOST_TIMES:
            break
    return _differing(np.concatenate(times_), np.concatenate(digests))


def _differing(opened: Ints, digests: npt.NDArray[np.uint64]) -> dict[int, int]:
    """Open times that stand beside more than one digest, and how often each is there."""
    order = np.lexsort((digests, opened))
    opened, digests = opened[order], digests[order]
    same = opened[1:] == opened[:-1]
    other = np.unique(opened[1:][same & (digests[1:] != digests[:-1])])
    first, last = np.searchsorted(opened, other), np.searchsorted(opened, other, side="right")
    return dict(zip(other.tolist(), (last - first).tolist(), strict=True))


def _ask_symbol(look: Look, found: _Found) -> None:
    profile = look.profile
    if not profile.symbol_column or not found.symbols:
        return
    if profile.symbol:
        if profile.symbol not in found.symbols:
            look.questions.append(
                Question("symbol", f"no row is of {profile.symbol}", _named(found.symbols, "--symbol"))
            )
        return
    if len(found.symbols) == 1:
        [look.symbol] = found.symbols
        look.profile = profile.with_answers(symbol=look.symbol, other_symbols="dead lettered")
        look.why["symbol"] = (profile.symbol_column, f"every row is of {look.symbol}")
        return
    if _is_spelling(found.symbols):
        look.symbol = next(iter(found.symbols))
        look.profile = profile.with_answers(symbol_column="")
        return
    look.questions.append(
        Question("symbol", "the file holds rows of several symbols", _named(found.symbols, "--symbol"))
    )


def _is_spelling(symbols: Counter[str]) -> bool:
    """Whether the symbols are one, written in two ways: BTCUSD, later BTC/USD."""
    return len({"".join(sign for sign in symbol.upper() if sign.isalnum()) for symbol in symbols}) == 1


def _ask_venue(look: Look, found: _Found) -> None:
    profile = look.profile
    if profile.venue_column and len(found.venues) > 1 and not profile.venue:
        look.questions.append(
            Question("venue", "the file holds a row for each of several venues", _named(found.venues, "--venue"))
        )


def _named(counts: Counter[str], option: str) -> tuple[Choice, ...]:
    most = counts.most_common(_MOST_NAMED)
    return tuple(Choice(f"{option} {name}", f"its {many(count, 'row')}") for name, count in most)


def _ask_volumes(look: Look, found: _Found) -> None:
    if found.swapped < _SWAPS or look.profile.volumes:
        return
    at = times.iso(found.swap_at) if found.swap_at != UNREADABLE else ""
    choices = (
        Choice(
            "--volumes by-price", "in each row the volume is the column that is so when it is multiplied by the price"
        ),
        Choice("--volumes as-named", f"the volume is column {look.profile.volume!r} in every row"),
    )
    text = f"in {found.swapped:,} of {found.rows:,} rows, such as {at}, the volumes fit the price only if swapped"
    look.questions.append(Question("volumes", text, choices))


def _ask_repeats(look: Look, repeated: dict[int, int]) -> None:
    if not repeated or look.profile.repeats or any(one.code in ("symbol", "venue", "zone") for one in look.questions):
        return
    first = min(repeated)
    bars, such = ("1 bar is", "that") if len(repeated) == 1 else (f"{len(repeated):,} bars are", "such as that")
    text = f"{bars} there more than once with other values, {such} of {times.iso(first)}"
    choices = (
        Choice("--repeats first", "the row that comes first in the file counts, the others become dead letters"),
        Choice("--repeats last", "the row that comes last in the file counts, the others become dead letters"),
    )
    look.questions.append(Question("repeats", text, choices))
