"""Objects of a store below one address: few verbs, each waits for a store that is gone as long as its caller does.

A name is written once: of two writers of one name the store lets one in (a conditional put), and who got no answer
looks whether what is there is its own. So each verb comes to the same however often it is tried.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property, lru_cache
from typing import Any

from ffe_core.errors import StorageError, StoreUnreachable
from ffe_core.storage import store_faults
from ffe_core.storage.store_faults import BOUNDS
from ffe_core.storage.waiting import patiently

_PAGE = 1000
"""Objects that a store lists at once (https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html)."""
_RETRIES = ("max_retries", "retry_timeout")
_OF_CLIENTS = ("allow_http", "connect_timeout", "timeout", "allow_invalid_certificates", "proxy_url")
_DURATION = re.compile(r"(\d+)s")


@dataclass(frozen=True, slots=True)
class Object:
    """What a store tells of an object; `key` is its name below the address."""

    key: str
    e_tag: str
    modified: datetime
    size: int

    @property
    def modified_ns(self) -> int:
        """When it was written by the store's clock, nanoseconds since 1970."""
        return int(self.modified.timestamp() * 1_000_000) * 1000


class Objects:
    """The objects below an address such as s3://bucket/lake. Safe to use from several threads."""

    def __init__(self, address: str, options: Mapping[str, str] | None = None) -> None:
        """`options` as delta-rs takes them."""
        self.address = address.rstrip("/")
        self._options = {**BOUNDS, **(options or {})}

    @cached_property
    def _store(self) -> Any:
        """Made at the first question: whoever has a local lake goes without the library."""
        from obstore.store import from_url

        given = {name.lower(): value for name, value in self._options.items()}
        # Options of the client that are given here put out those of the environment, of which this is one.
        allowed = given.pop("aws_allow_http", os.environ.get("AWS_ALLOW_HTTP", "false"))
        given.setdefault("allow_http", allowed)
        retries = {name: _number(given.pop(name)) for name in _RETRIES if name in given}
        client = {name: _flag(given.pop(name)) for name in _OF_CLIENTS if name in given}
        made: Any = from_url  # its types name each option of each store
        with self._in_words("cannot be opened"):
            return made(self.address, config=given or None, client_options=client, retry_config=retries)

    def head(self, key: str) -> Object | None:
        """What the store tells of an object; None if there is none. StorageError."""
        import obstore

        def ask() -> Object | None:
            with self._in_words("cannot be read"):
                try:
                    return _object(obstore.head(self._store, key))
                except FileNotFoundError:
                    return None

        return patiently(ask)

    def get(self, key: str) -> bytes:
        """The whole of an object. FileNotFoundError if there is none; StorageError."""
        import obstore

        return self._got(key, lambda: bytes(obstore.get(self._store, key).bytes()))

    def get_range(self, key: str, start: int, end: int) -> bytes:
        """The bytes [start, end) of an object. FileNotFoundError if there is none; StorageError."""
        import obstore

        return self._got(key, lambda: bytes(obstore.get_range(self._store, key, start=start, end=end)))

    def _got(self, key: str, read: Callable[[], bytes]) -> bytes:
        def ask() -> bytes | None:
            with self._in_words("cannot be read"):
                try:
                    return read()
                except FileNotFoundError as error:
                    self._require_bucket(error)
                    return None

        found = patiently(ask)
        if found is None:
            raise FileNotFoundError(2, "there is no such object", f"{self.address}/{key}")
        return found

    def create(self, key: str, content: bytes) -> bool:
        """Write a new object; False, and nothing written, if there is one of another content. StorageError.

        A put whose answer was lost is found out by the content, which is therefore never that of another writer.
        """
        import obstore

        def ask() -> bool:
            with self._in_words("cannot be written"):
                try:
                    obstore.put(self._store, key, content, mode="create", use_multipart=False)
                except obstore.exceptions.AlreadyExistsError:
                    return False
                except FileNotFoundError as error:
                    self._require_bucket(error)
                    raise
            return True

        return patiently(ask) or self._is(key, content)

    def put(self, key: str, content: bytes) -> None:
        """Write an object, whatever was there. StorageError."""
        import obstore

        def ask() -> None:
            with self._in_words("cannot be written"):
                try:
                    obstore.put(self._store, key, content, use_multipart=False)
                except FileNotFoundError as error:
                    self._require_bucket(error)
                    raise

        patiently(ask)

    def delete(self, keys: Iterable[str]) -> None:
        """Delete objects, those that there are, one after the other. StorageError."""
        import obstore

        for key in keys:

            def ask(key: str = key) -> None:
                with self._in_words("cannot be deleted"):
                    try:
                        obstore.delete(self._store, key)
                    except FileNotFoundError:
                        return

            patiently(ask)

    def listed(self, below: str = "") -> list[Object]:
        """Every object whose key begins with the folder `below`, by key. StorageError."""
        import obstore

        def ask() -> list[Object]:
            with self._in_words("cannot be listed"):
                pages = obstore.list(self._store, below or None, chunk_size=_PAGE)
                return [_object(one) for page in pages for one in page]

        return patiently(ask)

    def folders(self) -> set[str]:
        """The first parts of all keys, in one request or few. StorageError."""
        import obstore

        def ask() -> set[str]:
            with self._in_words("cannot be listed"):
                return set(obstore.list_with_delimiter(self._store)["common_prefixes"])

        return patiently(ask)

    def _is(self, key: str, content: bytes) -> bool:
        try:
            return self.get(key) == content
        except FileNotFoundError:  # deleted since
            return False

    def _require_bucket(self, error: FileNotFoundError) -> None:
        """StorageError where it is the bucket that is not there."""
        if (why := store_faults.reason(self.address, str(error))) is not None:
            raise StorageError(f"{self.address} cannot be used: {why}") from error

    @contextmanager
    def _in_words(self, doing: str) -> Iterator[None]:
        try:
            yield
        except (StorageError, FileNotFoundError):
            raise
        except Exception as error:
            raise self._failure(doing, error) from None  # the text of the cause holds whole requests

    def _failure(self, doing: str, error: Exception) -> StorageError:
        text = str(error)
        why = store_faults.reason(self.address, text) or store_faults.plain(text)
        gone = store_faults.is_unreachable(text)
        return (StoreUnreachable if gone else StorageError)(f"{self.address} {doing}: {why}")


@lru_cache(maxsize=64)
def _opened(address: str, options: tuple[tuple[str, str], ...]) -> Objects:
    return Objects(address, dict(options))


def objects_of(address: str, options: Mapping[str, str] | None = None) -> Objects:
    """The objects below an address; one object a process, as it keeps its connections."""
    return _opened(address.rstrip("/"), tuple(sorted({**BOUNDS, **(options or {})}.items())))


def _object(found: Any) -> Object:
    return Object(found["path"], found["e_tag"] or "", found["last_modified"], found["size"])


def _flag(text: str) -> Any:
    return text.lower() == "true" if text.lower() in ("true", "false") else text


def _number(text: str) -> Any:
    """Retries as a number, time-outs as a duration."""
    if found := _DURATION.fullmatch(text):
        return timedelta(seconds=int(found[1]))
    return int(text) if text.isdecimal() else text
