"""How fast a provider may be asked: one pace shared by every run, thread and process of a data directory.

The pace is a generic cell rate algorithm (ITU-T I.371): the next free instant is a single number, kept in a small
file under a lock. Each request reserves the next slot and sleeps until it comes, so a late wake-up never shifts the
others, and no burst ever goes out. Where the file cannot be written, the pace holds for this process alone.
"""

from __future__ import annotations

import asyncio
import logging
import math
import threading
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from filelock import FileLock

log = logging.getLogger(__name__)
_HEADROOM = 1.02
"""Slots lie this much wider apart than the rate asks, so that jitter on the way never exceeds a published limit."""
_LONGEST_RESERVATION = 600.0
_LOCK_TIMEOUT = 2.0
_LOCK_POLL = 0.001
_ROUNDING = 1e-5


@dataclass(frozen=True, slots=True)
class _State:
    """Instants in epoch seconds: the next slot that nobody has taken, and the end of the last hold-back."""

    free_at: float = 0.0
    held_until: float = 0.0


class Pace:
    """Reserves request slots `1 / rate` seconds apart; safe across threads, event loops and processes."""

    def __init__(self, rate: float, file: Path | None = None) -> None:
        self.rate = rate
        self._step = _HEADROOM / rate
        self._file = file
        self._state = _State()
        self._lock = threading.Lock()

    async def wait(self) -> None:
        """Return when this request may go out. A hold-back that begins while it waits gives it a later slot."""
        slot = -math.inf
        while True:
            slot = self._change(partial(self._take, instead_of=slot)).free_at - self._step
            delay = slot - time.time()
            if delay <= 0:
                return
            await asyncio.sleep(delay)
            if self._change(lambda state: state).held_until <= slot + _ROUNDING:
                return

    def hold_back(self, seconds: float) -> None:
        """Let nothing out for `seconds` (after a 429), not even who has a slot already."""
        until = time.time() + seconds
        self._change(lambda state: replace(state, held_until=max(until, state.held_until)))

    def _take(self, state: _State, instead_of: float = -math.inf) -> _State:
        """The state after the next slot; a slot given up for it is free again if nobody has taken a later one."""
        now = time.time()
        if abs(state.free_at - self._step - instead_of) < _ROUNDING:
            state = replace(state, free_at=instead_of)
        far = now + _LONGEST_RESERVATION + 100 * self._step  # a clock set back must not stall everyone
        held_until = state.held_until if state.held_until < far else now
        free_at = state.free_at if state.free_at < far else now
        return _State(max(free_at, held_until, now) + self._step, held_until)

    def _change(self, change: Callable[[_State], _State]) -> _State:
        """The state after `change`, seen by every process that shares the file."""
        with self._lock:
            if self._file is not None:
                try:
                    return self._change_file(self._file, change)
                except OSError as error:
                    log.warning("the request pace holds for this process alone: %s", error)
                    self._file = None
            self._state = change(self._state)
            return self._state

    def _change_file(self, file: Path, change: Callable[[_State], _State]) -> _State:
        file.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{file}.lock", timeout=_LOCK_TIMEOUT, poll_interval=_LOCK_POLL):
            before = _read(file)
            after = change(before)
            if after != before:
                file.write_text(f"{after.free_at:.6f} {after.held_until:.6f}", encoding="ascii")
            return after


def _read(file: Path) -> _State:
    try:
        free_at, held_until = file.read_text(encoding="ascii").split()
        return _State(float(free_at), float(held_until))
    except (FileNotFoundError, ValueError):
        return _State()


_paces: dict[tuple[str, float], Pace] = {}
_paces_lock = threading.Lock()


def shared_pace(provider: str, base_url: str, rate: float, folder: Path) -> Pace:
    """The one pace of a provider at an address; `folder` holds its file, shared by every process."""
    file = folder.absolute() / f"pace-{provider}-{zlib.crc32(base_url.encode()):08x}"
    key = (str(file), rate)
    with _paces_lock:
        if key not in _paces:
            _paces[key] = Pace(rate, file)
        return _paces[key]
