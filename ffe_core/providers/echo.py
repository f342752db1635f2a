"""Echo check: refuses an answer that names another instrument, granularity or symbol than was asked.

A provider repeats in its answer what it was asked for. Whatever it repeats must be what was asked, as that provider
spells it; only case and the separators `_` and `/` do not matter (OANDA has answered DE30/EUR to DE30_EUR).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from ffe_core.errors import WrongAnswer
from ffe_core.redaction import redact

_SHOWN = 80
_SEPARATORS = str.maketrans("", "", "_/")


def check_echo(provider: str, asked: Mapping[str, str], named: Mapping[str, Any], always: Collection[str] = ()) -> None:
    """WrongAnswer for the first field of `asked` that `named` gives another value, or that must be `always` there.

    Both map a field to its value; fields that are only in one of them say nothing.
    """
    for field, wanted in asked.items():
        if field not in named:
            if field in always:
                raise WrongAnswer(f"{provider} answered without naming the {field}; {wanted} was asked for")
        elif not _is_same(named[field], wanted):
            got = redact(repr(named[field]))[:_SHOWN]
            raise WrongAnswer(
                f"{provider} answered for {field} {got} where {wanted!r} was asked for; nothing of it is stored"
            )


def _is_same(named: Any, wanted: str) -> bool:
    return isinstance(named, str) and _plain(named) == _plain(wanted)


def _plain(name: str) -> str:
    return name.translate(_SEPARATORS).casefold()
