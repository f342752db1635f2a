"""Page plans: cut ranges into requests, lazily, so that two thousand years of minutes cost no memory."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain
from typing import overload

from ffe_core.timeframes import ceil


@dataclass(frozen=True, slots=True)
class Page:
    """One request: the bars that open in [start, end), epoch seconds."""

    start: int
    end: int


class Pages(Sequence[Page]):
    """Stretches [start, end) cut into pages of `size` seconds, made when they are looked at; the last may be shorter.

    Equal to any sequence of the same pages.
    """

    def __init__(self, stretches: Sequence[tuple[int, int]], size: int) -> None:
        """`stretches` are ascending and apart, none of them empty."""
        self._stretches = tuple(stretches)
        self._size = size
        self._counts = [-(-(end - start) // size) for start, end in self._stretches]
        self._until = list(accumulate(self._counts))

    def __len__(self) -> int:
        return self._until[-1] if self._until else 0

    @overload
    def __getitem__(self, place: int) -> Page: ...
    @overload
    def __getitem__(self, place: slice) -> list[Page]: ...
    def __getitem__(self, place: int | slice) -> Page | list[Page]:
        if isinstance(place, slice):
            return [self[at] for at in range(*place.indices(len(self)))]
        place += len(self) if place < 0 else 0
        if not 0 <= place < len(self):
            raise IndexError(f"page {place} of {len(self)}")
        stretch = bisect_right(self._until, place)
        return self._page(stretch, place - self._until[stretch] + self._counts[stretch])

    def __iter__(self) -> Iterator[Page]:
        stretches = range(len(self._stretches))
        return chain.from_iterable((self._page(n, at) for at in range(self._counts[n])) for n in stretches)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(mine == theirs for mine, theirs in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<{len(self)} pages of {self._size} s in {list(self._stretches[:3])}>"

    def _page(self, stretch: int, place: int) -> Page:
        start, end = self._stretches[stretch]
        at = start + place * self._size
        return Page(at, min(at + self._size, end))


def windows(start: int, end: int, step: int, size: int) -> Pages:
    """The bars of the UTC grid that open in [start, end), cut into pages of at most `size` bars of `step` seconds."""
    return joined_windows([(start, end)], step, size)


def joined_windows(ranges: Sequence[tuple[int, int]], step: int, size: int) -> Pages:
    """The same for several ranges, ascending and apart: neighbours share a page as long as it holds them."""
    length, stretches = step * size, list[tuple[int, int]]()
    for first, last in ((ceil(start, step), ceil(end, step)) for start, end in ranges):
        begin, end = stretches[-1] if stretches else (first, first)
        if first < begin + ceil(end - begin, length):  # its last page has room
            stretches[-1] = (begin, max(end, last))
        elif first < last:
            stretches.append((first, last))
    return Pages(stretches, length)
