"""Output of a command: its result on stdout, as text or as exactly one JSON document; warnings and errors on stderr.

A document that is an object carries warnings as `warnings`, a list carries them in each of its rows; both only if there
are any. A command that fails before it has a result prints `{"error": ..., "code": ..., "exit_status": ...}`.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Sequence

from ffe_core.cli import interruption

OK, FAILED, USAGE = 0, 1, 2
_MOST_WARNINGS = 100
_SHORT = 60
"""Characters of a warning by which it is named again."""


class _Said:
    """What this command has said so far."""

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json
        self.is_printed = False
        self.warnings: dict[str, str] = {}
        self.repeats: dict[str, int] = {}
        self.is_interruption_told = False
        self.lock = threading.RLock()


_said = _Said(False)


def begin(words: Sequence[str]) -> None:
    """Start anew, for a command of these words: whether it asks for JSON is known before they are understood."""
    global _said
    _said = _Said(any(len(word) > 2 and "--json".startswith(word.partition("=")[0]) for word in words))


def warn(text: str, *, like: str | None = None) -> None:
    """Say something beside the result. Of several alike the first is said and the rest are counted."""
    text = _redacted(text)
    key = like or text
    with _said.lock:
        if key not in _said.warnings and text in _said.warnings.values():
            return  # logged and warned of
        _said.repeats[key] = _said.repeats.get(key, -1) + 1
        if key in _said.warnings:
            return
        if len(_said.warnings) < _MOST_WARNINGS:
            _said.warnings[key] = text
    tell(f"warning: {text}")


def tell(text: str) -> None:
    """One line on stderr, which a terminal shows and does not obey."""
    sys.stderr.write(_printable(_redacted(text)) + "\n")


def warnings() -> list[str]:
    """What has been warned of, one sentence each."""
    with _said.lock:
        return [
            text + (f" ({more:,} more like it)" if (more := _said.repeats[key]) else "")
            for key, text in _said.warnings.items()
        ]


def tell_repeats() -> None:
    """Say how often each warning came again; a document counts them itself."""
    with _said.lock:
        told = {} if _said.as_json else _said.warnings
        again = [(more, told[key]) for key, more in _said.repeats.items() if more and key in told]
    for more, text in again:
        tell(f"warning: {more:,} more like this: {text if len(text) <= _SHORT else f'{text[:_SHORT].rstrip()}...'}")


def print_json(document: object) -> None:
    """Print the one JSON document, strict and in ASCII: what was received may hold what a terminal obeys."""
    from ffe_core.storage.files import strict_json

    tell_interruption()
    text = strict_json(_with_warnings(document), indent=2)
    with _said.lock:
        _said.is_printed = True
        print(text, flush=True)


def print_table(header: list[str], rows: list[list[str]]) -> None:
    """Columns aligned for reading; numbers to the right."""
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    for row in [header, *rows]:
        cells = [
            cell.rjust(width) if _is_number(cell) else cell.ljust(width)
            for cell, width in zip(row, widths, strict=True)
        ]
        print("  ".join(cells).rstrip())


def fail(message: str, status: int, code: str) -> int:
    """Say why there is no result, and return the exit status."""
    tell(message)
    if _said.as_json and not _said.is_printed:
        print_json(_failure(message, status, code))
    return status


def tell_interruption() -> None:
    """Warn once that a signal came, if one did."""
    if interruption.came() is not None and not _said.is_interruption_told:
        _said.is_interruption_told = True
        warn(interruption.sentence())


def end_now() -> None:
    """End the process at once, from any thread, its one document printed."""
    message, status = interruption.sentence(), interruption.status()
    # Whoever prints the result at this moment is waited for, unless nobody reads it.
    if _said.lock.acquire(timeout=1.0):
        if not _said.is_interruption_told:
            _write(2, message)
        if _said.as_json and not _said.is_printed:
            _write(1, json.dumps(_with_warnings(_failure(message, status, "interrupted")), indent=2))
    os._exit(status)


def _write(descriptor: int, text: str) -> None:
    try:
        os.write(descriptor, f"{text}\n".encode(errors="backslashreplace"))
    except OSError:
        return  # nobody is there to read it


def _failure(message: str, status: int, code: str) -> dict[str, object]:
    return {"error": _redacted(message), "code": code, "exit_status": status}


def _with_warnings(document: object) -> object:
    said = warnings()
    if not said:
        return document
    if isinstance(document, dict):
        return {**document, "warnings": said}
    if isinstance(document, list):
        return [{**row, "warnings": said} if isinstance(row, dict) else row for row in document]
    return document


def _redacted(text: str) -> str:
    """The text without secrets: there are none until the settings have been read, and `redaction` with them."""
    redaction = sys.modules.get("ffe_core.redaction")
    return text if redaction is None else str(redaction.redact(text))


def _printable(text: str) -> str:
    return "".join(sign if sign.isprintable() else " " if sign == "\n" else ascii(sign)[1:-1] for sign in text)


def _is_number(cell: str) -> bool:
    return cell.replace(",", "").replace("-", "").isdigit()
