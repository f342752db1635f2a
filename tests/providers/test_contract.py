"""Contract tests: check every provider of the table for the promises that ingestion builds on."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffe_core import times
from ffe_core.calendars import calendar_for
from ffe_core.errors import InputError, PermanentError, QuotaError, RetriableError, WrongAnswer
from ffe_core.insight.coverage import closed_before
from ffe_core.instruments.names import normalize_pair
from ffe_core.provider_settings import SECTIONS
from ffe_core.providers import FLAG_COMPLETION, PROVIDERS, provider_class
from ffe_core.providers.base import Page, Provider, Record
from ffe_core.providers.http import RequestStats, request_stats
from ffe_core.providers.simulated import SimulatedProvider
from ffe_core.series import Series
from ffe_core.settings import Settings
from ffe_core.timeframes import TIMEFRAMES, ceil
from tests.fake_exchanges import Exchange, Fault, Market, generated
from tests.fake_exchanges.__main__ import EXCHANGES
from tests.integration.harness import WORLDS
from tests.providers.contract import CASES, NOW, SECRET, Case, clock, settings
from tests.reliability.venues import VENUES

PRICES = ("open", "high", "low", "close")
FAULTS = {
    "500": Fault.http(500),
    "503 with HTML": Fault.maintenance(),
    "200 with HTML": Fault.html(),
    "429": Fault.rate_limited(),
    "429 with Retry-After": Fault.rate_limited(retry_after=0),
    "dropped before an answer": Fault.drop(after=0),
    "dropped in the body": Fault.drop(),
    "truncated JSON": Fault.truncated(),
    "another shape": Fault.other_shape(),
    "another shape: a list": Fault.other_shape("[]"),
    "another shape: null": Fault.other_shape("null"),
    "hang": Fault.hang(),
}

LASTING = [pytest.param(fault, id=name, marks=[pytest.mark.slow] * (name == "hang")) for name, fault in FAULTS.items()]
"""A server that hangs is waited for three times."""


@pytest.fixture(params=CASES, ids=lambda case: case.name)
def case(request: pytest.FixtureRequest) -> Case:
    return request.param


@pytest.fixture(autouse=True)
def _clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(times, "now", clock)


@pytest.fixture
def exchange(case: Case) -> Iterator[Exchange]:
    with case.exchange(Market({(case.symbol, case.step): case.candles()})) as running:
        yield running


@contextmanager
def counted() -> Iterator[RequestStats]:
    """Counts what is sent inside."""
    counter = RequestStats()
    token = request_stats.set(counter)
    try:
        yield counter
    finally:
        request_stats.reset(token)


def closed_opens(case: Case) -> list[int]:
    held = case.candles()
    return [at for at in case.open_times()[:-2] if at in held]


def page_of(case: Case, provider: Provider) -> Page:
    """The one page with all bars that are closed beyond doubt."""
    newest = case.open_times()
    (page,) = provider.pages(case.pair, case.timeframe, newest[0], newest[-2])
    return page


async def fetched(case: Case, provider: Provider) -> list[Record]:
    async with provider:
        return (await provider.fetch(case.pair, case.timeframe, page_of(case, provider))).records


def at_open(records: list[Record], open_epoch: int) -> list[Record]:
    return [record for record in records if record.get("date") == times.iso(open_epoch)]


# The table


@pytest.mark.parametrize(
    ("names", "where"),
    [
        ({case.name for case in CASES}, "tests/providers/contract.py: a Case in CASES"),
        (set(EXCHANGES), "tests/fake_exchanges/__main__.py: a line in EXCHANGES"),
        ({world.provider for world in WORLDS}, "tests/integration/harness.py: a World in WORLDS"),
        ({venue.provider for venue in VENUES}, "tests/reliability/venues.py: a Venue in VENUES"),
    ],
    ids=["cases", "exchanges", "worlds", "venues"],
)
def test_every_row_of_the_table_is_tried_everywhere(names: set[str], where: str) -> None:
    assert names == {name for name, row in PROVIDERS.items() if not row.is_mock}, f"{where} for each provider"


def test_every_row_of_the_table_has_its_section_of_settings() -> None:
    assert set(PROVIDERS) == set(SECTIONS), "ffe_core/provider_settings.py: one line in SECTIONS for each provider"


def test_the_table_names_each_class_as_it_names_itself() -> None:
    assert all(row.name == name for name, row in PROVIDERS.items())


def test_who_flags_completion_is_known_without_loading_a_provider() -> None:
    flagging = {name for name, row in PROVIDERS.items() if row.flags_completion}
    assert flagging == FLAG_COMPLETION, "ffe_core/providers/__init__.py: FLAG_COMPLETION names those that do"


@pytest.mark.parametrize("flags", [True, False])
def test_a_provider_that_joins_the_table_says_itself_whether_it_flags_completion(
    flags: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Joined(SimulatedProvider):
        flags_completion = flags

    monkeypatch.setitem(PROVIDERS, "joined", Joined)
    assert closed_before(Series("BTCUSD", "1h", "joined"), Settings(), now=7_200) == (7_200 if flags else 3_600)


def test_only_the_simulated_provider_makes_candles_up() -> None:
    assert [name for name, row in PROVIDERS.items() if row.is_mock] == ["simulated"]


@pytest.mark.parametrize("name", ["binance", "", "Coinbase", None, []])
def test_an_unknown_provider_is_an_error_that_lists_the_known_ones(name: Any) -> None:
    with pytest.raises(ValueError, match="coinbase") as caught:
        provider_class(name)
    assert all(known in str(caught.value) for known in PROVIDERS)


# What is said about all its pairs


def test_it_keeps_the_hours_that_it_is_said_to(case: Case) -> None:
    hint = "ffe_core/instruments/names.py: a name in CRYPTO_EXCHANGES, or `always_open` of the Case is not so"
    assert (calendar_for(case.name, "EURUSD").name == "crypto") == case.always_open, hint


def test_the_usual_pairs_are_stored_names_that_it_offers(case: Case, tmp_path: Path) -> None:
    provider = case.provider("http://127.0.0.1:1", settings(tmp_path))
    assert case.pair in provider.usual_pairs, "`usual_pairs` of the provider: what to suggest first"
    for pair in provider.usual_pairs:
        assert pair == normalize_pair(pair)
        provider.check(pair, case.timeframe)


# Pages


@given(data=st.data())
def test_pages_cover_every_bar_of_the_range_once_and_in_order(data: st.DataObject, tmp_path_factory: Any) -> None:
    case = data.draw(st.sampled_from(CASES))
    timeframe = data.draw(st.sampled_from(list(TIMEFRAMES)))
    step = TIMEFRAMES[timeframe]
    start = data.draw(st.integers(946_684_800, 1_700_000_000))
    end = start + data.draw(st.integers(0, 20_000 * step))
    provider = case.provider("http://127.0.0.1:1", settings(tmp_path_factory.getbasetemp()))

    pages = provider.pages(case.pair, timeframe, start, end)

    open_times = [at for page in pages for at in range(ceil(page.start, step), page.end, step)]
    assert open_times == list(range(ceil(start, step), end, step))
    assert all(before.end <= after.start for before, after in pairwise(pages))


@given(data=st.data())
def test_gap_pages_cover_every_missing_bar_once_in_order_and_in_no_more_requests_than_the_whole_range(
    data: st.DataObject, tmp_path_factory: Any
) -> None:
    case = data.draw(st.sampled_from(CASES))
    timeframe = data.draw(st.sampled_from(list(TIMEFRAMES)))
    step = TIMEFRAMES[timeframe]
    start = data.draw(st.integers(946_684_800 // step, 1_700_000_000 // step)) * step
    lengths = st.lists(st.integers(1, 400), max_size=40)
    edges = list(accumulate(data.draw(lengths), initial=start // step))
    gaps = [(first * step, last * step) for first, last in zip(edges[::2], edges[1::2], strict=False)]
    provider = case.provider("http://127.0.0.1:1", settings(tmp_path_factory.getbasetemp()))

    pages = provider.gap_pages(case.pair, timeframe, gaps)

    missing = [at for first, last in gaps for at in range(first, last, step)]
    covered = [at for page in pages for at in range(page.start, page.end, step)]
    assert set(missing) <= set(covered)
    assert sorted(set(covered)) == covered
    assert all({page.start, page.end - step} & set(missing) for page in pages)
    if gaps:
        whole = provider.pages(case.pair, timeframe, gaps[0][0], gaps[-1][1])
        assert len(pages) <= len(whole)
        assert max(page.end - page.start for page in pages) <= max(page.end - page.start for page in whole)


# Records


async def test_every_candle_comes_with_the_values_exactly_as_sent(
    case: Case, exchange: Exchange, tmp_path: Path
) -> None:
    records = await fetched(case, case.connect(exchange, tmp_path))
    held = case.candles()
    for open_epoch in closed_opens(case):
        (record,) = at_open(records, open_epoch)
        assert [record[name] for name in PRICES] == list(held[open_epoch][:4])


async def test_a_volume_comes_where_the_provider_has_one(case: Case, exchange: Exchange, tmp_path: Path) -> None:
    provider = case.connect(exchange, tmp_path)
    records = await fetched(case, provider)
    held = case.candles()
    for open_epoch in closed_opens(case):
        (record,) = at_open(records, open_epoch)
        sent = held[open_epoch].volume
        assert "volume" not in record or float(record["volume"]) in (float(sent), float(int(float(sent))))


@pytest.mark.parametrize(
    ("kind", "options", "expected"),
    [
        ("null", {"field": "close"}, None),
        ("nan", {"field": "open"}, "NaN"),
        ("infinity", {"field": "high"}, "Infinity"),
        ("text", {"field": "low"}, "n/a"),
        ("set", {"field": "close", "value": [1, {"deep": True}]}, [1, {"deep": True}]),
        ("set", {"field": "close", "value": 12.5}, 12.5),
    ],
)
async def test_a_broken_value_comes_as_it_was_sent(
    case: Case, exchange: Exchange, tmp_path: Path, kind: str, options: dict[str, Any], expected: Any
) -> None:
    bad = closed_opens(case)[3]
    exchange.break_record(case.symbol, case.step, bad, kind, **options)
    (record,) = at_open(await fetched(case, case.connect(exchange, tmp_path)), bad)
    assert record[options["field"]] == expected


async def test_a_bare_nan_comes_as_nan(case: Case, exchange: Exchange, tmp_path: Path) -> None:
    bad = closed_opens(case)[3]
    exchange.break_record(case.symbol, case.step, bad, "bare_nan", field="high")
    (record,) = at_open(await fetched(case, case.connect(exchange, tmp_path)), bad)
    assert math.isnan(record["high"])


async def test_a_missing_field_stays_missing(case: Case, exchange: Exchange, tmp_path: Path) -> None:
    bad = closed_opens(case)[3]
    exchange.break_record(case.symbol, case.step, bad, "missing", field="close")
    (record,) = at_open(await fetched(case, case.connect(exchange, tmp_path)), bad)
    assert "close" not in record


async def test_an_unreadable_time_stays_as_sent(case: Case, exchange: Exchange, tmp_path: Path) -> None:
    exchange.break_record(case.symbol, case.step, closed_opens(case)[3], "bad_time")
    records = await fetched(case, case.connect(exchange, tmp_path))
    (record,) = [record for record in records if record.get("date") == "not-a-time"]
    assert set(PRICES) <= record.keys()


async def test_what_is_not_an_object_is_kept_whole(case: Case, exchange: Exchange, tmp_path: Path) -> None:
    exchange.break_record(case.symbol, case.step, closed_opens(case)[3], "not_a_record")
    records = await fetched(case, case.connect(exchange, tmp_path))
    (record,) = [record for record in records if "raw" in record]
    assert record["raw"] == "not a record"


@pytest.mark.parametrize("kind", ["repeat", "repeat_different"])
async def test_a_repeat_is_handed_over_too(case: Case, exchange: Exchange, tmp_path: Path, kind: str) -> None:
    bad = closed_opens(case)[3]
    exchange.break_record(case.symbol, case.step, bad, kind)
    twice = at_open(await fetched(case, case.connect(exchange, tmp_path)), bad)
    assert len(twice) == 2
    assert len({record["high"] for record in twice}) == (1 if kind == "repeat" else 2)


async def test_an_answer_to_another_question_is_refused(case: Case, exchange: Exchange, tmp_path: Path) -> None:
    if case.echo is None:
        await fetched(case, case.connect(exchange, tmp_path))
        (seen,) = exchange.requests
        said = exchange.answer(seen).body.decode()
        named = [part for part in re.findall("[A-Z]+", case.symbol) if part in said]
        assert not named, f"answers name {named}: compare it (ffe_core/providers/echo.py) and give the Case an `echo`"
        return
    exchange.fault(Fault.rewritten(*case.echo), times=None)
    with pytest.raises(WrongAnswer, match=case.name):
        await fetched(case, case.connect(exchange, tmp_path))


@pytest.mark.parametrize(
    "case", [case for case in CASES if not PROVIDERS[case.name].sends_whole_bodies], ids=lambda case: case.name
)
@pytest.mark.parametrize("timeframe", TIMEFRAMES)
async def test_a_full_page_comes_whole_in_every_timeframe_that_it_offers(
    case: Case, tmp_path: Path, timeframe: str
) -> None:
    step, market = TIMEFRAMES[timeframe], Market()
    with case.exchange(market) as exchange:
        provider = case.connect(exchange, tmp_path, http={"read_timeout_seconds": 30})
        try:
            provider.check(case.pair, timeframe)
        except PermanentError:
            return  # it does not offer this one
        page = provider.pages(case.pair, timeframe, times.parse_instant("2010-01-01"), NOW)[-2:][0]
        held = generated(page.start - 10 * step, page.end + 10 * step, step, closed=case.closed)
        market.add(case.symbol, step, held)
        async with provider:
            records = (await provider.fetch(case.pair, timeframe, page)).records
    sent = {record.get("date") for record in records}
    assert not [at for at in held if page.start <= at < page.end and times.iso(at) not in sent]


async def test_nothing_is_made_up_where_there_is_nothing(case: Case, exchange: Exchange, tmp_path: Path) -> None:
    exchange.fault(Fault.empty_page())
    assert await fetched(case, case.connect(exchange, tmp_path)) == []


async def test_two_calls_ask_twice(case: Case, exchange: Exchange, tmp_path: Path) -> None:
    provider = case.connect(exchange, tmp_path)
    first = await fetched(case, provider)
    bad = closed_opens(case)[3]
    exchange.break_record(case.symbol, case.step, bad, "text", field="close")
    assert at_open(await fetched(case, provider), bad) != at_open(first, bad)


# Alone, without a pipeline


async def test_used_alone_it_gives_the_closed_candles_of_the_range_in_order(
    case: Case, exchange: Exchange, tmp_path: Path
) -> None:
    newest = case.open_times()
    async with case.connect(exchange, tmp_path) as provider:
        got = await provider.get_historical_data(
            f"{case.pair[:3].lower()}/{case.pair[3:]}", newest[0], NOW + 86_400, case.timeframe
        )
        closed_before = provider.closed_before(case.timeframe, NOW)
    expected = [at for at in newest if at in case.candles() and at < closed_before]
    assert [record["date"] for record in got] == [times.iso(at) for at in expected]
    assert expected


async def test_it_must_be_opened_first(case: Case, exchange: Exchange, tmp_path: Path) -> None:
    provider = case.connect(exchange, tmp_path)
    with pytest.raises(RuntimeError, match="async with"):
        await provider.fetch(case.pair, case.timeframe, page_of(case, provider))


async def test_it_may_be_entered_by_several_series_and_stays_open_for_the_last(
    case: Case, exchange: Exchange, tmp_path: Path
) -> None:
    provider = case.connect(exchange, tmp_path)
    async with provider:
        async with provider:
            pass
        assert (await provider.fetch(case.pair, case.timeframe, page_of(case, provider))).records


# Bad input


async def test_an_unknown_timeframe_is_refused_before_any_request(
    case: Case, exchange: Exchange, tmp_path: Path
) -> None:
    async with case.connect(exchange, tmp_path) as provider:
        with pytest.raises(InputError, match="timeframe: '2h' is unknown"):
            await provider.get_historical_data(case.pair, "2024-01-01", "2024-01-02", "2h")
    assert exchange.count() == 0


async def test_a_start_before_there_can_be_anything_is_refused_before_any_request_with_the_first_day(
    case: Case, exchange: Exchange, tmp_path: Path
) -> None:
    async with case.connect(exchange, tmp_path) as provider:
        assert provider.earliest is not None
        for start in ("0001-01-01", times.parse_instant(provider.earliest) - 1):
            with pytest.raises(InputError, match=f"^start: .*{case.name}.* start at {provider.earliest}") as caught:
                await provider.get_historical_data(case.pair, start, "2024-01-02", "1m")
            assert caught.value.field == "start"
        provider.check_start(times.parse_instant(provider.earliest))
    assert exchange.count() == 0


async def test_a_pair_that_it_does_not_have_is_permanent_and_named(
    case: Case, exchange: Exchange, tmp_path: Path
) -> None:
    newest = case.open_times()
    async with case.connect(exchange, tmp_path) as provider:
        with pytest.raises(PermanentError, match=rf"{case.name} .*{case.unknown_pair}"):
            await provider.get_historical_data(case.unknown_pair, newest[0], newest[-1], case.timeframe)
    assert exchange.count() == 1


@pytest.mark.parametrize("url", ["127.0.0.1:80", "ftp://example.com", "//example.com"])
def test_a_base_url_without_a_scheme_is_refused_at_once(case: Case, tmp_path: Path, url: str) -> None:
    with pytest.raises(InputError, match=f"FFE_{case.name.upper()}__BASE_URL"):
        case.provider(url, settings(tmp_path))


@pytest.mark.parametrize("rate", ["0", "-1", "nan", "inf", "fast"])
def test_an_impossible_rate_is_refused_at_once(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rate: str
) -> None:
    variable = f"FFE_{case.name.upper()}__REQUESTS_PER_SECOND"
    monkeypatch.setenv(variable, rate)
    with pytest.raises(InputError, match=variable):
        PROVIDERS[case.name](config=settings(tmp_path))


# Faults


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
async def test_one_fault_is_survived(case: Case, exchange: Exchange, tmp_path: Path, fault: Fault) -> None:
    exchange.fault(fault)
    with counted() as counter:
        records = await fetched(case, case.connect(exchange, tmp_path))
    assert len(records) >= len(closed_opens(case)) > 0
    assert (counter.requests, counter.retries) == (2, 1)


@pytest.mark.parametrize("fault", LASTING)
async def test_a_lasting_fault_ends_after_the_last_try(
    case: Case, exchange: Exchange, tmp_path: Path, fault: Fault
) -> None:
    exchange.fault(fault, times=None)
    with pytest.raises(RetriableError, match=case.name) as caught:
        await fetched(case, case.connect(exchange, tmp_path))
    assert "try 3 of 3" in str(caught.value)
    assert exchange.count() == 3


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 301])
async def test_a_final_status_is_not_asked_again(case: Case, exchange: Exchange, tmp_path: Path, status: int) -> None:
    exchange.fault(Fault.http(status, location="/elsewhere"), times=None)
    with pytest.raises(PermanentError, match=case.name):
        await fetched(case, case.connect(exchange, tmp_path))
    assert exchange.count() == 1


async def test_no_secret_appears_anywhere(
    case: Case, exchange: Exchange, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    errors = []
    for body in (f'{{"message":"your key {SECRET}"}}', f"<html>{'x' * 290} {SECRET}</html>"):
        for status in (200, 400, 401, 500):
            exchange.fault(Fault.http(status, body), times=3 if status in (200, 500) else 1)
            try:
                await fetched(case, case.connect(exchange, tmp_path))
            except (RetriableError, PermanentError, QuotaError) as error:
                errors.append(repr(error))
    await fetched(case, case.connect(exchange, tmp_path))
    said = "".join(errors) + caplog.text + "".join(repr(record.__dict__) for record in caplog.records)
    written = "".join(path.read_text() for path in tmp_path.rglob("*") if path.is_file())
    assert len(errors) == 8
    assert all(part not in said + written for part in (SECRET, SECRET[:10]))


# Lists


async def test_what_it_lists_are_stored_names_with_the_pair_among_them(
    case: Case, exchange: Exchange, tmp_path: Path
) -> None:
    async with case.connect(exchange, tmp_path) as provider:
        listed = await provider.catalogue()
    names = [instrument.name for instrument in listed]
    assert names == [normalize_pair(name, provider.name) for name in names]
    assert len(set(names)) == len(names)
    assert case.pair in names, "`catalogue` of the provider: the instruments that it lists"
