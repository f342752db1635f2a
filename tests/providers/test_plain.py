"""Tests that an answer read straight into columns is what the same answer read as JSON is, or refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ffe_core.columns import CandleColumns
from ffe_core.errors import AnswerTooLarge, ProviderError, WrongAnswer
from ffe_core.ingestion.chunk import Chunk
from ffe_core.providers import coinbase_wire, oanda_wire, plain
from ffe_core.providers import oanda as oanda_module
from ffe_core.providers.base import Page
from ffe_core.providers.coinbase import CoinbaseDataProvider
from ffe_core.providers.http_provider import HttpProvider
from ffe_core.providers.oanda import OandaDataProvider
from ffe_core.providers.plain import NotPlain, RawRecords, instants, numbers
from ffe_core.series import Series
from tests.pace import examples
from tests.providers import answer_bodies
from tests.providers.answer_bodies import BARS, MINUTE, START
from tests.providers.contract import settings as config_in

CLOSED = START + (BARS - 2) * MINUTE
ASKED = {"instrument": "EUR_USD", "granularity": "M1"}
# As recorded from GET /v3/instruments/EUR_USD/candles, with the time moved into the page
OANDA_CANDLE = (
    '{"complete":true,"volume":191082,"time":"2024-01-02T00:01:00.000000000Z",'
    '"mid":{"o":"1.05166","h":"1.05294","l":"1.03538","c":"1.03810"}}'
)
OANDA = f'{{"instrument":"EUR_USD","granularity":"M1","candles":[{OANDA_CANDLE}]}}'

# As recorded from GET /api/v3/brokerage/market/products/BTC-USD/candles, with the time moved into the page
COINBASE = (
    '{"candles":[{"start":"1704153660","low":"66055.14","high":"66331.99","open":"66312.4","close":"66181.6",'
    '"volume":"355.82896243"}]}'
)


@dataclass(frozen=True)
class Wire:
    """One provider that reads plain answers: its two ways, a body of each kind, and a candle of it."""

    series: Series
    provider: Callable[[Path], HttpProvider]
    parse: Callable[[Any, bytes], Sequence[Any]]
    parse_json: Callable[[Any, bytes], Sequence[Any]]
    columns: Callable[[bytes], CandleColumns]
    bodies: Callable[[], st.SearchStrategy[bytes]]
    recorded: str

    def read(self, provider: HttpProvider, body: bytes) -> Sequence[Any]:
        """A body as the provider reads it out of an answer, whichever way."""
        return provider._http._read(partial(self.parse, provider), body)

    def read_json(self, provider: HttpProvider, body: bytes) -> Sequence[Any]:
        """The same body without a look at whether it is plain."""
        return provider._http._read(partial(self.parse_json, provider), body)


WIRES = [
    Wire(
        Series("EURUSD", "1m", "oanda"),
        cache(lambda folder: OandaDataProvider(config=config_in(folder))),
        lambda provider, body: provider._parse(ASKED, body),
        lambda provider, body: provider._parse_json(ASKED, body),
        lambda body: oanda_wire.columns(body)[1],
        answer_bodies.oanda,
        OANDA,
    ),
    Wire(
        Series("BTCUSD", "1m", "coinbase"),
        cache(lambda folder: CoinbaseDataProvider(config=config_in(folder))),
        lambda provider, body: provider._parse(body),
        lambda provider, body: provider._parse_json(body),
        coinbase_wire.columns,
        answer_bodies.coinbase,
        COINBASE,
    ),
]


every_wire = pytest.mark.parametrize("wire", WIRES, ids=lambda wire: wire.series.provider)


def tried(read: Callable[[HttpProvider, bytes], Sequence[Any]], provider: HttpProvider, body: bytes) -> Any:
    """The records of a body, or the kind and the words of what was raised."""
    try:
        return read(provider, body)
    except ProviderError as error:
        return type(error), str(error)


def judged(provider: HttpProvider, series: Series, answers: Sequence[Sequence[Any]]) -> dict[str, Any]:
    """What becomes of answers to the parts of a page, one each: candles, counts, and what fails, as it was sent."""
    chunk = Chunk(series, CLOSED, provider.flags_completion, has_volume=provider.has_volume(series.asset_pair))
    step = BARS // len(answers) * MINUTE if answers else 0
    for number, answer in enumerate(answers):
        chunk.take(Page(START + number * step, START + (number + 1) * step), answer)
    candles = chunk.candles().to_pydict()
    failed = [(failure.open, failure.reasons, text_of(failure.record)) for failure in chunk.failures]
    return {
        "candles": sorted(zip(*candles.values(), strict=True)),
        "counts": chunk.counts,
        "unfinished": sorted(chunk.unfinished),
        "failures": sorted(failed, key=repr),
    }


def text_of(record: Any) -> str:
    """A record as text: by its values NaN is not itself, and 1 is 1.0 and True."""
    return json.dumps(record)


class TestBothWays:
    """Whatever a body holds, reading it into columns changes nothing but how long it takes."""

    @every_wire
    @settings(max_examples=examples(150))
    @given(data=st.data())
    def test_the_same_candles_dead_letters_and_errors(
        self, wire: Wire, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        provider = wire.provider(tmp_path_factory.getbasetemp())
        body = data.draw(wire.bodies())
        fast, slow = tried(wire.read, provider, body), tried(wire.read_json, provider, body)
        if isinstance(slow, tuple):
            assert fast == slow
            return
        assert list(map(text_of, fast)) == list(map(text_of, slow))
        assert judged(provider, wire.series, [fast]) == judged(provider, wire.series, [slow])

    @every_wire
    @settings(max_examples=examples(40))
    @given(data=st.data())
    def test_pages_of_both_kinds_side_by_side(
        self, wire: Wire, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        provider = wire.provider(tmp_path_factory.getbasetemp())
        bodies = data.draw(st.lists(wire.bodies(), min_size=3, max_size=6))
        read = [body for body in bodies if not isinstance(tried(wire.read_json, provider, body), tuple)]
        fast, slow = ([way(provider, body) for body in read] for way in (wire.read, wire.read_json))
        assert judged(provider, wire.series, fast) == judged(provider, wire.series, slow)

    @every_wire
    def test_most_of_what_is_drawn_is_plain_or_readable(self, wire: Wire, tmp_path: Path) -> None:
        """Or else the comparison would compare nothing."""
        provider = wire.provider(tmp_path)
        kinds = {"columns": 0, "list": 0, "error": 0}

        @settings(max_examples=200, database=None)
        @given(wire.bodies())
        def count(body: bytes) -> None:
            got = tried(wire.read, provider, body)
            kind = "error" if isinstance(got, tuple) else "columns" if isinstance(got, CandleColumns) else "list"
            kinds[kind] += 1

        count()
        assert min(kinds.values()) >= 15, kinds


class TestRecorded:
    @every_wire
    def test_a_body_as_recorded_is_read_into_columns(self, wire: Wire, tmp_path: Path) -> None:
        found = wire.read(wire.provider(tmp_path), wire.recorded.encode())
        assert isinstance(found, CandleColumns)
        assert list(found.open_times) == [START + MINUTE]
        assert judged(wire.provider(tmp_path), wire.series, [found])["counts"].received == 1

    @every_wire
    def test_the_dicts_are_made_only_for_what_fails(
        self, wire: Wire, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        read: list[int] = []
        before = RawRecords.__call__
        monkeypatch.setattr(RawRecords, "__call__", lambda self, place: (read.append(place), before(self, place))[1])
        provider = wire.provider(tmp_path)
        good = wire.read(provider, wire.recorded.encode())
        assert (judged(provider, wire.series, [good])["failures"], read) == ([], [])
        candle = wire.recorded[wire.recorded.index("[") + 1 : wire.recorded.rindex("]")]
        bad = wire.recorded.replace(candle, f"{candle},{candle.replace('1.05294', '0.5').replace('66331.99', '0.5')}")
        failures = judged(provider, wire.series, [wire.read(provider, bad.encode())])["failures"]
        assert ([len(failures), read], failures[0][1][0]) == ([1, [1]], "high_below_low")

    @every_wire
    def test_an_answer_without_candles_is_an_empty_list(self, wire: Wire, tmp_path: Path) -> None:
        body = wire.recorded[: wire.recorded.index("[") + 1] + "]}"
        assert wire.read(wire.provider(tmp_path), body.encode()) == []


class TestRefusals:
    """What is not plain: each of these is a guard, without which a body would be read otherwise than as JSON."""

    @pytest.mark.parametrize(
        ("usual", "odd"),
        [
            ('"candles"', '"x":1,"candles"'),
            ('"complete"', '"incomplete_sources":[],"complete"'),
            ('"o"', '"x":null,"o"'),
            ("191082", "null"),
            ("191082", "191082.0"),
            ("191082", '"191082"'),
            ("191082", "true"),
            ("191082", str(2**70)),
            ('"1.05166"', "1.05166"),
            ('"1.05166"', '"1.0 5166"'),
            ('"1.05166"', '"1_0"'),
            ('"1.05166"', '"\\ud800"'),
            ("true", "1"),
            (".000000000Z", ".500000000Z"),
            (".000000000Z", "Z"),
            ("2024-01-02", "2024-02-30"),
            ("2024-01-02", "9999-01-02"),
            ("}]}", "},null]}"),
            ("}]}", "},1]}"),
            ("}]}", "}]} {}"),
            ("}]}", "}"),
            ('"c":"1.03810"', '"x":"1.03810"'),
        ],
    )
    def test_an_odd_answer_of_oanda_is_read_as_json(self, usual: str, odd: str) -> None:
        assert usual in OANDA
        with pytest.raises(NotPlain):
            oanda_wire.columns(OANDA.replace(usual, odd, 1).encode())

    @every_wire
    @pytest.mark.parametrize("body", [b"null", b"[]", b"", b"\xff", OANDA.encode().replace(b"EUR", b"\xff")])
    def test_what_is_no_object_or_no_utf_8_is_read_as_json(self, wire: Wire, body: bytes) -> None:
        with pytest.raises(NotPlain):
            wire.columns(body)

    @pytest.mark.parametrize(
        ("usual", "odd"),
        [
            ('"candles"', '"x":1,"candles"'),
            ('"low"', '"incomplete_sources":[],"low"'),
            ('"1704153660"', "1704153660"),
            ('"1704153660"', '"-1704153660"'),
            ('"1704153660"', '"0x6593F000"'),
            ('"1704153660"', '"253402300800"'),
            ('"1704153660"', '"99999999999999999999"'),
            ('"1704153660"', '""'),
            ('"66055.14"', "66055.14"),
            ('"66055.14"', "null"),
            ('"66055.14"', '"n/a"'),
            (',"volume":"355.82896243"', ""),
            ("}]}", "},[]]}"),
        ],
    )
    def test_an_odd_answer_of_coinbase_is_read_as_json(self, usual: str, odd: str) -> None:
        assert usual in COINBASE
        with pytest.raises(NotPlain):
            coinbase_wire.columns(COINBASE.replace(usual, odd, 1).encode())

    def test_numbers_that_are_none_are_refused(self) -> None:
        assert numbers(["1.5", "NaN"])[0][0] == 1.5
        with pytest.raises(NotPlain):
            numbers(["1.5", "n/a"])

    def test_times_are_whole_seconds_of_utc(self) -> None:
        assert list(instants(["1970-01-01T00:01:00.0Z"], ".0Z")) == [60]
        for text in ("1970-01-01T00:01:00.5Z", "1970-01-01T00:01.0Z", "n/a.0Z"):
            with pytest.raises(NotPlain):
                instants([text], ".0Z")

    @every_wire
    def test_a_body_of_too_many_values_is_refused_as_ever(self, wire: Wire, tmp_path: Path) -> None:
        provider = wire.provider(tmp_path)
        candle = wire.recorded[wire.recorded.index("[") + 1 : wire.recorded.rindex("]")]
        most = 2 * provider._http.bounds.records + 12_000
        body = wire.recorded.replace(candle, ",".join([candle] * most)).encode()
        with pytest.raises(AnswerTooLarge):
            wire.read(provider, body)

    def test_an_echo_of_another_question_is_refused_before_any_candle_is_taken(self, tmp_path: Path) -> None:
        provider = OandaDataProvider(config=config_in(tmp_path))
        for wrong in (OANDA.replace("EUR_USD", "GBP_USD"), OANDA.replace("M1", "H1")):
            assert isinstance(oanda_wire.columns(wrong.encode())[1], CandleColumns)
            with pytest.raises(WrongAnswer):
                provider._parse(ASKED, wrong.encode())


def test_a_way_that_refuses_everything_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(body: bytes) -> Any:
        raise NotPlain

    monkeypatch.setattr(oanda_module, "columns", refuse)
    found = OandaDataProvider(config=config_in(tmp_path))._parse(ASKED, OANDA.encode())
    assert isinstance(found, list)
    assert found[0]["date"] == "2024-01-02T00:01:00+00:00"
    assert plain.NotPlain is NotPlain
