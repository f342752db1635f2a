"""Matching of typed names with stored ones: what a filter by pair means, wherever there is one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from ffe_core.errors import InputError
from ffe_core.instruments.names import JOINED, compact, identity_of, spellings


def matching_names(text: str, names: Iterable[str]) -> tuple[str, ...]:
    """Which of these stored names a typed one means, sorted: those that are it as it stands or as a provider's name,
    else those whose symbol it is, else those with the same letters and digits.

    So a name of an earlier release is found by what is typed now (BRKB by BRK-B), and never hides behind a like one.
    InputError as `normalize_pair` for what is none of them and cannot be a name.
    """
    known = sorted(set(names))
    if text in known:
        return (text,)
    written, letters = set(spellings(text)), compact(text)
    wanted = " ".join(text.upper().split())
    tests: tuple[Callable[[str], bool], ...] = (
        lambda name: name in written,
        lambda name: wanted in _symbols(name),
        lambda name: letters in {compact(name), *map(compact, _symbols(name))},
    )
    found = (tuple(filter(fits, known)) for fits in tests)
    return next(filter(None, found), ())


def meant(text: str, names: Iterable[str]) -> str:
    """The one stored name that a typed one means; the typed one itself where none is meant.

    InputError where several are, with what to type, and as `matching_names`.
    """
    found: Sequence[str] = matching_names(text, names)
    if len(found) > 1:
        raise InputError(f"{text!r} fits {', '.join(found)}; name one of them", field="pairs")
    return found[0] if found else text


def is_part_of(text: str, name: str) -> bool:
    """Whether a typed text is a part of a stored name, separators aside, or another way to write it."""
    if compact(text) in compact(name):
        return True
    try:
        return bool(matching_names(text, (name,)))
    except InputError:
        return False


def _symbols(name: str) -> set[str]:
    """What providers may be asked for under a stored name."""
    try:
        return {identity_of(provider, name).symbol for provider in JOINED}
    except InputError:
        return set()  # what another tool wrote
