"""Are gaps explained exactly, do they open again by themselves, and what was asked in vain?"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ffe_core import times
from ffe_core.errors import InputError
from ffe_core.insight.coverage import Coverage
from ffe_core.operations.gaps import GapVerbs
from ffe_core.series import Series
from ffe_core.storage.state.acknowledged_gaps import NO_TRADES, OTHER, VENUE_OUTAGE, AcknowledgedGaps
from ffe_core.storage.state.audit import Audit
from ffe_core.storage.state.database import DATABASE_FILE, Database
from tests.ingestion.fakes import BTC, HOUR, START, FakeProvider, hours, ingester, records, run

END = START + 48 * HOUR


@pytest.fixture
def verbs(tmp_path: Path) -> GapVerbs:
    single = ingester(tmp_path)
    coverage = Coverage(single.stores)
    return GapVerbs(coverage, single.stores.acknowledged, Audit(Database(tmp_path / DATABASE_FILE)))


def lacking(*gone: int) -> FakeProvider:
    return FakeProvider(records(set(hours(0, 48)) - {START + at * HOUR for at in gone}))


def counts(verbs: GapVerbs) -> tuple[int, int]:
    found = verbs._coverage.of([BTC], START, END)[0].counts
    return found.marked, found.unexplained


def test_a_mark_leaves_the_gap_count_and_names_only_what_is_missing_now(tmp_path: Path, verbs: GapVerbs) -> None:
    run(tmp_path, lacking(5, 6, 30), START, END)
    done = verbs.mark(BTC, VENUE_OUTAGE, "ann", "seen on the status page", START, START + 24 * HOUR)
    assert (done.gaps, done.candles) == (1, 2)
    assert counts(verbs) == (2, 1)
    [state] = verbs.states([BTC])
    assert (state.state, state.gap.reason, state.gap.actor, state.gap.note) == (
        "marked",
        "venue outage",
        "ann",
        "seen on the status page",
    )
    assert Audit(Database(tmp_path / DATABASE_FILE)).find(verb="mark")[0].actor == "ann"


def test_it_opens_again_by_itself_when_the_data_appears_and_stays_visible(tmp_path: Path, verbs: GapVerbs) -> None:
    run(tmp_path, lacking(5, 6), START, END)
    verbs.mark(BTC, NO_TRADES, "ann")
    run(tmp_path, lacking(6), START, END, mode="refetch")
    assert [state.state for state in verbs.states([BTC])] == ["partly reopened"]
    run(tmp_path, lacking(), START, END, mode="refetch")
    [state] = verbs.states([BTC])
    assert (state.state, state.arrived) == ("reopened", 2)
    assert counts(verbs) == (0, 0)


@pytest.mark.both_servers
def test_gaps_mode_leaves_marked_holes_alone_and_unmarking_brings_them_back(tmp_path: Path, verbs: GapVerbs) -> None:
    run(tmp_path, lacking(5), START, END)
    done = verbs.mark(BTC, NO_TRADES, "ann")
    provider = lacking()
    run(tmp_path, provider, START, END, mode="gaps")
    assert provider.asked == []
    assert verbs.unmark(done.ids, "ben", "it is there after all") == 1
    assert counts(verbs) == (0, 1)
    with pytest.raises(InputError, match="no marked gap of id"):
        verbs.unmark(done.ids, "ben")


def test_what_the_provider_does_not_have_after_two_asks_is_marked_in_one_go(tmp_path: Path, verbs: GapVerbs) -> None:
    run(tmp_path, lacking(5, 6, 30), START, END)
    with pytest.raises(InputError, match="nothing was asked for twice"):
        verbs.mark_asked_twice([BTC], NO_TRADES, "ann")
    provider = lacking(5, 6, 30)
    run(tmp_path, provider, START, END, mode="gaps")
    assert len(provider.asked) == 4, "each of two gaps twice"
    assert verbs.offered(verbs._coverage.of([BTC])) == [(BTC, 3)]
    done = verbs.mark_asked_twice([BTC], NO_TRADES, "ann")
    assert (done.gaps, done.candles) == (2, 3)
    assert counts(verbs) == (3, 0)


def test_a_gap_that_was_not_asked_for_is_not_offered(tmp_path: Path, verbs: GapVerbs) -> None:
    run(tmp_path, lacking(5, 30), START, END)
    run(tmp_path, lacking(5, 30), START, START + 24 * HOUR, mode="gaps")
    done = verbs.mark_asked_twice([BTC], NO_TRADES, "ann")
    assert (done.candles, counts(verbs)) == (1, (1, 1))


def test_two_backfills_that_each_asked_once_are_two_asks(tmp_path: Path, verbs: GapVerbs) -> None:
    run(tmp_path, lacking(5), START, END)
    run(tmp_path, lacking(5), START, END, mode="refetch")
    assert verbs.offered(verbs._coverage.of([BTC])) == [(BTC, 1)]


def test_what_was_found_after_all_is_no_longer_offered_if_it_goes_missing(tmp_path: Path) -> None:
    single = ingester(tmp_path)
    run(single, lacking(5), START, END)
    run(single, lacking(5), START, END, mode="gaps")
    assert len(single.stores.acknowledged.asked_twice(BTC)) == 1
    run(single, lacking(), START, END, mode="gaps")
    assert len(single.stores.acknowledged.asked_twice(BTC)) == 0


def test_bad_reasons_and_empty_ranges_are_refused(tmp_path: Path, verbs: GapVerbs) -> None:
    run(tmp_path, lacking(5), START, END)
    with pytest.raises(InputError, match="use one of 'no trades'"):
        verbs.mark(BTC, "felt like it", "ann")
    with pytest.raises(InputError, match="note"):
        verbs.mark(BTC, OTHER, "ann")
    with pytest.raises(InputError, match="nothing is missing"):
        verbs.mark(BTC, NO_TRADES, "ann", start=START + 10 * HOUR, end=START + 12 * HOUR)
    with pytest.raises(InputError) as refused:
        verbs.mark_each([], NO_TRADES, "ann")
    assert (refused.value.field, refused.value.problem) == ("series", "no series is given; name at least one")


def test_of_several_ranges_each_is_marked_on_its_own(tmp_path: Path, verbs: GapVerbs) -> None:
    run(tmp_path, lacking(5, 6, 30, 40), START, END)
    five, thirty, forty = ((BTC, START + at * HOUR, START + (at + 2) * HOUR) for at in (5, 30, 40))
    verbs.mark(BTC, NO_TRADES, "ben", "", *thirty[1:])
    done = verbs.mark_each([five, thirty, forty], VENUE_OUTAGE, "ann")
    assert (done.gaps, done.candles, len(done.ids)) == (2, 3, 2)
    [left] = done.left_out
    assert "nothing is missing without a reason in BTCUSD 1h from coinbase, 2024-01-02T06:00:00+00:00 to" in left
    assert counts(verbs) == (4, 0)
    with pytest.raises(InputError, match=r"(?s)2024-01-01T05:00.*2024-01-02T16:00"):
        verbs.mark_each([five, forty], VENUE_OUTAGE, "ann")


def test_a_calendar_that_cannot_say_keeps_no_other_series_from_being_marked(tmp_path: Path, verbs: GapVerbs) -> None:
    run(tmp_path, lacking(5), START, END)
    share = (
        Series("AAPL", "1d", "alpha_vantage"),
        times.parse_instant("1960-01-01"),
        times.parse_instant("1960-02-01"),
    )
    done = verbs.mark_each([share, (BTC, None, None)], NO_TRADES, "ann")
    assert (done.candles, len(done.left_out)) == (1, 1)
    assert "AAPL 1d from alpha_vantage: " in done.left_out[0]


def test_asks_are_remembered_as_ranges_however_many_runs_there_were(tmp_path: Path) -> None:
    acknowledged = AcknowledgedGaps(Database(tmp_path / DATABASE_FILE))
    none = np.empty((0, 2), np.int64)
    for start in (0, 50, 100):
        acknowledged.note_asked(BTC, np.array([[start, start + 60]]), none)
    assert acknowledged.asked_twice(BTC).tolist() == [[50, 60], [100, 110]]
    acknowledged.note_asked(BTC, none, np.array([[60, 100]]))
    assert acknowledged.asked_twice(BTC).tolist() == [[50, 110]]
    acknowledged.note_asked(BTC, none, none, answered=np.array([[0, 200]]))
    assert acknowledged.asked_twice(BTC).tolist() == []


def test_a_gap_that_two_have_seen_unexplained_is_marked_once(tmp_path: Path, verbs: GapVerbs) -> None:
    acknowledged = AcknowledgedGaps(Database(tmp_path / DATABASE_FILE))
    seen_by_both = [(START, START + HOUR, 1), (START + 5 * HOUR, START + 7 * HOUR, 2)]
    first = acknowledged.add(BTC, seen_by_both[:1], NO_TRADES, "", "ann")
    assert len(acknowledged.add(BTC, seen_by_both, "venue outage", "", "ben")) == 1
    kept = [(gap.start, gap.reason, gap.actor) for gap in acknowledged.of(BTC)]
    assert kept == [(START, NO_TRADES, "ann"), (START + 5 * HOUR, "venue outage", "ben")]
    assert acknowledged.of(BTC)[0].id == first[0]
    other = Series("ETHUSD", BTC.timeframe, BTC.provider)
    assert len(acknowledged.add(other, seen_by_both, NO_TRADES, "", "ann")) == 2
