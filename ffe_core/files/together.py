"""Small files of one form read as one text: a year of daily files costs less so than file by file.

Only where nothing is odd in any of them. As soon as something is, each is read by itself, and that reading decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ffe_core.errors import InputError
from ffe_core.files.clock import COUNTED
from ffe_core.files.forms.text import TextSource
from ffe_core.files.opening import Content
from ffe_core.files.plan import PlannedFile
from ffe_core.files.reader import Known, Reader, Rows

MOST_BYTES = 4 * 2**20
"""So much text is read at once: it stays one block."""
_SMALL = 2**20
_NOTHING_KNOWN = Known()


@dataclass(frozen=True, slots=True)
class Together:
    """The rows of several files one after the other, and how many each of them has."""

    rows: Rows
    sizes: tuple[int, ...]


def may_join(file: PlannedFile) -> bool:
    """Whether a file may be read together with others of its form, as far as its plan tells."""
    return len(file.parts) == 1 and file.parts[0].form is not None and file.parts[0].known == _NOTHING_KNOWN


def are_alike(one: PlannedFile, other: PlannedFile) -> bool:
    """Whether two files that may be joined are read in the same way."""
    [first], [second] = one.parts, other.parts
    same_day = first.profile.time_format not in COUNTED or first.named.day == second.named.day
    return first.profile is second.profile and first.form is second.form and same_day


def is_plain(content: Content) -> bool:
    """Whether each line end of a small text ends a row: it has no quotes, and its last line is whole."""
    data = content.data
    return data is not None and 0 < len(data) <= _SMALL and data.endswith(b"\n") and b'"' not in data


def read_together(files: Sequence[PlannedFile], contents: Sequence[Content], step: int) -> Together | None:
    """The rows of plain contents of files that are alike, `step` seconds long; None if anything about one is odd."""
    [part] = files[0].parts
    form = part.form
    if form is None or form.encoding != "utf-8":
        return None
    bodies = [_after_lines(content.data or b"", form.skipped) for content in contents]
    sizes = tuple(body.count(b"\n") for body in bodies)
    data = b"".join(bodies)
    joined = replace(contents[0], data=data, head=data[:_SMALL], size=len(data), last=data[-2:])
    source = TextSource(joined, replace(form, skipped=0), part.profile)
    try:
        blocks = list(Reader(part.part.name, source, part.profile, step, part.named.day).rows())
    except InputError:  # which file it is about, only reading each tells
        return None
    if len(blocks) != 1 or _is_odd(blocks[0]) or len(blocks[0]) != sum(sizes):
        return None
    return Together(blocks[0], sizes)


def _is_odd(rows: Rows) -> bool:
    return bool(rows.flags or rows.broken or rows.unfinished or rows.left_out or rows.copies)


def _after_lines(data: bytes, lines: int) -> bytes:
    at = 0
    for _ in range(lines):
        at = data.find(b"\n", at) + 1
    return data[at:]
