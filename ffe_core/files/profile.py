"""Profiles of candle files: a small TOML file says what each column is, how its times read, and in which zone.

Those that ship lie in the folder profiles/, those that a person keeps in the data directory. What a profile leaves open
is found out from the file, or asked.
"""

from __future__ import annotations

import json
import re
import tomllib
from functools import cached_property, lru_cache
from importlib.resources import files as resources
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from ffe_core.candles import PRICES
from ffe_core.errors import InputError

Unit = Literal["s", "ms", "us", "ns"]
TimeFormat = Literal[
    "epoch", "ymd", "dmy", "mdy", "day_month_name", "month_name_day", "compact", "ms_of_day", "s_of_period"
]
Stamp = Literal["open", "close"]
Answer = Literal["zone", "stamp", "side"]
_FIXED = re.compile(r"UTC([+-])(\d{1,2})(?::(\d{2}))?", re.ASCII)
_NAMED = re.compile(r"[a-z0-9][a-z0-9_-]{0,59}", re.ASCII)


class Recognition(BaseModel):
    """What makes a form unmistakable: all that is given must hold."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str = ""
    """Pattern found in the file's path; its groups may name `pair`, `contract`, `timeframe` and `date` (YYYYMMDD)."""
    header: tuple[str, ...] = ()
    """Names that the header has, among others."""
    begins: tuple[str, ...] = ()
    """Names that the header begins with, in this order."""
    line: str = ""
    """Pattern that the first line matches, wherever the header stands."""
    row: str = ""
    """Pattern that the second line matches: the first row below a header."""


class Profile(BaseModel):
    """How files of one form are read. Every field may be left out; what is empty is found out or asked."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = "own"
    about: str = ""
    recognise: tuple[Recognition, ...] = ()
    paths: tuple[str, ...] = ()
    """Patterns of paths that name `pair`, `timeframe` and `date` as those of `recognise` do, and mark no form."""
    form: Literal["", "text", "json", "table", "dbn", "bi5"] = ""
    delimiter: str = ""
    skip_lines: int = Field(default=0, ge=0, le=1000)
    header: bool | None = None
    header_lines: int = Field(default=1, ge=1, le=20)
    """Lines from the header to the first row: yfinance writes three."""
    header_joined: bool = False
    """Whether the first two of them name price and symbol of each column, and the third the time: yfinance's."""
    columns: tuple[str, ...] = ()
    """Names of the columns of files without a header, in their order."""
    time: str = ""
    """Name of the column, or of two joined by ` + `. "{side}" in a name stands for `side`, "{symbol}" for `symbol`."""
    open: str = ""
    high: str = ""
    low: str = ""
    close: str = ""
    volume: str = ""
    without_volume: bool = False
    side: str = ""
    time_format: TimeFormat | Literal[""] = ""
    unit: Unit | Literal[""] = ""
    wall_epoch: bool = False
    """Whether epochs count on a wall clock and not on UTC's, as MetaTrader's do."""
    zone: str = ""
    stamp: Stamp | Literal[""] = ""
    decimal: Literal["", ".", ","] = ""
    thousands: Literal["", ",", ".", " ", "'"] = ""
    price_divisor: float = Field(default=1.0, gt=0)
    volume_divisor: float = Field(default=1.0, gt=0)
    fixed_point: int = Field(default=0, ge=0, le=18)
    """Decimals of integers held in fixed bytes; 0 for those of Nautilus: 9 in 8 bytes, 16 in 16."""
    missing: tuple[str, ...] = ("", "null", "NULL", "None", "N/A", "-")
    """What stands for no value."""
    symbol_column: str = ""
    symbol: str = ""
    other_symbols: Literal["", "left out", "dead lettered"] = ""
    venue_column: str = ""
    venue: str = ""
    quote_volume: str = ""
    """A second volume, of the quote currency, by which a swap of the two is told."""
    volumes: Literal["", "as-named", "by-price"] = ""
    repeats: Literal["", "last", "first"] = ""
    """Which of several rows of a bar counts, where a file repeats bars with other values."""
    unfinished_column: str = ""
    """Column that says of each row whether its bar was still open: that is what `unfinished_value` means."""
    unfinished_value: str = ""
    ignore_line: str = ""
    """Pattern of lines that are no rows."""
    ends_without_newline: bool = False
    aliases: dict[str, str] = {}
    """What a part of a pair's name in the file name stands for: XBT = "BTC"."""
    survey: bool = True
    """Whether the whole file is looked through before its first row is stored."""
    asks: tuple[Answer, ...] = ()
    """What files of this form never tell."""

    @field_validator("name")
    @classmethod
    def _is_name(cls, name: str) -> str:
        if not _NAMED.fullmatch(name):
            raise ValueError("a profile's name has small letters, digits, - and _ only, for example my-broker")
        return name

    @field_validator("zone")
    @classmethod
    def _is_zone(cls, zone: str) -> str:
        return checked_zone(zone) if zone else zone

    @field_validator("delimiter")
    @classmethod
    def _is_one_sign(cls, delimiter: str) -> str:
        if len(delimiter) > 1:
            raise ValueError("a delimiter is one character")
        return delimiter

    @property
    def prices(self) -> dict[str, str]:
        """The column of each price and the volume that is named, by what it is."""
        named = {name: getattr(self, name) for name in (*PRICES, "volume")}
        return {
            name: column.replace("{side}", self.side).replace("{symbol}", self.symbol)
            for name, column in named.items()
            if column
        }

    def with_answers(self, **answers: Any) -> Profile:
        """The profile with some fields replaced. InputError for a value that cannot be."""
        return _validated({**self.model_dump(exclude_defaults=True), **answers}, "the answers")

    def as_toml(self) -> str:
        """The profile as a file that `read_profile` reads back."""
        return self._as_toml

    @cached_property
    def _as_toml(self) -> str:
        """Made once: thousands of files may share a profile."""
        tree = self.model_dump(exclude_defaults=True, exclude={"recognise"})
        tree = {"name": self.name, **tree}
        tables = tree.pop("aliases", {})
        lines = [f"{key} = {_toml(value)}" for key, value in tree.items()]
        lines += (
            ["", "[aliases]", *(f"{json.dumps(key)} = {json.dumps(value)}" for key, value in tables.items())]
            if tables
            else []
        )
        for one in self.recognise:
            fields = one.model_dump(exclude_defaults=True)
            lines += ["", "[[recognise]]", *(f"{key} = {_toml(value)}" for key, value in fields.items())]
        return "\n".join(lines) + "\n"


def checked_zone(zone: str) -> str:
    """A zone by its IANA name, or UTC with a fixed offset such as UTC-5; ValueError for what is none."""
    if zone == "UTC" or fixed_offset(zone) is not None:
        return zone
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{zone!r} is no zone; use UTC, UTC-5 or a name such as America/New_York") from None
    return zone


def fixed_offset(zone: str) -> int | None:
    """Seconds east of UTC of a fixed zone such as UTC+3; None for any other."""
    found = _FIXED.fullmatch(zone)
    if zone == "UTC":
        return 0
    if not found:
        return None
    size = int(found[2]) * 3600 + int(found[3] or 0) * 60
    return size if found[1] == "+" else -size


def read_profile(text: str, what: str) -> Profile:
    """A profile from TOML; InputError, naming `what` it was read from, if it is none."""
    try:
        tree = tomllib.loads(text)
    except ValueError as error:
        raise InputError(f"{what} is no TOML ({error}); correct it", field="profile") from None
    return _validated(tree, what)


@lru_cache(maxsize=1)
def shipped() -> dict[str, Profile]:
    """The profiles that come with this release, by name."""
    folder = resources("ffe_core.files") / "profiles"
    found = [
        read_profile(item.read_text(encoding="utf-8"), item.name)
        for item in sorted(folder.iterdir(), key=lambda one: one.name)
        if item.name.endswith(".toml")
    ]
    return {profile.name: profile for profile in found}


class Profiles:
    """The profiles there are: those that ship, and those kept in a folder, which win."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def all(self) -> dict[str, Profile]:
        """Every profile by name."""
        return {**shipped(), **self.kept()}

    def kept(self) -> dict[str, Profile]:
        """Those that a person has kept. InputError for one that cannot be read."""
        if not self.folder.is_dir():
            return {}
        found = (
            read_profile(path.read_text(encoding="utf-8-sig"), str(path)) for path in sorted(self.folder.glob("*.toml"))
        )
        return {profile.name: profile for profile in found}

    def get(self, name_or_file: str) -> Profile:
        """A profile by its name or file; InputError listing the names there are."""
        if name_or_file.endswith(".toml"):
            try:
                return read_profile(Path(name_or_file).read_text(encoding="utf-8-sig"), name_or_file)
            except OSError as error:
                raise InputError(f"{name_or_file} cannot be read: {error.strerror}", field="profile") from None
        known = self.all()
        if name_or_file not in known:
            raise InputError(
                f"{name_or_file!r} is unknown; use a file.toml or one of {', '.join(sorted(known))}", field="profile"
            )
        return known[name_or_file]

    def save(self, profile: Profile) -> Path:
        """Keep a profile under its name. InputError for the name of one that ships, or if it cannot be written."""
        if profile.name in shipped():
            raise InputError(f"{profile.name} ships with this release; choose another name", field="save-profile")
        path = self.folder / f"{profile.name}.toml"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            path.write_text(profile.as_toml(), encoding="utf-8")
        except OSError as error:
            raise InputError(f"{path} cannot be written: {error.strerror}", field="save-profile") from None
        return path


def _validated(tree: dict[str, Any], what: str) -> Profile:
    try:
        return Profile.model_validate(tree)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        reason = first.get("ctx", {}).get("error")
        raise InputError(f"{what}: {where}: {reason or first['msg'].lower()}", field="profile") from None


def _toml(value: Any) -> str:
    """A plain value; TOML's texts, numbers and lists are written as JSON's."""
    return json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)
