"""HTTP client of every provider: paces, retries by recovery class, and keeps secrets.

A request waits for its slot, is sent over a kept connection, and its answer is sorted once: JSON, or an error typed
by what to do about it. 429 waits as told, 5xx, time-outs and broken bodies wait and retry, everything else is final.
"""

from __future__ import annotations

import asyncio
import contextvars
import itertools
import json
import logging
import re
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import unquote

import httpx

from ffe_core import times
from ffe_core.errors import CredentialsError, InputError, PermanentError, ProviderError, QuotaError, RetriableError
from ffe_core.providers.rate import shared_pace
from ffe_core.redaction import redact, register
from ffe_core.settings import Settings

log = logging.getLogger(__name__)
LONGEST_WAIT = 120.0
"""A Retry-After is obeyed up to this many seconds."""
_EXCERPT = 300
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


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
Hook = Callable[[list[tuple[str, Any]]], Any]


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
    """What an open client has, bound to its event loop: its connections, a free one first, and the turn to be paced."""

    http: httpx.AsyncClient
    free: asyncio.Semaphore
    turn: asyncio.Lock


class HttpClient:
    """GET requests to one provider. Open it with `async with`; `get` may be called concurrently.

    `secret_query` goes into every request below the level that logs; `error_text` reads the provider's messages;
    `access_hint` says what to check after a 401 or 403; `object_hook` builds JSON objects from their pairs;
    `even_pace` is for a provider that refuses any two requests closer than the rate says.
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
    ) -> None:
        self.provider = provider
        self.base_url, self._login = _without_login(base_url.rstrip("/"))
        self._shown = _shown(base_url.rstrip("/"))
        self._retry = settings.retry
        self._limits = settings.http
        self._pace = shared_pace(provider, self.base_url, rate, settings.data_dir / "locks")
        self._even_pace = even_pace
        self._headers = {"User-Agent": "ffe-console", "Accept": "application/json", **(headers or {})}
        self._secret_query = dict(secret_query or {})
        self._max_connections = max_connections
        self._error_text = error_text
        self._access_hint = access_hint
        self._object_hook = object_hook
        self._opened: _Opened | None = None
        self._exhausted: str | None = None

    async def __aenter__(self) -> HttpClient:
        self._exhausted = None
        http = httpx.AsyncClient(
            transport=_SecretQuery(self._transport(), self._secret_query),
            headers=self._headers,
            auth=self._login,
            timeout=httpx.Timeout(
                self._limits.read_timeout_seconds, connect=self._limits.connect_timeout_seconds, pool=None
            ),
        )
        self._opened = _Opened(http, asyncio.Semaphore(self._max_connections), asyncio.Lock())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._opened is not None:
            opened, self._opened = self._opened, None
            await opened.http.aclose()

    async def get(self, path: str, params: Mapping[str, str], check: Check = lambda body: None) -> Any:
        """The parsed JSON body. `check` may raise a ProviderError for an error inside a 200.

        Raises RetriableError after the last try, PermanentError, or QuotaError (and from then on at once).
        """
        for attempt in itertools.count(1):
            try:
                return await self._once(path, params, check)
            except RetriableError as error:
                wait = self._wait_after(error, attempt)
                if isinstance(error, _Throttled) or error.retry_after:
                    self._pace.hold_back(wait)
                if attempt >= self._retry.attempts:
                    raise RetriableError(f"{error} (try {attempt} of {attempt}; run it again later)", wait) from None
                self._note_retry(error, attempt, wait)
            await asyncio.sleep(wait)
        raise AssertionError("unreachable: the count has no end")

    async def _once(self, path: str, params: Mapping[str, str], check: Check) -> Any:
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
            response = await self._send(opened.http, path, params)
        try:
            body = self._sorted(response)
            check(body)
        except QuotaError as error:
            self._exhausted = str(error)
            raise
        return body

    def _refuse_when_exhausted(self) -> None:
        if self._exhausted is not None:
            raise QuotaError(self._exhausted)

    async def _send(self, http: httpx.AsyncClient, path: str, params: Mapping[str, str]) -> httpx.Response:
        try:
            async with asyncio.timeout(self._limits.total_timeout_seconds):
                return await http.get(self.base_url + path, params=dict(params), extensions={"trace": self._trace})
        except (httpx.TimeoutException, TimeoutError):
            raise RetriableError(f"{self.provider} did not answer in time ({self._time_outs()})") from None
        except (httpx.InvalidURL, httpx.UnsupportedProtocol):
            raise PermanentError(f"{self.provider}: base URL {self._shown!r} is not a URL") from None
        except httpx.RequestError as error:  # a broken compressed body among them
            why = redact(str(error)) or type(error).__name__
            raise RetriableError(f"{self.provider}: the connection to {self._shown} failed ({why})") from None

    async def _trace(self, event: str, _: Any) -> None:
        """Counts an even pace from when a request is really on its way, after a connection was made for it."""
        if self._even_pace and event.endswith("send_request_headers.complete"):
            self._pace.hold_back(1 / self._pace.rate)

    def _time_outs(self) -> str:
        limits = self._limits
        return (
            f"connect {limits.connect_timeout_seconds:g} s, read {limits.read_timeout_seconds:g} s,"
            f" in all {limits.total_timeout_seconds:g} s"
        )

    def _sorted(self, response: httpx.Response) -> Any:
        """The parsed body of a 2xx; otherwise the error its status means."""
        body = self._parsed(response)
        if response.is_success:
            if body is _BROKEN:
                raise RetriableError(f"{self.provider} answered with something other than JSON: {_head(response)}")
            return body
        text = self._error_text(body) if isinstance(body, dict) else None
        raise self._error_of_status(response, redact(text)[:_EXCERPT] if text else None)

    def _parsed(self, response: httpx.Response) -> Any:
        try:
            return json.loads(response.content, object_pairs_hook=self._object_hook)
        except (ValueError, RecursionError):
            return _BROKEN

    def _error_of_status(self, response: httpx.Response, text: str | None) -> ProviderError:
        status = response.status_code
        message = f"{self.provider} answered HTTP {status}: {text or _head(response)}"
        if status == 429:
            return _Throttled(message, _retry_after(response))
        if status in (408, 425) or status >= 500:
            return RetriableError(message, _retry_after(response))
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

    def _transport(self) -> httpx.AsyncHTTPTransport:
        count = self._max_connections
        limits = httpx.Limits(max_connections=count, max_keepalive_connections=count)
        proxy = _proxy_for(self.base_url)
        try:
            return httpx.AsyncHTTPTransport(limits=limits, proxy=proxy)
        except (httpx.InvalidURL, ValueError, ImportError):
            raise InputError(
                f"HTTP_PROXY, HTTPS_PROXY or ALL_PROXY: {_shown(proxy or '')!r} is not a proxy that can be used;"
                " give an address like http://proxy.example.com:3128"
            ) from None


class _SecretQuery(httpx.AsyncBaseTransport):
    """Adds secret query parameters below the level that logs, so that no logged URL or exception holds them."""

    def __init__(self, inner: httpx.AsyncBaseTransport, secrets: Mapping[str, str]) -> None:
        self._inner = inner
        self._secrets = dict(secrets)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if not self._secrets:
            return await self._inner.handle_async_request(request)
        sent = httpx.Request(
            request.method,
            request.url.copy_merge_params(self._secrets),
            headers=request.headers,
            stream=request.stream,
            extensions=request.extensions,
        )
        return await self._inner.handle_async_request(sent)

    async def aclose(self) -> None:
        await self._inner.aclose()


def other_shape(provider: str, body: Any) -> RetriableError:
    """The error for JSON that is not what the provider is known to send."""
    return RetriableError(f"{provider} sent a broken body, JSON of another shape: {redact(repr(body))[:_EXCERPT]}")


_BROKEN = object()


def _head(response: httpx.Response) -> str:
    """The beginning of a body; redacted before it is cut, so that no half of a secret is left."""
    return redact(" ".join(response.text.split()))[:_EXCERPT] or "an empty body"


def _without_login(url: str) -> tuple[str, httpx.BasicAuth | None]:
    """An address without the login in it, which goes into a header instead, so that no logged URL holds it."""
    scheme, mark, rest = url.partition("://")
    authority = re.split("[/?#]", rest, maxsplit=1)[0]
    login, _, host = authority.rpartition("@")
    user, _, password = login.partition(":")
    auth = httpx.BasicAuth(unquote(user), unquote(password)) if login else None
    return f"{scheme}{mark}{host}{rest[len(authority) :]}", auth


def _shown(url: str) -> str:
    """An address as messages name it: scheme, host, port and path. The password in it is a secret from then on.

    Whatever comes before the last @ is taken for the login: an unquoted password may hold a slash.
    """
    scheme, mark, rest = url.partition("://")
    login, _, place = rest.rpartition("@")
    user, _, password = login.partition(":")
    for secret in (password or user, unquote(password or user)):
        register(secret)
    return scheme + mark + re.split("[?#]", place, maxsplit=1)[0]


def _proxy_for(base_url: str) -> str | None:
    """The proxy of the environment for an address, as httpx has it when it makes its own transport."""
    try:
        url = httpx.URL(base_url)
    except httpx.InvalidURL:
        return None
    if url.host in _LOOPBACK or urllib.request.proxy_bypass(url.host):
        return None
    proxies = urllib.request.getproxies()
    proxy = proxies.get(url.scheme) or proxies.get("all")
    return proxy if proxy is None or "://" in proxy else f"http://{proxy}"


def _retry_after(response: httpx.Response) -> float | None:
    """Seconds named by Retry-After, as a number or an HTTP date (RFC 9110, 10.2.3)."""
    value = response.headers.get("retry-after", "").strip()
    if value.isdecimal():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - times.now())
    except (TypeError, ValueError):
        return None
