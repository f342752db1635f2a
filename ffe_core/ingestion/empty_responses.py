"""Record of empty responses: tells which missing bars a provider was asked for, once or twice."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from ffe_core.intervals import Times, intersect, minus, ranges, union
from ffe_core.providers.base import Fetched, Page


@dataclass(slots=True)
class EmptyResponses:
    """The pages of one run that were answered, as ranges: asked for once, or twice because the first came back empty.

    What a provider says it cannot reach back to was not answered, and what merely came along was not asked for.
    """

    _wanted: list[tuple[int, int]] = field(default_factory=list)
    _once: list[tuple[int, int]] = field(default_factory=list)
    _twice: list[tuple[int, int]] = field(default_factory=list)

    def expect(self, ranges: Iterable[tuple[int, int]]) -> None:
        """Note what the pages that follow are asked for."""
        self._wanted += ranges

    def add(self, page: Page, answer: Fetched, *, twice: bool) -> None:
        """Count a page; `twice` says that it came back empty, and again when it was asked for once more."""
        start = min(max(page.start, answer.covers_from or page.start), page.end)
        (self._twice if twice else self._once).append((start, page.end))

    def among(self, missing: list[tuple[int, int]]) -> tuple[Times, Times, Times]:
        """Of the missing ranges what was asked for once and what twice, and what was asked for and is not missing."""
        gaps, wanted, once, twice = (union(ranges(pairs)) for pairs in (missing, self._wanted, self._once, self._twice))
        once, twice = intersect(wanted, once), intersect(wanted, twice)
        return intersect(gaps, once), intersect(gaps, twice), minus(union(once, twice), gaps)
