"""Faults of object stores in words: why one refuses or does not answer, with its host, never with a credential.

delta-rs and obstore tell kinds of trouble apart by their text alone, of which every answer of a store is a part. What
hangs on that text is decided here; `tests/storage/test_objects.py` and `lake/test_faults.py` provoke it for real.
"""

from __future__ import annotations

import re

from ffe_core.redaction import redact

BOUNDS = {"connect_timeout": "5s", "timeout": "60s", "max_retries": "3", "retry_timeout": "60s"}
"""How long an object store is waited for; without them a host that is gone holds a call for minutes."""

# Their digits are no status: "403.64ms", "http://127.0.0.1:503/".
_FIGURES = re.compile(r"https?://\S+|\b\d+(?:\.\d+)?(?:ns|µs|us|ms|s)\b")
_METADATA = re.compile(
    r"https?://\S+/latest/(?:api/token|meta-data/)\S*|https?://(?:169\.254\.\d+\.\d+|metadata\.google\.internal)\S*"
)
"""Where a machine in a cloud is asked for credentials of its own, if none are given."""
_KIND = re.compile(r"\bkind: (?:Connect|Timeout|Request|Interrupted)\b")
_HOST = re.compile(r"https?://(?:[^/@\s]*@)?([^/\s?,]+)")
_LONGEST = 300
_OF_AWS = (
    "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (or FFE_STORE__ACCESS_KEY_ID and FFE_STORE__SECRET_ACCESS_KEY, or a"
    " role) and AWS_REGION or FFE_STORE__REGION"
)
_CREDENTIALS = {
    "s3": _OF_AWS,
    "s3a": _OF_AWS,
    "gs": "GOOGLE_APPLICATION_CREDENTIALS or FFE_STORE__SERVICE_ACCOUNT_FILE",
}
_OF_AZURE = (
    "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY (or FFE_STORE__ACCOUNT_NAME and FFE_STORE__ACCOUNT_KEY)"
)
_GONE = (
    r"[Cc]onnection refused|dns error|failed to lookup|[Tt]imed out|timeout|error sending request|connect error"
    r"|[Cc]onnection (?:reset|closed)|\b50[0-9]\b|SlowDown|kind: (?:Connect|Timeout|Request|Interrupted)\b"
)

# In this order: an answer that refuses a key also speaks of a request that failed.
_REFUSED = (
    (
        r"no credentials|the machine's own credentials"
        r"|loading credentials|credential provider|could not find credential|must be specified"
        r"|GOOGLE_SERVICE_ACCOUNT|metadata\.google|IMDS|latest/api/token",
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
        "the bucket{host} lies in another region; set AWS_REGION or FFE_STORE__REGION",
    ),
    (
        r"NotImplemented|\b501\b",
        "the object store{host} does not offer what is needed (it answers that it is not implemented); use another one",
    ),
    (
        r"BadScheme|HTTP error: builder error",
        "the address of the object store begins with http://, and what is sent there can be read on the way; use"
        " https://, or set FFE_STORE__ALLOW_HTTP=true in a network of your own",
    ),
)
_UNREACHABLE = "the object store{host} cannot be reached or does not answer; check address and network, then try again"


def reason(place: str, text: str) -> str | None:
    """Why a store refused or did not answer, and what to do; None if its words are unknown. `place` is an address."""
    words = _words(text)
    known = (*_REFUSED, (_GONE, _UNREACHABLE))
    found = next((said for pattern, said in known if re.search(pattern, words)), None)
    return None if found is None else redact(found.format(host=_host(text), credentials=_credentials(place)))


def plain(text: str) -> str:
    """Words that nobody has foreseen, on one line and cut, without what the library adds for its makers."""
    line = " ".join(text.partition("Debug source")[0].split())
    return redact(line if len(line) <= _LONGEST else f"{line[:_LONGEST]}...")


def is_unreachable(text: str) -> bool:
    """Whether the text of an error means that the store is gone, and not that it refused something."""
    words = _words(text)
    return not any(re.search(pattern, words) for pattern, _ in _REFUSED) and bool(re.search(_GONE, words))


def _words(text: str) -> str:
    """What an error says, without figures, addresses and all that obstore adds for its makers but the kind of it."""
    said, _, details = _METADATA.sub("the machine's own credentials", text).partition("Debug source")
    kind = _KIND.search(details)
    return _FIGURES.sub("", said) + (kind.group() if kind else "")


def _host(text: str) -> str:
    found = None if _METADATA.search(text) else _HOST.search(text)
    return f" at {found.group(1)}" if found else ""


def _credentials(place: str) -> str:
    return _CREDENTIALS.get(place.partition("://")[0], _OF_AZURE)
