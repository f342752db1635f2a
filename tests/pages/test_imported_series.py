"""Imported series on the pages: they stand wherever series are listed, under the name of their source."""

from __future__ import annotations

from pathlib import Path

import pytest

from ffe_core.files.plan import Target
from ffe_core.operations.console import ConsoleService
from ffe_core.operations.imports.request import ImportRequest
from ffe_core.operations.imports.service import Imports, planned
from ffe_core.series import Series
from ffe_core.storage.dead_letters.search import Wanted
from tests.files.making import Form, candles, kline, text
from tests.insight.lakes import HOUR, JANUARY, flat, put
from tests.pages.conftest import Open, words

KLINES = text(kline(1000, 3600))
SOURCE = "files:binance"


@pytest.fixture
def imported(console: ConsoleService, tmp_path: Path) -> int:
    """A run that imported a file with one row that is no candle, and its number."""
    lines = KLINES(candles("1h")).splitlines(keepends=True)
    lines[3] = b"1705341600000,1,2,3\n"
    path = Form("", "BTCUSDT-1h-2024-01.csv", "1h", KLINES).write(tmp_path, b"".join(lines))
    request = ImportRequest((str(path),), Target.of(f"{SOURCE}/BTCUSDT/1h"))
    run = Imports(console.run_service).start(planned(request, console.settings), request, "ann")
    console.run_service.wait(run, 60)
    return run


def test_its_run_says_what_came_of_the_file(imported: int, open_page: Open) -> None:
    said = words(open_page("run", id=str(imported)))
    assert f"import from {SOURCE}" in said.replace("\\:", ":")
    assert "received 24 = stored 23 + dead lettered 1 + repeats 0" in said


def test_runs_and_watermarks_are_filtered_by_it(imported: int, open_page: Open) -> None:
    for page, key in (("runs", "runs_provider"), ("watermarks", "watermarks_provider")):
        at = open_page(page, provider=SOURCE)
        assert SOURCE in at.selectbox(key=key).options
        assert at.selectbox(key=key).value == SOURCE
        assert not at.exception


def test_its_watermark_can_be_looked_at(imported: int, open_page: Open) -> None:
    at = open_page("watermarks", series=f"BTCUSDT/1h/{SOURCE}")
    assert list(at.dataframe[0].value["Pair"]) == ["BTCUSDT"]
    assert not at.exception
    assert not at.warning


@pytest.mark.parametrize(
    "page", ["overview", "coverage", "candles", "dead_letters", "restatements", "storage", "schedules"]
)
def test_every_page_is_drawn_with_it(page: str, imported: int, open_page: Open) -> None:
    at = open_page(page)
    assert not at.exception
    if page == "candles":
        assert SOURCE in str(at.selectbox) + words(at)
    if page == "coverage":
        assert SOURCE in at.selectbox(key="coverage_provider").options


@pytest.fixture
def holed(console: ConsoleService) -> Series:
    """An imported series that lacks two bars."""
    series = Series("BTCUSD", "1h", "files:mine")
    put(console.lake, series, flat(JANUARY + n * HOUR for n in range(24) if n not in (10, 11)))
    return series


def test_its_gaps_lead_to_an_import_and_to_no_backfill(holed: Series, open_page: Open) -> None:
    at = open_page("coverage", provider=holed.provider)
    assert not [one for one in at.button if one.label == "Fill from the provider"]
    at.button(key="coverage_largest_import").click().run()
    assert at.title[0].value == "Import files"
    assert at.text_input(key="import_source").value == holed.provider
    links = open_page("candles", provider=holed.provider, tab="gaps").get("page_link")
    assert "Import files again" in [one.proto.label for one in links]
    assert "Fill these gaps" not in [one.proto.label for one in links]


def test_nobody_is_asked_again_for_its_bars(imported: int, console: ConsoleService, open_page: Open) -> None:
    button = open_page("dead_letters").button(key="dl_refetch")
    assert (button.disabled, button.help) == (True, "Imported files cannot be asked for more: import them again.")
    (row,) = console.queue.find(Wanted()).rows
    button = open_page("dead_letters", entry=row.batch_id).button(key="dl_refetch")
    assert (button.disabled, "import them again" in button.help) == (True, True)
