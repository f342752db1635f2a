"""HTTP client of every provider: paces, retries by recovery class, and keeps secrets.

A request waits for its slot, is sent over a kept connection, and its answer is sorted once: JSON, or an error typed
by what to do about it. 429 waits as told, 5xx, time-outs and broken bodies wait and retry, everything else is final.
"""

from __future__ import annotations

import asyncio
import contextvars
import itertools
import logging
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

import httpx

from ffe_core import times
from ffe_core.errors import (
    CredentialsError,
    PermanentError,
    ProviderError,
    QuotaError,
    RetriableError,
    Unreachable,
    WrongAnswer,
)
from ffe_core.providers.address import shown, without_login
from ffe_core.providers.body import (
    ACCEPTED,
    ERROR_PAGE_BYTES,
    Bounds,
    Hook,
    NotJson,
    decode_json,
    read_beginning,
    read_body,
)
from ffe_core.providers.clock import shared_clock, ticks
from ffe_core.providers.rate import Pacer, pacer_of
from ffe_core.providers.transport import secret_transport
from ffe_core.redaction import redact
from ffe_core.settings import Settings

log = logging.getLogger(__name__)
LONGEST_WAIT = 120.0
"""A Retry-After is obeyed up to this many seconds."""
_EXCERPT = 300
_LONG_TEXT, _WIDTH, _DEPTH = 2_000, 20, 3
_WRONG_ANSWERS = 2
"""A wrong answer is asked for once more: a mix-up at the provider passes, or it does not."""
_PARSERS = ThreadPoolExecutor(2, thread_name_prefix="parse")
"""Where large bodies are read: off the event loop, and apart from the threads that wait for the lake."""
_SMALL = 2**16
"""A body of up to so many bytes is read on the loop, in 0.7 ms, as JSON in 1.5. In a thread pages of 300 candles of
Coinbase cost 80 % more cpu, and took half as long again: two threads in Python take turns eighteen times a page."""
Parsed = TypeVar("Parsed")


@dataclass(slots=True)
class RequestStats:
    """How many requests one series has cost, retries among them."""

    requests: int = 0
    retries: int = 0


request_stats: contextvars.ContextVar[RequestStats | None] = contextvars.ContextVar("request_stats", default=None)
"""Counts the requests made on behalf of the current task and the tasks it starts."""

ErrorText = Callable[[Any], str | None]
"""Reads a provider's message out of a parsed error body; None when it is not in the provider's form."""
Check = Callable[[Any], None]
"""Raises a ProviderError for a parsed body that says or is something other than what was asked."""
Parse = Callable[[bytes], Parsed]
"""Reads a body: raises NotJson for what is none, or a ProviderError as a check does. Runs in a thread."""


class Refused(PermanentError):
    """A final HTTP status; `text` is the provider's own message, None when the body was not in its form."""

    def __init__(self, message: str, status: int, text: str | None) -> None:
        super().__init__(message)
        self.status = status
        self.text = text


class RefusedCredentials(Refused, CredentialsError):
    """A 401 or 403: the provider does not take the credentials."""


class _Throttled(RetriableError):
    """A 429: it holds for whoever asks, not only for the request that got it."""


@dataclass(frozen=True, slots=True)
class _Opened:
    """What an open client has, bound to its event loop: its connections, a free one first, and the turn to be paced.

    `large` is held by the one body that is larger than a megabyte, until it has been read.
    """

    http: httpx.AsyncClient
    free: asyncio.Semaphore
    turn: asyncio.Lock
    large: asyncio.Lock


class HttpClient:
    """GET requests to one provider. Open it with `async with`; `get` may be called concurrently.

    `secret_query` goes into every request below the level that logs; `error_text` reads the provider's messages;
    `access_hint` says what to check after a 401 or 403; `object_hook` builds JSON objects from their pairs;
    `even_pace` is for a provider that refuses any two requests closer than the rate says; `most_records` is the most
    that an answer may hold; `per_day` what a key may ask for in a day.
    """

    def __init__(
        self,
        provider: str,
        settings: Settings,
        base_url: str,
        rate: float,
        *,
        headers: Mapping[str, str] | None = None,
        secret_query: Mapping[str, str] | None = None,
        max_connections: int = 16,
        error_text: ErrorText = lambda body: None,
        access_hint: str = "check the credentials in the settings",
        object_hook: Hook | None = None,
        even_pace: bool = False,
        most_records: int = 10_000,
        per_day: int | None = None,
    ) -> None:
        self.provider = provider
        self.base_url, self._login = without_login(base_url.rstrip("/"))
        self._shown = shown(base_url.rstrip("/"))
        self._retry = settings.retry
        self._limits = settings.http
        self.clock = shared_clock(provider, self.base_url)
        self.bounds = Bounds(provider, most_records, settings.http.max_body_mb)
        self._settings, self._rate, self._per_day = settings, rate, per_day
        self._pace = self._paced()
        self._even_pace = even_pace
        self._headers = {"User-Agent": "ffe-console", "Accept": "application/json", **(headers or {})}
        self._headers["Accept-Encoding"] = ACCEPTED
        self._secret_query = dict(secret_query or {})
        self._max_connections = max_connections
        self._error_text = error_text
        self._access_hint = access_hint
        self._object_hook = object_hook
        self._opened: _Opened | None = None
        self._exhausted: str | None = None
        self._is_warm = False

    def _paced(self) -> Pacer:
        """Looked up each time it is opened: the state on a server that paces may have been opened meanwhile."""
        return pacer_of(self._settings, self.provider, self.base_url, self._rate, self._per_day)

    async def __aenter__(self) -> HttpClient:
        self._exhausted, self._pace = None, self._paced()
        http = httpx.AsyncClient(
            transport=secret_transport(self.base_url, self._max_connections, self._secret_query),
            headers=self._headers,
            auth=self._login,
            timeout=httpx.Timeout(
                self._limits.read_timeout_seconds, connect=self._limits.connect_timeout_seconds, pool=None
            ),
        )
        self._opened = _Opened(http, asyncio.Semaphore(self._max_connections), asyncio.Lock(), asyncio.Lock())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._opened is not None:
            opened, self._opened = self._opened, None
            await opened.http.aclose()

    async def get(self, path: str, params: Mapping[str, str], check: Check = lambda body: None) -> Any:
        """The parsed JSON body. `check` may raise a ProviderError for an error inside a 200. Raises as `ask` does."""

        def parse(data: bytes) -> Any:
            body = self.decode(data)
            check(body)
            return body

        return await self.ask(path, params, parse)

    def decode(self, data: bytes) -> Any:
        """The JSON value of a body. Raises NotJson, and AnswerTooLarge for more values than it may have."""
        return decode_json(data, self.bounds, self._object_hook)

    async def ask(self, path: str, params: Mapping[str, str], parse: Parse[Parsed]) -> Parsed:
        """What `parse` reads out of the body.

        Raises RetriableError after the last try (WrongAnswer after the second), PermanentError, or QuotaError (and from
        then on at once).
        """
        wrong = 0
        for attempt in itertools.count(1):
            try:
                return await self._once(path, params, parse)
            except RetriableError as error:
                wrong += isinstance(error, WrongAnswer)
                wait = self._wait_after(error, attempt)
                if isinstance(error, _Throttled) or error.retry_after:
                    self._pace.hold_back(wait)
                if attempt >= self._retry.attempts or wrong >= _WRONG_ANSWERS:
                    tried = f"try {attempt} of {attempt}; " if attempt > 1 else ""
                    text = f"{error} ({tried}run it again later)"
                    raise type(error)(text, wait) from None
                self._note_retry(error, attempt, wait)
            await asyncio.sleep(wait)
        raise AssertionError("unreachable: the count has no end")

    async def _once(self, path: str, params: Mapping[str, str], parse: Parse[Parsed]) -> Parsed:
        """One try. Only one request at a time holds a slot, so a cancelled run leaves no queue of slots behind."""
        if self._opened is None:
            raise RuntimeError(f"{self.provider}: open the provider with 'async with' before asking it")
        opened = self._opened
        self._refuse_when_exhausted()
        async with opened.free:
            async with opened.turn:
                await self._pace.wait()
            self._refuse_when_exhausted()
            if (counter := request_stats.get()) is not None:
                counter.requests += 1
            try:
                return await self._answered(opened, path, params, parse)
            except QuotaError as error:
                self._exhausted = str(error)
                raise

    def _refuse_when_exhausted(self) -> None:
        if self._exhausted is not None:
            raise QuotaError(self._exhausted)

    async def _answered(self, opened: _Opened, path: str, params: Mapping[str, str], parse: Parse[Parsed]) -> Parsed:
        """Send, receive and read, all within the total time-out."""
        try:
            async with (
                asyncio.timeout(self._limits.total_timeout_seconds),
                self._sent(opened.http, path, params) as response,
                AsyncExitStack() as held,
            ):
                if response.status_code == httpx.codes.OK:
                    data = await read_body(response, self.bounds, opened.large, held)
                    reading = self._reading(parse, data)
                    del data
                    return await reading
                beginning = await read_beginning(response, self.provider)
                raise self._error_of_status(response, beginning)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError) as error:
            why = redact(str(error)) or type(error).__name__
            raise Unreachable(f"{self.provider}: the connection to {self._shown} failed ({why})") from None
        except (httpx.TimeoutException, TimeoutError):
            raise RetriableError(f"{self.provider} did not answer in time ({self._time_outs()})") from None
        except (httpx.InvalidURL, httpx.UnsupportedProtocol):
            raise PermanentError(f"{self.provider}: base URL {self._shown!r} is not a URL") from None
        except httpx.RequestError as error:
            why = redact(str(error)) or type(error).__name__
            raise RetriableError(f"{self.provider}: the connection to {self._shown} failed ({why})") from None

    @asynccontextmanager
    async def _sent(
        self, http: httpx.AsyncClient, path: str, params: Mapping[str, str]
    ) -> AsyncIterator[httpx.Response]:
        """The answer to a request, its body not read yet; its `Date` has told the clock."""
        sent = ticks()

        async def trace(event: str, _: Any) -> None:
            """An even pace counts from when a request is really on its way, after a connection was made for it."""
            nonlocal sent
            if event.endswith("send_request_headers.complete"):
                sent = ticks()
                if self._even_pace:
                    self._pace.hold_back(1 / self._pace.rate)

        url, own = self.base_url + path, {"trace": trace}
        async with http.stream("GET", url, params=dict(params), extensions=own) as response:
            self.clock.observe(response.headers, sent, ticks())
            yield response

    def _time_outs(self) -> str:
        limits = self._limits
        return (
            f"connect {limits.connect_timeout_seconds:g} s, read {limits.read_timeout_seconds:g} s,"
            f" in all {limits.total_timeout_seconds:g} s"
        )

    async def _reading(self, parse: Parse[Parsed], data: bytes) -> Parsed:
        """What `_read` gives: of a small body here, of another in a thread.

        So is the first with candles: pyarrow 26 loads pandas to make an array, which holds a loop up for 0.2 s, and
        from a thread for 0.02.
        """
        if self._is_warm and len(data) <= _SMALL:
            return self._read(parse, data)
        reading = asyncio.get_running_loop().run_in_executor(_PARSERS, self._read, parse, data)
        del data
        found = await reading
        self._is_warm = "pandas" in sys.modules
        return found

    def _read(self, parse: Parse[Parsed], data: bytes) -> Parsed:
        """What `parse` reads out of a body; an error of it holds no body, as one is kept from try to try."""
        try:
            return parse(data)
        except NotJson:
            failure: ProviderError = RetriableError(
                f"{self.provider} answered with something other than JSON: {_head(data)}"
            )
        except ProviderError as error:
            failure = error.with_traceback(None)
        del data
        raise failure

    def _text_of(self, data: bytes) -> str | None:
        """The provider's own message in an error page, if it is in its form."""
        try:
            body = self.decode(data)
        except (NotJson, PermanentError):
            return None
        text = self._error_text(body) if isinstance(body, dict) else None
        return redact(text)[:_EXCERPT] if text else None

    def _error_of_status(self, response: httpx.Response, beginning: bytes) -> ProviderError:
        status, text = response.status_code, self._text_of(beginning)
        message = f"{self.provider} answered HTTP {status}: {text or _head(beginning)}"
        if status == 429:
            return _Throttled(message, _retry_after(response, self.clock.now()))
        if status in (408, 425) or status >= 500 or response.is_success:  # 206 and the like: a part, or not its own
            return RetriableError(message, _retry_after(response, self.clock.now()))
        if status in (401, 403):
            return RefusedCredentials(f"{message}; {self._access_hint}", status, text)
        if text is None:
            message = f"{message}; check that {self._shown} is the base URL of {self.provider}"
        return Refused(message, status, text)

    def _wait_after(self, error: RetriableError, attempt: int) -> float:
        """Seconds until the next try: as told, else doubling."""
        if error.retry_after is not None:
            return min(error.retry_after, LONGEST_WAIT)
        return float(self._retry.base_delay_seconds * 2 ** (attempt - 1))

    def _note_retry(self, error: RetriableError, attempt: int, wait: float) -> None:
        if (counter := request_stats.get()) is not None:
            counter.retries += 1
        log.warning("try %d of %d: %s; next in %.0f s", attempt, self._retry.attempts, error, wait)


def other_shape(provider: str, body: Any) -> RetriableError:
    """The error for JSON that is not what the provider is known to send."""
    return RetriableError(f"{provider} sent a broken body, JSON of another shape: {redact(_brief(body))[:_EXCERPT]}")


def _brief(body: Any, depth: int = 0) -> str:
    """As `repr`, without what is long or deep: no secret is ever cut in half, and no large body written out."""
    if isinstance(body, str):
        return repr(body) if len(body) <= _LONG_TEXT else f"<text of {len(body):,} characters>"
    if not isinstance(body, dict | list):
        return repr(body)
    if depth == _DEPTH:
        return "{...}" if isinstance(body, dict) else "[...]"
    first = itertools.islice(body.items() if isinstance(body, dict) else enumerate(body), _WIDTH)
    items = [(_brief(key), _brief(value, depth + 1)) for key, value in first] + [("", "...")] * (len(body) > _WIDTH)
    if isinstance(body, dict):
        return "{" + ", ".join(f"{key}: {value}" if key else value for key, value in items) + "}"
    return "[" + ", ".join(value for _, value in items) + "]"


def _head(data: bytes) -> str:
    """The beginning of a body; redacted before it is cut, so that no half of a secret is left."""
    words = data[:ERROR_PAGE_BYTES].decode("utf-8", "replace").split()
    whole = words if len(data) < ERROR_PAGE_BYTES or data[-1:].isspace() else words[:-1]
    return redact(" ".join(whole))[:_EXCERPT] or "an empty body"


def _retry_after(response: httpx.Response, now: int | None = None) -> float | None:
    """Seconds named by Retry-After, as a number or an HTTP date (RFC 9110, 10.2.3)."""
    value = response.headers.get("retry-after", "").strip()
    if value.isascii() and value.isdecimal():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - (times.now() if now is None else now))
    except (TypeError, ValueError):
        return None
