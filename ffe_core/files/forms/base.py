"""Sources of rows: what every form of file is read as, block by block."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Ints = npt.NDArray[np.int64]


@dataclass(slots=True)
class Block:
    """Some rows of a file as columns, as they stand there: text, or the file's own types."""

    columns: dict[str, pa.Array]
    lines: Ints
    """The line of each row; the number of the row where a form has no lines. Both count from 1."""
    broken: list[tuple[int, str]] = field(default_factory=list)
    """Lines that are no rows, with their text."""

    def __len__(self) -> int:
        return len(self.lines)


class Source(Protocol):
    """The rows of one part."""

    @property
    def names(self) -> Sequence[str]:
        """The columns, in their order."""
        ...

    @property
    def unit_of_place(self) -> str:
        """What a place is called: line or row."""
        ...

    def blocks(
        self, wanted: Sequence[str] | None = None, numbers: Sequence[str] = (), whole: Sequence[str] = ()
    ) -> Iterator[Block]:
        """The rows in their order: all columns, or those wanted. `numbers` hold decimals and `whole` integers as a
        rule: a form of text reads such columns at once as what they are where every row is so."""
        ...

    def raw(self, line: int) -> str:
        """The text of one row; of ascending lines one after the other."""
        ...
