"""Rules of one's own: bounds or an expression over the columns of one bar, for some series, in `rules.toml`."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Sequence
from fnmatch import fnmatchcase
from math import isfinite
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from ffe_core.candles import VALUES
from ffe_core.errors import InputError, StorageError
from ffe_core.series import Series
from ffe_core.storage.files import folder_lock, make_folder, why, write_atomically

FILE = "rules.toml"
_VERSION = 1
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}", re.ASCII)
_MOST, _LONGEST = 100, 500
_HEAD = """\
# Rules of your own: what every bar has to hold. docs/checks.md says how they are written.
"""


class Rule(BaseModel):
    """One rule. `holds` is SQL over the columns of one bar; `bounds` say from and to where a column lies."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    says: str = ""
    """What it means, for people."""
    holds: str = ""
    bounds: dict[str, tuple[float, float]] = Field(default_factory=dict)
    series: tuple[str, ...] = ("*",)
    """Patterns of series such as `BTCUSD/1h/coinbase`, `*/1d/*`; a pair alone means all of it."""
    severity: str = "warning"
    on: bool = True
    dead_letters: bool = False
    """Whether new records that break it are dead-lettered; stored bars are only found."""

    @field_validator("name")
    @classmethod
    def _is_name(cls, name: str) -> str:
        if not _NAME.fullmatch(name):
            raise ValueError("use 1 to 40 of a-z, 0-9 and _, a letter first, for example close_in_range")
        return name

    @field_validator("holds", "says")
    @classmethod
    def _is_short(cls, text: str) -> str:
        if len(text) > _LONGEST:
            raise ValueError(f"it has {len(text):,} characters; use {_LONGEST} at most")
        return text.strip()

    @field_validator("bounds")
    @classmethod
    def _are_columns(cls, bounds: dict[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
        for name, (low, high) in bounds.items():
            if name not in VALUES:
                raise ValueError(f"{name!r} is no column; a bar has {', '.join(VALUES)}")
            if not low <= high:
                raise ValueError(f"{name} lies between {low:,.15g} and {high:,.15g}, which is nothing; turn them round")
        return bounds

    @field_validator("severity")
    @classmethod
    def _is_severity(cls, severity: str) -> str:
        if severity not in ("error", "warning", "notice"):
            raise ValueError(f"{severity!r} is unknown; use error, warning or notice")
        return severity

    @model_validator(mode="after")
    def _says_something(self) -> Rule:
        if not self.holds and not self.bounds:
            raise ValueError("it asks for nothing; give holds, for example high <= 2 * low, or bounds")
        return self

    @property
    def expression(self) -> str:
        """All it asks for as one SQL expression."""
        parts = [f"{name} BETWEEN {_sql(low)} AND {_sql(high)}" for name, (low, high) in self.bounds.items()]
        parts += [f"(\n{self.holds}\n)"] if self.holds else []
        return " AND ".join(parts)

    @property
    def in_words(self) -> str:
        """What it means, or all it asks for in one line."""
        return self.says or self.asks

    @property
    def asks(self) -> str:
        """All it asks for in one line, for people."""
        parts = [_asked(name, low, high) for name, (low, high) in self.bounds.items()]
        holds = " ".join(self.holds.split())
        parts += [f"({holds})" if parts else holds] if holds else []
        return " AND ".join(parts)

    def is_about(self, series: Series) -> bool:
        """Whether a series is one of those it is for."""
        return any(fnmatchcase(series.key, "/".join(parts_of(pattern))) for pattern in self.series)


def parts_of(pattern: str) -> list[str]:
    """The patterns of pair, timeframe and provider; what is not given is any."""
    parts = pattern.split("/", 2)
    return [*parts, *["*"] * (3 - len(parts))]


def rule_of(**fields: Any) -> Rule:
    """A rule of its fields; InputError naming the field that is wrong."""
    try:
        return Rule(**fields)
    except ValidationError as error:
        first = error.errors()[0]
        where = str(first["loc"][0]) if first["loc"] else "holds"
        raise InputError(str(first["msg"]).removeprefix("Value error, "), field=where) from None


class Rules:
    """The file of rules of a data directory."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE

    def all(self) -> list[Rule]:
        """Every rule, in the order of the file; none without a file.

        InputError, naming the file and the rule, for one that cannot be; StorageError if it cannot be read.
        """
        try:
            text = self.path.read_text(encoding="utf-8-sig")
        except FileNotFoundError:
            return []
        except OSError as error:
            raise StorageError(f"{self.path} cannot be read: {why(error)}") from error
        except UnicodeDecodeError:
            raise InputError(f"{self.path} is not written in UTF-8; save it so", field="rules") from None
        return self._read(text)

    def save(self, rule: Rule) -> None:
        """Add a rule, or put it in the place of the one with its name. StorageError if it cannot be written."""
        with self._alone():
            rules = self.all()
            names = [one.name for one in rules]
            if rule.name in names:
                rules[names.index(rule.name)] = rule
            else:
                rules.append(rule)
            if len(rules) > _MOST:
                raise InputError(f"there are {_MOST} rules already; remove one first", field="name")
            self._write(rules)

    def remove(self, name: str) -> None:
        """Take a rule out. InputError if there is none of this name."""
        with self._alone():
            rules = self.all()
            kept = [one for one in rules if one.name != name]
            if len(kept) == len(rules):
                known = ", ".join(one.name for one in rules) or "none yet"
                raise InputError(f"{name!r} is unknown; there is {known}", field="name")
            self._write(kept)

    def _alone(self) -> Any:
        make_folder(self.path.parent, "data directory")
        return folder_lock(self.path.with_name(f".{FILE}.lock"))  # the file itself is replaced under it

    def _write(self, rules: Sequence[Rule]) -> None:
        try:
            write_atomically(self.path, as_toml(rules))
        except OSError as error:
            raise StorageError(f"{self.path} cannot be written: {why(error)}") from error

    def _read(self, text: str) -> list[Rule]:
        try:
            tree = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise InputError(f"{self.path} cannot be read: {error}; mend that line", field="rules") from None
        if tree.pop("format_version", _VERSION) != _VERSION:
            raise InputError(f"{self.path} was written by a newer release; use that", field="rules")
        found = tree.pop("rule", [])
        if tree or not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
            raise InputError(f"{self.path} holds more than tables [[rule]]; take it out", field="rules")
        return [self._rule(one, number) for number, one in enumerate(found, 1)]

    def _rule(self, fields: dict[str, Any], number: int) -> Rule:
        try:
            return rule_of(**fields)
        except InputError as error:
            raise InputError(f"{self.path}, rule {number} ({fields.get('name')}): {error}", field="rules") from None


def as_toml(rules: Sequence[Rule]) -> str:
    """Rules as the text of their file."""
    lines = [_HEAD, f"format_version = {_VERSION}"]
    for rule in rules:
        lines += ["", "[[rule]]", f"name = {_text(rule.name)}"]
        lines += [f"says = {_text(rule.says)}"] if rule.says else []
        lines += [f"holds = {_text(rule.holds)}"] if rule.holds else []
        bounds = ", ".join(f"{name} = [{_number(low)}, {_number(high)}]" for name, (low, high) in rule.bounds.items())
        lines += [f"bounds = {{ {bounds} }}"] if bounds else []
        lines += [f"series = [{', '.join(map(_text, rule.series))}]", f"severity = {_text(rule.severity)}"]
        lines += [f"on = {str(rule.on).lower()}", f"dead_letters = {str(rule.dead_letters).lower()}"]
    return "\n".join(lines) + "\n"


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _sql(value: float) -> str:
    """A bound in SQL, which has no word for the infinite one of a side that is left open."""
    return repr(value) if isfinite(value) else f"'{value!r}'::DOUBLE"


def _asked(name: str, low: float, high: float) -> str:
    """A bound in one line; a side that is left open is not named unless both are."""
    sides = [f"{low:.15g} <= "] if isfinite(low) or not isfinite(high) else []
    sides += [name]
    sides += [f" <= {high:.15g}"] if isfinite(high) or not isfinite(low) else []
    return "".join(sides)


def _number(value: float) -> str:
    return repr(float(value))
