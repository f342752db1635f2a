"""Tests that an answer that says nothing of its page is asked for once more, and what came with it counted once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ffe_core.ingestion.fetch import is_empty
from ffe_core.providers.base import Fetched, Page, Record
from tests.ingestion.fakes import HOUR, START, FakeProvider, adds_up, hours, ingester, open_times, record, records, run

TWENTIES = Page(START + 20 * HOUR, START + 30 * HOUR)


class Astray(FakeProvider):
    """Answers a page with `instead` the first times it is asked."""

    def __init__(self, instead: list[Any], times: int = 1, page: Page = TWENTIES, lacks: range = range(0)) -> None:
        super().__init__({at: row for at, row in records(hours(0, 50)).items() if at not in lacks})
        self.instead, self.times, self.page = instead, times, page

    async def fetch(self, pair: str, timeframe: str, page: Page) -> Fetched:
        answer = await super().fetch(pair, timeframe, page)
        if page == self.page and self.times:
            self.times -= 1
            return Fetched(list(self.instead))
        return answer


class WithWholeBodies(Astray):
    sends_whole_bodies = True


OUTSIDE = [record(START + 19 * HOUR), record(START + 30 * HOUR)]


@pytest.mark.parametrize(
    ("sent", "empty"),
    [
        ([], True),
        (OUTSIDE, True),
        ([*OUTSIDE, record(START + 20 * HOUR)], False),
        ([record(START + 29 * HOUR, close=None)], False),
        ([*OUTSIDE, record(0, date="not-a-time")], False),
        ([{"raw": "garbage"}], False),
    ],
)
def test_an_answer_is_empty_if_it_says_nothing_of_its_page(sent: list[Record], empty: bool):
    assert is_empty(TWENTIES, Fetched(sent), whole_bodies=False) == empty
    assert is_empty(TWENTIES, Fetched(sent), whole_bodies=True) == (not sent)
    assert not is_empty(TWENTIES, Fetched(sent, covers_from=TWENTIES.end), whole_bodies=False)


@pytest.mark.parametrize("mode", ["resume", "refetch"])
def test_a_page_answered_with_bars_of_another_is_asked_for_once_more(tmp_path: Path, mode: Any):
    provider = Astray(OUTSIDE)
    report = run(tmp_path, provider, START, START + 50 * HOUR, mode=mode)
    assert open_times(tmp_path) == list(hours(0, 50))
    assert (report.counts.received, report.counts.outside, report.completeness.unexplained) == (50, 2, 0)
    assert (provider.asked.count(TWENTIES), len(provider.asked)) == (2, 6)
    assert adds_up(report)


def test_one_that_stays_astray_is_believed_and_its_records_are_counted_once(tmp_path: Path):
    provider = Astray(OUTSIDE, times=9)
    report = run(tmp_path, provider, START, START + 50 * HOUR)
    assert (report.counts.received, report.counts.outside, report.completeness.unexplained) == (40, 2, 10)
    assert (provider.asked.count(TWENTIES), len(provider.asked)) == (2, 6)
    assert (report.status, adds_up(report)) == ("success", True)


def test_an_empty_page_before_one_that_went_astray_is_asked_for_once_more(tmp_path: Path):
    provider = Astray(OUTSIDE)
    provider.empty_once = {START + 15 * HOUR}
    run(tmp_path, provider, START, START + 50 * HOUR)
    assert open_times(tmp_path) == list(hours(0, 50))
    assert len(provider.asked) == 7


def test_a_page_of_unreadable_times_is_answered_and_its_records_are_dead_letters(tmp_path: Path):
    provider = Astray([record(START + 20 * HOUR, date="not-a-time")])
    report = run(tmp_path, provider, START, START + 50 * HOUR)
    assert (report.counts.dead_lettered, report.counts.stored, adds_up(report)) == (1, 40, True)
    assert provider.asked.count(TWENTIES) == 1


def test_a_provider_that_sends_whole_bodies_is_not_asked_again(tmp_path: Path):
    provider = WithWholeBodies(OUTSIDE)
    report = run(tmp_path, provider, START, START + 50 * HOUR)
    assert (provider.asked.count(TWENTIES), report.counts.outside) == (1, 2)


def test_what_was_astray_both_times_was_asked_for_twice_in_vain(tmp_path: Path):
    single, lacks = ingester(tmp_path), hours(20, 30)
    run(single, Astray([], lacks=lacks, times=0), START, START + 20 * HOUR)
    report = run(single, Astray(OUTSIDE, times=9, lacks=lacks), START, START + 50 * HOUR, mode="gaps")
    assert report.completeness.missing == [(TWENTIES.start, TWENTIES.end)]
    assert single.stores.acknowledged.asked_twice(report.series).tolist() == [[TWENTIES.start, TWENTIES.end]]
