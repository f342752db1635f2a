"""Fetch planner: chooses the spans of a series to fetch, given what was read before, and their direction.

Resume never leaves a gap and never ignores the question: newer bars are fetched from the one after the watermark, so
nothing between is skipped; earlier ones from the asked start up to the low mark, newest first, so a crash leaves none.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from ffe_core.errors import InputError
from ffe_core.providers.base import Page, Provider
from ffe_core.series import Series, Watermarks
from ffe_core.timeframes import ceil

Mode = Literal["resume", "gaps", "refetch"]
Advances = Literal["watermark", "low", "nothing"]


@dataclass(frozen=True, slots=True)
class Span:
    """Opens in [start, end) to fetch, epoch seconds; `advances` names the mark that follows what is committed.

    `parts` are the ranges that are wanted of it, ascending, if not all.
    """

    start: int
    end: int
    advances: Advances
    parts: tuple[tuple[int, int], ...] = ()

    @property
    def wanted(self) -> tuple[tuple[int, int], ...]:
        """The ranges to ask for."""
        return self.parts or ((self.start, self.end),)

    def pages(self, provider: Provider, series: Series) -> Sequence[Page]:
        """The requests that fetch it, oldest first: for parts as few as the provider can answer them with."""
        if self.parts:
            return provider.gap_pages(series.asset_pair, series.timeframe, self.parts)
        return provider.pages(series.asset_pair, series.timeframe, self.start, self.end)

    @property
    def newest_first(self) -> bool:
        """History is prepended from the low mark backwards."""
        return self.advances == "low"

    @property
    def confirm_empty(self) -> bool:
        """Whether an empty page is asked for once more at once: data is known to lie after it."""
        return self.newest_first or self.advances == "nothing"


def check_mode(mode: str) -> Mode:
    """The mode, or InputError listing those there are."""
    if mode not in get_args(Mode):
        raise InputError(
            f"{mode!r} is unknown; use one of {', '.join(get_args(Mode))} (for example 'resume')", field="mode"
        )
    return mode  # type: ignore[return-value]


def on_grid(series: Series, start: int, end: int) -> tuple[int, int]:
    """The range narrowed to instants at which a bar of the series may open."""
    return ceil(start, series.grid), ceil(end, series.grid)


def spans(
    mode: Mode,
    marks: Watermarks,
    start: int,
    end: int,
    grid: int,
    missing: Iterable[tuple[int, int]] = (),
    young: int | None = None,
) -> list[Span]:
    """What a mode asks for of [start, end): `marks` say how far the series was read, `missing` which ranges of bars
    [first open, last open + step) it lacks, which only mode "gaps" looks at; `young` is for resume."""
    if mode == "refetch":
        return refetch(start, end)
    return gaps(missing) if mode == "gaps" else resume(marks, start, end, grid, young)


def resume(marks: Watermarks, start: int, end: int, grid: int, young: int | None = None) -> list[Span]:
    """Spans that extend what was read to cover [start, end): newer bars first, then history.

    `young` is the open of the first bar that was read so soon after its close that it is read again.

    Bars open at multiples of `grid` seconds, hourly ones of shares on the half hour too: the next may lie nearer than
    a timeframe away.
    """
    if marks.watermark is None or marks.low is None:
        return [Span(start, end, "watermark")] if start < end else []
    after = marks.watermark + grid
    newer = Span(after if young is None else min(young, after), end, "watermark")
    older = Span(start, marks.low, "low")
    return [span for span in (newer, older) if span.start < span.end]


def refetch(start: int, end: int) -> list[Span]:
    """Everything again."""
    return [Span(start, end, "nothing")] if start < end else []


def gaps(missing: Iterable[tuple[int, int]]) -> list[Span]:
    """Only the missing ranges [first open, last open + step)."""
    parts = tuple(sorted(missing))
    return [Span(parts[0][0], parts[-1][1], "nothing", parts)] if parts else []
