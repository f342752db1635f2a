"""JSON rows: a list of objects or of lists, or a line each, read element by element."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from typing import Any

import numpy as np
import pyarrow as pa

from ffe_core.errors import InputError
from ffe_core.files.forms.base import Block
from ffe_core.files.opening import Content
from ffe_core.files.profile import Profile

_BLOCK_ROWS = 50_000
_CHUNK = 2**20
_LONGEST = 2**20
"""Characters of one element."""


class JsonSource:
    """The rows of a JSON list, or of JSON lines."""

    def __init__(self, content: Content, profile: Profile) -> None:
        self._content = content
        self._texts: dict[int, str] = {}  # of the block that is being read
        self._is_list = content.head.lstrip()[:1] == b"["
        self.unit_of_place = "row" if self._is_list else "line"
        first = next((row for _, row, _ in self._rows() if isinstance(row, dict | list)), [])
        is_row = isinstance(first, list) or any(not isinstance(value, dict | list) for value in first.values())
        if content.head.strip() and not self._is_list and (not first or not is_row):
            raise InputError(f"{content.part.name} is no list of rows and has no row a line; give one", field="file")
        self.is_named = isinstance(first, dict) or bool(profile.columns)
        self.names: Sequence[str] = (
            list(first)
            if isinstance(first, dict)
            else list(profile.columns) or [f"column {n}" for n in range(1, len(first) + 1)]
        )

    def blocks(
        self, wanted: Sequence[str] | None = None, numbers: Sequence[str] = (), whole: Sequence[str] = ()
    ) -> Iterator[Block]:
        rows = self._rows()
        while some := list(islice(rows, _BLOCK_ROWS)):
            self._texts = {number: text for number, _, text in some}
            yield self._block(some, list(self.names if wanted is None else wanted))

    def raw(self, line: int) -> str:
        return self._texts.get(line, "")

    def _block(self, rows: list[tuple[int, Any, str]], wanted: list[str]) -> Block:
        good = [(number, self._named(row)) for number, row, _ in rows if self._fits(row)]
        columns = {name: _column([row.get(name) for _, row in good]) for name in wanted}
        broken = [(number, text) for number, row, text in rows if not self._fits(row)]
        return Block(columns, np.array([number for number, _ in good], dtype=np.int64), broken)

    def _fits(self, row: Any) -> bool:
        return isinstance(row, dict) or (isinstance(row, list) and len(row) == len(self.names))

    def _named(self, row: Any) -> dict[str, Any]:
        return row if isinstance(row, dict) else dict(zip(self.names, row, strict=True))

    def _rows(self) -> Iterator[tuple[int, Any, str]]:
        """Number, value and text of each element; a value that cannot be read is None."""
        with self._content.stream() as stream:
            decoder = codecs.getincrementaldecoder("utf-8-sig")(errors="replace")
            texts = (decoder.decode(piece) for piece in iter(lambda: stream.read(_CHUNK), b""))
            yield from self._elements(texts) if self._is_list else _lines(texts)

    def _elements(self, texts: Iterator[str]) -> Iterator[tuple[int, Any, str]]:
        buffer, number, read = "", 0, json.JSONDecoder()
        for piece in chain(texts, [""]):
            buffer += piece
            if number == 0:
                buffer = buffer.lstrip().removeprefix("[")
                number = 1
            at = 0
            while True:
                at = _skip(buffer, at)
                if at >= len(buffer) or buffer[at] == "]":
                    break
                try:
                    value, end = read.raw_decode(buffer, at)
                except ValueError:
                    if piece and len(buffer) - at < _LONGEST:
                        break
                    yield number, None, buffer[at : at + 1000]  # the list breaks off, or goes on as no list can
                    return
                if end == len(buffer) and piece:
                    break  # a number may go on
                yield number, value, buffer[at:end]
                number, at = number + 1, end
            buffer = buffer[at:]
            if len(buffer) > 2 * _LONGEST:
                raise InputError(f"{self._content.part.name} is no list of rows; give one", field="file")


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in " \t\r\n,":
        at += 1
    return at


def _lines(texts: Iterator[str]) -> Iterator[tuple[int, Any, str]]:
    rest, number = "", 0
    for piece in chain(texts, [""]):
        lines = (rest + piece).split("\n")
        rest = lines.pop() if piece else ""
        for line in lines:
            number += 1
            if line.strip():
                try:
                    yield number, json.loads(line), line
                except ValueError:
                    yield number, None, line


def _column(values: list[Any]) -> pa.Array:
    """The values in Arrow's type where they have one, else as text."""
    try:
        return pa.array(values)
    except (pa.ArrowException, OverflowError, TypeError, ValueError):
        return pa.array(
            [None if value is None else value if isinstance(value, str) else json.dumps(value) for value in values],
            pa.string(),
        )
