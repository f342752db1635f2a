"""Log of a command: a line a warning to stderr and into the result; tracebacks into a file of their own.

The file is `<data directory>/logs/ffe.log`, or `ffe.log` in the folder for temporary files if that cannot be written.
"""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

from ffe_core.cli import output
from ffe_core.redaction import RedactingFormatter, redact

_LARGEST_LOG = 1_000_000
Raised = tuple[type[BaseException], BaseException, TracebackType | None]


class _InOneLine(logging.Handler):
    """Makes a warning of what the package logs, and of what other libraries call an error."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno < logging.ERROR and not record.name.startswith("ffe_core"):
            return
        text = record.getMessage()
        if record.exc_info and record.exc_info[0] is not None:
            output.warn(f"{text}; {kept(record.exc_info)}", like=text)
        else:
            output.warn(text, like=f"{record.name}: {record.msg}")


@contextmanager
def logged(*, verbose: bool) -> Iterator[None]:
    """While a command runs its warnings are said in a line each; `verbose` shows every step, tracebacks too."""
    root = logging.getLogger()
    handlers: list[logging.Handler] = [_InOneLine(logging.WARNING)]
    before = root.level
    if verbose:
        handlers.append(_every_step())
        root.setLevel(logging.INFO)
    for handler in handlers:
        root.addHandler(handler)
    raises = logging.raiseExceptions
    logging.raiseExceptions = False
    logging.captureWarnings(True)
    try:
        yield
    finally:
        logging.raiseExceptions = raises
        logging.captureWarnings(False)
        root.setLevel(before)
        for handler in handlers:
            root.removeHandler(handler)


def _every_step() -> logging.Handler:
    handler = logging.StreamHandler()
    handler.setFormatter(RedactingFormatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    return handler


def kept(raised: Raised | tuple[None, None, None]) -> str:
    """Keep a traceback in the log file; says where in words."""
    lines = redact("".join(traceback.format_exception(*raised)))
    for file in _places():
        try:
            _append(file, f"{datetime.now(UTC).isoformat()} {redact(' '.join(sys.argv))}\n{lines}\n")
        except OSError:
            continue
        return f"the details are in {file}"
    return "the details could not be logged; free some space and try again"


def _places() -> Iterator[Path]:
    from tempfile import gettempdir

    from ffe_core.settings import Settings

    try:
        folder = Settings.load().data_dir
        if folder.is_dir():
            yield folder / "logs" / "ffe.log"
    except (ValueError, OSError):
        pass  # settings that cannot be read are what is being reported
    yield Path(gettempdir()) / "ffe.log"


def _append(file: Path, text: str) -> None:
    file.parent.mkdir(exist_ok=True)
    if file.exists() and file.stat().st_size > _LARGEST_LOG:
        file.replace(file.with_suffix(".log.1"))
    with file.open("a", encoding="utf-8", errors="backslashreplace") as opened:
        opened.write(text)
