"""Addresses of lists of dead letters: records that were ticked, as text that can be sent on."""

from __future__ import annotations

from ffe_core.errors import InputError
from pages.dead_letters.dialogs import Chosen
from pages.widgets.frame import service

_LONGEST = 6_000
_MOST_RECORDS = 1_000


def as_address(chosen: Chosen) -> str | None:
    """The records as text for an address; None where they are too many for one."""
    text = "~".join(f"{batch}@{'.'.join(map(str, numbers))}" for batch, numbers in chosen.items())
    return text if len(text) <= _LONGEST else None


def listed_rows(text: str) -> Chosen:
    """The records that an address names. InputError for what names none, and for a batch that is not there."""
    found: dict[str, tuple[int, ...]] = {}
    for part in text.split("~"):
        batch, _, listed = part.rpartition("@")
        numbers = listed.split(".")
        if not all(one.isascii() and one.isdigit() and len(one) < 8 for one in numbers) or len(numbers) > _MOST_RECORDS:
            raise InputError("use a dead letter and the numbers of its records, as the list writes them")
        count = len(service().queue.read(batch).records)
        found[batch] = tuple(number for number in map(int, dict.fromkeys(numbers)) if number < count)
    return found
