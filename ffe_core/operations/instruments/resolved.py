"""Outcomes of resolving what somebody typed: the instrument that is meant, or why it cannot be asked for."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from ffe_core.errors import InputError
from ffe_core.instruments.model import Instrument


class NotResolved(InputError):
    """A name that cannot be asked for as it stands.

    `choices` are names to ask for instead, `said` is the message without what to type on the command line.
    """

    def __init__(self, said: str, choices: Sequence[str] = (), command: str = "") -> None:
        super().__init__(said + command, field="pair")
        self.said, self.choices = said, tuple(choices)


class UnknownInstrument(NotResolved):
    """A name that a whole catalogue lacks; `nearest` are symbols that look like it."""

    code = "unknown_instrument"

    @property
    def nearest(self) -> tuple[str, ...]:
        """The choices."""
        return self.choices


class AmbiguousInstrument(NotResolved):
    """A name that fits several instruments; `names` are theirs."""

    code = "ambiguous_instrument"

    @property
    def names(self) -> tuple[str, ...]:
        """The choices."""
        return self.choices


class SymbolReused(NotResolved):
    """A stored name whose symbol means another instrument at its provider now; the choice is the new one's own name."""

    code = "symbol_reused"


class SameBook(NotResolved):
    """Two names of one order book: storing both would double the market."""

    code = "same_book"


@dataclass(frozen=True, slots=True)
class Resolved:
    """What a typed name came to: the stored name, the instrument if the catalogue has it, and what to say about it.

    `is_awaited`: the catalogue is being read behind the scenes and may know the name. `nearest`: symbols that look
    like a name which the catalogue lacks.
    """

    typed: str
    name: str
    instrument: Instrument | None = None
    note: str | None = None
    is_awaited: bool = False
    nearest: tuple[str, ...] = ()


def names_of(resolved: Collection[Resolved]) -> list[str]:
    """The stored names."""
    return [one.name for one in resolved]
