"""Signals that end a command: Ctrl-C, SIGTERM and a closed terminal, once as a request, twice as an order.

The first signal lets a run commit what was fetched and print its result; a short act comes to its end; what only reads
ends at once. The second signal ends the process at once: a kill is safe anywhere. A thread of its own waits for
them, as the main one may be inside a long call. A signal that was ignored when the process began (nohup) stays so.
"""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
ACT_SECONDS = 5.0
"""How long a short act that writes may take to come to its end after the first signal."""
_ECHO_SECONDS = 0.25
"""`timeout` and process groups deliver one request twice; what follows sooner than this is its echo."""
_TICK_SECONDS = 0.1

_came: signal.Signals | None = None
_patience: list[float] = []
"""Seconds that each act under way asks for after a signal; without any, the process ends at once."""
_hooks: list[Callable[[], None]] = []
_lock = threading.Lock()


def came() -> signal.Signals | None:
    """The signal that asked this command to end; None if none has."""
    return _came


def status() -> int:
    """The exit status of an interrupted command, as shells have it: 128 and the number of the signal."""
    return 128 + int(_came or signal.SIGINT)


def sentence() -> str:
    """What a person is told about the interruption."""
    name = "" if _came is None else f" by {_came.name}"
    return f"interrupted{name}; what is committed stays, the same command continues it"


@contextmanager
def finishing(seconds: float = ACT_SECONDS) -> Iterator[None]:
    """An act that a signal lets come to its end, within so many seconds."""
    _patience.append(seconds)
    try:
        yield
    finally:
        _patience.remove(seconds)


@contextmanager
def winding_down(wind_down: Callable[[], None]) -> Iterator[None]:
    """Work that is asked to end by `wind_down`, called once, from another thread, and then waited for."""
    with finishing(float("inf")):
        with _lock:
            _hooks.append(wind_down)
            is_late = _came is not None
        try:
            if is_late:
                wind_down()
            yield
        finally:
            with _lock:
                _hooks.remove(wind_down)


def listen(end_now: Callable[[], None]) -> None:
    """Take the signals over from here on; `end_now` must end the process. Call it in the main thread."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    threading.Thread(target=_watch, args=(reader, end_now), name="signals", daemon=True).start()
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    for number in SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _noted)


def _noted(number: int, frame: object) -> None:
    """Nothing more: the number has reached the watching thread already."""


def _watch(reader: int, end_now: Callable[[], None]) -> None:
    _begin(signal.Signals(os.read(reader, 1)[0]))
    began = time.monotonic()
    while time.monotonic() - began < max(_patience, default=0.0):
        if not select.select([reader], [], [], _TICK_SECONDS)[0]:
            continue
        again = signal.Signals(os.read(reader, 1)[0])
        # A terminal that closes sends SIGHUP through the shell and by itself.
        if again != signal.SIGHUP and time.monotonic() - began > _ECHO_SECONDS:
            break
    end_now()


def _begin(number: signal.Signals) -> None:
    global _came
    with _lock:
        _came = number
        hooks = list(_hooks)
    for hook in hooks:
        hook()
