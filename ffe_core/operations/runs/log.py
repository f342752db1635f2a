"""Run log: lines logged while a run works wait in memory until they are written to it.

A context variable names the lines of the run that the code works for, in its tasks and threads alike; one handler on
the package's logger adds warnings and worse to them. Adding a line never waits, so it is safe on an event loop.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from contextvars import ContextVar
from typing import NamedTuple

_MOST_WAITING = 2_000
"""A flood of warnings loses its oldest lines rather than the process's memory."""


class Line(NamedTuple):
    """One line of a run's log; `at` in epoch seconds."""

    at: float
    level: str
    text: str


class RunLines:
    """The lines of one run that are not yet written down. Safe to use from any thread."""

    def __init__(self) -> None:
        self._waiting: deque[Line] = deque(maxlen=_MOST_WAITING)
        self._lock = threading.Lock()

    def add(self, level: str, text: str) -> None:
        """Keep a line until it is written."""
        with self._lock:
            self._waiting.append(Line(time.time(), level, text))

    def take(self) -> list[Line]:
        """The lines that wait, oldest first; they no longer do."""
        with self._lock:
            lines = list(self._waiting)
            self._waiting.clear()
        return lines

    def put_back(self, lines: list[Line]) -> None:
        """Let lines wait again that could not be written."""
        with self._lock:
            later = [*lines, *self._waiting]
            self._waiting.clear()
            self._waiting.extend(later)


current: ContextVar[RunLines | None] = ContextVar("run_lines", default=None)
"""The lines of the run that the code at hand works for; None outside runs."""


def say(text: str, level: str = "info") -> None:
    """Add a line to the log of the run that the code at hand works for; nothing outside runs."""
    if (lines := current.get()) is not None:
        lines.add(level, text)


class _Collector(logging.Handler):
    """Adds what is logged during a run to its lines; the traceback stays in the server's log."""

    def emit(self, record: logging.LogRecord) -> None:
        lines = current.get()
        if lines is not None:
            lines.add("error" if record.levelno >= logging.ERROR else "warning", record.getMessage())


_COLLECTOR = _Collector(logging.WARNING)


def collect() -> None:
    """Have warnings of the whole package reach the run they belong to; once a process is enough, more do no harm."""
    logging.getLogger("ffe_core").addHandler(_COLLECTOR)
