"""Are adjusted bars labelled wherever the Candles page shows or hands them out, and not drawn where they cannot be?"""

from __future__ import annotations

import asyncio
import csv
import io
import json
import zipfile
from collections.abc import Callable
from fractions import Fraction

import httpx
import pyarrow.parquet as pq
import pytest
from starlette.applications import Starlette
from starlette.routing import Route
from streamlit.testing.v1 import AppTest

from ffe_core.adjustments.actions import DIVIDEND, SPLIT, Actions, action
from ffe_core.operations.console import ConsoleService
from ffe_core.series import Series
from pages.candles.download import download
from pages.candles.routes import CHART_ROUTES
from tests.insight.lakes import flat, put
from tests.pages.conftest import Open, words
from tests.pages.test_bars import unpacked
from tests.pages.test_candles_page import calm, live, selected
from tests.reading.test_adjusted import APPLE, REAL, at

BTC = Series("BTCUSD", "1d", "coinbase")
KEY = "series=AAPL/1d/files:lean"
SPAN = f"start={at('2014-05-05')}&end={at('2014-06-16')}"
Get = Callable[[str], httpx.Response]


@pytest.fixture
def apple(console: ConsoleService) -> Actions:
    """Days of AAPL around a dividend and two splits, which are on record, and of BTC."""
    put(console.lake, APPLE, {at(day): values for day, values in REAL.items()})
    put(console.lake, BTC, flat([at("2014-06-06"), at("2014-06-09")]))
    kept = Actions(console.settings.data_dir)
    kept.add(
        [
            action(SPLIT, "AAPL", "2014-06-09", Fraction(7), "announced"),
            action(SPLIT, "AAPL", "2020-08-31", Fraction(4), "announced"),
            action(DIVIDEND, "AAPL", "2014-05-08", Fraction("3.29"), "announced"),
        ]
    )
    return kept


@pytest.fixture
def get() -> Get:
    app = Starlette(routes=[*CHART_ROUTES, Route("/export", download)])

    async def asked(path: str) -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://console") as client:
            return await client.get(path)

    return lambda path: asyncio.run(asked(path))


def shown(open_page: Open, **more: str) -> AppTest:
    return calm(open_page("candles", pair="AAPL", start="2014-05-05", end="2014-06-15", **more))


@pytest.mark.usefixtures("apple")
def test_chart_table_and_address_say_what_for(open_page: Open) -> None:
    page = shown(open_page)
    assert "adjusted" not in words(page)
    page.selectbox(key="candles_adjust").set_value("splits").run()
    said = words(calm(page))
    assert "adjusted for splits" in said
    assert "On record of AAPL with an ex-day that had come by now: 2 splits." in said
    head, columns = live(page)
    assert head["facts"]["adjusted"] == "adjusted for splits"
    assert head["facts"]["notes"][0] == "adjusted for splits"
    assert head["facts"]["query"].endswith("adjust=splits")
    assert columns["close"][columns["time"].tolist().index(at("2014-06-06"))] == 645.57 / 28
    table = page.dataframe[0].value
    assert set(table["adjustment"]) == {"splits"}
    assert table["close"].tolist()[-1] == 594.41 / 28
    assert page.query_params["adjust"] == "splits"
    again = shown(open_page, adjust="all")
    assert "adjusted for splits and cash dividends" in words(again)


@pytest.mark.usefixtures("apple")
def test_a_bar_that_is_corrected_is_the_stored_one(open_page: Open) -> None:
    page = selected(shown(open_page, adjust="splits"), at("2014-05-06"))
    assert "a correction is of those" in words(page)
    page.button(key="candles_correct").click().run()
    assert page.text_input(key="correct_close").value == "594.41"


@pytest.mark.usefixtures("apple")
def test_plotly_and_its_pictures_say_what_for(open_page: Open) -> None:
    page = shown(open_page, adjust="splits", chart="plotly")
    (chart,) = page.get("plotly_chart")
    figure = json.loads(chart.proto.spec)
    assert "adjusted for splits" in [one["text"] for one in figure["layout"]["annotations"]]
    assert all(text.startswith("adjusted for splits<br>") for text in figure["data"][0]["text"])
    assert "adjusted-splits" in chart.proto.config


def test_what_cannot_be_adjusted_is_not_drawn(console: ConsoleService, open_page: Open) -> None:
    put(console.lake, APPLE, {at(day): values for day, values in REAL.items()})
    page = open_page("candles", pair="AAPL", adjust="splits")
    assert "no split is on record" in words(page)
    assert not page.dataframe
    page.button(key="candles_as_traded").click().run()
    assert "adjusted for" not in words(calm(page))
    assert "adjust" not in page.query_params


@pytest.mark.usefixtures("apple")
def test_downloads_keep_the_adjustment(open_page: Open) -> None:
    page = shown(open_page, adjust="all", tab="download")
    links = [one.proto.url for one in page.get("link_button")]
    assert len(links) == 4
    assert all("&adjust=all" in url for url in links)
    page.selectbox(key="candles_form").set_value("lean").run()
    assert "Its tool adjusts raw prices by itself" in words(page)


@pytest.mark.usefixtures("apple")
def test_the_code_to_use_elsewhere_adjusts_or_says_that_it_does_not(open_page: Open) -> None:
    page = shown(open_page, adjust="all", tab="elsewhere")
    assert "adjust='all')" in page.code[0].value
    assert "the others what is stored" in words(page)


@pytest.mark.usefixtures("apple")
def test_bars_of_the_route_are_adjusted_before_larger_ones_are_made(get: Get) -> None:
    head, columns = unpacked(get(f"/bars?{KEY}&{SPAN}&size=1w&adjust=splits"))
    assert head["size"]["name"] == "1w"
    week = columns["time"].tolist().index(at("2014-06-02"))
    assert columns["high"][week] == 651.25 / 28
    assert columns["volume"][week] == (10445282.0 + 12116671.0) * 28
    raw = unpacked(get(f"/bars?{KEY}&{SPAN}&size=1w"))[1]
    assert raw["high"][week] == 651.25


@pytest.mark.usefixtures("apple")
def test_a_wrong_adjustment_is_told_by_both_routes(get: Get) -> None:
    for path in (f"/bars?{KEY}&{SPAN}&size=1d&adjust=yes", f"/export?{KEY}&{SPAN}&format=csv&adjust=yes"):
        answer = get(path)
        assert (answer.status_code, answer.text) == (
            400,
            "adjust: 'yes' is unknown; use splits or all, or leave it out",
        )


@pytest.mark.usefixtures("apple")
def test_files_say_what_for_in_their_names_their_rows_and_their_sheet(get: Get) -> None:
    text = get(f"/export?{KEY}&{SPAN}&format=csv&adjust=splits")
    assert "adjusted-splits.csv" in text.headers["content-disposition"]
    rows = list(csv.DictReader(io.StringIO(text.text)))
    assert {row["adjustment"] for row in rows} == {"splits"}
    assert float(rows[0]["close"]) == 594.41 / 28
    table = pq.read_table(io.BytesIO(get(f"/export?{KEY}&{SPAN}&format=parquet&adjust=all").content))
    assert set(table["adjustment"].to_pylist()) == {"all"}
    sheet = get(f"/export?{KEY}&{SPAN}&format=sheet&adjust=all").json()
    assert sheet["adjustment"] == "all"
    assert sheet["columns"][-1] == "adjustment"
    assert sheet["series"][0]["adjusted_by"] == [
        {"before": "2014-05-08", "prices": 1 / 28 * (1 - 3.29 / 592.33), "volumes": 28.0},
        {"before": "2014-06-09", "prices": 1 / 28, "volumes": 28.0},
        {"before": "2020-08-31", "prices": 0.25, "volumes": 4.0},
    ]
    raw = get(f"/export?{KEY}&{SPAN}&format=csv")
    assert "adjust" not in raw.text + raw.headers["content-disposition"]


@pytest.mark.usefixtures("apple")
def test_files_of_another_tool_say_it_too(get: Get) -> None:
    answer = get(f"/export?{KEY}&{SPAN}&form=vectorbt&adjust=splits")
    assert "adjusted-splits.vectorbt.zip" in answer.headers["content-disposition"]
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.namelist() == ["AAPL-1d.csv", "ADJUSTED-AAPL-1d.txt"]
    assert "takes raw prices" in get(f"/export?{KEY}&{SPAN}&form=lean&adjust=splits").text


@pytest.mark.usefixtures("apple")
def test_a_pair_without_actions_says_that_it_has_none(open_page: Open) -> None:
    assert ": none." in words(calm(open_page("candles", pair="BTCUSD", adjust="splits")))
