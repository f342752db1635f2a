"""Body reader: streams and unpacks an answer within bounds, and decodes its JSON.

What an answer may cost is known before it is read: so many bytes unpacked, and so many records. Both are checked
before anything is built from them, so neither a compressed nothing nor a flood of empty objects fills the memory.
"""

from __future__ import annotations

import asyncio
import json
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import httpx
import numpy as np
import numpy.typing as npt

from ffe_core.errors import AnswerTooLarge, RetriableError
from ffe_core.settings import variable

MEGABYTE = 2**20
ERROR_PAGE_BYTES = 2**16
"""As much is read of an error page: only its beginning is quoted."""
ACCEPTED = "gzip"
"""The one encoding asked for: its unpacking can be bounded piece by piece."""
_PIECE = 2**18
_GZIP, _MAGIC = 31, b"\x1f\x8b"
_LARGE = 2**20
_RECORD_BYTES = 1024
_VALUES_A_RECORD = 20
_SPARE_VALUES = 10_000

Hook = Callable[[list[tuple[str, Any]]], Any]


class NotJson(ValueError):
    """A body that is no JSON."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one answer of a provider may hold: `records` candles (or rows of a list), and `megabytes` unpacked."""

    provider: str
    records: int
    megabytes: float

    @property
    def size(self) -> int:
        """Bytes an unpacked body may have: the setting, or what so many records can take at the very most."""
        return min(int(self.megabytes * MEGABYTE), MEGABYTE + self.records * _RECORD_BYTES)

    def too_many_bytes(self) -> AnswerTooLarge:
        """The error for a longer body."""
        if self.size == int(self.megabytes * MEGABYTE):
            setting = variable("http", "max_body_mb")
            return AnswerTooLarge(
                f"{self.provider} sent more than {self.megabytes:g} MB in one answer, the most that {setting} allows;"
                f" raise it if such an answer is right"
            )
        return AnswerTooLarge(
            f"{self.provider} sent more than {self.size / MEGABYTE:.0f} MB in one answer, more than {self.records:,}"
            " records can take; it was not read further"
        )

    def check_values(self, body: bytes) -> None:
        """AnswerTooLarge for a body with more objects, arrays or values than its records can have."""
        octets = np.frombuffer(body, np.uint8)  # counts four times as fast as bytes do
        objects, arrays = (min(_count(octets, one) for one in pair) for pair in (b"{}", b"[]"))
        containers, values = max(objects, arrays), _count(octets, b","[0])
        if containers > 2 * self.records + _SPARE_VALUES or values > _VALUES_A_RECORD * self.records + _SPARE_VALUES:
            raise AnswerTooLarge(
                f"{self.provider} sent an answer of {max(containers, values):,} values, more than {self.records:,}"
                " records can have; it was not read further"
            )


def _count(octets: npt.NDArray[np.uint8], one: int) -> int:
    """How often a byte occurs; a piece at a time, so that no second body of answers fills the memory."""
    pieces = (octets[at : at + _PIECE] for at in range(0, len(octets), _PIECE))
    return sum(int(np.count_nonzero(piece == one)) for piece in pieces)


async def read_body(response: httpx.Response, bounds: Bounds, turn: asyncio.Lock, held: AsyncExitStack) -> bytes:
    """The unpacked body. There is one large one at a time: `held` has the `turn` from its first megabyte on.

    Raises AnswerTooLarge, and RetriableError for a body that cannot be unpacked.
    """
    pieces: list[bytes] = []
    size = 0
    declared = response.headers.get("content-length", "")
    if declared.isascii() and declared.isdecimal() and int(declared) > bounds.size:
        raise bounds.too_many_bytes()
    waiting = True
    async for piece in _unpacked(response, bounds.provider):
        size += len(piece)
        if size > bounds.size:
            raise bounds.too_many_bytes()
        pieces.append(piece)
        if waiting and size > _LARGE:
            waiting = False
            await held.enter_async_context(turn)
    return b"".join(pieces)


async def read_beginning(response: httpx.Response, provider: str) -> bytes:
    """The beginning of an error page, unpacked as far as it can be; the rest is never read."""
    pieces: list[bytes] = []
    size = 0
    try:
        async for piece in _unpacked(response, provider):
            pieces.append(piece)
            size += len(piece)
            if size >= ERROR_PAGE_BYTES:
                break
    except (RetriableError, httpx.RequestError):
        pass  # the status has said enough
    return b"".join(pieces)[:ERROR_PAGE_BYTES]


def decode_json(body: bytes, bounds: Bounds, hook: Hook | None = None) -> Any:
    """The JSON value of a body. Raises NotJson, AnswerTooLarge."""
    bounds.check_values(body)
    try:
        return json.loads(body, object_pairs_hook=hook)
    except (ValueError, RecursionError):
        pass  # raised in here, the other error would keep a second body alive with its traceback
    raise NotJson


async def _unpacked(response: httpx.Response, provider: str) -> AsyncIterator[bytes]:
    """The body in pieces of at most 256 kB, however well it was packed."""
    unpacker = _unpacker(response.headers.get("content-encoding", ""), provider)
    async for raw in response.aiter_raw():
        for piece in unpacker.feed(raw):
            yield piece
            if len(piece) == _PIECE:
                await asyncio.sleep(0)
    yield unpacker.end()


class _Plain:
    """An encoding that is none."""

    def feed(self, raw: bytes) -> Iterator[bytes]:
        """What came, unpacked."""
        yield raw

    def end(self) -> bytes:
        """What is left; RetriableError if something is missing."""
        return b""


class _Gzip(_Plain):
    """Gzip members one after the other (RFC 1952), each piece of what they hold bounded."""

    def __init__(self, provider: str) -> None:
        self._provider = provider
        self._member = zlib.decompressobj(wbits=_GZIP)
        self._held = b""  # the beginning of what may be another member, cut within its first two bytes

    def feed(self, raw: bytes) -> Iterator[bytes]:
        raw, self._held = self._held + raw, b""
        while raw:
            if self._member.eof:
                if _MAGIC.startswith(raw):
                    self._held = raw
                    return
                if not raw.startswith(_MAGIC):
                    return  # padding after the last member
                self._member = zlib.decompressobj(wbits=_GZIP)
            try:
                yield self._member.decompress(raw, _PIECE)
            except zlib.error as error:
                raise self._broken(str(error)) from None
            raw = self._member.unused_data if self._member.eof else self._member.unconsumed_tail

    def end(self) -> bytes:
        rest = self._member.flush()
        if not self._member.eof:
            raise self._broken("it ends too early")
        return rest

    def _broken(self, why: str) -> RetriableError:
        return RetriableError(f"{self._provider} sent a broken compressed body ({why})")


def _unpacker(encoding: str, provider: str) -> _Plain:
    name = encoding.strip().lower()
    if name in ("", "identity"):
        return _Plain()
    if name in ("gzip", "x-gzip"):
        return _Gzip(provider)
    raise RetriableError(f"{provider} sent a body packed as {name[:40]!r}, though only {ACCEPTED} was asked for")
