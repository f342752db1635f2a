"""Connection test: one cheap request to a provider, and what came of it, told apart by what to do about it."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from enum import StrEnum

from ffe_core import times
from ffe_core.errors import (
    ClockError,
    CredentialsError,
    CredentialsMissing,
    FFEError,
    InputError,
    QuotaError,
    RetriableError,
    Unreachable,
)
from ffe_core.providers import provider_class
from ffe_core.providers.base import Page, Provider
from ffe_core.providers.clock import NOTICEABLE
from ffe_core.redaction import redact
from ffe_core.settings import RetrySettings, Settings, variable
from ffe_core.storage.state.audit import Audit

_DAYS = 3


class Verdict(StrEnum):
    """What came of a connection test."""

    WORKS = "works"
    CLOCK_OFF = "works, but the clock is off"
    NO_KEY = "no key"
    WRONG_KEY = "wrong key"
    WRONG_ENVIRONMENT = "wrong environment"
    NO_NETWORK = "no network"
    BUSY = "busy"
    QUOTA = "quota used up"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Connection:
    """A test of a provider: the verdict, one sentence with what to do next, and how long it took in seconds.

    `skew` is how far this computer's clock is ahead of the provider's, seconds.
    """

    provider: str
    verdict: Verdict
    said: str
    seconds: float = 0.0
    skew: float = 0.0

    @property
    def works(self) -> bool:
        """Whether candles can be fetched."""
        return self.verdict in (Verdict.WORKS, Verdict.CLOCK_OFF)


def check_connection(settings: Settings, audit: Audit, provider: str, actor: str) -> Connection:
    """Ask a provider for three daily candles, once; an audit row names who asked. InputError for an unknown one."""
    provider_class(provider)
    with audit.act(actor, "test connection", provider) as act:
        found = asyncio.run(_tested(settings, provider))
        act.note(verdict=str(found.verdict))
    return found


def opened(settings: Settings, name: str) -> Provider | InputError:
    """A provider with these settings, or what of them keeps it from being asked, such as a missing key."""
    try:
        return provider_class(name)(config=settings)
    except InputError as error:
        return error


async def _tested(settings: Settings, name: str) -> Connection:
    once = settings.model_copy(update={"retry": RetrySettings(attempts=1)})
    began = time.monotonic()
    provider = opened(once, name)
    if isinstance(provider, InputError):
        missing = isinstance(provider, CredentialsMissing)
        return Connection(name, Verdict.NO_KEY if missing else Verdict.WRONG_KEY, str(provider))
    failure = await _asked(provider)
    took, skew = time.monotonic() - began, provider.clock_skew
    if failure is None:
        return _working(name, took, skew)
    verdict, said = _verdict(failure), redact(str(failure))
    if verdict is Verdict.WRONG_KEY and (elsewhere := await _works_elsewhere(once, provider)) is not None:
        verdict, said = Verdict.WRONG_ENVIRONMENT, elsewhere
    return Connection(name, verdict, said, took, skew)


def _working(name: str, took: float, skew: float) -> Connection:
    if abs(skew) < NOTICEABLE:
        return Connection(name, Verdict.WORKS, "It answers.", took, skew)
    side = "ahead of" if skew > 0 else "behind"
    said = f"It answers, but this computer's clock is {abs(skew):,.0f} s {side} its clock: set it right."
    return Connection(name, Verdict.CLOCK_OFF, said, took, skew)


async def _asked(provider: Provider) -> FFEError | None:
    """What one request raised; None where it was answered."""
    end = provider.now() // times.DAY * times.DAY
    try:
        async with provider:
            await provider.fetch(provider.usual_pairs[0], "1d", Page(end - _DAYS * times.DAY, end))
    except FFEError as error:
        return error
    return None


def _verdict(error: FFEError) -> Verdict:
    kinds: tuple[tuple[type[FFEError], Verdict], ...] = (
        (CredentialsError, Verdict.WRONG_KEY),
        (QuotaError, Verdict.QUOTA),
        (ClockError, Verdict.CLOCK_OFF),
        (Unreachable, Verdict.NO_NETWORK),
        (RetriableError, Verdict.BUSY),
    )
    return next((verdict for kind, verdict in kinds if isinstance(error, kind)), Verdict.REFUSED)


async def _works_elsewhere(settings: Settings, provider: Provider) -> str | None:
    """What to set instead, where the same credentials are taken in another environment of the provider."""
    own = (settings.model_extra or {}).get(provider.name) or {}
    for setting, value in provider.elsewhere():
        there = settings.model_copy(update={provider.name: {**own, setting: value}})
        if await _asked(provider_class(provider.name)(config=there)) is None:
            return f"The key is taken with {variable(provider.name, setting)}={value}: set that, and restart."
    return None
