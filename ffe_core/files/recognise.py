"""Recognition of forms: the profile whose marks a file bears, by its path, its header or its first line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from ffe_core.files.clock import MICROS
from ffe_core.files.names import pair_named, plain, timeframe_named
from ffe_core.files.pairs import named_in
from ffe_core.files.profile import Profile, Recognition


@dataclass(frozen=True, slots=True)
class Named:
    """What a file's path says of its content; "" and 0 for what it does not."""

    pair: str = ""
    timeframe: str = ""
    day: int = 0
    """Midnight of the day of the file, microseconds."""
    contract: str = ""
    """Of a future the part of its name that tells it from others of its pair: PERP, 240329."""


def recognised(profiles: Iterable[Profile], path: str, lines: Sequence[str], header: Sequence[str]) -> Profile | None:
    """The first profile whose marks are all there; None where no form is unmistakable."""
    return next((one for one in profiles if any(_fits(mark, path, lines, header) for mark in one.recognise)), None)


def alike(profiles: Iterable[Profile], lines: Sequence[str]) -> list[Profile]:
    """The profiles whose first line this could be, whatever the path says: which it is has to be asked."""
    return [
        one for one in profiles if any(mark.line and mark.path and _line_fits(mark, lines) for mark in one.recognise)
    ]


def named_by(profile: Profile, path: str) -> Named:
    """Pair, timeframe and day as the path says them in files of this form."""
    for pattern in (*(mark.path for mark in profile.recognise if mark.path), *profile.paths):
        found = re.search(pattern, path)
        if found and found.groupdict():
            groups = {name: text or "" for name, text in found.groupdict().items()}
            return Named(
                pair_named(groups.get("pair", ""), profile.aliases),
                timeframe_named(groups.get("timeframe", "")) or "",
                _day(groups.get("date", "")) or _bi5_day(groups.get("bi5", "")),
                groups.get("contract", ""),
            )
    return Named()


def said_by(profile: Profile | None, path: str) -> Named:
    """What a path says by the rules of the form, and where those say nothing, by what names are usual."""
    named = named_by(profile, path) if profile else Named()
    return Named(*named_in(path)) if named == Named() else named


def _day(text: str) -> int:
    try:
        return int(datetime.strptime(re.sub("[^0-9]", "", text), "%Y%m%d").replace(tzinfo=UTC).timestamp()) * MICROS
    except ValueError:
        return 0


def _bi5_day(text: str) -> int:
    """The first day of a folder of Dukascopy's, of a year, month or day; it counts months from 00."""
    year, month, day, *_ = [*text.split("/"), "", ""]
    return _day(f"{year}{int(month or 0) + 1:02}{day or '01'}") if year else 0


def _fits(mark: Recognition, path: str, lines: Sequence[str], header: Sequence[str]) -> bool:
    names = [plain(name) for name in header]
    return (
        (not mark.path or re.search(mark.path, path) is not None)
        and (not mark.header or {plain(name) for name in mark.header} <= set(names))
        and (not mark.begins or names[: len(mark.begins)] == [plain(name) for name in mark.begins])
        and (not mark.line or _line_fits(mark, lines))
        and (not mark.row or (len(lines) > 1 and re.search(mark.row, lines[1]) is not None))
    )


def _line_fits(mark: Recognition, lines: Sequence[str]) -> bool:
    return bool(lines) and re.search(mark.line, lines[0]) is not None
