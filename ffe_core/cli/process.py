"""The command line as a process: its signals, its streams, and its end.

A stream that is closed, or whose reader is gone, never stops the work: what was to be said is lost, not what is done.
"""

from __future__ import annotations

import errno
import io
import os
import sys
import threading
from typing import NoReturn, TextIO

from ffe_core.cli import interruption, main, output

_NOBODY_READS = (errno.EPIPE, errno.EIO, errno.EBADF)


class Tolerant(io.TextIOBase):
    """A text stream that takes everything; `failure` is why it could not be passed on."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.failure: OSError | None = None
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._stream.encoding

    def fileno(self) -> int:
        return self._stream.fileno()

    def isatty(self) -> bool:
        return self.failure is None and self._stream.isatty()

    def write(self, text: str) -> int:
        if self.failure is None:
            try:
                return self._stream.write(text)
            except OSError as error:
                self.failure = error
        return len(text)

    def flush(self) -> None:
        if self.failure is None:
            try:
                self._stream.flush()
            except OSError as error:
                self.failure = error


def run() -> NoReturn:
    """Run what `sys.argv` says and end the process with its status."""
    output.begin(sys.argv[1:])
    interruption.listen(output.end_now)
    _open_what_is_closed()
    out, err = Tolerant(sys.stdout), Tolerant(sys.stderr)
    sys.stdout, sys.stderr = out, err
    _show_no_traceback()
    _leave(main(), out, err)


def _show_no_traceback() -> None:
    """Log what ends a thread or cannot be raised, instead of printing its traceback; `logs` does the rest."""
    threading.excepthook = lambda end: _lost(end.exc_value)
    sys.unraisablehook = lambda end: _lost(end.exc_value)


def _lost(error: BaseException | None) -> None:
    import logging

    if error is not None:
        logging.getLogger(__name__).error("unexpected %s: %s", type(error).__name__, error, exc_info=error)


def _open_what_is_closed() -> None:
    """Have all three standard descriptors open, or the next file to be opened would be taken for one of them."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "w" if number else "r", closefd=False))  # noqa: SIM115


def _leave(status: int, out: Tolerant, err: Tolerant) -> NoReturn:
    """End the process, whatever native threads are still winding down; 1 if the result could not be written."""
    out.flush()
    if out.failure is not None and out.failure.errno not in _NOBODY_READS:
        output.tell(f"the result could not be written ({out.failure.strerror}); what was done stays done")
        status = status or output.FAILED
    err.flush()
    os._exit(status)
