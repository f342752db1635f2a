"""Hours of one's own, written in a calendar override.

    Europe/London; mon-fri 08:00-16:30; closed good-friday 12-25 2024-12-26; closes 12-24@12:30; opens 2024-01-02@09:00

A time zone, the week (see `week_text`), then what is special, in any order; days as `holidays` says.
"""

from __future__ import annotations

from ffe_core.calendars.week import Hours, WeekHours
from ffe_core.errors import InputError

EXAMPLE = "Europe/London; mon-fri 08:00-16:30; closed good-friday 12-25; closes 12-24@12:30"
_SPECIAL = ("closed", "closes", "opens")
_FROM_THE_BEGINNING = "1970-01-01"


def own_hours(text: str) -> WeekHours:
    """The calendar of hours as written, which is also its name. InputError for what cannot be read."""
    zone, _, rest = text.partition(";")
    week, *special = (part.strip() for part in rest.split(";"))
    days = dict.fromkeys(_SPECIAL, "")
    for part in special:
        kind, _, words = part.partition(" ")
        if kind not in days or not words.strip():
            raise InputError(f"{part!r} is neither closed, closes nor opens with its days; write it like {EXAMPLE!r}")
        days[kind] = f"{days[kind]} {_checked(kind, words)}".strip()
    eras = ((_FROM_THE_BEGINNING, week),)
    return WeekHours(text, Hours(zone.strip(), eras, days["closed"], days["closes"], days["opens"]))


def _checked(kind: str, words: str) -> str:
    for word in words.split():
        if ("@" in word) != (kind != "closed"):
            example = "12-25" if kind == "closed" else "12-24@12:30"
            raise InputError(
                f"{kind} {word!r} {'has a' if kind == 'closed' else 'needs its'} time; write it like {example}"
            )
    return words
