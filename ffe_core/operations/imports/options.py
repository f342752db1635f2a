"""Options of an import, by the names of the command line's: they make a request, and a question's choice gives one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ffe_core.candles import VALUES
from ffe_core.errors import InputError
from ffe_core.files.pairs import named_in
from ffe_core.files.plan import Target, found_files
from ffe_core.files.profile import Profiles
from ffe_core.files.questions import Choice
from ffe_core.files.recognise import named_by
from ffe_core.operations.imports.request import ImportRequest

DATES = {"day-first": "dmy", "month-first": "mdy"}
ROLES = ("time", *VALUES)
"""What a column can be taken for."""
_AS_THEY_ARE = ("zone", "stamp", "unit", "decimal", "thousands", "side", "symbol", "venue", "volumes", "repeats")
_FLAGS = ("any_name", "again", "no_volume")
_MOST_NAMES = 1_000
"""So many files are asked what their names say."""


def request_of(files: Sequence[str], target: Target, options: Mapping[str, Any]) -> ImportRequest:
    """The request of these options: what is not given is found out or asked. InputError for a `map` of nothing."""
    return ImportRequest(
        tuple(files), target, options.get("profile") or "", _answers(options),
        bool(options.get("any_name")), options.get("member") or "", bool(options.get("again")),
    )  # fmt: skip


def columns_named(names: Sequence[str]) -> tuple[str, ...]:
    """Names of the columns of a file without a header; `-` stands for one that is left out. InputError for a name that
    stands twice."""
    twice = next((name for name in names if name != "-" and names.count(name) > 1), None)
    if twice is not None:
        example = "time,open,high,low,close,-"
        raise InputError(f"{twice!r} stands twice; name each column once, for example {example}", field="columns")
    return tuple(f"left out {place}" if name == "-" else name for place, name in enumerate(names, 1))


def check_signs(decimal: str | None, thousands: str | None) -> None:
    """InputError if both signs of numbers are the same: no number could be read."""
    if decimal and decimal == thousands:
        other = "." if decimal == "," else ","
        problem = (
            f"{decimal!r} is the decimal sign too; numbers as 1{other}234{decimal}5 have {other!r} between thousands"
        )
        raise InputError(problem, field="thousands")


def option_of(choice: Choice) -> tuple[str, Any] | None:
    """The option that a choice gives, by its name, and its value; None for one in which something is to be filled."""
    if choice.is_typed:
        return None
    name, _, value = choice.option.removeprefix("--").partition(" ")
    key = name.replace("-", "_")
    if key in _FLAGS:
        return key, True
    if key == "member":
        return key, value.removeprefix("'").removesuffix("'")
    return key, value


def names_say(paths: Sequence[str], profiles: Profiles) -> tuple[str, str]:
    """Pair and timeframe that the names of the files say, by any form that is known; "" where they say several or none.

    It is what a form of the pages begins with; what the files hold is told by the plan. InputError for files that are
    not there.
    """
    known = list(profiles.all().values())
    found = [_name_says(path, known) for path in found_files(paths)[:_MOST_NAMES]]
    pairs, timeframes = {pair for pair, _ in found}, {timeframe for _, timeframe in found}
    return (pairs.pop() if len(pairs) == 1 else ""), (timeframes.pop() if len(timeframes) == 1 else "")


def _name_says(path: Path, profiles: Sequence[Any]) -> tuple[str, str]:
    named = (named_by(profile, path.as_posix()) for profile in profiles)
    return next(((one.pair, one.timeframe) for one in named if one.pair and one.timeframe), named_in(path.as_posix()))


def _answers(options: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a profile from options."""
    answers: dict[str, Any] = {name: options.get(name) for name in _AS_THEY_ARE}
    check_signs(answers["decimal"], answers["thousands"])
    answers["without_volume"] = bool(options.get("no_volume"))
    answers["time_format"] = DATES.get(options.get("dates") or "", "")
    if options.get("symbol"):
        answers["other_symbols"] = "left out"
    mapped: set[str] = set()
    for pair in options.get("map") or ():
        role, equals, column = pair.partition("=")
        if role not in ROLES or not equals or not column:
            raise InputError(f"{pair!r} maps nothing; write it like open=Open", field="map")
        if role in mapped:
            raise InputError(f"{role} is mapped twice; name one column", field="map")
        mapped.add(role)
        answers[role] = column
    given = {name: value for name, value in answers.items() if value}
    columns = tuple(options.get("columns") or ())
    return {**given, "columns": columns, "header": False} if columns else given
