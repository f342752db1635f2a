"""Table of market hours: reads a TOML file of groups of instruments, each with its hours; oanda.toml says its form."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files
from typing import Any

from ffe_core.calendars.week import Hours
from ffe_core.calendars.week_text import minutes


@cache
def groups(file: str) -> dict[str, dict[str, Any]]:
    """The groups of a table of this package, as written; what `like` names is filled in."""
    given = tomllib.loads((files("ffe_core.calendars") / file).read_text(encoding="utf-8"))
    return {
        group: {**{k: v for k, v in given.get(table.get("like"), {}).items() if k != "instruments"}, **table}
        for group, table in given.items()
    }


@cache
def hours(file: str, group: str) -> Hours:
    """The hours of one group of a table."""
    table = groups(file)[group]
    other = table.get("other_week")
    return Hours(
        zone=table["zone"],
        weeks=tuple(sorted(table["weeks"].items())),
        closed=_dated(table.get("closed", "")),
        closes=_dated(table.get("closes", "")),
        opens=_dated(table.get("opens", "")),
        quiet=" ".join(table.get("quiet", "").split()),
        day_begins=_begins(table.get("day_begins", "00:00")),
        second_reading=(other[0], other[1]) if other else None,
    )


@cache
def instruments(file: str) -> dict[str, str]:
    """Every instrument that a table names, and its group."""
    return {name: group for group, table in groups(file).items() for name in table.get("instruments", "").split()}


def _dated(lines: str) -> str:
    """ "2017: 01-02 12-25" as full dates."""
    year, found = "", []
    for word in lines.split():
        if word.endswith(":"):
            year = word[:-1]
        else:
            found.append(f"{year}-{word}")
    return " ".join(found)


def _begins(text: str) -> int:
    time, _, before = text.partition(" ")
    return minutes(time) - (1440 if before else 0)
