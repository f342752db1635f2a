"""Questions about a file that it does not answer: what each answer would read, and the option that gives it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Choice:
    """One answer: the option of the command line, and what the file would then say."""

    option: str
    reading: str
    is_typed: bool = False
    """Whether something has to be filled in: a column, a pair, a pattern."""
    field: str = ""
    """What a page says instead of the reading, where it has a field for just that part of the option."""


@dataclass(frozen=True, slots=True)
class Question:
    """Something that is asked about and not guessed; `code` names the field that the answer fills."""

    code: str
    text: str
    choices: tuple[Choice, ...]

    def as_dict(self) -> dict[str, Any]:
        """The question as plain values."""
        choices = [{"option": one.option, "reading": one.reading} for one in self.choices]
        return {"code": self.code, "question": self.text, "choices": choices}
