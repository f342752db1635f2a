"""What can go wrong, sorted by what to do about it.

    FFEError
    ├── ProviderError           a provider did not give what was asked
    │   ├── RetriableError      ask again (429, 5xx, time-out, broken body)
    │   ├── PermanentError      asking again changes nothing (unknown symbol, credentials, not offered)
    │   └── QuotaError          ask nothing of this provider until its quota resets
    ├── StorageError            the lake, the marks or the dead letters could not be read or written
    │   ├── CommitConflict      another writer moved the series first: look again, then retry
    │   └── DatabaseError       the state database cannot be used; its `code` says why
    └── SeriesHeld              another run or process holds the lease of this series

Bad arguments are `InputError`, a ValueError, raised before any request. A bad record is not an error at all: it goes
to the dead letters with its reasons.
"""

from __future__ import annotations


class FFEError(Exception):
    """Root of everything this package raises on purpose, apart from bad arguments."""


class InputError(ValueError):
    """A bad argument or setting: names the field, its value and an example of a good one."""


class ProviderError(FFEError):
    """A provider failed."""


class RetriableError(ProviderError):
    """Worth asking again; `retry_after` is the provider's own wait in seconds, when it named one."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class PermanentError(ProviderError):
    """Asking again would give the same answer."""


class QuotaError(ProviderError):
    """The provider's quota is used up: no further request until it resets."""


class StorageError(FFEError):
    """The lake, the watermarks or the dead letters could not be read or written."""


class CommitConflict(StorageError):
    """The series' marks are not where this writer planned from: another writer was faster."""


class DatabaseError(StorageError):
    """The state database cannot be used; `code` says why: database_newer, database_damaged, database_locked, ..."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


class SeriesHeld(FFEError):
    """Another run holds the series; `holder` says which."""

    def __init__(self, message: str, holder: str) -> None:
        super().__init__(message)
        self.holder = holder
