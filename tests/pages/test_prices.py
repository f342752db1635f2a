"""Prices on the pages: the decimals of the instrument on charts, in tables and forms, and none rounded."""

from __future__ import annotations

import json

import pytest

from ffe_core import times
from ffe_core.candles import VALUES
from ffe_core.insight.export import export
from ffe_core.instruments.model import Instrument
from ffe_core.operations.console import ConsoleService
from ffe_core.series import Series
from pages.dead_letters.text import candle
from tests.insight.lakes import DAY, HOUR, JANUARY, put
from tests.pages.conftest import Open, words

EUR = Series("EURUSD", "1h", "oanda")
VALUES_OF_A_BAR = (1.1, 1.2, 1.05, 1.15, 1234.0)


@pytest.fixture
def listed(console: ConsoleService) -> ConsoleService:
    """Three bars of a pair whose prices have five decimals, stored with two."""
    console.instruments.store.replace("oanda", [Instrument("oanda", "EURUSD", "EUR_USD", "fx", decimals=5)])
    put(console.lake, EUR, {JANUARY + n * HOUR: VALUES_OF_A_BAR for n in range(3)})
    return console


def columns(at: object, place: int = 0) -> dict[str, str | None]:
    """The number format of each column of a table."""
    described = json.loads(at.dataframe[place].proto.columns)
    return {name: (column.get("type_config") or {}).get("format") for name, column in described.items()}


def test_chart_and_table_show_the_decimals_of_the_instrument(listed: ConsoleService, open_page: Open) -> None:
    at = open_page("candles", pair="EURUSD", chart="plotly")
    layout = json.loads(at.get("plotly_chart")[0].proto.spec)["layout"]
    assert (layout["yaxis"]["hoverformat"], layout["yaxis"]["tickformat"]) == (",.5f", ",.5f")
    formats = columns(at)
    assert [formats[name] for name in VALUES] == ["%,.5f"] * 4 + ["%,.0f"]


def test_a_price_with_more_decimals_is_shown_whole(listed: ConsoleService, open_page: Open) -> None:
    put(listed.lake, EUR, {JANUARY + 3 * HOUR: (1.1, 1.2, 1.05, 1.1500001, 0.25)})
    at = open_page("candles", pair="EURUSD", chart="plotly")
    layout = json.loads(at.get("plotly_chart")[0].proto.spec)["layout"]
    formats = columns(at)
    assert (layout["yaxis"]["hoverformat"], layout["yaxis"]["tickformat"]) == (",.7f", ",.5f")
    assert (formats["close"], formats["open"], formats["volume"]) == ("%,.7f", "%,.5f", "%,.2f")


@pytest.mark.usefixtures("listed")
def test_what_plotly_does_not_draw_is_said_and_its_dates_are_those_of_the_page(open_page: Open) -> None:
    at = open_page("candles", pair="EURUSD", chart="plotly", **{"with": "sma20,rsi14"})
    assert "Plotly does not draw: SMA 20, RSI 14" in words(at)
    axis = json.loads(at.get("plotly_chart")[0].proto.spec)["layout"]["xaxis"]
    assert all("%b %-d" not in stop["value"] for stop in axis["tickformatstops"])
    assert axis["hoverformat"] == "%a %Y-%m-%d %H:%M UTC"


def test_plotly_breaks_a_line_where_neither_series_has_a_bar(console: ConsoleService, open_page: Open) -> None:
    for pair in ("BTCUSD", "ETHUSD"):
        there = (JANUARY + n * HOUR for n in range(24) if n not in (10, 11))
        put(console.lake, Series(pair, "1h", "simulated"), dict.fromkeys(there, VALUES_OF_A_BAR))
    at = open_page("candles", pair="BTCUSD", over="ETHUSD/1h/simulated", chart="plotly")
    traces = json.loads(at.get("plotly_chart")[0].proto.spec)["data"]
    line = next(one for one in traces if one.get("mode") == "lines")
    assert len(line["x"]) == 24


def test_restated_closes_have_them_too(listed: ConsoleService, open_page: Open) -> None:
    put(listed.lake, EUR, {JANUARY: (1.1, 1.2, 1.05, 1.1234567, 1.0)}, "second")
    [changed] = open_page("restatements", since="all").dataframe[0].value["Changed"]
    assert "close 1.15000 → 1.1234567" in changed


def test_dead_letters_and_files_have_them_too(listed: ConsoleService, tmp_path_factory: pytest.TempPathFactory) -> None:
    values = dict(zip(VALUES, VALUES_OF_A_BAR, strict=True))
    assert candle(values, EUR) == "O 1.10000  H 1.20000  L 1.05000  C 1.15000  V 1,234"
    assert candle(values, None) == "O 1.1  H 1.2  L 1.05  C 1.15  V 1,234"
    file = tmp_path_factory.mktemp("out") / "out.csv"
    calendar = listed.settings.calendars.of("oanda", "EURUSD")
    export(
        listed.lake, listed.queue, lambda one: calendar, [EUR], JANUARY, JANUARY + DAY, file,
        format="csv", format_of=listed.formats.of,
    )  # fmt: skip
    first = file.read_text().splitlines()[1]
    assert first.startswith(f'"{times.iso(JANUARY)[:19]}Z","EURUSD","1h",1.10000,1.20000,1.05000,1.15000,1234,"oanda",')


def test_without_a_catalogue_the_stored_closes_tell(console: ConsoleService, open_page: Open) -> None:
    put(console.lake, EUR, {JANUARY: VALUES_OF_A_BAR})
    assert columns(open_page("candles", pair="EURUSD", chart="plotly"))["open"] == "%,.2f"
