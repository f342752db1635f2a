"""Vendors' binary records: Databento's DBN bars and Dukascopy's bi5 candles.

DBN 1 to 3 (databento.com/docs/standards-and-conventions/databento-binary-encoding): a header, then records whose first
byte is their length in words of four bytes; a bar has 56 bytes, prices are integers of 1e-9. A bi5 candle has 24 bytes,
big-endian: seconds since the start of the file's period, open, close, low, high, volume (github.com/giuse88/duka).
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from ffe_core.errors import InputError
from ffe_core.files.forms.base import Block
from ffe_core.files.opening import Content

_BARS = {32: "1s", 33: "1m", 34: "1h", 35: "1d", 36: "1d"}
_DBN = np.dtype(
    [("length", "u1"), ("rtype", "u1"), ("publisher_id", "<u2"), ("instrument_id", "<u4"), ("ts_event", "<u8"),
     ("open", "<i8"), ("high", "<i8"), ("low", "<i8"), ("close", "<i8"), ("volume", "<u8")]
)  # fmt: skip
_BI5 = np.dtype(
    [("second", ">u4"), ("open", ">u4"), ("close", ">u4"), ("low", ">u4"), ("high", ">u4"), ("volume", ">f4")]
)
_ROWS = 100_000


class RecordSource:
    """The rows of a file of records of one size."""

    unit_of_place = "row"

    def __init__(self, content: Content) -> None:
        self._content = content
        self._is_dbn = content.head[:3] == b"DBN"
        self._rows: np.ndarray = np.empty(0, _DBN)  # of the block that is being read
        self._first = 1
        self._kind = _DBN if self._is_dbn else _BI5
        self._start = _after_header(content) if self._is_dbn else 0
        left_out = ("length",)
        self.names: Sequence[str] = [name for name in self._kind.names or () if name not in left_out]

    def blocks(
        self, wanted: Sequence[str] | None = None, numbers: Sequence[str] = (), whole: Sequence[str] = ()
    ) -> Iterator[Block]:
        at, size = 1, self._kind.itemsize
        with self._content.stream() as stream:
            stream.read(self._start)
            while piece := _exactly(stream, size * _ROWS):
                rows = np.frombuffer(piece[: len(piece) // size * size], self._kind)
                self._check(rows)
                self._rows, self._first = rows, at
                names = self.names if wanted is None else wanted
                columns = {name: pa.array(rows[name].astype(rows[name].dtype.newbyteorder("="))) for name in names}
                rest = piece[len(rows) * size :]
                broken = [(at + len(rows), rest.hex())] if rest else []
                yield Block(columns, np.arange(at, at + len(rows), dtype=np.int64), broken)
                at += len(rows)

    def raw(self, line: int) -> str:
        row = self._rows[line - self._first]
        return json.dumps({name: row[name].item() for name in self.names})

    def _check(self, rows: np.ndarray) -> None:
        if (
            self._is_dbn
            and not ((rows["length"] == self._kind.itemsize // 4) & np.isin(rows["rtype"], list(_BARS))).all()
        ):
            raise InputError(
                f"{self._content.part.name} holds other records than bars; ask Databento for ohlcv", field="file"
            )


def is_records(content: Content) -> bool:
    """Whether the bytes are those of a DBN file, or the name that of a bi5 file."""
    return content.head[:3] == b"DBN" or content.part.inner_path.lower().endswith(".bi5")


def _after_header(content: Content) -> int:
    version, length = struct.unpack_from("<BI", content.head, 3)
    if version not in (1, 2, 3) or 8 + length > content.size:
        raise InputError(f"{content.part.name} is DBN of version {version}; versions 1 to 3 are read", field="file")
    return 8 + int(length)


def _exactly(stream: object, size: int) -> bytes:
    found: list[bytes] = []
    while size and (piece := stream.read(size)):  # type: ignore[attr-defined]
        found.append(piece)
        size -= len(piece)
    return b"".join(found)
