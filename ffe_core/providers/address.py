"""Addresses of providers: takes logins out of them, names them in messages, and finds the proxy for one."""

from __future__ import annotations

import re
import urllib.request
from urllib.parse import unquote

import httpx

from ffe_core.redaction import register

_LOOPBACK = ("localhost", "127.0.0.1", "::1")


def without_login(url: str) -> tuple[str, httpx.BasicAuth | None]:
    """An address without the login in it, which goes into a header instead, so that no logged URL holds it."""
    scheme, mark, rest = url.partition("://")
    authority = re.split("[/?#]", rest, maxsplit=1)[0]
    login, _, host = authority.rpartition("@")
    user, _, password = login.partition(":")
    auth = httpx.BasicAuth(unquote(user), unquote(password)) if login else None
    return f"{scheme}{mark}{host}{rest[len(authority) :]}", auth


def shown(url: str) -> str:
    """An address as messages name it: scheme, host, port and path. The password in it is a secret from then on.

    Whatever comes before the last @ is taken for the login: an unquoted password may hold a slash.
    """
    scheme, mark, rest = url.partition("://")
    login, _, place = rest.rpartition("@")
    user, _, password = login.partition(":")
    for secret in (password or user, unquote(password or user)):
        register(secret)
    return scheme + mark + re.split("[?#]", place, maxsplit=1)[0]


def proxy_for(base_url: str) -> str | None:
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
