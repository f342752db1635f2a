"""Bars of a chart by HTTP: what is asked for comes whole and bounded, and nonsense is told with the next step."""

from __future__ import annotations

import asyncio
import gzip
import json
import struct
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import pytest
from starlette.applications import Starlette

from ffe_core import times
from ffe_core.candles import VALUES
from ffe_core.insight.gaps import KINDS
from ffe_core.operations.console import ConsoleService
from ffe_core.series import Series
from pages.candles.bars import MOST_BARS
from pages.candles.component import bundle
from pages.candles.routes import CHART_ROUTES
from tests.insight.lakes import DAY, HOUR, JANUARY, flat, put

BTC = Series("BTCUSD", "1h", "simulated")
ETH = Series("ETHUSD", "1h", "simulated")
KEY = "series=BTCUSD/1h/simulated"
Get = Callable[..., httpx.Response]


@pytest.fixture
def get(console: ConsoleService) -> Get:
    """`get("/bars?...")`: what the routes of the chart answer, over ten days of BTC with a gap and one of ETH."""
    gap = range(JANUARY + 50 * HOUR, JANUARY + 53 * HOUR, HOUR)
    put(console.lake, BTC, flat([at for at in range(JANUARY, JANUARY + 10 * DAY, HOUR) if at not in gap]))
    put(console.lake, ETH, flat(range(JANUARY, JANUARY + DAY, HOUR), 7.0))
    app = Starlette(routes=CHART_ROUTES)

    async def asked(path: str, method: str, headers: dict[str, str]) -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://console") as client:
            return await client.request(method, path, headers=headers)

    return lambda path, method="GET", **headers: asyncio.run(asked(path, method, headers))


def unpacked(answer: httpx.Response) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The head and the columns, read as the component reads them."""
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    (length,) = struct.unpack_from("<I", answer.content)
    head = json.loads(answer.content[4 : 4 + length])
    assert (4 + length) % 8 == 0
    body = np.frombuffer(answer.content, "<f8", offset=4 + length).reshape(len(head["columns"]), head["rows"])
    return head, dict(zip(head["columns"], body, strict=True))


def test_the_bars_of_a_range_come_as_columns_with_what_is_missing(get: Get) -> None:
    head, columns = unpacked(get(f"/bars?{KEY}&start={JANUARY}&end={JANUARY + 4 * DAY}&size=1h"))
    assert columns["time"].tolist() == list(range(JANUARY, JANUARY + 4 * DAY, HOUR))
    known = flat([JANUARY])[JANUARY]
    assert [columns[name][0] for name in VALUES] == list(known)
    assert np.flatnonzero(np.isnan(columns["close"])).tolist() == [50, 51, 52]
    unexplained = KINDS.index("unexplained")
    assert columns["missing"][50] == 1 + unexplained
    assert head["gaps"] == [[JANUARY + 50 * HOUR, JANUARY + 53 * HOUR, 3, unexplained]]
    assert (head["start"], head["end"], head["size"]) == (
        JANUARY, JANUARY + 4 * DAY, {"name": "1h", "seconds": HOUR})  # fmt: skip


def test_without_a_size_the_fitting_one_comes_with_as_much_on_either_side(get: Get) -> None:
    start, end = JANUARY + 4 * DAY, JANUARY + 5 * DAY
    head, _ = unpacked(get(f"/bars?{KEY}&start={start}&end={end}"))
    assert (head["size"]["name"], head["start"], head["end"]) == ("1h", start - DAY, end + DAY)
    head, _ = unpacked(get(f"/bars?{KEY}&start={JANUARY}&end={JANUARY + 4000 * DAY}"))
    assert head["size"]["name"] == "1w"


def test_derived_timeframes_are_sizes_too(get: Get) -> None:
    start, end = JANUARY + 2 * DAY, JANUARY + 3 * DAY
    head, columns = unpacked(get(f"/bars?{KEY}&start={start}&end={end}&size=2h"))
    assert head["size"] == {"name": "2h", "seconds": 2 * HOUR}
    assert columns["time"].tolist() == list(range(start, end, 2 * HOUR))
    assert columns["sources"][:4].tolist()[0:1] + columns["sources"][3:4].tolist() == [2, 2]
    assert np.isnan(columns["close"][1])
    assert (columns["sources"][2], columns["expected"][2]) == (1, 2)


def test_the_smallest_size_can_be_said(get: Get) -> None:
    start, end = JANUARY + 4 * DAY, JANUARY + 5 * DAY
    head, _ = unpacked(get(f"/bars?{KEY}&start={start}&end={end}&least=6h"))
    assert head["size"]["name"] == "6h"
    head, _ = unpacked(get(f"/bars?{KEY}&start={JANUARY}&end={JANUARY + 4000 * DAY}&least=6h"))
    assert head["size"]["name"] == "1w"


def test_what_is_laid_over_and_indicators_come_with_them(get: Get, console: ConsoleService) -> None:
    asked = f"/bars?{KEY}&start={JANUARY}&end={JANUARY + DAY}&size=1h&over=eth-usd/1h/simulated&with=sma3,bb20,vwap"
    _, columns = unpacked(get(asked))
    assert columns["over:0"].tolist() == [bar[3] for bar in flat(range(JANUARY, JANUARY + DAY, HOUR), 7.0).values()]
    np.testing.assert_allclose(columns["sma3:line"][2:], np.convolve(columns["close"], np.ones(3) / 3, "valid"))
    assert {"bb20:upper", "bb20:middle", "bb20:lower", "vwap:line"} <= set(columns)


def test_the_past_is_shown_as_it_was_known_with_the_present_over_it(get: Get, console: ConsoleService) -> None:
    before = put(console.lake, BTC, flat([JANUARY + 20 * DAY]), "later")
    put(console.lake, BTC, flat([JANUARY], 500.0), "restated")
    asked = f"/bars?{KEY}&start={JANUARY}&end={JANUARY + DAY}&size=1h&known={before}&now=1"
    _, columns = unpacked(get(asked))
    assert columns["close"][0] == flat([JANUARY])[JANUARY][3]
    assert columns["over:0"][0] == flat([JANUARY], 500.0)[JANUARY][3]


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("", "names none"),
        ("series=NOPE/1h/simulated&start=0&end=9", "not stored"),
        ("series=BTCUSD/1h&start=0&end=9", "names none"),
        ("series=BTCUSD/2h/simulated&start=0&end=9", "2h"),
        (f"{KEY}&{KEY}&start=0&end=9", "given 2 times"),
        (f"{KEY}&start=0", "end: '' is no time"),
        (f"{KEY}&start=x&end=9", "start: 'x' is no time"),
        (f"{KEY}&start=9&end=9", "a start before its end"),
        (f"{KEY}&start=-5&end=9", "1970 to 2099"),
        (f"{KEY}&start=0&end=99999999999", "1970 to 2099"),
        (f"{KEY}&start=0&end=4102444800&size=1h", f"ask for {MOST_BARS:,} at most"),
        (f"{KEY}&start=0&end=9000&size=1m", "is smaller than 1h"),
        (f"{KEY}&start=0&end=9000&size=7h", "use one of"),
        (f"{KEY}&start=0&end=9000&size=30m", "size: '30m' is unknown; use one of 1h, 2h, 4h, 6h, 8h, 12h, 1d, 1w, 1mo"),
        (f"{KEY}&start=0&end=9000&least=7h", "least: '7h' is unknown; use one of 1h, 2h"),
        (f"{KEY}&start=0&end=9000&with=macd", "for example SMA 50"),
        (f"{KEY}&start=0&end=9000&with=" + ",".join(f"sma{n}" for n in range(2, 12)), "8 at most"),
        (f"{KEY}&start=0&end=9000&over=ETHUSD", "over: 'ETHUSD' names none"),
        (f"{KEY}&start=0&end=9000" + "&over=ETHUSD/1h/simulated" * 6, "5 at most"),
        (f"{KEY}&start=0&end=9000&path=/etc", "is no parameter"),
        (f"{KEY}&start=0&end=9000&with={'a' * 300}", "longer than 200"),
    ],
)
def test_what_cannot_be_is_told(get: Get, query: str, why: str) -> None:
    answer = get(f"/bars?{query}")
    assert answer.status_code == 400, answer.content[:200]
    assert why in answer.text
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("path", ["/bars", "/bars/ticks", "/chart/x.js"])
def test_the_routes_are_only_read(get: Get, method: str, path: str) -> None:
    assert get(path, method).status_code == 405


def test_an_answer_never_has_more_bars_than_it_may(get: Get) -> None:
    end = JANUARY + MOST_BARS * HOUR
    head, _ = unpacked(get(f"/bars?{KEY}&start={JANUARY}&end={end}&size=1h"))
    assert head["rows"] <= MOST_BARS
    assert get(f"/bars?{KEY}&start={JANUARY}&end={end + HOUR}&size=1h").status_code == 400


def test_ticks_name_the_gaps_and_dead_letters_of_the_whole_series(get: Get, console: ConsoleService) -> None:
    record = {"date": times.iso(JANUARY + 51 * HOUR), **dict.fromkeys(VALUES, -1.0)}
    context = {"asset_pair": "BTCUSD", "timeframe": "1h", "provider": "simulated"}
    console.queue.save([record], "validation_failed", context, [["not_positive:open"]])
    answer = get("/bars/ticks?series=BTC-USD/1h/simulated")
    assert answer.status_code == 200, answer.text
    ticks = answer.json()
    assert ticks["dead"] == [JANUARY + 51 * HOUR]
    kinds = [(start, end, candles, KINDS[kind]) for start, end, candles, kind in ticks["gaps"]]
    assert (JANUARY + 50 * HOUR, JANUARY + 51 * HOUR, 1, "unexplained") in kinds
    assert (JANUARY + 51 * HOUR, JANUARY + 52 * HOUR, 1, "dead_lettered") in kinds
    assert get("/bars/ticks?series=NOPE/1h/simulated").status_code == 400


def test_the_bundle_is_kept_for_ever_under_the_name_that_holds_its_hash(get: Get) -> None:
    name = bundle().name
    plain = get(f"/chart/{name}", **{"accept-encoding": "identity"})
    packed = get(f"/chart/{name}", **{"accept-encoding": "gzip, br"})
    assert plain.status_code == packed.status_code == 200
    assert plain.content == packed.content == gzip.decompress(bundle().packed)
    assert (packed.headers["content-encoding"], plain.headers.get("content-encoding")) == ("gzip", None)
    assert "immutable" in plain.headers["cache-control"]
    assert plain.headers["content-type"].startswith("text/javascript")
    for other in ("chart.js", "../package.json", "chart-0000000000000000.js"):
        assert get(f"/chart/{other}").status_code == 404
