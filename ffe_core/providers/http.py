"""One HTTP client for every provider: paced, retried by recovery class, and silent about secrets.

A request waits for its slot, is sent over a kept connection, and its answer is sorted once: JSON, or an error typed
by what to do about it. 429 waits as told, 5xx, time-outs and broken bodies wait and retry, everything else is final.
"""

from __future__ import annotations

import asyncio
import contextvars
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import tenacity

from ffe_core import times
from ffe_core.errors import PermanentError, ProviderError, QuotaError, RetriableError
from ffe_core.providers.rate import shared_pace
from ffe_core.redaction import redact
from ffe_core.settings import Settings

log = logging.getLogger(__name__)
LONGEST_WAIT = 120.0
"""A Retry-After is obeyed up to this many seconds."""
_EXCERPT = 300


@dataclass(slots=True)
class Traffic:
    """How many requests one series has cost, retries among them."""

    requests: int = 0
    retries: int = 0


traffic: contextvars.ContextVar[Traffic | None] = contextvars.ContextVar("traffic", default=None)
"""Counts the requests made on behalf of the current task and the tasks it starts."""

ErrorText = Callable[[Any], str | None]
"""Reads a provider's message out of a parsed error body; None when it is not in the provider's form."""


class HttpClient:
    """GET requests to one provider. Open it with `async with`; `get` may be called concurrently."""

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
    ) -> None:
        self.provider = provider
        self.base_url = base_url.rstrip("/")
        self._retry = settings.retry
        self._limits = settings.http
        self._pace = shared_pace(provider, self.base_url, rate, settings.data_dir / "locks")
        self._headers = {"User-Agent": "ffe-console", "Accept": "application/json", **(headers or {})}
        self._secret_query = dict(secret_query or {})
        self._max_connections = max_connections
        self._error_text = error_text
        self._client: httpx.AsyncClient | None = None
        self._exhausted: QuotaError | None = None

    async def __aenter__(self) -> HttpClient:
        limits = httpx.Limits(max_connections=self._max_connections, max_keepalive_connections=self._max_connections)
        self._client = httpx.AsyncClient(
            transport=_SecretQuery(httpx.AsyncHTTPTransport(limits=limits), self._secret_query),
            headers=self._headers,
            timeout=httpx.Timeout(
                self._limits.read_timeout_seconds, connect=self._limits.connect_timeout_seconds, pool=None
            ),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def get(self, path: str, params: Mapping[str, str], check: Callable[[Any], None] = lambda body: None) -> Any:
        """The parsed JSON body. `check` may raise a ProviderError for an error inside a 200.

        Raises RetriableError after the last try, PermanentError, or QuotaError (and from then on at once).
        """
        if self._client is None:
            raise RuntimeError(f"{self.provider}: open the provider with 'async with' before asking it")
        retrying = tenacity.AsyncRetrying(
            stop=tenacity.stop_after_attempt(self._retry.attempts),
            wait=self._wait,
            retry=tenacity.retry_if_exception_type(RetriableError),
            before_sleep=self._log_retry,
            reraise=True,
        )
        async for attempt in retrying:
            with attempt:
                return await self._once(path, params, check)
        raise AssertionError("unreachable: tenacity re-raises")

    async def _once(self, path: str, params: Mapping[str, str], check: Callable[[Any], None]) -> Any:
        if self._exhausted is not None:
            raise self._exhausted
        await self._pace.wait()
        if (counter := traffic.get()) is not None:
            counter.requests += 1
        try:
            response = await self._send(path, params)
            body = self._sorted(response)
            check(body)
        except RetriableError as error:
            if error.retry_after:
                self._pace.hold_back(min(error.retry_after, LONGEST_WAIT))
            raise
        except QuotaError as error:
            self._exhausted = error
            raise
        return body

    async def _send(self, path: str, params: Mapping[str, str]) -> httpx.Response:
        assert self._client is not None
        try:
            async with asyncio.timeout(self._limits.total_timeout_seconds):
                return await self._client.get(self.base_url + path, params=dict(params))
        except (httpx.TimeoutException, TimeoutError):
            raise RetriableError(f"{self.provider} did not answer in time") from None
        except httpx.TransportError as error:
            raise RetriableError(
                f"{self.provider}: connection failed ({redact(str(error)) or type(error).__name__})"
            ) from None
        except httpx.InvalidURL:
            raise PermanentError(f"{self.provider}: base URL {self.base_url!r} is not a URL") from None

    def _sorted(self, response: httpx.Response) -> Any:
        """The parsed body of a 2xx; otherwise the error its status means."""
        body = _parsed(response)
        if response.is_success:
            if body is _BROKEN:
                raise RetriableError(f"{self.provider} answered with something other than JSON: {_head(response)}")
            return body
        text = self._error_text(body) if body is not _BROKEN else None
        message = f"{self.provider} answered HTTP {response.status_code}: {redact(text) if text else _head(response)}"
        raise _error_of_status(response, message)

    def _wait(self, state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, RetriableError) and error.retry_after is not None:
            return min(error.retry_after, LONGEST_WAIT)
        return float(self._retry.base_delay_seconds * 2 ** (state.attempt_number - 1))

    def _log_retry(self, state: tenacity.RetryCallState) -> None:
        if (counter := traffic.get()) is not None:
            counter.retries += 1
        error = state.outcome.exception() if state.outcome else None
        wait = state.next_action.sleep if state.next_action else 0
        log.warning("try %d of %d: %s; next in %.0f s", state.attempt_number, self._retry.attempts, error, wait)


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


_BROKEN = object()


def _parsed(response: httpx.Response) -> Any:
    try:
        return json.loads(response.content)
    except (ValueError, UnicodeDecodeError, RecursionError):
        return _BROKEN


def _head(response: httpx.Response) -> str:
    text = " ".join(response.text.split())
    return redact(text[:_EXCERPT]) or "an empty body"


def _error_of_status(response: httpx.Response, message: str) -> ProviderError:
    status = response.status_code
    if status in (408, 425, 429) or status >= 500:
        return RetriableError(message, retry_after=_retry_after(response))
    if status in (401, 403):
        return PermanentError(f"{message}; check the credentials in the settings")
    return PermanentError(message)


def _retry_after(response: httpx.Response) -> float | None:
    """Seconds named by Retry-After, as a number or an HTTP date (RFC 9110, 10.2.3)."""
    value = response.headers.get("retry-after", "").strip()
    if not value:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - times.now())
    except (TypeError, ValueError):
        return None
