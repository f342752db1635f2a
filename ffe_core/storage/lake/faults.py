"""Faults of the lake's libraries as one sentence with the place and the next step.

delta-rs tells kinds of trouble apart by its text alone, several lines of it and in colours. Every decision that hangs
on that text is made here; `tests/storage/lake/test_faults.py` provokes them with the real library.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa
from deltalake.exceptions import DeltaError

from ffe_core.errors import InputError, StorageError
from ffe_core.locations import local_folder
from ffe_core.redaction import redact
from ffe_core.storage.files import cause_of

BOUNDS = {"connect_timeout": "5s", "timeout": "60s", "max_retries": "3", "retry_timeout": "60s"}
"""How long an object store is waited for; without them a host that is gone holds a call for minutes."""

# Their digits are no status: "403.64ms", "http://127.0.0.1:503/".
_FIGURES = re.compile(r"https?://\S+|\b\d+(?:\.\d+)?(?:ns|µs|us|ms|s)\b")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_HOST = re.compile(r"https?://(?:[^/@\s]*@)?([^/\s?]+)")
_LONGEST = 300
_CREDENTIALS = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (or a profile or role) and AWS_REGION",
    "s3a": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (or a profile or role) and AWS_REGION",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS",
}
_AZURE = "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY"

# In this order: an answer that refuses a key also speaks of a request that failed.
_OF_OBJECT_STORES = (
    (
        r"no credentials|loading credentials|credential provider|could not find credential|must be specified"
        r"|GOOGLE_SERVICE_ACCOUNT|metadata\.google|IMDS",
        "no credentials were found{host}; set {credentials}",
    ),
    (
        r"InvalidAccessKeyId|SignatureDoesNotMatch|Expired ?Token|InvalidToken|AccessDenied|AuthorizationFailure"
        r"|AuthenticationFailed|\b40[13]\b|Forbidden|Unauthorized",
        "the object store{host} refused the credentials; check {credentials} and the rights of that account",
    ),
    (
        r"NoSuchBucket|ContainerNotFound|bucket.{0,40}not (found|exist)",
        "there is no such bucket{host}; check its name",
    ),
    (
        r"PermanentRedirect|AuthorizationHeaderMalformed",
        "the bucket{host} lies in another region; set AWS_REGION",
    ),
    (
        r"[Cc]onnection refused|dns error|failed to lookup|[Tt]imed out|timeout|error sending request|connect error"
        r"|[Cc]onnection reset|\b50[0-9]\b|SlowDown",
        "the object store{host} cannot be reached or does not answer; check address and network, then try again",
    ),
)
_ERRNO = re.compile(r"\b(?:os error|errno) (\d+)\b", re.IGNORECASE)
"""How delta-rs and Arrow name the system call's error in their texts."""


@contextmanager
def in_words(doing: str, place: str) -> Iterator[None]:
    """StorageError, beginning with `doing`, for every fault of a library in the block, panics of Rust included."""
    try:
        yield
    except InputError:
        raise
    except (DeltaError, OSError, ValueError, pa.ArrowException) as error:
        raise StorageError(sentence(doing, place, error)) from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise StorageError(sentence(doing, place, error)) from error


def sentence(doing: str, place: str, error: BaseException) -> str:
    """What failed, why, and what to do next; `place` is the lake's or the table's address."""
    text = _COLOUR.sub("", str(error))
    words = _FIGURES.sub("", text)
    for pattern, reason in _OF_OBJECT_STORES if local_folder(place) is None else ():
        if re.search(pattern, words):
            return f"{doing}: {reason.format(host=_host(text), credentials=_credentials(place))}"
    if (number := _ERRNO.search(text)) and (cause := cause_of(int(number.group(1)))):
        return f"{doing}: {cause}"
    plain = " ".join(text.replace("↳", ":").split())
    cut = plain if len(plain) <= _LONGEST else f"{plain[:_LONGEST]}..."
    return redact(f"{doing}: {cut}")


def bounded(address: str, options: dict[str, str] | None) -> dict[str, str] | None:
    """The options to open a place with: those given, and for an object store time-outs where none are given."""
    return options if local_folder(address) is not None else {**BOUNDS, **(options or {})}


def _host(text: str) -> str:
    found = _HOST.search(text)
    return f" at {found.group(1)}" if found else ""


def _credentials(place: str) -> str:
    return _CREDENTIALS.get(place.partition("://")[0], _AZURE)
