"""HTTP transport: keeps connections, goes through a proxy, and adds secrets below the level that logs."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from functools import cache

import httpx

from ffe_core.errors import InputError
from ffe_core.providers.address import proxy_for, shown


def secret_transport(base_url: str, connections: int, secret_query: Mapping[str, str]) -> httpx.AsyncBaseTransport:
    """The transport of a client. InputError for a proxy of the environment that cannot be used."""
    limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
    proxy = proxy_for(base_url)
    try:
        return _SecretQuery(httpx.AsyncHTTPTransport(verify=_trusted(), limits=limits, proxy=proxy), secret_query)
    except (httpx.InvalidURL, ValueError, ImportError):
        raise InputError(
            f"HTTP_PROXY, HTTPS_PROXY or ALL_PROXY: {shown(proxy or '')!r} is not a proxy that can be used;"
            " give an address like http://proxy.example.com:3128"
        ) from None


@cache
def _trusted() -> ssl.SSLContext:
    """Whose certificates are trusted: read once a process, as it costs more than all else about a client."""
    return httpx.create_ssl_context()


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
