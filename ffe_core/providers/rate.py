"""Request pacer: spaces requests at one rate shared by every run, thread and process of a data directory.

Where a server keeps the state, those of all data directories share a row of it instead, which its own room knows.

The pace is a generic cell rate algorithm (ITU-T I.371): the next free instant is a single number, kept in a small
file under a lock. Each request reserves the next slot and sleeps until it comes, so a late wake-up never shifts the
others, and no burst ever goes out. A process counts by its monotonic clock; only the file has the wall clock's time,
and says when it was written: after a clock was set back nobody waits longer than was reserved then. Where the file
cannot be written, the pace holds for this process alone; where somebody holds its lock for too long, for one request.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Protocol

from filelock import FileLock, Timeout

from ffe_core.settings import Settings

log = logging.getLogger(__name__)
_HEADROOM = 1.02
"""Slots lie this much wider apart than the rate asks, so that jitter on the way never exceeds a published limit."""
_LONGEST_RESERVATION = 600.0
_LOCK_TIMEOUT = 2.0
_LOCK_POLL = 0.001
_ROUNDING = 1e-5
_MOST_BYTES = 200
_SLEW = 0.001
"""Seconds by which the wall clock may drift from the monotonic one before the difference is measured anew."""
_SET_BACK = 1.0
"""A file written this much in the future was written before the clock was set back."""


@dataclass(frozen=True, slots=True)
class _State:
    """Seconds of the monotonic clock: the next slot that nobody has taken, and the end of the last hold-back."""

    free_at: float = 0.0
    held_until: float = 0.0

    def later(self, own: _State) -> _State:
        """This, or what a process that was kept from the file reserved meanwhile, whichever is later."""
        return _State(max(self.free_at, own.free_at), max(self.held_until, own.held_until))

    def rounded(self) -> _State:
        """To the microsecond, as the file holds it."""
        return _State(round(self.free_at, 6), round(self.held_until, 6))


class Pace:
    """Reserves request slots `1 / rate` seconds apart; safe across threads, event loops and processes."""

    def __init__(self, rate: float, file: Path | None = None) -> None:
        self.rate = rate
        self._step = _HEADROOM / rate
        self._file = file
        # One for all requests, as making it costs half of taking it; `_lock` lets one thread at a time have it.
        self._file_lock = FileLock(f"{file}.lock", timeout=_LOCK_TIMEOUT, poll_interval=_LOCK_POLL, thread_local=False)
        self._state = _State()
        self._ahead = 0.0  # of the wall clock over the monotonic one
        self._lock = threading.Lock()

    async def wait(self) -> None:
        """Return when this request may go out. A hold-back that begins while it waits gives it a later slot."""
        slot = -math.inf
        while True:
            slot = self._change(partial(self._take, instead_of=slot)).free_at - self._step
            delay = slot - time.monotonic()
            if delay <= 0:
                return
            await asyncio.sleep(delay)
            if self._change(lambda state: state).held_until <= slot + _ROUNDING:
                return

    def hold_back(self, seconds: float) -> None:
        """Let nothing out for `seconds` (after a 429), not even who has a slot already."""
        until = time.monotonic() + seconds
        self._change(lambda state: replace(state, held_until=max(until, state.held_until)))

    def _take(self, state: _State, instead_of: float = -math.inf) -> _State:
        """The state after the next slot; a slot given up for it is free again if nobody has taken a later one."""
        now = time.monotonic()
        if abs(state.free_at - self._step - instead_of) < _ROUNDING:
            state = replace(state, free_at=instead_of)
        far = now + _LONGEST_RESERVATION + 100 * self._step  # a file of nonsense must not stall everyone
        held_until = state.held_until if state.held_until < far else now
        free_at = state.free_at if state.free_at < far else now
        return _State(max(free_at, held_until, now) + self._step, held_until)

    def _change(self, change: Callable[[_State], _State]) -> _State:
        """The state after `change`, seen by every process that shares the file."""
        with self._lock:
            if self._file is not None:
                try:
                    self._state = self._change_file(self._file, change)
                    return self._state
                except Timeout:  # an OSError too, but one that passes
                    log.warning("the request pace is locked by somebody else; one request is paced without it")
                except OSError as error:
                    log.warning("the request pace holds for this process alone: %s", error)
                    self._file = None
            self._state = change(self._state)
            return self._state

    def _change_file(self, file: Path, change: Callable[[_State], _State]) -> _State:
        file.parent.mkdir(parents=True, exist_ok=True)
        with self._file_lock, _opened(file) as opened:
            self._measure_clocks()
            on_file = _read(opened, self._ahead)
            after = change(on_file.later(self._state)).rounded()
            if after != on_file:
                _write(opened, after, self._ahead)
            return after

    def _measure_clocks(self) -> None:
        ahead = time.time() - time.monotonic()
        if abs(ahead - self._ahead) > _SLEW:
            self._ahead = ahead


@contextmanager
def _opened(file: Path) -> Iterator[int]:
    opened = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        yield opened
    finally:
        os.close(opened)


def _read(opened: int, ahead: float) -> _State:
    """What the file says in instants of the monotonic clock, which the wall clock is `ahead` of."""
    try:
        free_at, held_until, written_at = map(float, os.pread(opened, _MOST_BYTES, 0).decode("ascii").split())
    except ValueError:
        return _State()
    if not all(map(math.isfinite, (free_at, held_until, written_at))):
        return _State()
    set_back = written_at - time.monotonic() - ahead
    ahead += set_back if set_back > _SET_BACK else 0.0
    return _State(free_at - ahead, held_until - ahead).rounded()


def _write(opened: int, state: _State, ahead: float) -> None:
    """Write over what is there, always as many bytes: emptying a file first costs thirty times as much."""
    instants = (state.free_at, state.held_until, time.monotonic())
    text = " ".join(f"{instant + ahead:24.6f}" for instant in instants).encode("ascii")
    os.pwrite(opened, text, 0)
    if os.fstat(opened).st_size != len(text):
        os.ftruncate(opened, len(text))


class Pacer(Protocol):
    """The pace of requests to one provider."""

    @property
    def rate(self) -> float:
        """Requests a second."""

    async def wait(self) -> None:
        """Return when this request may go out. FFEError where that cannot be told, or none may today."""

    def hold_back(self, seconds: float) -> None:
        """Let nothing out for `seconds`; does not wait for that to be known everywhere."""


MakePacer = Callable[[str, float, int | None], Pacer]
"""Given a name for the provider at its address, the rate, and the requests that a day has."""
_paces: dict[tuple[str, float], Pace] = {}
_paces_lock = threading.Lock()
_elsewhere: dict[str, MakePacer] = {}


def share_paces(place: str, make: MakePacer) -> None:
    """From now on who keeps the state at `place`, a database of a server, is paced together with all who do."""
    _elsewhere[place] = make


def unshare_paces(place: str, make: MakePacer) -> None:
    """No more, as that state was closed; nothing if it was opened again meanwhile."""
    if _elsewhere.get(place) is make:
        del _elsewhere[place]


def pacer_of(settings: Settings, provider: str, base_url: str, rate: float, per_day: int | None = None) -> Pacer:
    """The pace of a provider at an address: that of the state on a server, once it is opened, else that of the files.

    Only a server counts the requests of a day and refuses more than `per_day`.
    """
    if settings.database_url and (make := _elsewhere.get(settings.database_url)) is not None:
        return make(_name(provider, base_url), rate, per_day)
    return shared_pace(provider, base_url, rate, settings.data_dir / "locks")


def _name(provider: str, base_url: str) -> str:
    return f"{provider}-{zlib.crc32(base_url.encode()):08x}"


def shared_pace(provider: str, base_url: str, rate: float, folder: Path) -> Pace:
    """The one pace of a provider at an address; `folder` holds its file, shared by every process."""
    file = folder.absolute() / f"pace-{_name(provider, base_url)}"
    key = (str(file), rate)
    with _paces_lock:
        if key not in _paces:
            _paces[key] = Pace(rate, file)
        return _paces[key]
