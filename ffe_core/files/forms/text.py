"""Text in columns: delimiter and header are found out, lines read in blocks, and each row keeps its line."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

from ffe_core.errors import InputError
from ffe_core.files.forms.base import Block
from ffe_core.files.names import looks_like_header
from ffe_core.files.opening import Content
from ffe_core.files.profile import Profile

_DELIMITERS = (",", ";", "\t", "|")
_BLOCK_BYTES = 8 * 2**20
_HEAD_LINES = 200


@dataclass(frozen=True, slots=True)
class TextForm:
    """How the text is cut into rows."""

    delimiter: str
    names: tuple[str, ...]
    has_header: bool
    skipped: int
    """Lines before the first row, the header among them."""
    encoding: str
    is_named: bool = True
    """Whether the columns have names, of a header or a profile."""


def head_lines(content: Content, most: int = _HEAD_LINES) -> list[str]:
    """The first lines of the text."""
    text = content.head.decode(encoding_of(content), errors="replace").removeprefix("\ufeff")
    lines = text.splitlines()
    if content.size > len(content.head):
        lines = lines[:-1]
    return lines[:most]


def encoding_of(content: Content) -> str:
    """UTF-16 and UTF-8 by their marks, else UTF-8 where it reads as such, else Windows-1252."""
    if content.head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    try:
        content.head[: content.head.rfind(b"\n") + 1].decode("utf-8")
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8"


def text_form(content: Content, profile: Profile) -> TextForm:
    """Delimiter, header and names, as the profile says them or as the first lines tell."""
    lines = head_lines(content)
    delimiter = profile.delimiter or _delimiter(lines)
    skip = profile.skip_lines if profile.skip_lines or profile.header is False else _lines_before(lines, delimiter)
    lines = lines[skip:]
    cells = [next(csv.reader([line], delimiter=delimiter), []) for line in lines[:50]]
    if profile.header_joined and len(cells) > profile.header_lines - 1:
        cells[0] = joined_names(cells[0], cells[1], cells[2])
    first = cells[0] if cells else []
    has_header = looks_like_header(first) if profile.header is None else profile.header
    named = has_header or bool(profile.columns)
    width = _width(cells[profile.header_lines if has_header else 0 :]) or len(first)
    given = first if has_header else profile.columns or [f"column {number}" for number in range(1, width + 1)]
    names = _distinct([*given, *[""] * max(0, width - len(given))] if given and width == len(given) + 1 else given)
    if not has_header and profile.columns and len(names) != width:
        names = _distinct([*names[:width], *(f"column {number}" for number in range(len(names) + 1, width + 1))])
    skipped = skip + (profile.header_lines if has_header else 0)
    return TextForm(delimiter, tuple(names), has_header, skipped, encoding_of(content), named)


def joined_names(first: Sequence[str], second: Sequence[str], third: Sequence[str] = ()) -> list[str]:
    """Names of price and symbol together, Close AAPL, of two lines that name the one and the other, in any order."""
    prices, symbols = (second, first) if first[0] in ("Ticker", "Symbols") else (first, second)
    time = (third[0] if third else "") or "Date"
    return [time, *(f"{price} {symbol}" for price, symbol in zip(prices[1:], symbols[1:], strict=False))]


class TextSource:
    """The rows of a text."""

    unit_of_place = "line"

    def __init__(self, content: Content, form: TextForm, profile: Profile) -> None:
        self._content, self.form = content, form
        self._ignored = re.compile(profile.ignore_line) if profile.ignore_line else None
        self._may_end_anyhow = profile.ends_without_newline
        self._cursor = _Lines(self._opened)
        self._lines: list[str] = []
        self._last_is_ignored = False

    @property
    def names(self) -> Sequence[str]:
        return self.form.names

    @property
    def is_cut(self) -> bool:
        """Whether the text ends within its last row, as a download that broke off does; known once it has been read."""
        return (
            bool(self._content.size)
            and not self._may_end_anyhow
            and not self._last_is_ignored
            and b"\n" not in self._content.last
            and b"\r" not in self._content.last
        )

    def raw(self, line: int) -> str:
        if self._content.data is None:
            return self._cursor.text(line)
        if not self._lines:
            text = self._content.data.decode(self.form.encoding, errors="replace").removeprefix("\ufeff")
            self._lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        return self._lines[line - 1] if line <= len(self._lines) else ""

    def blocks(
        self, wanted: Sequence[str] | None = None, numbers: Sequence[str] = (), whole: Sequence[str] = ()
    ) -> Iterator[Block]:
        if self._content.size == 0:
            return
        kinds = {**dict.fromkeys(numbers, pa.float64()), **dict.fromkeys(whole, pa.int64())}
        done = self.form.skipped
        try:
            for block in self._read(wanted, kinds):
                yield block
                done = max([done, *block.lines[-1:].tolist(), *(line for line, _ in block.broken)])
        except pa.ArrowInvalid:  # some cell is something else: from here on every cell is looked at as text
            if not kinds:
                raise
            yield from (_after(block, done) for block in self._read(wanted, {}))

    def _read(self, wanted: Sequence[str] | None, kinds: dict[str, pa.DataType]) -> Iterator[Block]:
        broken: list[tuple[int, str]] = []

        def keep(row: pacsv.InvalidRow) -> str:
            broken.append((row.number, row.text))
            return "skip"

        names = list(self.form.names)
        cut = pacsv.ParseOptions(delimiter=self.form.delimiter, invalid_row_handler=keep, ignore_empty_lines=False)
        read = pacsv.ReadOptions(
            use_threads=False,
            # Arrow takes a block's memory whatever there is to read: of a small file no more than it holds.
            block_size=max(1, min(_BLOCK_BYTES, self._content.size + 1)),
            skip_rows=self.form.skipped,
            column_names=names,
            encoding=self.form.encoding,
        )
        convert = pacsv.ConvertOptions(
            column_types={name: kinds.get(name, pa.string()) for name in names},
            include_columns=list(wanted) if wanted is not None else None,
            null_values=[],
            strings_can_be_null=False,
            quoted_strings_can_be_null=False,
        )
        at = self.form.skipped + 1
        with self._content.stream() as stream:
            try:
                reader = pacsv.open_csv(self._bytes(stream), read, cut, convert)
            except pa.ArrowInvalid as error:
                if kinds:
                    raise
                if self._has_rows():
                    raise InputError(
                        f"{self._content.part.name} cannot be read as text in columns: its lines are no rows of cells,"
                        " or a quote in it never ends",
                        field="file",
                    ) from error
                return
            for batch in reader:
                block, at = self._numbered(batch, broken, at)
                yield block
        if broken:
            yield self._numbered(None, broken, at)[0]

    def _bytes(self, stream: IO[bytes]) -> pa.NativeFile:
        """The bytes as Arrow reads them: those in memory where they lie."""
        data = self._content.data
        return pa.PythonFile(stream, mode="r") if data is None else pa.BufferReader(data)

    def _numbered(self, batch: pa.RecordBatch | None, broken: list[tuple[int, str]], at: int) -> tuple[Block, int]:
        """The batch with the line of each row; lines that are no rows stand between them."""
        size = 0 if batch is None else batch.num_rows
        bad = np.array([number for number, _ in broken], dtype=np.int64)
        lines = np.arange(at, at + size + len(bad), dtype=np.int64)
        if len(bad):
            mine = lines[~np.isin(lines, bad)][:size]
            last = max(int(mine[-1]) if size else at - 1, int(bad.max()))
        else:
            mine, last = lines, at + size - 1
        told = [(number, text) for number, text in broken if not self._is_ignored(text)]
        self._last_is_ignored = bool(broken) and broken[-1][0] == last and (not told or told[-1][0] != last)
        broken.clear()
        columns = {} if batch is None else dict(zip(batch.schema.names, batch.columns, strict=True))
        return self._without_blank(Block(columns, mine, told)), last + 1

    def _without_blank(self, block: Block) -> Block:
        """The block without its empty lines, which Arrow reads as rows of empty cells."""
        texts = [column for column in block.columns.values() if pa.types.is_string(column.type)]
        if len(block) == 0 or len(texts) < len(block.columns):
            return block
        import pyarrow.compute as pc

        empty = np.ones(len(block), bool)
        for column in texts:
            empty &= np.asarray(pc.equal(column, ""))
        if not empty.any():
            return block
        kept = pa.array(~empty)
        return replace(
            block,
            columns={name: column.filter(kept) for name, column in block.columns.items()},
            lines=block.lines[~empty],
        )

    def _is_ignored(self, text: str) -> bool:
        return not text.strip() or bool(self._ignored and self._ignored.search(text))

    def _has_rows(self) -> bool:
        return len(head_lines(self._content)) > self.form.skipped

    def _opened(self) -> Iterator[str]:
        with self._content.stream() as stream:
            reader: IO[str] = io.TextIOWrapper(
                io.BufferedReader(_Raw(stream)), encoding=self.form.encoding, errors="replace", newline=""
            )
            for line in reader:
                yield line.rstrip("\r\n")


def _after(block: Block, line: int) -> Block:
    later = block.lines > line
    kept = pa.array(later)
    columns = {name: column.filter(kept) for name, column in block.columns.items()}
    return Block(columns, block.lines[later], [one for one in block.broken if one[0] > line])


class _Raw(io.RawIOBase):
    """Any stream of bytes as one that Python reads text from; closing it leaves the stream open."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer)  # type: ignore[arg-type]
        data = self._stream.read(len(view))
        view[: len(data)] = data
        return len(data)


class _Lines:
    """Lines by their number, asked for in ascending order as a rule; going back begins anew."""

    def __init__(self, opened: object) -> None:
        self._opened = opened
        self._at, self._text = 0, ""
        self._lines: Iterator[str] | None = None

    def text(self, line: int) -> str:
        if self._lines is None or line < self._at:
            self._lines, self._at = self._opened(), 0  # type: ignore[operator]
        while self._at < line:
            self._text = next(self._lines, "")
            self._at += 1
        return self._text


def _lines_before(lines: Sequence[str], delimiter: str) -> int:
    """Lines before the header: text and a link, say, that no row of cells is."""
    counts = [len(next(csv.reader([line], delimiter=delimiter), [])) for line in lines[:20]]
    usual = Counter(counts[2:]).most_common(1)[0][0] if counts[2:] else 0
    at = 0
    while at < min(2, len(counts)) and usual > 2 and counts[at] < usual - 2:
        at += 1
    return at


def _delimiter(lines: Sequence[str]) -> str:
    """The sign that cuts most lines into the same number of cells, of which there are several."""
    sample = [line for line in lines[:50] if line.strip()]
    if not sample:
        return ","

    def score(sign: str) -> tuple[int, int]:
        counts = Counter(len(next(csv.reader([line], delimiter=sign), [])) for line in sample)
        width, times = counts.most_common(1)[0]
        return (times if width >= 4 else 0, width)

    # A decimal comma cuts as often as a comma does: where a semicolon or a tab cuts every line, it is that.
    best = max(_DELIMITERS[1:], key=score)
    return best if score(best)[0] >= len(sample) - 1 and score(best)[0] else ","


def _width(rows: Sequence[Sequence[str]]) -> int:
    counts = Counter(len(row) for row in rows if row)
    return counts.most_common(1)[0][0] if counts else 0


def _distinct(names: Sequence[str]) -> list[str]:
    """Names that are each there once: a second `time` is `time (2)`."""
    seen: Counter[str] = Counter()
    found = []
    for place, name in enumerate(names, 1):
        bare = name.strip() or f"column {place}"
        seen[bare] += 1
        found.append(bare if seen[bare] == 1 else f"{bare} ({seen[bare]})")
    return found
