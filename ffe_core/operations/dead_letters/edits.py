"""Edits of a record: fixes that can be applied to one or to many, and what an edit may not do.

A fix takes a record and gives a new one. Whether the new one is a candle is for the preview to say; what cannot even be
read (no JSON object, a price that is no number, a time off the grid) is refused at the field, before it is saved.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from ffe_core import times
from ffe_core.candles import PRICES, VALUES
from ffe_core.errors import InputError
from ffe_core.rules.sift import REASON as OWN_RULE
from ffe_core.validation import REASONS, read_open_times, validate

Record = dict[str, Any]
Fix = Callable[[Record], Record]

NOT_CLOSED = "not_closed"
LANDED_OTHERWISE = "landed_otherwise"
WORDS = {
    **REASONS,
    OWN_RULE: "a rule of one's own does not hold",
    NOT_CLOSED: "the bar has not closed yet",
    LANDED_OTHERWISE: "an earlier replay stored it as it was then; correct that candle and discard this",
    "none": "no rule is broken; the record was kept with its batch",
}
"""Every reason code in words."""

_READING = ("not_a_number", "not_finite", "missing_field", "time_unreadable", "off_grid", "not_a_record")
_TIME = ("time_unreadable", "off_grid")
_LONGEST_SHOWN = 60
_EXAMPLE = '{"open": 1.5}'


class FieldError(InputError):
    """An edit that cannot be saved; `fields` says what is wrong at each field, "" for the record as a whole."""

    code = "bad_record"

    def __init__(self, where: str, fields: Mapping[str, str]) -> None:
        super().__init__(f"{where}: " + "; ".join(fields.values()))
        self.fields = dict(fields)


def in_words(code: str) -> str:
    """A reason code in words, with the field it speaks of; an unknown one as it is."""
    rule, _, field = code.partition(":")
    words = WORDS.get(rule, rule)
    return f"{words} ({field})" if field else words


def set_fields(values: Mapping[str, Any]) -> Fix:
    """Give some fields new values."""
    return lambda record: {**record, **values}


def swap_high_low(record: Record) -> Record:
    """Exchange high and low."""
    missing = [name for name in ("high", "low") if name not in record]
    if missing:
        raise InputError(
            f"the record has no {missing[0]}, so high and low cannot be swapped; set it instead", field=missing[0]
        )
    return {**record, "high": record["low"], "low": record["high"]}


def scale(factors: Mapping[str, float | str]) -> Fix:
    """Multiply fields by factors; text stays text, with the digits that decimal arithmetic gives it."""
    read = {_value_field(name): _decimal("factor", factor) for name, factor in factors.items()}
    return lambda record: {**record, **{name: _scaled(name, record.get(name), by) for name, by in read.items()}}


def drop_volume(record: Record) -> Record:
    """Remove the volume: it is stored as 0, as where a provider has none."""
    return {name: value for name, value in record.items() if name != "volume"}


def parse_record(text: str) -> Record:
    """A record typed in as JSON. FieldError says where it is not, or that it is no object."""
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        words = f"this is not JSON: {error.msg.lower()} at {where}; a record is such as {_EXAMPLE}"
        raise FieldError("record", {"": words}) from None
    except (RecursionError, ValueError):
        raise FieldError("record", {"": "this JSON cannot be read: too deep, or with a number too long"}) from None
    if not isinstance(value, dict):
        raise FieldError("record", {"": f"a record is an object with named fields, such as {_EXAMPLE}"})
    return value


def parse_value(text: str) -> Any:
    """A field's value as typed: a JSON number, text in quotes, null, ...; anything else is text as it stands."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def check_edit(where: str, before: Any, after: Any, grid: int, closed_before: int) -> None:
    """FieldError if a changed field cannot be read; bars that open at `closed_before` or later have not closed."""
    if not isinstance(after, dict):
        raise FieldError(where, {"": "a record is an object with named fields; give it as a whole, as JSON"})
    changed = _changed(before, after)
    failures = validate([after], grid).failures
    wrong = {}
    for code in failures[0].reasons if failures else ():
        rule, _, name = code.partition(":")
        field = "date" if rule in _TIME else name
        if rule in _READING and (field in changed or not field):
            wrong[field] = f"{field or 'record'}: {_shown(after.get(field))}: {WORDS[rule]}"
    if "date" in changed and "date" not in wrong and int(read_open_times([after])[0]) >= closed_before:
        wrong["date"] = f"date: {_shown(after.get('date'))}: {WORDS[NOT_CLOSED]}; the last one opens before "
        wrong["date"] += times.iso(closed_before)
    if wrong:
        raise FieldError(where, wrong)


def apply(fixes: Sequence[Fix], value: Any) -> Any:
    """One fix after the other. InputError for a record that is no object, or that a fix does not fit."""
    if not isinstance(value, dict):
        raise InputError("the record has no named fields; give it as a whole, as JSON", field="record")
    for fix in fixes:
        value = fix(value)
    return value


def _changed(before: Any, after: Record) -> set[str]:
    old = before if isinstance(before, dict) else {}
    return {name for name in {*old, *after} if name not in old or name not in after or old[name] != after[name]}


def _value_field(name: str) -> str:
    if name not in VALUES:
        raise InputError(f"{name!r} cannot be scaled; use one of {', '.join((*PRICES, 'volume'))}", field="field")
    return name


def _scaled(name: str, value: Any, factor: Decimal) -> Any:
    product = _decimal(name, value) * factor
    return format(product.normalize(), "f") if isinstance(value, str) else float(product)


def _decimal(name: str, value: Any) -> Decimal:
    try:
        number = Decimal(str(value)) if not isinstance(value, bool) and value is not None else None
    except InvalidOperation:
        number = None
    if number is None or not number.is_finite():
        raise InputError(f"{_shown(value)} is not a number, so it cannot be scaled; set it instead", field=name)
    return number


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 3] + "..."
