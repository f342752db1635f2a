"""Locations of the data directory and the lake: each read once, here, so that every library opens the same place.

SQLite, delta-rs, Arrow and the operating system disagree about `~`, `?`, `%`, `#`, brackets and relative names. A local
place therefore leaves this module as an absolute path without links and dots, a remote one as a URI without a trailing
slash; what some library would read as another place is refused.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from ffe_core.errors import InputError

REMOTE_SCHEMES = ("s3", "s3a", "gs", "az", "azure", "abfs", "abfss", "adl")
"""Object stores that a lake may lie in."""

_URI = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://|file:")
_ONE_SLASH = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/(?!/)")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
# delta-rs panics on the first four, takes a backslash for a slash, and reads %41 as A (measured with 1.6).
_LONGEST_TOLD = 100
_NOT_FOR_A_LAKE = re.compile(r"[\[\]|^\\]|%[0-9A-Fa-f]{2}")


def data_folder(place: str | Path, name: str = "data_dir") -> Path:
    """The absolute path of a local folder given as a path, with `~` for a home, or as a file: URI.

    Raises InputError of the field `name` for what is no local folder or a name that no file system should bear.
    """
    text = _text(place, name)
    if _is_remote(text):
        raise InputError(f"{_scheme(text)}:// is no local folder; give a path such as /var/lib/ffe", field=name)
    folder = Path(_absolute(text, name))
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file; name a folder, which is made if it is not there", field=name)
    return folder


def lake_address(place: str | Path, name: str = "lake_uri") -> str:
    """Where a lake lies: the absolute path of a local folder, or the URI of a place in an object store.

    Raises InputError of the field `name` for a place that cannot be, or that delta-rs would take for another.
    """
    text = _text(place, name)
    if _is_remote(text):
        return _remote(text, name)
    folder = _absolute(text, name)
    found = _NOT_FOR_A_LAKE.search(folder)
    if found:
        raise InputError(
            f"Delta tables cannot lie in {folder}, as a folder's name holds {found.group()!r};"
            " name a folder without [ ] | ^ \\ and without % before two hexadecimal digits",
            field=name,
        )
    return folder


@lru_cache(maxsize=1024)
def local_folder(address: str) -> Path | None:
    """The local folder of a lake or a table; None for one in an object store."""
    if address.lower().startswith("file:"):
        return Path(unquote(urlsplit(address).path))
    return None if _URI.match(address) else Path(address)


def _is_remote(text: str) -> bool:
    return bool(_URI.match(text)) and not text.lower().startswith("file:")


def _text(place: str | Path, name: str) -> str:
    text = str(place)
    if not text:
        raise InputError("nothing is named; give a folder such as /var/lib/ffe", field=name)
    if _UNPRINTABLE.search(text):
        raise InputError(f"{text!a} holds a character that cannot be printed; name a folder without it", field=name)
    return text


def _absolute(text: str, name: str) -> str:
    is_uri = text.lower().startswith("file:")
    if not is_uri and _ONE_SLASH.match(text):
        scheme = text.partition(":")[0]
        raise InputError(
            f"{_short(text)} has one slash after {scheme}: where a URI has two; write ./{scheme}: for a folder",
            field=name,
        )
    path = _of_file_uri(text, name) if is_uri else os.path.expanduser(text)
    if not is_uri and path.startswith("~"):
        raise InputError(f"{text!r} leads nowhere, as no such user has a home; give the whole path", field=name)
    try:
        found = os.path.realpath(path)
        _look(found)
    except (OSError, ValueError) as error:
        told = error.strerror if isinstance(error, OSError) else error
        raise InputError(f"{_short(text)} leads nowhere ({told}); give another path", field=name) from None
    return found


def _look(path: str) -> None:
    """OSError for a path that is too long, a circle of links or behind a closed folder; what is missing can be made."""
    with suppress(FileNotFoundError, NotADirectoryError):
        os.stat(path)


def _short(text: str) -> str:
    return repr(text if len(text) <= _LONGEST_TOLD else f"{text[:_LONGEST_TOLD]}...")


def _of_file_uri(text: str, name: str) -> str:
    parts = _split(text, name)
    if parts.netloc not in ("", "localhost") or not parts.path.startswith("/"):
        raise InputError(f"{text!r} names another machine; write file:///folder, or the path alone", field=name)
    return _text(unquote(parts.path), name)


def _remote(text: str, name: str) -> str:
    parts = _split(text, name)
    if parts.scheme not in REMOTE_SCHEMES:
        known = ", ".join(f"{scheme}://" for scheme in REMOTE_SCHEMES)
        raise InputError(f"{parts.scheme}:// is no place for a lake; use a local folder or one of {known}", field=name)
    if parts.username is not None and not parts.scheme.startswith("abfs"):
        raise InputError("credentials are no part of a URI; give them as the object store's own variables", field=name)
    if not parts.hostname or re.search(r"\s|\\|//", parts.netloc + parts.path):
        raise InputError(f"{text!r} names no bucket and folder; write it like {parts.scheme}://bucket/lake", field=name)
    return text.rstrip("/")


def _split(text: str, name: str) -> SplitResult:
    try:
        parts = urlsplit(text)
    except ValueError as error:
        raise InputError(f"{_scheme(text)}:// is followed by what is no address ({error})", field=name) from None
    if "?" in text or "#" in text:
        raise InputError("a URI of a folder holds neither ? nor #; write them %3F and %23", field=name)
    return parts


def _scheme(text: str) -> str:
    return text.partition(":")[0].lower()
