"""Are marks moved only where they may be, seen before, explained, and put back?"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ffe_core import times
from ffe_core.errors import InputError, SeriesHeld
from ffe_core.operations.runs.backfill import BackfillRequest
from ffe_core.operations.runs.service import RunService
from ffe_core.operations.watermarks import WatermarkVerbs
from ffe_core.series import Series, Watermarks
from ffe_core.storage.state.audit import Audit
from tests.ingestion.fakes import BTC, HOUR, START, hours
from tests.operations.harness import Market, asked, done, kept, opened

ETH = Series("ETHUSD", "1h", "coinbase")
LAST = START + 71 * HOUR


def verbs_of(service: RunService) -> WatermarkVerbs:
    return WatermarkVerbs(service, Audit(service.database))


def at(hour: int) -> str:
    return times.iso(START + hour * HOUR)


def test_a_rewind_is_seen_before_and_the_next_resume_finds_only_repeats(tmp_path: Path, market: Market) -> None:
    with opened(tmp_path) as service:
        done(service, asked())
        verbs = verbs_of(service)
        seen = verbs.preview(BTC, at(40))
        assert (seen.bars, seen.stored, seen.requests, seen.before.watermark) == (31, 31, 4, LAST)
        assert verbs.rewind(BTC, at(40), "ann", "the provider corrected its data") == Watermarks(
            START + 40 * HOUR, START
        )
        assert service.lake.marks(BTC) == Watermarks(START + 40 * HOUR, START)
        assert service.ingester.watermark_store.get("BTCUSD", "1h", "coinbase") == at(40)
        before = len(market.asked)
        run = done(service, asked())
        assert len(market.asked) - before == seen.requests
        assert [row.repeats for row in service.runs.series(run)] == [31]
        assert kept(tmp_path) == list(hours(0, 72))
        assert service.lake.marks(BTC).watermark == LAST


def test_who_and_why_are_in_the_lake_and_in_the_audit(tmp_path: Path, market: Market) -> None:
    with opened(tmp_path) as service:
        done(service, asked())
        verbs_of(service).rewind(BTC, at(40), "ann", "  bad candles ")
        commit = service.lake.open(BTC.table).history(1)[0]
        assert (commit["actor"], commit["reason"], commit["verb"]) == ("ann", "bad candles", "rewind")
        [row] = Audit(service.database).find(target=BTC.key)
        assert (row.actor, row.verb, row.reason) == ("ann", "rewind", "bad candles")
        assert row.details["before_watermark"] == times.iso(LAST)


def test_it_moves_no_other_series_and_no_row(tmp_path: Path, market: Market) -> None:
    with opened(tmp_path) as service:
        done(service, asked("BTCUSD", "ETHUSD"))
        others = service.lake.marks(ETH), kept(tmp_path, "ETHUSD"), kept(tmp_path)
        verbs_of(service).rewind(BTC, at(40), "ann", "why not")
        assert (service.lake.marks(ETH), kept(tmp_path, "ETHUSD"), kept(tmp_path)) == others


@pytest.mark.parametrize(
    ("to", "why", "nearest"),
    [
        ("2999-01-01T00:00:00Z", "future", f"the nearest that can is {at(70)}$"),
        (at(71), "a rewind goes back", f"the nearest that can is {at(70)}$"),
        ("2023-12-31T23:00:00Z", "before the first candle", f"the nearest that can is {at(0)}$"),
        ("2024-01-02T00:30:00Z", "off the grid", f"the nearest that can are {at(24)} and {at(25)}"),
    ],
)
def test_what_cannot_be_a_watermark_is_refused_with_the_nearest_that_can(
    tmp_path: Path, market: Market, to: str, why: str, nearest: str
) -> None:
    with opened(tmp_path) as service:
        done(service, asked())
        for move in (lambda v: v.preview(BTC, to), lambda v: v.rewind(BTC, to, "ann", "x")):
            with pytest.raises(InputError, match=why) as refused:
                move(verbs_of(service))
            assert re.search(nearest.replace("+", r"\+"), str(refused.value))
        assert service.lake.marks(BTC).watermark == LAST


@pytest.mark.parametrize(("calendar", "may"), [("crypto", True), ("fx", False)])
def test_a_bar_that_is_not_stored_can_be_the_watermark_only_if_it_is_expected(
    tmp_path: Path, market: Market, calendar: str, may: bool
) -> None:
    """On the first of January FX is closed."""
    with opened(tmp_path, calendars={"overrides": {"coinbase/BTCUSD": calendar}}) as service:
        done(service, asked())
        table = service.lake.open(BTC.table)
        assert table is not None
        table.delete(f"timestamp = '{at(12)}'")
        if may:
            assert verbs_of(service).preview(BTC, at(12)).after.watermark == START + 12 * HOUR
        else:
            with pytest.raises(InputError, match="its market is closed then"):
                verbs_of(service).preview(BTC, at(12))


def test_a_reason_is_required(tmp_path: Path, market: Market) -> None:
    with opened(tmp_path) as service:
        done(service, asked())
        for move in (lambda v: v.rewind(BTC, at(40), "ann", " "), lambda v: v.forget(BTC, "ann", "")):
            with pytest.raises(InputError, match="reason"):
                move(verbs_of(service))


def test_it_is_refused_while_a_run_holds_the_series(tmp_path: Path, market: Market) -> None:
    with opened(tmp_path) as service:
        done(service, asked())
        market.stops_at = START + 80 * HOUR
        run = service.start(asked(days=4), "ann")
        assert market.reached.wait(30)
        for move in (lambda v: v.rewind(BTC, at(40), "ann", "x"), lambda v: v.forget(BTC, "ann", "x")):
            with pytest.raises(SeriesHeld, match=f"run {run}"):
                move(verbs_of(service))
        market.goes_on.set()
        service.wait(run, 30)


@pytest.mark.both_servers
def test_undo_restores_it_but_not_after_another_commit(tmp_path: Path, market: Market) -> None:
    with opened(tmp_path) as service:
        done(service, asked())
        verbs = verbs_of(service)
        assert verbs.last_move(BTC) is None
        verbs.rewind(BTC, at(40), "ann", "x")
        done(service, asked("ETHUSD"))
        move = verbs.last_move(BTC)
        assert move is not None
        assert (move.verb, move.actor, move.before.watermark) == ("rewind", "ann", LAST)
        assert verbs.undo(BTC, "ben") == Watermarks(LAST, START)
        assert service.lake.marks(BTC) == Watermarks(LAST, START)
        with pytest.raises(InputError, match="no rewind"):
            verbs.undo(BTC, "ben")
        verbs.rewind(BTC, at(40), "ann", "x")
        done(service, asked())
        with pytest.raises(InputError, match="no rewind"):
            verbs.undo(BTC, "ben")


def test_forget_leaves_the_rows_and_undo_brings_the_marks_back(tmp_path: Path, market: Market) -> None:
    with opened(tmp_path) as service:
        done(service, asked())
        verbs = verbs_of(service)
        assert verbs.forget(BTC, "ann", "start over") == Watermarks()
        assert service.lake.marks(BTC) == Watermarks()
        assert service.ingester.watermark_store.entries() == []
        assert kept(tmp_path) == list(hours(0, 72))
        with pytest.raises(InputError, match="nothing to forget"):
            verbs.forget(BTC, "ann", "again")
        with pytest.raises(InputError, match="nothing to rewind"):
            verbs.preview(BTC, at(40))
        assert verbs.undo(BTC, "ann") == Watermarks(LAST, START)
        verbs.forget(BTC, "ann", "start over")
        run = done(service, asked())
        assert [row.repeats for row in service.runs.series(run)] == [72]
        assert kept(tmp_path) == list(hours(0, 72))


def test_bring_up_to_date_reads_on_from_the_watermark(
    tmp_path: Path, market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(tmp_path) as service:
        done(service, asked())
        monkeypatch.setattr(times, "now", lambda: START + 100 * HOUR + 600)
        [run] = verbs_of(service).bring_up_to_date([BTC], "ann")
        service.wait(run, 30)
        assert kept(tmp_path) == list(hours(0, 100))
        with pytest.raises(InputError, match=r"ETHUSD.* has no watermark"):
            verbs_of(service).bring_up_to_date([BTC, ETH], "ann")
        assert service.runs.find()[1] == 2


def test_several_are_brought_up_to_date_each_from_its_own_mark(
    tmp_path: Path, market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(tmp_path) as service:
        done(service, asked())
        late = BackfillRequest(ETH.provider, (ETH,), START + 10 * HOUR, START + 20 * HOUR)
        service.wait(service.start(late, "ann"), 30)
        monkeypatch.setattr(times, "now", lambda: START + 100 * HOUR + 600)
        runs = verbs_of(service).bring_up_to_date([BTC, ETH, BTC], "ann")
        for run in runs:
            service.wait(run, 30)
        marks = {one: service.lake.marks(one) for one in (BTC, ETH)}
        assert marks[BTC] == Watermarks(START + 99 * HOUR, START)
        assert marks[ETH] == Watermarks(START + 99 * HOUR, START + 10 * HOUR), "no history that nobody asked for"
        assert len(service.lake.stored_open_times(ETH, START, START + 200 * HOUR)) == 90


def test_the_suggestion_is_a_bar_that_can_be_a_day_back_or_the_next_best(tmp_path: Path, market: Market) -> None:
    with opened(tmp_path) as service:
        verbs = verbs_of(service)
        assert verbs.suggestion(BTC) is None
        done(service, asked())
        assert verbs.suggestion(BTC) == LAST - 24 * HOUR
        verbs.rewind(BTC, at(5), "ann", "x")
        assert verbs.suggestion(BTC) == START
        verbs.rewind(BTC, at(0), "ann", "x")
        assert verbs.suggestion(BTC) is None
