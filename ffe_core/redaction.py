"""Redaction of secrets in everything that is shown, logged or stored: known values become `***`."""

from __future__ import annotations

import logging
from urllib.parse import quote

_MASK = "***"
_secrets: set[str] = set()


def register(secret: str) -> None:
    """Remember a secret value, plain and URL-encoded, so that `redact` finds it in any text."""
    if len(secret) >= 4:
        _secrets.update({secret, quote(secret, safe="")})


def redact(text: str) -> str:
    """The text with every known secret masked, the longest first."""
    for secret in sorted(_secrets, key=len, reverse=True):
        text = text.replace(secret, _MASK)
    return text


class RedactingFormatter(logging.Formatter):
    """A formatter that masks secrets in the finished line, tracebacks included."""

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


def log_redacted(level: int = logging.WARNING) -> None:
    """Send the process's log to stderr, secrets masked; libraries that log every request stay quiet."""
    handler = logging.StreamHandler()
    handler.setFormatter(RedactingFormatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logging.basicConfig(level=level, handlers=[handler], force=True)
