"""Names of file sources: whose imported candles are kept as a series of their own, such as `files:binance`.

A person chooses the part after the colon. No provider can have such a name, so imported candles are never mixed with
those that a provider sent, and both can be compared.
"""

from __future__ import annotations

import re

from ffe_core.errors import InputError

PREFIX = "files:"
_NAME = re.compile(r"files:[a-z][a-z0-9_-]{0,33}", re.ASCII)


def is_file_source(name: str) -> bool:
    """Whether a provider's name is one of imported files."""
    return name.startswith(PREFIX)


def checked_source(name: str) -> str:
    """The name, in lower case; InputError for what no file source can be called."""
    source = name.strip().lower()
    if not _NAME.fullmatch(source):
        raise InputError(
            f"{name[:60]!r} names no source of files; call it files: and a word, for example files:binance",
            field="as",
        )
    return source
