"""Tests that the first bar is found in a few requests, whatever pauses and errors a product has."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ffe_core.errors import RetriableError
from ffe_core.ingestion.first_bar import OutOfRequests, Pages, distances, most
from ffe_core.providers.base import Fetched, Page
from tests.ingestion.fakes import record

SIZE = 100


class Book:
    """Pages of which some have bars; counts what is asked."""

    def __init__(self, count: int, traded: list[tuple[int, int]]) -> None:
        self.pages = [Page(at * SIZE, (at + 1) * SIZE) for at in range(count)]
        self.traded = {at for first, last in traded for at in range(first, last)}
        self.asked: list[int] = []
        self.falsely_empty: set[int] = set()
        self.fails: set[int] = set()

    async def fetch(self, page: Page) -> Fetched:
        at = page.start // SIZE
        self.asked.append(at)
        if at in self.fails:
            raise RetriableError("down")
        if at in self.falsely_empty:
            self.falsely_empty.discard(at)
            return Fetched()
        return Fetched([record(page.start + 60)] if at in self.traded else [])

    def find(self, near: tuple[int, ...] = ()) -> int | None:
        return asyncio.run(Pages(self.pages, self.fetch).first_with_bars(near))


@given(st.integers(1, 50_000), st.data())
def test_a_listing_without_a_pause_is_found_exactly_and_in_few_requests(count: int, data: st.DataObject) -> None:
    first = data.draw(st.integers(0, count - 1))
    book = Book(count, [(first, count)])
    assert book.find() == first
    assert len(book.asked) <= min(count + 1, 2 * count.bit_length() + 6)


@given(st.integers(1, 20_000), st.data())
@example(4_000, None)
def test_a_stretch_as_long_as_the_pause_after_it_is_found(count: int, data: st.DataObject | None) -> None:
    if data is None:
        first, pause = 1_000, 900
    else:
        first = data.draw(st.integers(0, count - 1))
        pause = data.draw(st.integers(0, max(0, (count - 1 - first) // 2 - 1)))
    book = Book(count, [(first, first + pause + 1), (first + 2 * pause + 1, count)])
    assert book.find() == first
    assert len(book.asked) <= most(count)


@given(st.integers(1, 400), st.lists(st.tuples(st.integers(0, 400), st.integers(1, 80)), max_size=6))
def test_whatever_the_history_a_page_with_bars_is_found_or_nothing_is_claimed(
    count: int, stretches: list[tuple[int, int]]
) -> None:
    book = Book(count, [(first, min(count, first + length)) for first, length in stretches if first < count])
    try:
        found = book.find()
    except OutOfRequests:
        found = None
    else:
        assert (found is None) == (not book.traded)
    assert found is None or found in book.traded
    assert len(book.asked) <= most(count)


def test_xrp_at_coinbase_is_found_before_its_pause() -> None:
    """Days: listed on 2019-02-26, out from 2021-01-19 to 2023-07-13; 300 days a page from 2015 to 2026."""
    book = Book(15, [(5, 8), (10, 15)])
    assert book.find() == 5
    assert len(book.asked) <= 12


def test_a_product_that_is_paused_now_is_found_too() -> None:
    assert Book(2_000, [(700, 1_500)]).find() == 700


def test_an_error_is_never_taken_for_emptiness() -> None:
    book = Book(1_000, [(200, 1_000)])
    book.fails = set(range(1_000)) - {999}
    with pytest.raises(RetriableError):
        book.find()


def test_a_page_that_came_back_empty_once_before_the_first_is_asked_again() -> None:
    book = Book(1_000, [(200, 1_000)])
    book.find()
    for falsely_empty in {at for at in book.asked if at >= 200}:
        again = Book(1_000, [(200, 1_000)])
        again.falsely_empty = {falsely_empty}
        assert again.find() == 200


def test_near_pages_are_asked_first() -> None:
    book = Book(20_000, [(12_345, 20_000)])
    assert book.find(near=(12_343, 12_344, 12_345, 12_346)) == 12_345
    assert book.asked[:3] == [12_343, 12_344, 12_345]
    assert len(book.asked) <= 3 + 15


@given(st.integers(0, 100_000))
def test_distances_end_with_the_oldest_page(pages: int) -> None:
    found = list(distances(pages))
    assert found == sorted(set(found))
    assert found[-1:] == ([pages] if pages else [])
    assert len(found) <= 2 * pages.bit_length()


def test_a_page_that_the_provider_does_not_reach_has_no_bars() -> None:
    async def fetch(page: Page) -> Fetched:
        records = [record(page.start + 60)] if page.start >= 3 * SIZE else []
        return Fetched(records, covers_from=page.end if page.start == 0 else None)

    pages = [Page(at * SIZE, (at + 1) * SIZE) for at in range(6)]
    assert asyncio.run(Pages(pages, fetch).first_with_bars()) == 3


def test_where_the_first_day_is_known_no_stretch_before_a_pause_is_looked_for() -> None:
    book = Book(300, [(40, 300)])
    found = asyncio.run(Pages(book.pages, book.fetch, from_first_day=True).first_with_bars([0]))
    assert (found, len(book.asked)) == (40, len(set(book.asked)))
    assert len(book.asked) <= 2 + (300).bit_length()
