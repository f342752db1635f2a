"""Where the data directory and the lake lie: each is read once, here, so that every library opens the same place.

SQLite, delta-rs, Arrow and the operating system disagree about `~`, `?`, `%`, `#`, brackets and relative names. A local
place therefore leaves this module as an absolute path without links and dots, a remote one as a URI without a trailing
slash; what some library would read as another place is refused.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from ffe_core.errors import InputError

REMOTE_SCHEMES = ("s3", "s3a", "gs", "az", "azure", "abfs", "abfss", "adl")
"""Object stores that a lake may lie in."""

_URI = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://|file:")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
# delta-rs panics on the first four, takes a backslash for a slash, and reads %41 as A (measured with 1.6).
_NOT_FOR_A_LAKE = re.compile(r"[\[\]|^\\]|%[0-9A-Fa-f]{2}")


def data_folder(place: str | Path, name: str = "data_dir") -> Path:
    """The absolute path of a local folder given as a path, with `~` for a home, or as a file: URI.

    Raises InputError, beginning with `name`, for what is no local folder or a name that no file system should bear.
    """
    text = _text(place, name)
    if _URI.match(text) and not text.lower().startswith("file:"):
        raise InputError(f"{name}: {_scheme(text)}:// is no local folder; give a path such as /var/lib/ffe")
    folder = _absolute(text, name)
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{name}: {folder} is a file; name a folder, which is made if it is not there")
    return folder


def lake_address(place: str | Path, name: str = "lake_uri") -> str:
    """Where a lake lies: the absolute path of a local folder, or the URI of a place in an object store.

    Raises InputError, beginning with `name`, for a place that cannot be, or that delta-rs would take for another.
    """
    text = _text(place, name)
    if _URI.match(text) and not text.lower().startswith("file:"):
        return _remote(text, name)
    folder = data_folder(text, name)
    found = _NOT_FOR_A_LAKE.search(str(folder))
    if found:
        raise InputError(
            f"{name}: Delta tables cannot lie in {folder}, as a folder's name holds {found.group()!r};"
            " name a folder without [ ] | ^ \\ and without % before two hexadecimal digits"
        )
    return str(folder)


def local_folder(address: str) -> Path | None:
    """The local folder of a lake or a table; None for one in an object store."""
    if address.lower().startswith("file:"):
        return Path(unquote(urlsplit(address).path))
    return None if _URI.match(address) else Path(address)


def _text(place: str | Path, name: str) -> str:
    text = str(place)
    if not text:
        raise InputError(f"{name}: nothing is named; give a folder such as /var/lib/ffe")
    if _UNPRINTABLE.search(text):
        raise InputError(f"{name}: {text!a} holds a character that cannot be printed; name a folder without it")
    return text


def _absolute(text: str, name: str) -> Path:
    is_uri = text.lower().startswith("file:")
    path = _of_file_uri(text, name) if is_uri else os.path.expanduser(text)
    if not is_uri and path.startswith("~"):
        raise InputError(f"{name}: {text!r} leads nowhere, as no such user has a home; give the whole path")
    try:
        return Path(os.path.realpath(path))
    except (OSError, ValueError) as error:
        raise InputError(f"{name}: {text!r} leads nowhere ({error}); give the whole path") from None


def _of_file_uri(text: str, name: str) -> str:
    parts = _split(text, name)
    if parts.netloc not in ("", "localhost") or not parts.path.startswith("/"):
        raise InputError(f"{name}: {text!r} names another machine; write file:///folder, or the path alone")
    return _text(unquote(parts.path), name)


def _remote(text: str, name: str) -> str:
    parts = _split(text, name)
    if parts.scheme not in REMOTE_SCHEMES:
        known = ", ".join(f"{scheme}://" for scheme in REMOTE_SCHEMES)
        raise InputError(f"{name}: {parts.scheme}:// is no place for a lake; use a local folder or one of {known}")
    if parts.username is not None and not parts.scheme.startswith("abfs"):
        raise InputError(f"{name}: credentials do not belong into a URI; give them as the object store's own variables")
    if not parts.hostname or re.search(r"\s|\\|//", parts.netloc + parts.path):
        raise InputError(f"{name}: {text!r} names no bucket and folder; write it like {parts.scheme}://bucket/lake")
    return text.rstrip("/")


def _split(text: str, name: str) -> SplitResult:
    try:
        parts = urlsplit(text)
    except ValueError as error:
        raise InputError(f"{name}: {_scheme(text)}:// is followed by what is no address ({error})") from None
    if "?" in text or "#" in text:
        raise InputError(f"{name}: a URI of a folder holds neither ? nor #; write them %3F and %23")
    return parts


def _scheme(text: str) -> str:
    return text.partition(":")[0].lower()
