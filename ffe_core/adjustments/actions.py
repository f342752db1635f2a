"""Corporate actions of shares: `splits.csv` and `dividends.csv` in the data directory, written by people and verbs."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

from ffe_core import times
from ffe_core.errors import InputError, StorageError
from ffe_core.storage.files import folder_lock, make_folder, why, write_atomically
from ffe_core.times import DAY

SPLIT, DIVIDEND = "split", "dividend"
_NEAR_DAYS, _NEARLY = 10, 0.1
"""Splits so few days and, in logarithms, so little apart are taken for one that two sources date or round differently:
no exchange is closed for longer, and a share is hardly split so twice."""
_NUMBER = re.compile(r"\d{1,12}(\.\d{1,12})?", re.ASCII)
_Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Action:
    """A split or a cash dividend of a share, who says so, and from which day on (epoch seconds, UTC) it trades so.

    `value` is how many new shares there are for an old one, or the money paid for each share of the day before.
    """

    kind: str
    pair: str
    day: int
    value: Fraction
    reason: str

    @property
    def day_text(self) -> str:
        """The ex-day, as 2014-06-09."""
        return times.utc(self.day).date().isoformat()

    @property
    def value_text(self) -> str:
        """7:1, or the amount."""
        if self.kind == SPLIT:
            return f"{self.value.numerator}:{self.value.denominator}"
        return f"{float(self.value):.12g}"


@dataclass(frozen=True, slots=True)
class _Form:
    """The file of a kind: its name, its columns, a line of it, and how a value is read and written."""

    file: str
    columns: tuple[str, ...]
    example: str
    value: Callable[[Mapping[str, Any]], Fraction]
    cells: Callable[[Fraction], dict[str, str]]


_FORMS = {
    SPLIT: _Form(
        "splits.csv",
        ("pair", "day", "new", "old", "reason"),
        "AAPL,2014-06-09,7,1,announced",
        lambda row: positive(row["new"]) / positive(row["old"]),
        lambda value: {"new": str(value.numerator), "old": str(value.denominator)},
    ),
    DIVIDEND: _Form(
        "dividends.csv",
        ("pair", "day", "amount", "reason"),
        "AAPL,2014-05-08,3.29,announced",
        lambda row: positive(row["amount"]),
        lambda value: {"amount": _decimal(value)},
    ),
}


class Actions:
    """The two files of a data directory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, kind: str) -> Path:
        """The file of a kind."""
        return self.folder / _FORMS[kind].file

    @property
    def is_kept(self) -> bool:
        """Whether there is any of the files."""
        return any(self.path(kind).exists() for kind in _FORMS)

    def all(self, kind: str) -> list[Action]:
        """Every action of a kind in the order of its file; none without a file.

        InputError naming the line that cannot be read or that is there twice, StorageError for a file that cannot.
        """
        return _checked(kind, self.path(kind), _rows(self.path(kind), kind)[1])

    def of(self, pair: str, kind: str) -> list[Action]:
        """The actions of a kind that a pair has, by day. Errors as for `all`."""
        return self.by_pair(kind).get(pair, [])

    def by_pair(self, kind: str) -> dict[str, list[Action]]:
        """The actions of a kind of every pair, by day. Errors as for `all`."""
        found: dict[str, list[Action]] = {}
        for one in sorted(self.all(kind), key=lambda one: one.day):
            found.setdefault(one.pair, []).append(one)
        return found

    def add(self, actions: list[Action], *, is_meant: bool = False) -> int:
        """Add those that are not there yet; how many. Other columns of the file stay.

        InputError, and nothing of its kind is written, for one that contradicts one that is there, that the file could
        not give back, and, unless it `is_meant`, for a split that is nearly one that is there; StorageError.
        """
        added = 0
        for kind in dict.fromkeys(one.kind for one in actions):
            with self._alone(kind):
                columns, rows = _rows(self.path(kind), kind)
                there = {(one.pair, one.day): one for one in _checked(kind, self.path(kind), rows)}
                new = [one for one in actions if one.kind == kind and not _is_there(one, there)]
                for one in () if is_meant else new:
                    _require_no_other(one, there.values())
                if new:
                    self._write(kind, columns, [*rows, *(_cells(one) for one in new)])
                added += len(new)
        return added

    def begin(self, kind: str) -> None:
        """Make the file of a kind where there is none: then it is known that nothing else is. StorageError."""
        with self._alone(kind):
            if not self.path(kind).exists():
                self._write(kind, list(_FORMS[kind].columns), [])

    def remove(self, kind: str, pair: str, day: int) -> None:
        """Take one out. InputError if there is none such; StorageError."""
        with self._alone(kind):
            columns, rows = _rows(self.path(kind), kind)
            read = _checked(kind, self.path(kind), rows)
            kept = [row for row, one in zip(rows, read, strict=True) if (one.pair, one.day) != (pair, day)]
            if len(kept) == len(rows):
                known = ", ".join(one.day_text for one in read if one.pair == pair) or "none"
                raise InputError(f"{pair} has no {kind} of that day on record; there is {known}", field="day")
            self._write(kind, columns, kept)

    def _alone(self, kind: str) -> Any:
        make_folder(self.folder, "data directory")
        return folder_lock(self.folder / f".{_FORMS[kind].file}.lock")  # the file itself is replaced under it

    def _write(self, kind: str, columns: list[str], rows: list[_Row]) -> None:
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        try:
            write_atomically(self.path(kind), text.getvalue())
        except OSError as error:
            raise StorageError(f"{self.path(kind)} cannot be written: {why(error)}") from error


def action(kind: str, pair: str, day: str, value: Fraction, reason: str) -> Action:
    """An action of what was typed; InputError naming the field that is wrong."""
    try:
        at = epoch_of(day)
    except ValueError:
        raise InputError(f"{day!r} is no day; write it as 2014-06-09", field="day") from None
    return Action(kind, pair, at, value, reason)


def nearly_same(one: Action, others: Iterable[Action]) -> Action | None:
    """The split of some that this one seems to be, on another day; both together would adjust twice."""
    if one.kind != SPLIT:
        return None
    near = (other for other in others if other.pair == one.pair and 0 < abs(other.day - one.day) <= _NEAR_DAYS * DAY)
    return next((other for other in near if abs(math.log(other.value / one.value)) < _NEARLY), None)


def is_writable(kind: str, value: Fraction) -> bool:
    """Whether the file of a kind can give a value back."""
    form = _FORMS[kind]
    try:
        return form.value(form.cells(value)) == value
    except ValueError:
        return False


def epoch_of(day: str) -> int:
    """The start of a day such as 2014-06-09 in UTC, epoch seconds. ValueError for anything else."""
    read = date.fromisoformat(day.strip())
    return int(datetime(read.year, read.month, read.day, tzinfo=UTC).timestamp())


def positive(text: Any) -> Fraction:
    """A positive number, exactly as it is written. ValueError for anything else."""
    if not isinstance(text, str) or not _NUMBER.fullmatch(text.strip()) or not Fraction(text.strip()):
        raise ValueError(text)
    return Fraction(text.strip())


def _is_there(one: Action, there: dict[tuple[str, int], Action]) -> bool:
    """Whether it is on record; it is from now on. InputError for another value on that day, and for one too long."""
    if not is_writable(one.kind, one.value):
        raise InputError(f"{one.value_text} has more than twelve digits or decimals; give fewer", field=one.kind)
    found = there.setdefault((one.pair, one.day), one)
    if found.value != one.value:
        raise InputError(
            f"{one.pair} has a {one.kind} of {found.value_text} on {one.day_text} ({found.reason}), not"
            f" {one.value_text}; remove that one first if it is wrong",
            field=one.kind,
        )
    return found is not one


def _require_no_other(one: Action, there: Iterable[Action]) -> None:
    if (other := nearly_same(one, there)) is not None:
        raise InputError(
            f"{one.pair} has a {one.kind} of {other.value_text} on {other.day_text} on record ({other.reason}); with"
            f" {one.value_text} on {one.day_text} prices before would be adjusted for both. Remove that one first if it"
            " is wrong, or say that both are meant",
            field=one.kind,
        )


def _rows(path: Path, kind: str) -> tuple[list[str], list[_Row]]:
    """The columns and lines of a file; those that it should have without one."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            columns, rows = list(reader.fieldnames or _FORMS[kind].columns), list(reader)
    except FileNotFoundError:
        return list(_FORMS[kind].columns), []
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {why(error)}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} is no CSV in UTF-8: {error}; save it so", field=path.stem) from None
    if missing := [name for name in _FORMS[kind].columns if name not in columns]:
        raise InputError(
            f"{path}, line 1: there is no column {', '.join(missing)}; give {', '.join(_FORMS[kind].columns)}",
            field=path.stem,
        )
    return columns, rows


def _checked(kind: str, path: Path, rows: list[_Row]) -> list[Action]:
    lines: dict[tuple[str, int], int] = {}
    found = []
    for line, row in enumerate(rows, 2):
        one = _read(kind, row, f"{path}, line {line}")
        first = lines.setdefault((one.pair, one.day), line)
        if first != line:
            more = "; give their sum" if kind == DIVIDEND else ", or give their product"
            raise InputError(
                f"{path}, line {line}: line {first} has a {kind} of {one.pair} on {one.day_text} already; take one"
                f" out{more}",
                field=path.stem,
            )
        found.append(one)
    return found


def _read(kind: str, row: _Row, where: str) -> Action:
    form = _FORMS[kind]
    field = form.file.removesuffix(".csv")
    try:
        pair, at, value = (row["pair"] or "").strip().upper(), epoch_of(row["day"] or ""), form.value(row)
        if not pair or None in row:
            raise ValueError
    except ValueError:
        raise InputError(f"{where}: give {', '.join(form.columns)}, for example {form.example}", field=field) from None
    reason = (row["reason"] or "").strip()
    if not reason:
        raise InputError(f"{where}: say in the column reason who says so, for example {form.example}", field=field)
    return Action(kind, pair, at, value, reason)


def _cells(one: Action) -> _Row:
    return {"pair": one.pair, "day": one.day_text, **_FORMS[one.kind].cells(one.value), "reason": one.reason}


def _decimal(value: Fraction) -> str:
    """An amount as it was written: it has twelve decimals at most."""
    whole, rest = divmod(value.numerator * 10**12 // value.denominator, 10**12)
    return f"{whole}.{rest:012}".rstrip("0").rstrip(".")
