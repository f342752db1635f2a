"""Look of a part: its form, what each column was taken for and why, and what has to be asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ffe_core.files.forms.base import Source
from ffe_core.files.forms.text import TextSource, head_lines
from ffe_core.files.opening import Content
from ffe_core.files.profile import Profile
from ffe_core.files.questions import Question
from ffe_core.files.reader import Known, Reader
from ffe_core.files.recognise import Named
from ffe_core.validation import validate_columns

_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Seen:
    """What people are shown of a part: it holds nothing of the part but its first lines and rows."""

    name: str
    profile: Profile
    columns: tuple[str, ...]
    """Every column that there is, in order."""
    why: Mapping[str, tuple[str, str]]
    """For what each column was taken, and why: role -> column, reason."""
    lines: Sequence[str]
    """The first lines as they stand there; none of a form that is no text."""
    rows: Sequence[Mapping[str, Any]]
    """The first rows as they would be read, each beside its text; none while something of the part is asked."""


@dataclass(slots=True)
class Look:
    """What a part was found to be."""

    content: Content
    source: Source
    profile: Profile
    """As far as it is known; complete where there is no question."""
    named: Named = field(default_factory=Named)
    why: dict[str, tuple[str, str]] = field(default_factory=dict)
    """For what each column was taken, and why: role -> column, reason."""
    questions: list[Question] = field(default_factory=list)
    known: Known = field(default_factory=Known)
    step: int = 0
    symbol: str = ""
    """What every row of it calls its instrument, where a column says so."""
    answered: frozenset[str] = frozenset()
    """Fields of the profile that a person has given."""
    is_recognised: bool = False
    is_empty: bool = False
    """Whether it holds no row, and nothing about it is asked."""

    def say(self, role: str, reason: str) -> None:
        """Add a reason to why a column was taken for what it is."""
        column, before = self.why.get(role, ("", ""))
        self.why[role] = (column, f"{before}, {reason}" if before else reason)

    def who_says(self, field: str) -> str:
        """Whose word a field of the profile is."""
        return "as you say" if field in self.answered else "as the profile says"

    def reader(self) -> Reader:
        """A reader of the part's rows from the first."""
        return Reader(self.content.part.name, self.source, self.profile, self.step, self.named.day, self.known)

    def seen(self, grid: int = 1) -> Seen:
        """What people are shown of it, without the bytes; `grid` is the distance in seconds at which bars may open."""
        rows = [] if self.questions else self.first_rows(grid)
        columns = tuple(self.source.names)
        return Seen(self.content.part.name, self.profile, columns, dict(self.why), self.first_lines(), rows)

    def first_lines(self, most: int = _SHOWN) -> list[str]:
        """The first lines as they stand there; none of a form that is no text."""
        return head_lines(self.content, most) if isinstance(self.source, TextSource) else []

    def first_rows(self, grid: int = 1, most: int = _SHOWN) -> list[dict[str, Any]]:
        """The first rows as they would be read, each beside its text, with every rule that it breaks."""
        for rows in self.reader().rows():
            if len(rows):
                columns = {name: values[:most] for name, values in rows.columns.items()}
                flags = {code: mask[:most] for code, mask in rows.flags.items()}
                checked = validate_columns(rows.open_times[:most], columns, flags, grid, rows.record)
                wrong = {one.index: one.reasons for one in checked.failures}
                return [
                    {**rows.record(place), "reasons": wrong.get(place, [])} for place in range(min(most, len(rows)))
                ]
        return []
