"""Tests that gaps that share a request come in whole, and that what lies between them stays as it is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ffe_core.ingestion import plan
from ffe_core.providers.base import Fetched, Page, joined_windows
from tests.ingestion.fakes import (
    BTC,
    HOUR,
    START,
    FakeProvider,
    adds_up,
    hours,
    ingester,
    open_times,
    record,
    records,
    run,
    stored,
)

END = START + 60 * HOUR
LOST = (3, 5, 6, 12, 40)
"""Hours that the first run does not get: with ten bars a request the first three gaps fit into one."""
PAGES = [Page(START + 3 * HOUR, START + 13 * HOUR), Page(START + 40 * HOUR, START + 41 * HOUR)]


class Joining(FakeProvider):
    """Lets neighbouring gaps share a request, as providers that answer windows do."""

    def gap_pages(self, pair: str, timeframe: str, gaps: Sequence[tuple[int, int]]) -> Sequence[Page]:
        return joined_windows(gaps, HOUR, 10)


def lacking(*lost: int) -> Joining:
    return Joining(records(START + n * HOUR for n in range(60) if n not in lost))


def ranges(*lost: int) -> list[list[int]]:
    return [[START + n * HOUR, START + (n + 1) * HOUR] for n in lost]


def test_what_lies_between_the_gaps_is_left_alone(tmp_path: Path):
    run(tmp_path, lacking(*LOST), START, END)
    provider = lacking()
    report = run(tmp_path, provider, START, END, mode="gaps")
    assert open_times(tmp_path) == list(hours(0, 60))
    assert (provider.asked, report.pages_planned, report.pages_done) == (PAGES, 2, 2)
    counts = report.counts
    assert (counts.received, counts.stored, counts.duplicates, counts.outside, counts.restated) == (5, 5, 0, 6, 0)
    assert adds_up(report)


def test_a_bar_between_two_gaps_that_was_corrected_by_hand_keeps_its_correction(tmp_path: Path):
    corrected = lacking(*LOST)
    corrected.held[START + 4 * HOUR] = record(START + 4 * HOUR, 500.0)
    run(tmp_path, corrected, START, END)
    provider = lacking()
    provider.held[START + 8 * HOUR]["high"] = "not a number"
    report = run(tmp_path, provider, START, END, mode="gaps")
    assert (report.counts.stored, report.counts.restated, report.counts.dead_lettered) == (5, 0, 0)
    assert stored(tmp_path)["close"].to_pylist()[4] == 501.0


def test_the_plan_counts_the_requests_and_the_bars_that_are_missing(tmp_path: Path):
    report = run(tmp_path, lacking(*LOST), START, END)
    (span,) = plan.gaps(report.completeness.missing)
    assert span.pages(lacking(), BTC) == PAGES
    assert sum(end - start for start, end in span.wanted) == len(LOST) * HOUR


def test_a_gap_between_bars_that_came_was_asked_for_once_and_a_page_of_nothing_twice(tmp_path: Path):
    """The first run stores what lies around the gaps without asking for them."""
    single = ingester(tmp_path)
    for start, end in ((0, 3), (7, 40), (41, 60)):
        run(single, lacking(), START + start * HOUR, START + end * HOUR, mode="refetch")
    provider = lacking(3, 4, 5, 6, 40)
    report = run(single, provider, START, END, mode="gaps")
    assert (report.status, report.reason) == ("no_data", "provider_empty")
    assert single.stores.acknowledged.asked_twice(BTC).tolist() == [
        *[[START + 3 * HOUR, START + 7 * HOUR]],
        *ranges(40),
    ]
    assert [provider.asked.count(page) for page in provider.asked] == [2, 2, 2, 2]


def test_gaps_that_stay_are_asked_for_once_a_run_if_bars_between_them_come(tmp_path: Path):
    single = ingester(tmp_path)
    for start, end in ((0, 3), (4, 8), (9, 60)):
        run(single, lacking(), START + start * HOUR, START + end * HOUR, mode="refetch")
    for turn in (1, 2):
        provider = lacking(3, 8)
        report = run(single, provider, START, END, mode="gaps")
        assert (report.status, report.reason, report.counts.outside) == ("no_data", "provider_empty", 4)
        assert provider.asked == [Page(START + 3 * HOUR, START + 9 * HOUR)]
        assert single.stores.acknowledged.asked_twice(BTC).tolist() == (ranges(3, 8) if turn == 2 else [])


def test_what_merely_came_along_was_not_asked_for(tmp_path: Path):
    """A gap between two gaps was explained: that the page lacks it, too, is no answer to it."""
    single = ingester(tmp_path)
    run(single, lacking(3, 5, 7), START, END)
    run(single, lacking(3, 5, 7), START, END, mode="refetch")
    assert single.stores.acknowledged.asked_twice(BTC).tolist() == ranges(3, 5, 7)
    single.stores.acknowledged.add(BTC, [(START + 5 * HOUR, START + 6 * HOUR, 1)], "no trades", "", "ann")
    report = run(single, lacking(5), START, END, mode="gaps")
    assert report.completeness.unexplained == 0
    assert single.stores.acknowledged.asked_twice(BTC).tolist() == ranges(5)


def test_a_joined_page_that_came_back_empty_is_asked_for_once_more(tmp_path: Path):
    class Quiet(Joining):
        quiet = True

        async def fetch(self, pair: str, timeframe: str, page: Page) -> Fetched:
            answer = await super().fetch(pair, timeframe, page)
            if page == PAGES[0] and self.quiet:
                self.quiet = False
                return Fetched()
            return answer

    run(tmp_path, lacking(*LOST), START, END)
    provider = Quiet(records(hours(0, 60)))
    run(tmp_path, provider, START, END, mode="gaps")
    assert open_times(tmp_path) == list(hours(0, 60))
    assert provider.asked.count(PAGES[0]) == 2
