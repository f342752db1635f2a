"""Arrow tables in files: parquet, and feather or Arrow IPC, read batch by batch."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.ipc as ipc
import pyarrow.parquet as pq

from ffe_core.errors import InputError
from ffe_core.files.forms.base import Block
from ffe_core.files.opening import Content, refused

_BATCH_ROWS = 100_000


class TableSource:
    """The rows of a parquet, feather or Arrow file."""

    unit_of_place = "row"

    def __init__(self, content: Content) -> None:
        self._content = content
        self._is_parquet = content.head[:4] == b"PAR1"
        self._raw: pa.RecordBatch | None = None
        self._raw_from = 1
        with refused(content.part.file):
            self.schema: pa.Schema = self._file().schema_arrow if self._is_parquet else self._file().schema
            content.opened.check_size(self._unpacked())
        self.names: Sequence[str] = _told(self.schema.names)
        self.is_joined = self.names != list(self.schema.names)
        """Whether its columns are of a price and a symbol each, as pandas writes frames with two levels of columns."""

    def blocks(
        self, wanted: Sequence[str] | None = None, numbers: Sequence[str] = (), whole: Sequence[str] = ()
    ) -> Iterator[Block]:
        at = 1
        with refused(self._content.part.file):
            for batch in self._batches():
                self._raw, self._raw_from = batch, at
                lines = np.arange(at, at + batch.num_rows, dtype=np.int64)
                named = zip(self.names, batch.columns, strict=True)
                yield Block({name: column for name, column in named if wanted is None or name in wanted}, lines)
                at += batch.num_rows

    def raw(self, line: int) -> str:
        if self._raw is None or not 0 <= line - self._raw_from < self._raw.num_rows:
            return ""
        row = self._raw.slice(line - self._raw_from, 1).to_pylist()[0]
        return json.dumps(row, default=lambda value: value.hex() if isinstance(value, bytes) else str(value))

    def _unpacked(self) -> int:
        """Bytes of the columns once they are unpacked, as far as the file says."""
        file = self._file()
        groups = range(file.metadata.num_row_groups) if self._is_parquet else ()
        return sum(file.metadata.row_group(number).total_byte_size for number in groups)

    def _batches(self) -> Iterator[pa.RecordBatch]:
        file = self._file()
        if self._is_parquet:
            yield from file.iter_batches(batch_size=_BATCH_ROWS, use_threads=False)
            return
        for number in range(file.num_record_batches):
            batch = file.get_batch(number)
            for begin in range(0, batch.num_rows, _BATCH_ROWS):
                yield batch.slice(begin, _BATCH_ROWS)

    def _file(self) -> pq.ParquetFile | ipc.RecordBatchFileReader:
        if self._content.data is None and self._content.part.member is not None:
            raise InputError(
                f"{self._content.part.name} is too large to read inside its archive; unpack it first", field="file"
            )
        whole = self._content.data
        place = pa.BufferReader(whole) if whole is not None else str(self._content.part.file)
        return pq.ParquetFile(place) if self._is_parquet else ipc.open_file(place)


def _told(names: Sequence[str]) -> list[str]:
    """The columns' names; of two levels in brackets, ('Close', 'AAPL'), both together: Close AAPL."""
    pairs = [re.fullmatch(r"\('([^']*)', '([^']*)'\)", name) for name in names]
    first = {pair[1] for pair in pairs if pair}
    order = (1, 2) if "Close" in first else (2, 1)
    return [
        name if pair is None else " ".join(pair[place] for place in order)
        for name, pair in zip(names, pairs, strict=True)
    ]


def is_table(content: Content) -> bool:
    """Whether the bytes are those of a parquet or an Arrow file."""
    return content.head[:4] == b"PAR1" or content.head[:6] == b"ARROW1"
