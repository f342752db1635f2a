"""Do candles come whole, once and exactly over the real wire formats, whatever was asked before and whatever fails?"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from ffe_core import times
from ffe_core.series import Series
from tests.fake_exchanges import REFUSALS, Exchange, Fault
from tests.integration.harness import ALPHA_VANTAGE, NOW, PAGED, SECRET, WORLDS, World, expected, held
from tests.lake_files import dead_letters


@pytest.fixture(autouse=True)
def _clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(times, "now", lambda: NOW)


@pytest.fixture(params=WORLDS, ids=lambda world: world.provider)
def world(request: pytest.FixtureRequest) -> World:
    return request.param


@pytest.fixture
def exchange(world: World) -> Iterator[Exchange]:
    with world.exchange(world.market()) as running:
        yield running


def backfill(
    world: World, exchange: Exchange, folder: Path, first: int, last: int | str, **more: Any
) -> dict[str, Any]:
    single = world.ingester(exchange, folder)
    end = last if isinstance(last, str) else times.iso(last)
    return asyncio.run(
        single.ingest_historical_data(world.pair, world.timeframe, times.iso(first), end, world.provider, **more)
    )


class TestWholeAndOnce:
    def test_every_closed_candle_is_stored_once_with_its_exact_values(
        self, world: World, exchange: Exchange, tmp_path: Path
    ):
        result = backfill(world, exchange, tmp_path, world.start, world.at(0))
        wanted = expected(world, world.candles(), world.start, world.at(0))
        assert held(tmp_path, world.series) == wanted
        assert (result["status"], result["records"], result["failed_records"]) == ("success", len(wanted), 0)
        assert result["watermark"] == times.iso(max(wanted))
        assert result["expected"] == result["stored"] == len(wanted)
        assert (result["unexplained"], result["extra"], result["provider"]) == (0, 0, world.provider)
        assert dead_letters(tmp_path / "dlq") == {}

    def test_a_second_run_asks_nothing_and_adds_nothing(self, world: World, exchange: Exchange, tmp_path: Path):
        backfill(world, exchange, tmp_path, world.start, world.at(0))
        before = held(tmp_path, world.series)
        exchange.reset()
        result = backfill(world, exchange, tmp_path, world.start, world.at(0))
        assert (exchange.requests, result["requests"]) == ([], 0)
        assert (result["status"], result["reason"], result["records"]) == ("no_data", "up_to_date", 0)
        assert held(tmp_path, world.series) == before

    def test_a_later_end_appends_and_asks_once(self, world: World, exchange: Exchange, tmp_path: Path):
        backfill(world, exchange, tmp_path, world.start, world.at(30))
        exchange.reset()
        result = backfill(world, exchange, tmp_path, world.start, world.at(0))
        wanted = expected(world, world.candles(), world.start, world.at(0))
        assert held(tmp_path, world.series) == wanted
        assert result["records"] == len(expected(world, world.candles(), world.at(30), world.at(0)))
        assert len(exchange.requests) == 1

    def test_a_later_start_leaves_no_hole(self, world: World, exchange: Exchange, tmp_path: Path):
        backfill(world, exchange, tmp_path, world.start, world.at(60))
        backfill(world, exchange, tmp_path, world.at(20), world.at(0))
        assert held(tmp_path, world.series) == expected(world, world.candles(), world.start, world.at(0))

    def test_an_earlier_start_prepends(self, world: World, exchange: Exchange, tmp_path: Path):
        backfill(world, exchange, tmp_path, world.at(30), world.at(10))
        watermark = backfill(world, exchange, tmp_path, world.start, world.at(20))["watermark"]
        wanted = expected(world, world.candles(), world.start, world.at(10))
        assert held(tmp_path, world.series) == wanted
        assert watermark == times.iso(max(wanted))

    def test_an_end_of_today_stores_no_unfinished_bar(self, world: World, exchange: Exchange, tmp_path: Path):
        today = datetime.fromisoformat(times.iso(NOW)).date().isoformat()
        result = backfill(world, exchange, tmp_path, world.start, today)
        assert held(tmp_path, world.series) == expected(world, world.candles(), world.start, world.running)
        assert (result["status"], result["unexplained"]) == ("success", 0)

    def test_a_restated_candle_is_a_new_row(self, world: World, exchange: Exchange, tmp_path: Path):
        backfill(world, exchange, tmp_path, world.at(20), world.at(0))
        at = max(held(tmp_path, world.series))
        exchange.market.put(world.symbol, world.step, at, ("5", "7", "4", "6", "8"))
        result = backfill(world, exchange, tmp_path, world.at(20), world.at(0), mode="refetch")
        assert (result["records"], result["restated"]) == (1, 1)
        current = world.ingester(exchange, tmp_path).delta_mgr.current(world.series, at, at + 1)
        assert current["open"].to_pylist() == [5.0]


FAULTS = [
    Fault.rate_limited(),
    Fault.rate_limited(retry_after=0),
    Fault.http(500),
    Fault.maintenance(),
    Fault.html(),
    Fault.drop(),
    Fault.drop(after=0),
    Fault.truncated(),
    Fault.other_shape(),
    Fault.other_shape("[]"),
    Fault.other_shape('"text"'),
    Fault.hang(),
]
CASES = [
    pytest.param(world, fault, id=f"{world.provider}-{fault.name}-{n}")
    for world in WORLDS
    for n, fault in enumerate(FAULTS)
]
_SURVIVED = {"burst", "burst_2025", "note", "empty_object"}
CASES += [
    pytest.param(ALPHA_VANTAGE, Fault.alpha_vantage(kind), id=f"alpha_vantage-{kind}") for kind in sorted(REFUSALS)
]


def with_secrets(folder: Path) -> list[Any]:
    """Files and dead letters of a data directory in which the secret can be read."""
    files = [path for path in folder.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]
    return [*files, *(one for one in dead_letters(folder / "dlq").values() if SECRET in str(one))]


@pytest.mark.parametrize(("world", "fault"), CASES)
def test_one_fault_is_survived_and_a_lasting_one_ends_its_series_alone(
    world: World,
    fault: Fault,
    exchange: Exchange,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr("ffe_core.providers.http.LONGEST_WAIT", 0)
    start, end = world.at(60), world.at(0)
    wanted = expected(world, world.candles(), start, end)
    other = Series(world.other_pair, world.timeframe, world.provider)
    config = {"http": {"read_timeout_seconds": 1.0 if fault.name == "hang" else 20.0}}
    script = exchange.fault(fault, times=None, when=lambda seen: _asks(seen, world))
    both = world.multi(exchange, tmp_path, **config)
    arguments = ([world.pair, world.other_pair], [world.timeframe], times.iso(start), times.iso(end))
    first, second = asyncio.run(both.ingest_all_assets(*arguments, world.provider))["results"]
    kind = fault.name.removeprefix("alpha vantage ")
    assert first["status"] == "error"
    assert all(part in first["error"] for part in (world.pair, world.timeframe, times.iso(start)[:10]))
    assert held(tmp_path, world.series) == {}
    assert first["watermark"] is None
    stops_all = kind == "daily_quota"  # nothing more is asked of a provider whose quota is used up
    if not stops_all:
        assert (second["status"], held(tmp_path, other)) == (
            "success",
            expected(world, world.candles("other"), start, end),
        )
    script.cancel()
    if kind not in REFUSALS or kind in _SURVIVED:
        exchange.fault(fault, times=1, when=lambda seen: _asks(seen, world))
    last = asyncio.run(both.ingest_all_assets(*arguments, world.provider))["results"][0]
    assert (last["status"], held(tmp_path, world.series)) == ("success", wanted)
    assert SECRET not in str((first, second, last))
    assert SECRET not in caplog.text
    assert with_secrets(tmp_path) == []


def _asks(seen: Any, world: World) -> bool:
    """Whether a request is for the world's first pair."""
    said = re.sub("[^A-Z0-9]", "", "".join((seen.path, *seen.params.values())).upper())
    return re.sub("[^A-Z0-9]", "", world.symbol) in said


@pytest.mark.parametrize("world", PAGED, ids=lambda world: world.provider)
def test_a_fault_in_the_middle_keeps_what_came_before_it(world: World, exchange: Exchange, tmp_path: Path):
    script = exchange.fault(Fault.http(500), times=None, when=lambda seen: _page_of(seen, world) == 1)
    result = backfill(world, exchange, tmp_path, world.start, world.at(0))
    cut = world.start + world.page_bars * world.step
    wanted = expected(world, world.candles(), world.start, cut)
    assert (result["status"], held(tmp_path, world.series)) == ("error", wanted)
    assert result["watermark"] == times.iso(max(wanted))
    script.cancel()
    exchange.reset()
    backfill(world, exchange, tmp_path, world.start, world.at(0))
    assert held(tmp_path, world.series) == expected(world, world.candles(), world.start, world.at(0))
    assert min(_start_of(seen) for seen in exchange.requests) == max(wanted) + world.step


@pytest.mark.parametrize("world", PAGED, ids=lambda world: world.provider)
def test_an_empty_page_in_the_middle_is_asked_once_more(world: World, exchange: Exchange, tmp_path: Path):
    exchange.fault(Fault.empty_page(), times=1, when=lambda seen: _page_of(seen, world) == 1)
    result = backfill(world, exchange, tmp_path, world.start, world.at(0))
    assert (result["status"], result["unexplained"]) == ("success", 0)
    assert held(tmp_path, world.series) == expected(world, world.candles(), world.start, world.at(0))
    assert [_page_of(seen, world) for seen in exchange.requests].count(1) == 2


def _start_of(seen: Any) -> int:
    sent = seen.params.get("start") or seen.params["from"]
    return int(sent) if sent.isdecimal() else int(datetime.fromisoformat(sent).timestamp())


def _page_of(seen: Any, world: World) -> int:
    return (_start_of(seen) - world.start) // (world.page_bars * world.step)


BROKEN = ["high_below_low", "open_outside", "close_outside", "negative", "null", "text", "missing", "nan", "infinity"]
BROKEN += ["bare_nan", "bare_infinity", "bad_time", "not_a_record"]


def test_each_bad_record_is_kept_once_and_its_neighbours_are_stored(world: World, exchange: Exchange, tmp_path: Path):
    open_times = sorted(expected(world, world.candles(), world.start, world.at(0)))[5 : 5 + 2 * len(BROKEN) : 2]
    for at, kind in zip(open_times, BROKEN, strict=True):
        exchange.break_record(world.symbol, world.step, at, kind)
    first = backfill(world, exchange, tmp_path, world.start, world.at(0))
    wanted = expected(world, world.candles(), world.start, world.at(0))
    assert held(tmp_path, world.series) == {at: row for at, row in wanted.items() if at not in open_times}
    assert (first["status"], first["failed_records"]) == ("success", len(BROKEN))
    assert first["received"] == first["records"] + first["failed_records"] + first["superseded"] + first["repeats"]
    assert first["expected"] == first["stored"] + first["dead_lettered"] + first["unexplained"]
    again = backfill(world, exchange, tmp_path, world.start, world.at(0), mode="refetch")
    assert (again["records"], again["failed_records"]) == (0, 0)


def test_a_repeat_is_counted_and_a_different_one_supersedes(world: World, exchange: Exchange, tmp_path: Path):
    same, other = sorted(expected(world, world.candles(), world.at(30), world.at(0)))[3:5]
    exchange.break_record(world.symbol, world.step, same, "repeat")
    exchange.break_record(world.symbol, world.step, other, "repeat_different")
    result = backfill(world, exchange, tmp_path, world.at(30), world.at(0))
    wanted = expected(world, world.candles(), world.at(30), world.at(0))
    found = held(tmp_path, world.series)
    assert found.keys() == wanted.keys()
    assert found[same] == wanted[same]
    assert (result["repeats"], result["superseded"], result["failed_records"]) == (1, 1, 0)


def test_a_pair_the_provider_does_not_have_ends_alone(world: World, exchange: Exchange, tmp_path: Path):
    both = world.multi(exchange, tmp_path)
    arguments = (["NOPEUSD", world.pair], [world.timeframe], times.iso(world.at(20)), times.iso(world.at(0)))
    answer = asyncio.run(both.ingest_all_assets(*arguments, world.provider))
    missing, found = answer["results"]
    assert (missing["status"], found["status"]) == ("error", "success")
    assert "NOPEUSD" in missing["error"]
    assert answer["total_records"] == found["records"] == len(held(tmp_path, world.series))
