"""The exchanges in a process of their own: when a request comes is what is judged, so nobody else's work delays it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

from ffe_core.timeframes import TIMEFRAMES
from tests.workers.chaos.market import STALL, Scaled, Venue, venues

_ROOT = Path(__file__).parents[3]
_TICK = 0.01
"""Seconds: how often it is looked whether this process stands still."""
_FIRST = -15
"""Nice value of the exchanges, where that is allowed."""
_END_SECONDS = 60.0


@dataclass(frozen=True)
class Heard:
    """What one exchange was asked: when, epoch seconds, and how many requests it refused for its rate."""

    at: list[float]
    refused: int = 0


@dataclass
class Exchanges:
    """The handle of them: `urls` by provider while they run; `heard` by provider and `stalls` after their end."""

    urls: Mapping[str, str]
    heard: dict[str, Heard] = field(default_factory=dict)
    stalls: list[tuple[float, float]] = field(default_factory=list)
    """When all of them stood still, epoch seconds, as a busy machine has a process do."""

    def __post_init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def end(self) -> None:
        """End them, and learn what they heard."""
        if self._process is None:
            return
        process, self._process = self._process, None
        try:
            told = json.loads(process.communicate(timeout=_END_SECONDS)[0])
        finally:
            process.kill()
            process.wait()
        self.heard = {provider: Heard(**one) for provider, one in told["heard"].items()}
        self.stalls = [(first, last) for first, last in told["stalls"]]


@contextmanager
def running(series: int, born: int, folder: Path) -> Iterator[Exchanges]:
    """The exchanges of so many series, as they are at `born`, for the time of a block; its errors go to a log."""
    command = [sys.executable, "-m", "tests.workers.chaos.exchanges", str(series), str(born)]
    with (folder / "exchanges.log").open("ab") as said:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, cwd=_ROOT, text=True
        )
    assert process.stdout is not None
    exchanges = None
    try:
        exchanges = Exchanges(json.loads(process.stdout.readline()))
        exchanges._process = process
        yield exchanges
    finally:
        if exchanges is None:
            process.kill()
            process.communicate()
        else:
            exchanges.end()


class _Stalls:
    """When this process stood still: what came meanwhile was seen together afterwards."""

    def __init__(self) -> None:
        self.spans: list[tuple[float, float]] = []
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        before = time.time()
        while True:
            time.sleep(_TICK)
            now = time.time()
            if now - before > _TICK + STALL:
                self.spans.append((before, now))
            before = now


def main() -> None:
    """Be them, until the pipe is closed."""
    if os.getuid() == 0:
        os.setpriority(os.PRIO_PROCESS, 0, _FIRST)  # before any thread, which takes it over
    of: list[Venue] = venues(int(sys.argv[1]), int(sys.argv[2]))
    with ExitStack() as stack:
        made = {venue.provider: stack.enter_context(venue.make(Scaled(venue))) for venue in of}
        for venue in of:
            for symbol, at in product(venue.symbols, venue.broken):
                made[venue.provider].break_record(symbol, TIMEFRAMES[venue.timeframe], at, "high_below_low")
        _tell({provider: exchange.url for provider, exchange in made.items()})
        stalls = _Stalls()
        sys.stdin.read()
        heard = {
            provider: {"at": [seen.time for seen in exchange.requests], "refused": exchange.rate_limited}
            for provider, exchange in made.items()
        }
        _tell({"heard": heard, "stalls": stalls.spans})


def _tell(what: Mapping[str, Any]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
