"""Oversized answers: measure memory and time of a backfill whose answers have no end.

Each is compared with a backfill of the same range from an exchange that answers as it should.
"""

from __future__ import annotations

import gzip
import io
import json
import socketserver
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

from tests.reliability.trials import Trials
from tests.reliability.venues import COINBASE
from tests.reliability.verdict import Fault, Tally, of_ending

_MB = 1 << 20
_TOTAL_SECONDS, _TRIES, _SLACK = 6.0, 2, 10.0
MOST_MEMORY = 1.5
"""An answer may cost so many times the memory of a plain run."""
_TIMES = {"FFE_HTTP__TOTAL_TIMEOUT_SECONDS": str(_TOTAL_SECONDS), "FFE_HTTP__READ_TIMEOUT_SECONDS": "3"}


@dataclass(frozen=True)
class Flood:
    """An answer: its name, its head, and its body in pieces."""

    name: str
    status: int
    headers: dict[str, str]
    pieces: Callable[[], Iterator[bytes]]


def _packed(pieces: Iterator[bytes]) -> bytes:
    packing, out = zlib.compressobj(9, zlib.DEFLATED, 31), io.BytesIO()
    for piece in pieces:
        out.write(packing.compress(piece))
    out.write(packing.flush())
    return out.getvalue()


@cache
def _zeros(megabytes: int) -> bytes:
    return _packed(iter([b'{"candles":["', *[b"0" * _MB] * megabytes, b'"]}']))


@cache
def _records(count: int) -> bytes:
    record = b'{"start":"1700000000","low":"1","high":"2","open":"1","close":"2","volume":"3"}'
    thousand = b",".join([record] * 1000)
    return _packed(iter([b'{"candles":[', *[thousand + b","] * (count // 1000 - 1), thousand, b"]}"]))


def _twice_packed() -> bytes:
    return gzip.compress(_zeros(500))


def _drip() -> Iterator[bytes]:
    while True:
        yield b" "
        time.sleep(0.2)


def _letters() -> Iterator[bytes]:
    return iter([b"<html>" + b"x" * _MB] * 200)


_JSON, _GZIP = {"content-type": "application/json"}, {"content-encoding": "gzip"}
FLOODS = (
    Flood("500 MB in 0.5 MB", 200, {**_JSON, **_GZIP}, lambda: iter([_zeros(500)])),
    Flood("3 million records", 200, {**_JSON, **_GZIP}, lambda: iter([_records(3_000_000)])),
    Flood(
        "3 million empty records",
        200,
        {**_JSON, **_GZIP},
        lambda: iter([_packed(iter([b"[", b"{}," * 3_000_000, b"0]"]))]),
    ),
    Flood("an error page of 200 MB", 500, {"content-type": "text/html"}, _letters),
    Flood("a refusal of 200 MB", 404, {"content-type": "text/html"}, _letters),
    Flood("a page of 200 MB", 200, {"content-type": "text/html"}, _letters),
    Flood("a drip", 200, _JSON, _drip),
    Flood("packed twice", 200, {**_JSON, "content-encoding": "gzip, gzip"}, lambda: iter([_twice_packed()])),
    Flood("a deep list", 200, {**_JSON, **_GZIP}, lambda: iter([_packed(iter([b"[" * 50_000_000]))])),
    Flood("a long number", 200, _JSON, lambda: iter([b'{"candles":[{"start":', b"9" * 20_000_000, b"}]}"])),
)
"""Answers without a measure."""


def run(trials: Trials, tally: Tally, only: str = "") -> None:
    """Each flood in turn."""
    with tally.timed("oversized"):
        plain = _plain(trials)
        for flood in FLOODS:
            if only in flood.name:
                tally.add("oversized", 1, one(trials, tally, flood, plain))


def one(trials: Trials, tally: Tally, flood: Flood, plain: float) -> list[Fault]:
    """Backfill from an exchange that answers with the flood."""
    tried = f"oversized: {flood.name}"
    if "content-encoding" in flood.headers:
        list(flood.pieces())  # packed before the clock runs
    with _serving(flood) as url, trials.place() as place:
        env = {"FFE_COINBASE__BASE_URL": url, "FFE_COINBASE__REQUESTS_PER_SECOND": "1000", **_TIMES}
        outcome = trials.verb(place, *COINBASE.arguments(), env=env, bound=120)
    tally.note(f"{tried}: {outcome.peak_mb / plain:.2f} times the memory of a plain run, {outcome.seconds:.1f} s")
    faults = of_ending(tried, outcome)
    if outcome.peak_mb > MOST_MEMORY * plain:
        faults.append(Fault("exit", tried, f"{outcome.peak_mb:.0f} MB, a plain run takes {plain:.0f} MB"))
    if outcome.seconds > _TOTAL_SECONDS * _TRIES + _SLACK:
        faults.append(Fault("hung", tried, f"ended after {outcome.seconds:.0f} s; a try may take {_TOTAL_SECONDS} s"))
    if outcome.status == 0:
        faults.append(Fault("wrong", tried, f"was taken for an answer: {outcome.out[-200:]}"))
    return faults


def _plain(trials: Trials) -> float:
    with COINBASE.running() as exchange, trials.place() as place:
        outcome = trials.verb(place, *COINBASE.arguments(), env=COINBASE.env(exchange))
        assert outcome.status == 0, outcome.err
        assert json.loads(outcome.out)["total_records"] == len(COINBASE.wanted())
        return outcome.peak_mb


@contextmanager
def _serving(flood: Flood) -> Iterator[str]:
    head = "".join(f"{name}: {value}\r\n" for name, value in {**flood.headers, "connection": "close"}.items())

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while self.rfile.readline().strip():
                pass
            try:
                self.wfile.write(f"HTTP/1.1 {flood.status} OK\r\n{head}\r\n".encode())
                for piece in flood.pieces():
                    self.wfile.write(piece)
            except OSError:
                return

    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
