"""Fake exchange server: answers over real HTTP, and remembers the requests it got.

A real HTTP server on 127.0.0.1 in a thread of its own, with keep-alive. It shares no code with the product: what
it says on the wire comes from the providers' documented formats only.
"""

from __future__ import annotations

import asyncio
import copy
import json
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from typing import Any, Self

import uvicorn
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from .faults import Fault, Script, break_in
from .market import Candle, Market, Record, in_progress, parts

Breaks = list[tuple[str, dict[str, Any]]]


@dataclass
class Seen:
    """One request as the fake exchange got it. `status` is None until it is answered, and stays so when it never is."""

    number: int
    method: str
    path: str
    params: dict[str, str]
    headers: dict[str, str]
    time: float
    status: int | None = None
    fault: str | None = None


@dataclass(frozen=True)
class Answer:
    """What goes back: `close_after` bytes of the body the connection is closed (0: before any byte of an answer).

    The body is sent `repeat` times, in chunks, `every` so many seconds, as long as somebody listens.
    """

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    close_after: int | None = None
    hang: bool = False
    repeat: int = 1
    every: float = 0.0

    @classmethod
    def json(cls, content: Any, status: int = 200, **headers: str) -> Answer:
        """A JSON answer; NaN and Infinity go out bare, as careless servers send them."""
        return cls.text(json.dumps(content, separators=(",", ":")), "application/json", status, **headers)

    @classmethod
    def text(cls, content: str, content_type: str, status: int = 200, **headers: str) -> Answer:
        return cls(status, content.encode(), {"content-type": content_type, **headers})


class TokenBucket:
    """`rate` tokens a second up to `burst`; a rate of None never refuses. Runs on real time, like a real limit."""

    def __init__(self, rate: float | None, burst: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._burst, self._clock = rate, burst, clock
        self._tokens, self._filled = float(burst), clock()

    def take(self) -> bool:
        """Takes one token; False when there is none."""
        if self._rate is None:
            return True
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + (now - self._filled) * self._rate)
        self._filled = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class Exchange:
    """What the fake exchanges share: the server, the log of requests, scripted faults and broken records.

    Use as a context manager: `with CoinbaseExchange(market) as exchange: exchange.url`.

    `rate_limited` counts requests over the limit, also where a scripted fault hid the refusal; `connections` the
    sockets opened, `in_flight` and `max_in_flight` the requests not yet answered.
    """

    def __init__(
        self,
        market: Market,
        *,
        now: Callable[[], float] = time.time,
        latency: float = 0.0,
        lag: float = 0.0,
        port: int = 0,
        date: Callable[[], float] | None = None,
    ) -> None:
        """`now` gives epoch seconds; `latency` delays each answer; bars opened in the last `lag` seconds are unseen.

        `date` gives what the `Date` header says, `now` if None.
        """
        self.market, self.now, self.latency, self.lag = market, now, latency, lag
        self.rate_limited = 0
        self.connections = 0
        self.in_flight = 0
        self.max_in_flight = 0
        self.date = date or now
        self._port = port
        self._arrived = threading.Condition(threading.RLock())
        self._seen: list[Seen] = []
        self._scripts: list[Script] = []
        self._broken: dict[tuple[tuple[str, ...], int, int], Breaks] = {}
        self._failures: list[Exception] = []
        self._runner: _Runner | None = None

    def answer(self, request: Seen) -> Answer:
        """The honest answer to a request; each fake exchange has its own."""
        raise NotImplementedError

    def empty_page(self, request: Seen) -> Answer:
        """A well-formed answer without candles."""
        raise NotImplementedError

    # Running

    def start(self) -> Self:
        self._runner = _Runner(self, self._port)
        return self

    def stop(self) -> None:
        """Stops serving; requests left hanging are cut off. Raises what went wrong inside the fake exchange itself."""
        if self._runner is not None:
            self._runner.stop()
            self._runner = None
        if self._failures:
            raise self._failures.pop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """The origin, e.g. "http://127.0.0.1:43121"."""
        if self._runner is None:
            raise RuntimeError("the fake exchange is not running: use it as a context manager or call start()")
        return self._runner.url

    # What tests look at

    @property
    def requests(self) -> list[Seen]:
        """A copy of every request so far, in order of arrival."""
        with self._arrived:
            return copy.deepcopy(self._seen)

    def count(self, path: str = "", **params: str) -> int:
        """How many requests had `path` in their path and all these parameters."""
        return sum(path in seen.path and params.items() <= seen.params.items() for seen in self.requests)

    def wait_for_requests(self, number: int, timeout: float = 10.0) -> None:
        """Returns once `number` requests have arrived (answered or not); TimeoutError otherwise."""
        with self._arrived:
            if not self._arrived.wait_for(lambda: len(self._seen) >= number, timeout):
                raise TimeoutError(f"{len(self._seen)} of {number} requests arrived within {timeout} s")

    def reset(self) -> None:
        """Forgets requests, faults and broken records, so that one server can serve many tests."""
        with self._arrived:
            self._seen.clear()
            self._scripts.clear()
            self._broken.clear()
            self.rate_limited = self.max_in_flight = self.connections = 0

    # What tests script

    def fault(
        self, fault: Fault, times: int | None = 1, when: Callable[[Seen], bool] | None = None, number: int | None = None
    ) -> Script:
        """Scripts a fault: the first script that matches a request and is not used up decides.

        `times=None` lasts until `script.cancel()`, `clear_faults()` or `reset()`. `when` sees the request
        (params, path, headers, number); `number` is short for "the n-th request", counted from 1.
        """

        def matches(seen: Seen) -> bool:
            return number in (None, seen.number) and (when is None or when(seen))

        script = Script(fault, times, matches)
        with self._arrived:
            self._scripts.append(script)
        return script

    def clear_faults(self) -> None:
        with self._arrived:
            self._scripts.clear()

    def break_record(self, symbol: str, step: int, open_epoch: int, kind: str, **options: Any) -> None:
        """Sends this candle broken from now on; kinds and options in `faults.break_in`. Several kinds add up."""
        key = (parts(symbol), step, open_epoch)
        with self._arrived:
            breaks = [*self._broken.get(key, []), (kind, options)]
            # Tried here, so that a wrong kind fails where it is scripted and not inside the server.
            _apply(breaks, Record.of(open_epoch, Candle("2", "3", "1", "2", "1")))
            self._broken[key] = breaks

    def mend_record(self, symbol: str, step: int, open_epoch: int) -> None:
        """Sends this candle whole again."""
        with self._arrived:
            del self._broken[(parts(symbol), step, open_epoch)]

    # What the fake exchanges use

    def records(self, symbol: str, step: int, first: float, last: float, limit: int | None = None) -> list[Record]:
        """The records with first <= open <= last that exist by now, oldest first, the running one partial.

        `limit` as in `Market.between`, in candles before any is repeated.
        """
        now = self.now()
        rows: list[Record] = []
        for at, candle in self.market.between(symbol, step, first, min(last, now - self.lag), limit):
            complete = at + step <= now
            record = Record.of(at, candle if complete else in_progress(candle), complete)
            rows += _apply(self._broken.get((parts(symbol), step, at), []), record)
        return rows

    # One request

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        seen, answer = self._handle(Request(scope))
        try:
            await self._send(seen, answer, scope, receive, send)
        finally:
            with self._arrived:
                self.in_flight -= 1

    def _handle(self, request: Request) -> tuple[Seen, Answer]:
        with self._arrived:
            seen = self._record(request)
            try:
                return seen, self._answered(seen)
            except Exception as failure:
                # Kept for `stop`: a 500 of the fake exchange's own must not pass for a scripted one.
                self._failures.append(failure)
                return seen, Answer.text(f"the fake exchange itself failed: {failure!r}", "text/plain", 500)

    def _answered(self, seen: Seen) -> Answer:
        answer = self.answer(seen)
        script = next((script for script in self._scripts if script.takes(seen)), None)
        if script is not None:
            seen.fault = script.fault.name
            answer = script.fault.apply(self, seen, answer)
        dated = {"date": formatdate(self.date(), usegmt=True), **answer.headers}
        return replace(answer, headers=dated, delay=answer.delay + self.latency)

    def _record(self, request: Request) -> Seen:
        params, headers = dict(request.query_params), dict(request.headers)
        number = len(self._seen) + 1
        seen = Seen(number, request.method, request.url.path, params, headers, time.time())
        self._seen.append(seen)
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)
        self._arrived.notify_all()
        return seen

    async def _send(self, seen: Seen, answer: Answer, scope: Scope, receive: Receive, send: Send) -> None:
        wait = None if answer.hang else answer.delay
        gone = wait != 0 and await _gone(wait, scope["fake_exchange.stopping"], receive)
        if gone or answer.close_after == 0:
            scope["fake_exchange.transport"].abort()
            await _disconnect(receive)
            return
        with self._arrived:
            seen.status = answer.status
        if answer.close_after is not None:
            await _send_part(answer, answer.close_after, scope, receive, send)
        elif answer.repeat > 1:
            await _send_again_and_again(answer, scope, receive, send)
        else:
            await Response(answer.body, answer.status, answer.headers)(scope, receive, send)


def _apply(breaks: Breaks, record: Record) -> list[Record]:
    rows = [record]
    for kind, options in breaks:
        rows = break_in(rows, kind, **options)
    return rows


async def _gone(seconds: float | None, stopping: asyncio.Event, receive: Receive) -> bool:
    """Waits that long (None: for ever); True when the client gave up or the server stops before."""
    tasks = [asyncio.ensure_future(stopping.wait()), asyncio.ensure_future(_disconnect(receive))]
    done, pending = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    return bool(done)


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _send_part(answer: Answer, size: int, scope: Scope, receive: Receive, send: Send) -> None:
    """Promises the whole body, sends a part of it and closes the socket."""
    headers = {**answer.headers, "content-length": str(len(answer.body))}
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": answer.status, "headers": raw})
    await send({"type": "http.response.body", "body": answer.body[:size], "more_body": True})
    scope["fake_exchange.transport"].close()
    await _disconnect(receive)


async def _send_again_and_again(answer: Answer, scope: Scope, receive: Receive, send: Send) -> None:
    raw = [(name.encode(), value.encode()) for name, value in answer.headers.items()]
    await send({"type": "http.response.start", "status": answer.status, "headers": raw})
    left = asyncio.ensure_future(_disconnect(receive))
    for _ in range(answer.repeat):
        await send({"type": "http.response.body", "body": answer.body, "more_body": True})
        waits = [left, asyncio.ensure_future(scope["fake_exchange.stopping"].wait())]
        done, _ = await asyncio.wait(waits, timeout=answer.every, return_when=asyncio.FIRST_COMPLETED)
        waits[1].cancel()
        if done:
            left.cancel()
            return
    left.cancel()
    await send({"type": "http.response.body", "body": b"", "more_body": False})


class _Runner(uvicorn.Server):
    """uvicorn on a socket of its own in a thread of its own."""

    def __init__(self, exchange: Exchange, port: int) -> None:
        config = uvicorn.Config(
            exchange,
            http=_protocol(exchange, self),
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="critical",
            access_log=False,
            timeout_keep_alive=300,
            date_header=False,  # `Exchange` sends its own
        )
        super().__init__(config)
        self._socket = socket.create_server(("127.0.0.1", port), backlog=256)
        # Head and body are written apart; without this the body waits 40 ms for an acknowledgement.
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._serving = threading.Event()
        self._thread = threading.Thread(target=self._main, name=f"fake exchange {self.url}", daemon=True)
        self._thread.start()
        self._serving.wait()

    def _main(self) -> None:
        asyncio.run(self._serve_until_stopped())

    async def _serve_until_stopped(self) -> None:
        self.stopping = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._serving.set()
        await self.serve(sockets=[self._socket])

    async def main_loop(self) -> None:
        """Waits for `stop` instead of asking ten times a second."""
        await self.on_tick(0)
        await self.stopping.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Ends as uvicorn does, but once the last connection is closed and not a tenth of a second later at best."""
        for server in self.servers:
            server.close()
        for listening in sockets or []:
            listening.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        while self.server_state.connections or self.server_state.tasks:
            await asyncio.sleep(0.001)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self.stopping.set)
        self._thread.join()


def _protocol(exchange: Exchange, runner: _Runner) -> type[H11Protocol]:
    """The HTTP protocol, which also hands the connection to the application so that it can be dropped."""

    class Protocol(H11Protocol):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            exchange.connections += 1
            app = self.app

            async def with_transport(scope: Any, receive: Any, send: Any) -> None:
                scope["fake_exchange.transport"] = transport
                scope["fake_exchange.stopping"] = runner.stopping
                await app(scope, receive, send)

            self.app = with_transport

    return Protocol
