"""Is an answer kept only as long as nothing changes that it hangs on, whoever changes it?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from ffe_core.ingestion.batch_data_ingester import BatchDataIngester
from ffe_core.insight.answers import Answers
from ffe_core.insight.coverage import Coverage
from ffe_core.insight.known import KnownSeries
from ffe_core.insight.overview import Overviews
from ffe_core.series import Series
from ffe_core.storage.state.acknowledged_gaps import NO_TRADES
from ffe_core.storage.state.database import Database
from ffe_core.storage.state.runs import COMPLETE, FAILED, RUNNING, NewRun, RunStore, run_series
from ffe_core.storage.state.runs import runs as run_rows
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


@contextmanager
def counted(database: Database, asked: list[str]) -> Iterator[None]:
    def note(_: Any, __: Any, statement: str, *___: Any) -> None:
        asked.append(" ".join(statement.split()))

    sa.event.listen(database._engine, "before_cursor_execute", note)
    try:
        yield
    finally:
        sa.event.remove(database._engine, "before_cursor_execute", note)


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
    assert list(coverage.series()) == [BTC]
    assert coverage.series() is coverage.series()
    put(tmp_path, ETH, [START])
    assert list(coverage.series()) == [BTC, ETH]


def test_the_series_of_a_provider_and_a_timeframe_are_sorted_out_once() -> None:
    daily, other = Series("BTCUSD", "1d", "coinbase"), Series("EURUSD", "1h", "oanda")
    known = KnownSeries([daily, BTC, ETH, other])
    assert (known.providers, known.timeframes("coinbase")) == (["coinbase", "oanda"], ["1h", "1d"])
    assert list(known.of("coinbase", "1h")) == [BTC, ETH]
    assert known.of("coinbase", "1h") is known.of("coinbase", "1h")
    assert (known.timeframes("nobody"), list(known.of("nobody", "1h"))) == ([], [])
    assert ETH in known
    assert ETH not in known.of("oanda", "1h")
    assert {known: 1}[KnownSeries(list(known))] == 1


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


def test_what_an_ended_run_came_to_is_summed_up_once(tmp_path: Path) -> None:
    database = ingester(tmp_path).stores.database
    runs = RunStore(database)
    run = runs.add(NewRun("backfill", "coinbase", "resume", START, NOW, [BTC, ETH], "ann", "console", "1"))
    asked: list[str] = []

    def look(records: int) -> bool:
        """Whether the series of the run were looked at for what it shows."""
        asked.clear()
        [shown], total = runs.find()
        assert (shown.records_total, shown.series_total, shown.pairs_total, total) == (records, 2, 2, 1)
        [counts] = runs.counts_since(0)
        assert (counts.new, counts.failed_records) == (records, 0)
        return any("FROM run_series" in statement for statement in asked)

    with counted(database, asked):
        assert look(0)
        runs.update_series(run, {0: {"records": 5}})
        assert look(5)
        runs.update_series(run, {1: {"records": 2}})
        runs.update(run, state=COMPLETE, ended_at=2.0)
        assert look(7)
        assert not look(7)
    fresh, _ = RunStore(database).find()
    assert fresh == runs.find()[0]


def test_a_run_without_series_comes_to_nothing(tmp_path: Path) -> None:
    database = ingester(tmp_path).stores.database
    runs = RunStore(database)
    run = runs.add(NewRun("backfill", "coinbase", "resume", START, NOW, [BTC], "ann", "console", "1"))
    with database.write() as connection:
        connection.execute(run_series.delete())
    runs.update(run, state=COMPLETE, ended_at=1.0)
    for _ in range(2):
        [shown], _ = runs.find()
        assert (shown.series_total, shown.progress, shown.records_total) == (None, None, None)
        assert runs.counts_since(0) == []


def test_the_pairs_of_runs_are_listed_anew_where_a_run_came_or_went(tmp_path: Path) -> None:
    database = ingester(tmp_path).stores.database
    runs = RunStore(database)

    def add(series: Series) -> int:
        return runs.add(NewRun("backfill", "coinbase", "resume", START, NOW, [series], "ann", "console", "1"))

    add(BTC)
    assert runs.pairs() == ["BTCUSD"]
    assert runs.pairs() is runs.pairs()
    other = add(ETH)
    assert sorted(runs.pairs()) == ["BTCUSD", "ETHUSD"]
    with database.write() as connection:
        connection.execute(run_rows.delete().where(run_rows.c.id == other))
    assert runs.pairs() == ["BTCUSD"]


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
