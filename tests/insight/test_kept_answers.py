"""Is an answer kept only as long as nothing changes that it hangs on, whoever changes it?"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ffe_core.ingestion.batch_data_ingester import BatchDataIngester
from ffe_core.insight.answers import Answers
from ffe_core.insight.coverage import Coverage
from ffe_core.insight.overview import Overviews
from ffe_core.series import Series
from ffe_core.storage.state.acknowledged_gaps import NO_TRADES
from ffe_core.storage.state.runs import COMPLETE, FAILED, RUNNING, NewRun, RunStore
from tests.ingestion.fakes import BTC, HOUR, START, ingester, record
from tests.insight.test_coverage import DAY, put

pytestmark = pytest.mark.both_states
ETH = Series("ETHUSD", "1h", "coinbase")
NOW = START + 100 * HOUR


def dead_letter(folder: Path) -> None:
    single = ingester(folder)
    single.dlq.save(
        [record(START + 5 * HOUR)], "bad", {"asset_pair": "BTCUSD", "timeframe": "1h", "provider": "coinbase"}
    )


def more(folder: Path) -> None:
    put(folder, BTC, [START + 20 * HOUR])


def mark(folder: Path) -> None:
    gap = (START + 5 * HOUR, START + 6 * HOUR, 1)
    ingester(folder).stores.acknowledged.add(BTC, [gap], NO_TRADES, "", "ann")


class Number(int):
    def is_as(self, before: Number) -> bool:
        return self == before


def filled(folder: Path) -> BatchDataIngester:
    put(folder, BTC, [START + hour * HOUR for hour in (0, 1, 2, 3, 7, 8)])
    return ingester(folder)


def test_an_answer_is_worked_out_once_for_each_question_and_grounds() -> None:
    answers, asked = Answers[Number, str](2), []

    def ask(question: str, grounds: int) -> str:
        def work() -> str:
            asked.append(question)
            return question.upper()

        return answers.get(question, Number(grounds), work)

    assert [ask("a", 1), ask("a", 1), ask("b", 1), ask("a", 2)] == ["A", "A", "B", "A"]
    assert asked == ["a", "b", "a"]
    ask("c", 1)  # b goes: it is the one that nobody asked for longest
    ask("a", 2)
    ask("b", 1)
    assert asked == ["a", "b", "a", "c", "b"]


def test_the_same_question_gets_the_very_same_coverage(tmp_path: Path) -> None:
    coverage = Coverage(filled(tmp_path).stores)
    assert coverage.of([BTC], now=NOW) is coverage.of([BTC], now=NOW + 59 - NOW % 60)
    assert coverage.of([BTC], START, now=NOW) is not coverage.of([BTC], now=NOW)


@pytest.mark.parametrize("change", [more, dead_letter, mark])
def test_what_another_process_changes_is_in_the_next_coverage(tmp_path: Path, change: Callable[[Path], None]) -> None:
    coverage = Coverage(filled(tmp_path).stores)
    before = coverage.of([BTC], START, NOW, now=NOW)
    change(tmp_path)
    after = coverage.of([BTC], START, NOW, now=NOW)
    fresh = Coverage(ingester(tmp_path).stores).of([BTC], START, NOW, now=NOW)
    assert after[0].counts == fresh[0].counts != before[0].counts
    assert after.counts == fresh.counts
    assert after.largest_gaps == fresh.largest_gaps


def test_a_bar_that_closes_is_expected_from_that_minute_on(tmp_path: Path) -> None:
    single = filled(tmp_path)
    coverage, grace = Coverage(single.stores), single.settings.close_grace_seconds
    closes = START + 10 * HOUR + grace
    expected = [coverage.of([BTC], START, NOW, now=now).counts["expected"] for now in (closes - 1, closes, closes + 1)]
    assert expected == [9, 10, 10]


def test_what_is_learned_of_a_series_is_in_the_next_coverage(tmp_path: Path) -> None:
    stores = filled(tmp_path).stores
    coverage = Coverage(stores)
    assert coverage.of([BTC], START - DAY, now=NOW).counts["expected"] == 33
    stores.instruments.learn(BTC, first_bar=START)
    assert coverage.of([BTC], START - DAY, now=NOW).counts["expected"] == 9


def test_a_new_series_is_known_at_once(tmp_path: Path) -> None:
    coverage = Coverage(filled(tmp_path).stores)
    assert coverage.series() == [BTC]
    put(tmp_path, ETH, [START])
    assert coverage.series() == [BTC, ETH]


def test_an_overview_is_drawn_up_anew_where_something_changed(tmp_path: Path) -> None:
    stores = filled(tmp_path).stores
    runs = RunStore(stores.database)
    overviews = Overviews(Coverage(stores), stores.watermarks, runs, stores.settings)
    first = overviews.now()
    assert (first.stored, first.unexplained) == (6, 3)
    more(tmp_path)
    assert (overviews.now().stored, overviews.now().unexplained) == (7, 14)
    run = runs.add(NewRun("backfill", "coinbase", "resume", START, NOW, [BTC], "ann", "console", "1"))
    runs.update_series(run, {0: {"state": FAILED}})
    runs.update(run, state=FAILED, ended_at=1.0)
    assert [row.last_state for row in overviews.now().rows] == [FAILED]


def test_the_last_run_of_a_series_is_the_newest_whether_it_has_ended_or_not(tmp_path: Path) -> None:
    runs = RunStore(ingester(tmp_path).stores.database)

    def add(state: str, series: Series, kind: str = "backfill") -> int:
        run = runs.add(NewRun(kind, "coinbase", "resume", START, NOW, [series], "ann", "console", "1"))
        runs.update_series(run, {0: {"state": state}})
        runs.update(run, state=state, ended_at=None if state == RUNNING else 1.0 + run)
        return run

    def last() -> dict[Series, tuple[int, str]]:
        return {series: (row.run_id, row.state) for series, row in runs.last_of_series().items()}

    first = add(COMPLETE, BTC)
    assert last() == {BTC: (first, COMPLETE)}
    assert runs.last_of_series() is runs.last_of_series()
    slow, eth = add(RUNNING, BTC), add(RUNNING, ETH)
    assert last() == {BTC: (slow, RUNNING), ETH: (eth, RUNNING)}
    quick = add(FAILED, BTC)
    add(COMPLETE, BTC, "check")
    assert last() == {BTC: (quick, FAILED), ETH: (eth, RUNNING)}
    runs.update_series(eth, {0: {"state": COMPLETE}})
    runs.update(eth, state=COMPLETE, ended_at=9.0)
    assert last()[ETH] == (eth, COMPLETE)
