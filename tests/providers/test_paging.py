"""Tests that pages are planned lazily, cover what is asked once and in order, and cost nothing until they are asked."""

from __future__ import annotations

import time
import tracemalloc
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffe_core.providers.paging import Page, Pages, joined_windows, windows
from ffe_core.providers.simulated import SimulatedProvider
from tests.providers.contract import CASES, NOW, settings

YEAR_1 = -62_135_596_800
GAPS = st.lists(st.integers(-400, 400), max_size=20, unique=True).map(sorted)


def eager(ranges: list[tuple[int, int]], step: int, size: int) -> list[Page]:
    """The same pages the plain way: a range goes on in the last page as long as that has room."""
    pages: list[Page] = []
    for start, end in ranges:
        if pages and start < (room := pages[-1].start + step * size):
            pages[-1] = Page(pages[-1].start, max(pages[-1].end, min(end, room)))
            start = room
        pages += [Page(at, min(at + step * size, end)) for at in range(start, end, step * size)]
    return pages


@given(edges=GAPS, step=st.integers(1, 7), size=st.integers(1, 9))
def test_joined_windows_are_those_of_the_plain_way(edges: list[int], step: int, size: int) -> None:
    ranges = [(start * step, end * step) for start, end in zip(edges[::2], edges[1::2], strict=False)]
    pages, plain = joined_windows(ranges, step, size), eager(ranges, step, size)
    assert pages == plain
    assert list(reversed(pages)) == plain[::-1]
    assert [pages[at] for at in range(-len(plain), len(plain))] == plain * 2
    assert pages[1:3] == plain[1:3]


def test_a_page_outside_of_the_plan_is_an_error() -> None:
    pages = windows(0, 600, 60, 5)
    with pytest.raises(IndexError, match="page 2 of 2"):
        pages[2]
    assert pages != [Page(0, 300)]
    assert (pages == 7, repr(pages)) == (False, "<2 pages of 300 s in [(0, 600)]>")


@pytest.mark.parametrize("case", [case for case in CASES if case.name != "alpha_vantage"], ids=lambda case: case.name)
@pytest.mark.parametrize("how", ["pages", "gap_pages"])
def test_minutes_since_year_1_are_planned_at_no_cost(case, how: str, tmp_path: Path) -> None:
    provider = case.provider("http://127.0.0.1:1", settings(tmp_path))
    asked = (YEAR_1, NOW) if how == "pages" else ([(YEAR_1, 0), (1, NOW)],)
    tracemalloc.start()
    began = time.perf_counter()
    pages = getattr(provider, how)(case.pair, "1m", *asked)
    first, last = pages[0], next(iter(reversed(pages)))
    took, (_, peak) = time.perf_counter() - began, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (first.start, last.end) == (YEAR_1, NOW - NOW % 60 + 60)
    assert len(pages) > 200_000
    assert peak < 100_000
    assert took < 0.5


def test_the_simulated_market_plans_lazily_too(tmp_path: Path) -> None:
    pages = SimulatedProvider(config=settings(tmp_path)).pages("BTCUSD", "1m", YEAR_1, NOW)
    assert isinstance(pages, Pages)
    assert all(before.end == after.start for before, after in pairwise(pages[:3]))
