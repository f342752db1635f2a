"""How fast a provider may be asked: one pace shared by every run, thread and process of a data directory.

The pace is a generic cell rate algorithm (ITU-T I.371): the next free instant is a single number, kept in memory or
in a small file under a lock. Each request reserves its slot and sleeps until it comes, so a late wake-up never
shifts the others, and no burst ever goes out.
"""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path

from filelock import FileLock

_LONGEST_RESERVATION = 600.0


class Pace:
    """Reserves request slots `1 / rate` seconds apart; safe across threads, event loops and processes."""

    def __init__(self, rate: float, file: Path | None = None) -> None:
        self.rate = rate
        self._file = file
        self._free_at = 0.0
        self._thread_lock = threading.Lock()
        self._file_lock = FileLock(f"{file}.lock") if file else None
        if file:
            file.parent.mkdir(parents=True, exist_ok=True)

    async def wait(self) -> None:
        """Return when this request may go out."""
        delay = self._move(1.0 / self.rate)
        if delay > 0:
            await asyncio.sleep(delay)

    def hold_back(self, seconds: float) -> None:
        """Let nothing out for `seconds` (after a 429), whoever asks."""
        self._move(0.0, not_before=time.time() + seconds)

    def _move(self, step: float, not_before: float = 0.0) -> float:
        """Take the next slot; returns the seconds to sleep until it."""
        with self._thread_lock:
            if self._file_lock is None:
                return self._advance(step, not_before)
            with self._file_lock:
                self._free_at = self._read()
                delay = self._advance(step, not_before)
                self._write()
                return delay

    def _advance(self, step: float, not_before: float) -> float:
        now = time.time()
        free_at = self._free_at
        if free_at - now > _LONGEST_RESERVATION:  # a clock set back must not stall everyone
            free_at = now
        slot = max(free_at, now, not_before)
        self._free_at = slot + step
        return slot - now

    def _read(self) -> float:
        assert self._file is not None
        try:
            return float(self._file.read_text(encoding="ascii"))
        except (FileNotFoundError, ValueError):
            return 0.0

    def _write(self) -> None:
        assert self._file is not None
        self._file.write_text(f"{self._free_at:.6f}", encoding="ascii")


_paces: dict[tuple[str, str, float, str], Pace] = {}
_paces_lock = threading.Lock()


def shared_pace(provider: str, base_url: str, rate: float, folder: Path) -> Pace:
    """The one pace of a provider at an address; `folder` holds its file, shared by every process."""
    key = (provider, base_url, rate, str(folder.absolute()))
    with _paces_lock:
        if key not in _paces:
            _paces[key] = Pace(rate, folder / f"pace-{provider}")
        return _paces[key]
