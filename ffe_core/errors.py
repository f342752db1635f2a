"""Errors, sorted by what to do about them; each kind has a code, so that nobody reads a kind out of a sentence.

    FFEError                        unexpected: a failure that nobody has foreseen
    ├── ProviderError               provider_failed: a provider did not give what was asked
    │   ├── RetriableError          provider_unavailable: ask again (429, 5xx, time-out, broken body)
    │   │   ├── Unreachable         provider_not_reached: no connection to it could be made
    │   │   └── WrongAnswer         wrong_answer: it is about something else than was asked; ask once more
    │   ├── PermanentError          provider_refused: asking again changes nothing (unknown symbol, not offered)
    │   │   ├── CredentialsError    credentials_refused: the provider does not take the key or token
    │   │   ├── GridChanged         grid_changed: hourly bars open elsewhere in the hour than those of their series
    │   │   ├── AnswerTooLarge      answer_too_large: it holds more than any right answer can
    │   │   └── ClockError          clock_ahead: this computer's clock is too far from the provider's
    │   └── QuotaError              quota_used_up: ask nothing of this provider until its quota resets
    ├── StorageError                storage_failed: the lake, the watermarks, the dead letters or the database
    │   ├── CommitConflict          commit_conflict: another writer moved the series first; look again, then retry
    │   ├── NearlyFullError         disk_nearly_full: upkeep would fill the disk, so it began nothing
    │   ├── DatabaseError           database_*: the state database cannot be used; its own code says why
    │   └── NewerFormatError        format_newer: a newer release of this program wrote the file
    ├── MigrationRefused            migration_refused: somebody else uses the source, or the destination is another's
    ├── QueryStopped                query_stopped: a query met a bound: of time or of memory
    ├── FileRefused                 file_refused: a file to import cannot be read, or is not what its checksum says
    ├── WorkersLost                 workers_lost: nobody is left who works off a run: the cluster's head, or all workers
    ├── SeriesHeld                  series_held: another run or process holds the lease of this series
    ├── UpkeepHeld                  upkeep_held: another run or process does the upkeep of this table
    ├── ChecksHeld                  checks_held: another run checks what is stored
    └── LeaseLost                   lease_lost: another process took over what this one held, as it seemed dead

Bad arguments are `InputError` (bad_input), a ValueError, raised before any request. Kinds of it: `CredentialsMissing`
(credentials_missing) for a key that is not set, `CalendarHorizonError` (calendar_horizon) for a time that a market
calendar does not know, `CalendarOverrideError` (calendar_override) for a calendar that there is not, `FieldError`
(bad_record) for an edit of a dead letter, `PackageMissing` (package_missing) for what an optional package does. A bad
record is not an error at all: it goes to the dead letters with its reasons.
"""

from __future__ import annotations


class FFEError(Exception):
    """Root of everything this package raises on purpose, apart from bad arguments."""

    code: str = "unexpected"
    """The kind, for programs: stored with runs, never translated, never changed."""


class InputError(ValueError):
    """A bad argument or setting: names the field, its value and an example of a good one.

    `field` is the argument, form field or setting at fault, None where it is not one; `problem` says what is wrong with
    it, as a sentence of its own. The text is both: "field: problem".
    """

    code: str = "bad_input"

    def __init__(self, problem: str, *, field: str | None = None) -> None:
        super().__init__(problem if field is None else f"{field}: {problem}")
        self.problem, self.field = problem, field


def sentence(error: Exception) -> str:
    """What failed or was refused, for who never typed the argument at fault: without its name in the code.

    That of a setting stays: it is what people set.
    """
    names_setting = isinstance(error, InputError) and error.field is not None and error.field.isupper()
    return error.problem if isinstance(error, InputError) and not names_setting else str(error)


class CredentialsMissing(InputError):
    """A provider needs a key or token that is not set; `field` is the setting."""

    code = "credentials_missing"


class PackageMissing(InputError):
    """What was asked for needs an optional package that is not installed."""

    code = "package_missing"

    def __init__(self, name: str, extra: str = "read") -> None:
        super().__init__(f"{name} is not installed; install it with: pip install 'ffe-console[{extra}]'")
        self.name = name


class ProviderError(FFEError):
    """A provider failed."""

    code = "provider_failed"


class RetriableError(ProviderError):
    """Worth asking again; `retry_after` is the provider's own wait in seconds, when it named one."""

    code = "provider_unavailable"

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Unreachable(RetriableError):
    """No connection to the provider could be made: nothing was asked yet."""

    code = "provider_not_reached"


class WrongAnswer(RetriableError):
    """An answer that names another instrument, granularity or symbol than was asked: nothing of it is stored."""

    code = "wrong_answer"


class PermanentError(ProviderError):
    """Asking again would give the same answer."""

    code = "provider_refused"


class GridChanged(PermanentError):
    """Hourly bars that open elsewhere in the hour than those of their series: a person says which grid it keeps."""

    code = "grid_changed"


class CredentialsError(PermanentError):
    """The provider does not take the key or token."""

    code = "credentials_refused"


class AnswerTooLarge(PermanentError):
    """An answer with more bytes or records than any right one can have: it was not read to its end."""

    code = "answer_too_large"


class ClockError(PermanentError):
    """This computer's clock is so far from the provider's that it cannot be asked."""

    code = "clock_ahead"


class QuotaError(ProviderError):
    """The provider's quota is used up: no further request until it resets."""

    code = "quota_used_up"


class StorageError(FFEError):
    """The lake, the watermarks, the dead letters or the database could not be read or written."""

    code = "storage_failed"


class StoreUnreachable(StorageError):
    """The object store cannot be reached or does not answer: nothing was done, and it can be tried again later."""

    code = "store_unreachable"


class StoreUnfit(StorageError):
    """The object store takes a second object of a name that is to be new: two writers would lose commits in silence."""

    code = "store_unfit"


class CommitConflict(StorageError):
    """The series' watermarks are not where this writer planned from: another writer was faster."""

    code = "commit_conflict"


class NearlyFullError(StorageError):
    """The disk has too little room for what upkeep would write for the time being: nothing was begun."""

    code = "disk_nearly_full"


class DatabaseError(StorageError):
    """The state database cannot be used; `code` says why: database_newer, database_damaged, database_locked, ..."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


class NewerFormatError(StorageError):
    """A file is of a version that this release does not know: it is left as it is."""

    code = "format_newer"


class FileRefused(FFEError):
    """Files of an import that could not be read to their end, or are not what their checksum says."""

    code = "file_refused"


class MigrationRefused(FFEError):
    """Somebody else uses what is to be copied, or where it is to be copied to is not empty: nothing was begun."""

    code = "migration_refused"


class QueryStopped(FFEError):
    """A query that would have taken more time or memory than it may."""

    code = "query_stopped"


class WorkersLost(FFEError):
    """The cluster that worked off a run cannot be reached, or is gone: what is committed stays, the rest can go on."""

    code = "workers_lost"


class SeriesHeld(FFEError):
    """Another run holds the series; `holder` says which."""

    code = "series_held"

    def __init__(self, message: str, holder: str) -> None:
        super().__init__(message)
        self.holder = holder


class UpkeepHeld(FFEError):
    """Another run or process does the upkeep of the table; the message says which."""

    code = "upkeep_held"


class ChecksHeld(FFEError):
    """Another run checks what is stored; the message says which."""

    code = "checks_held"


class LeaseLost(FFEError):
    """A process did not renew its leases in time, as it stood still or could not reach the server, and another may have
    taken over: what it held is not written any more."""

    code = "lease_lost"


CREDENTIALS = frozenset({CredentialsError.code, CredentialsMissing.code})
"""Codes of what no later run can cure: a person has to set or replace a key."""
