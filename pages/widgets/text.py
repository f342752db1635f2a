"""Text of numbers, times and durations, everywhere the same."""

from __future__ import annotations

import html
import re
import time
from collections.abc import Sequence
from pathlib import Path

from ffe_core import times
from ffe_core.counts import many as many

FIGURE_WIDTH = 150
"""Pixels of a figure with its name: several stand in a row, and wrap on a narrow screen."""
DATE_TICKS = [
    {"dtickrange": [None, 59_999], "value": "%H:%M:%S<br>%-d %b %Y"},
    {"dtickrange": [60_000, 86_399_999], "value": "%H:%M<br>%-d %b %Y"},
    {"dtickrange": [86_400_000, "M1"], "value": "%-d %b<br>%Y"},
    {"dtickrange": ["M1", "M12"], "value": "%b<br>%Y"},
    {"dtickrange": ["M12", None], "value": "%Y"},
]
"""How Plotly writes times on an axis: as everywhere else in the console, the day before its month."""
_INSTANT = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d)(?::00)?((?::\d\d)?(?:\.\d+)?)\+00:00(?!\d)")
_LONGEST_SENTENCE = 400
_NOTHING = ":color{}"
"""Of Streamlit's markdown: an element with nothing in it, which parts a text and is not in what one copies or finds."""
_PUNCTUATION = re.compile(r"[!-/:-@\[-`{-~]")
"""Of ASCII: before any other character a backslash stays."""
# Where an address, a mail address, ":streamlit:" or an arrow, a dash, a "not equal" would be found.
_FOUND_LATER = re.compile(r"(?<=:)(?=[/a-z_+])|(?<=@)|(?<=www)|(?<=[-<>=!~])(?=[-<>=~])", re.IGNORECASE)


def number(value: float | None) -> str:
    """With thousands separators; a dash for nothing."""
    return "–" if value is None else f"{value:,.0f}"


def plain(text: object) -> str:
    """Somebody's own words on one line, for a place that would take them for markdown.

    What markdown reads before it looks for links, arrows and logos is escaped. Those it finds in the text afterwards,
    escaped or not, so an empty element parts them.
    """
    parts = _FOUND_LATER.split(" ".join(str(text).split()))
    return _NOTHING.join(_PUNCTUATION.sub(r"\\\g<0>", part) for part in parts)


def plotted(text: object) -> str:
    """Somebody's own words for a chart, which takes `<` for its own kind of HTML."""
    return html.escape(" ".join(str(text).split()), quote=False)


def when(epoch: float | None, *, hint: bool = True) -> str:
    """A UTC time to the minute, with how long ago it was."""
    if epoch is None:
        return "–"
    text = f"{times.utc(int(epoch)):%Y-%m-%d %H:%M} UTC"
    return f"{text} · {relative(epoch)}" if hint else text


def moment_text(micros: int) -> str:
    """A UTC moment, of epoch microseconds, whole: to the minute, or finer where it is."""
    moment = times.utc(micros // 1_000_000).replace(microsecond=micros % 1_000_000, tzinfo=None)
    return f"{moment.isoformat(' ', 'auto' if moment.second or moment.microsecond else 'minutes')} UTC"


def dated(text: str) -> str:
    """A message of the core with its instants as the console writes them; what was typed, with a Z, stays."""
    return _INSTANT.sub(r"\1 \2\3 UTC", text)


def relative(epoch: float, now: float | None = None) -> str:
    """How long ago, or how soon."""
    away = (time.time() if now is None else now) - epoch
    if abs(away) < 5:
        return "now"
    return f"{duration(away)} ago" if away > 0 else f"in {duration(-away)}"


def duration(seconds: float | None) -> str:
    """A duration in its one or two largest units."""
    if seconds is None:
        return "–"
    if seconds < 1:
        return "under 1 s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    for size, unit, below, small in ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "min"), (60, "min", 1, "s")):
        if seconds >= size:
            whole, rest = divmod(int(seconds), size)
            return f"{whole:,} {unit}" + (f" {rest // below} {small}" if whole < 10 and rest // below else "")
    return f"{seconds:.0f} s"


def span(start: int, end: int) -> str:
    """A half-open range of opens as the days it covers, or with times where it does not cover whole days."""
    if start % times.DAY == 0 and end % times.DAY == 0 and end > start:
        first, last = times.utc(start), times.utc(end - times.DAY)
        return f"{first:%Y-%m-%d}" if first == last else f"{first:%Y-%m-%d} to {last:%Y-%m-%d}"
    return f"{times.utc(start):%Y-%m-%d %H:%M} to {times.utc(end):%Y-%m-%d %H:%M} UTC"


def short_path(path: Path, most: int = 24) -> str:
    """A path as one writes it: from the home on, and only its end where it is longer than a line."""
    text = f"~/{path.relative_to(Path.home())}" if path.is_relative_to(Path.home()) else str(path)
    return text if len(text) <= most else f"…/{'/'.join(path.parts[-2:])}"


def bounded(text: str, most: int = _LONGEST_SENTENCE) -> str:
    """A sentence that quotes what somebody typed, short enough to be read: its middle is left out, its ends say what is
    wrong and what would be right."""
    if len(text) <= most:
        return text
    return f"{text[: most // 3]} … {text[-most // 2 :]}"


def few(lines: Sequence[str], most: int = 12) -> str:
    """The first lines, and how many more there are."""
    more = [f"and {number(len(lines) - most)} more"] if len(lines) > most else []
    return "\n".join([*lines[:most], *more])
