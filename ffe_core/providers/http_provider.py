"""HTTP provider base: reads settings, and keeps one client open while anybody uses the provider."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from types import TracebackType
from typing import Any, Self

from ffe_core.errors import CredentialsMissing, InputError, PermanentError
from ffe_core.instruments.names import identity_of
from ffe_core.provider_settings import ProviderSettings
from ffe_core.providers.base import Provider
from ffe_core.providers.http import HttpClient
from ffe_core.redaction import register
from ffe_core.settings import Config, Settings, variable


class HttpProvider(Provider):
    """A subclass makes `_http` in its constructor. Entering twice is fine: the last to leave closes the client."""

    _http: HttpClient
    _own: ProviderSettings

    def __init__(self, config: Config | Settings | None = None, credentials: Mapping[str, Any] | None = None) -> None:
        super().__init__(config, credentials)
        self._users = 0

    async def __aenter__(self) -> Self:
        if self._users == 0:
            await self._http.__aenter__()
        self._users += 1
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._users -= 1
        if self._users == 0:
            await self._http.__aexit__(kind, error, trace)

    def now(self) -> int:
        return self._http.clock.now()

    @property
    def clock_skew(self) -> float:
        return self._http.clock.skew

    @property
    def requests_per_second(self) -> float | None:
        return self._own.requests_per_second

    def _secret(self, key: str, value: str, example: str) -> str:
        """A secret setting, remembered for redaction; InputError when it is missing or cannot be one."""
        name, secret = variable(self.name, key), value.strip()
        if not secret:
            raise CredentialsMissing(
                f"missing; set it, for example {name}={example}, or {key} in the section [{self.name}] of"
                " .streamlit/secrets.toml",
                field=name,
            )
        register(secret)
        if not (secret.isascii() and secret.isprintable()) or " " in secret:
            raise InputError(f"has characters that no key has; copy it again, for example {name}={example}", field=name)
        return secret


@lru_cache(maxsize=8192)  # asked for with every request
def symbol_of(provider: str, pair: str, joint: str) -> str:
    """What a provider of pairs calls a stored one; PermanentError for a name without the `joint` of base and quote."""
    symbol = identity_of(provider, pair).symbol
    if joint not in symbol:
        raise PermanentError(
            f"{provider} has no pair {pair}: it names no quote currency; use a pair like BTCUSD or EURUSD here, or the"
            f" name as {provider} writes it, with its {joint!r}"
        )
    return symbol


def unknown_pair(provider: str, pair: str, said: str) -> PermanentError:
    """The error for a well-formed pair that the provider does not have."""
    return PermanentError(f"{provider} has no pair {pair} ({said}); choose one that it lists")
