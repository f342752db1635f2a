"""Alpha Vantage notices: tells what a 200 that holds no series means, by its key and the words in it.

Nearly every error comes as a 200 with one text under `Information`, `Note` or `Error Message`, and no code. So the
words decide, here and nowhere else; texts as recorded between 2018 and 2026.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ffe_core.errors import CredentialsError, PermanentError, ProviderError, QuotaError, RetriableError
from ffe_core.providers.http import other_shape
from ffe_core.providers.http_provider import unknown_pair
from ffe_core.redaction import redact
from ffe_core.settings import variable

NAME = "alpha_vantage"
_MESSAGES = ("Information", "Note", "Error Message")
_BURST_WAIT = 2.0
_MINUTE_WAIT = 60.0


class FullRefused(PermanentError):
    """This key is not served the whole series, only its newest points."""


def error_text(body: Any) -> str | None:
    """The message of a body, under whichever key."""
    return next((body[key] for key in _MESSAGES if isinstance(body.get(key), str)), None)


def error_in(body: Any, function: str, pair: str) -> ProviderError:
    """The error a body without a series stands for; one that nobody has seen before is worth another try."""
    if not isinstance(body, dict) or (text := error_text(body)) is None:
        return other_shape(NAME, body)
    key = next(key for key in _MESSAGES if body.get(key) == text)
    said = redact(text)
    for notice in NOTICES:
        if notice.applies(key, text.lower()):
            return notice.error(said, function, pair)
    return RetriableError(f"{NAME} sent no data but: {said}")


@dataclass(frozen=True, slots=True)
class Notice:
    """A text under `key` (any if None) with one of `words` in it (any if none), in lower case, and the error it is."""

    key: str | None
    words: tuple[str, ...]
    error: Callable[[str, str, str], ProviderError]
    """Makes the error of the text, the function and the pair."""

    def applies(self, key: str, text: str) -> bool:
        """Whether a text is of this kind."""
        return self.key in (None, key) and (not self.words or any(word in text for word in self.words))


def _premium(said: str, function: str, pair: str) -> ProviderError:
    if "outputsize" in said.lower():
        return FullRefused(f"{NAME}: this key is not served the whole series ({said}); use a premium key")
    return PermanentError(
        f"{NAME}: this key is not served {function}, a premium endpoint: a free key gets only timeframe 1d;"
        f" use 1d or a premium key ({said})"
    )


NOTICES = (
    # The burst text names premium plans and the daily quota too, so it comes first.
    Notice(
        None,
        ("spread",),
        lambda said, function, pair: RetriableError(f"{NAME}: too many requests a second ({said})", _BURST_WAIT),
    ),
    Notice(None, ("premium endpoint", "premium feature"), _premium),
    Notice(
        "Note",
        (),
        lambda said, function, pair: RetriableError(f"{NAME}: too many requests a minute ({said})", _MINUTE_WAIT),
    ),
    Notice(
        None,
        ("per day",),
        lambda said, function, pair: QuotaError(
            f"{NAME}: the daily quota of this key is used up ({said}); run it again tomorrow or use a premium key"
        ),
    ),
    Notice(
        "Error Message",
        ("apikey", "api key"),
        lambda said, function, pair: CredentialsError(
            f"{NAME}: the key is refused ({said}); check {variable(NAME, 'api_key')}"
        ),
    ),
    # "Please retry" in it is no promise: so it answers a symbol that it does not have, for ever.
    Notice("Error Message", ("invalid",), lambda said, function, pair: unknown_pair(NAME, pair, said)),
    Notice(
        "Error Message",
        ("does not exist",),
        lambda said, function, pair: PermanentError(f"{NAME} does not serve {function} for {pair} ({said})"),
    ),
    # Its own trouble, which passes: "an internal or external error - we apologize for the inconvenience".
    Notice(
        "Error Message",
        (),
        lambda said, function, pair: RetriableError(f"{NAME} has trouble of its own: {said}"),
    ),
    Notice(
        None,
        ("demo",),
        lambda said, function, pair: PermanentError(
            f"{NAME}: the demo key serves examples only ({said}); set your own in {variable(NAME, 'api_key')}"
        ),
    ),
)
"""Every kind of notice, the first that applies decides."""
