"""Plain answers: decodes a body whose fields are all as expected straight into columns, and refuses any other.

That spares a dict a candle, most of what reading an answer costs. Of a body with anything odd about it NotPlain is
raised: whoever asked then reads it as JSON, and that way's verdict counts. So a mistake here may only ever be to refuse
too much. msgspec refuses what is no JSON, a field that is missing, null, unknown or of another type, and more than one
value; of a field that comes twice the last counts, as in JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from typing import TypeVar

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ffe_core.providers.base import YEAR_10000, Record, is_epoch

Answer = TypeVar("Answer")
# What Arrow raises for a column it cannot take as a whole.
_REFUSED = (ValueError, TypeError, NotImplementedError, OverflowError)


class NotPlain(Exception):
    """An answer that is to be read as JSON: it is broken, or has something in it that is not expected."""


class Plain(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """Base of what an answer consists of: every field of it is there, and no other; nothing in it refers back."""


def decoded(body: bytes, decoder: msgspec.json.Decoder[Answer]) -> Answer:
    """What a body holds. NotPlain."""
    try:
        return decoder.decode(body)
    except (msgspec.MsgspecError, ValueError):  # a text that is no UTF-8 is a ValueError
        raise NotPlain from None


def numbers(*columns: list[str] | list[int]) -> npt.NDArray[np.float64]:
    """(columns, n) numbers, or texts that are some, as validation reads them: together, which costs less. NotPlain."""
    try:
        values = pc.cast(pa.array(list(chain.from_iterable(columns))), pa.float64())
    except _REFUSED:
        raise NotPlain from None
    found: npt.NDArray[np.float64] = values.to_numpy(zero_copy_only=False).reshape(len(columns), -1)
    return found


def epochs(texts: list[str]) -> npt.NDArray[np.int64]:
    """Epoch seconds as text, before the year 10000. NotPlain, where there are none too."""
    if not is_epoch("".join(texts)):
        raise NotPlain  # Arrow would take a sign, and hexadecimal digits
    try:
        found: npt.NDArray[np.int64] = pc.cast(pa.array(texts), pa.int64()).to_numpy(zero_copy_only=False)
    except _REFUSED:
        raise NotPlain from None
    if found.max() >= YEAR_10000:
        raise NotPlain
    return found


def instants(texts: Sequence[str], ending: str) -> npt.NDArray[np.int64]:
    """Epoch seconds of ISO 8601 texts with one `ending`, which says that they are whole seconds of UTC.

    NotPlain, where there are none too.
    """
    column = pa.array(texts, pa.string())
    if not pc.all(pc.ends_with(column, ending)).as_py():
        raise NotPlain
    try:
        stamps = pc.cast(pc.cast(column, pa.timestamp("ns", tz="UTC")), pa.int64())
    except _REFUSED:
        raise NotPlain from None
    found: npt.NDArray[np.int64] = stamps.to_numpy() // 1_000_000_000
    return found


class RawRecords:
    """The records of a body, which are read once one of them is asked for."""

    def __init__(self, body: bytes, read: Callable[[bytes], Sequence[Record]]) -> None:
        self._body, self._read = body, read
        self._records: Sequence[Record] | None = None

    def __call__(self, place: int) -> Record:
        if self._records is None:
            self._records = self._read(self._body)
        return self._records[place]
