"""Signals that end the server: Ctrl-C, SIGTERM and a closed terminal, once as a request, twice as an order.

The web server knows the first two and winds down after one; here a closed terminal is added, a second signal ends the
process at once, and the process ends by the signal that came, so that whoever started it sees which.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_ECHO_SECONDS = 0.25
"""`timeout` and process groups deliver one request twice; what follows sooner than this is its echo."""


class Ending:
    """Listens from the server's start on; only where signals can be listened to, in the main thread."""

    def __init__(self) -> None:
        self._came: int | None = None
        self._since = 0.0
        self._wind_down = signal.getsignal(signal.SIGTERM)
        if threading.current_thread() is threading.main_thread() and callable(self._wind_down):
            for number in _SIGNALS:
                if signal.getsignal(number) != signal.SIG_IGN:
                    signal.signal(number, self._on_signal)

    def end(self) -> None:
        """End the process by the signal that came, if one did; everything is wound down."""
        if self._came is not None:
            signal.signal(self._came, signal.SIG_DFL)
            signal.raise_signal(self._came)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._came is None:
            self._came, self._since = number, time.monotonic()
            assert callable(self._wind_down)
            self._wind_down(number, frame)
        # A terminal that closes sends SIGHUP through the shell and by itself.
        elif number != signal.SIGHUP and time.monotonic() - self._since > _ECHO_SECONDS:
            os._exit(128 + number)
