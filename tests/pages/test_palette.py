"""Does the palette find what a typed text means, first what is mostly meant, and bounded?"""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette

from ffe_core.operations.console import ConsoleService
from ffe_core.series import Series, Watermarks
from ffe_core.storage.state.runs import NewRun
from pages.widgets.palette.found import MOST_FOUND, VERBS, found
from pages.widgets.palette.routes import LONGEST, PALETTE_ROUTES


def labels(console: ConsoleService, text: str) -> list[tuple[str, str]]:
    return [(entry.label, entry.detail) for entry in found(console, text)]


@pytest.mark.parametrize("text", ["BTCUSD", "btc", "btc-usd", "BTC/USD", "1h btc simulated"])
def test_a_series_is_found_however_it_is_written_its_chart_first(backfilled: ConsoleService, text: str) -> None:
    series = "BTCUSD 1h from simulated"
    assert labels(backfilled, text)[:4] == [(series, what) for what in ("Chart", "Gaps", "Backfill", "Watermark")]


def test_a_larger_timeframe_is_found_as_made_of_the_stored_one(backfilled: ConsoleService) -> None:
    [entry] = found(backfilled, "btc 1w")
    assert (entry.label, entry.detail, entry.page) == ("BTCUSD 1w from simulated", "Chart, of 1h", "candles")
    assert entry.params == {"provider": "simulated", "pair": "BTCUSD", "timeframe": "1h", "size": "1w"}
    assert labels(backfilled, "4h btc show") == [("BTCUSD 4h from simulated", "Chart, of 1h")]


@pytest.mark.parametrize("text", ["btc 5m", "btc 1w gaps", "1w", "btc 1x"])
def test_a_timeframe_that_the_series_cannot_be_made_into_is_not_found(backfilled: ConsoleService, text: str) -> None:
    assert labels(backfilled, text) == []


def test_a_word_more_says_what_is_meant(backfilled: ConsoleService) -> None:
    assert labels(backfilled, "btc gaps") == [("BTCUSD 1h from simulated", "Gaps")]
    assert labels(backfilled, "update btc") == [("BTCUSD 1h from simulated", "Backfill")]
    assert labels(backfilled, "btc doge") == []


@pytest.mark.parametrize("text", ["run 1", "1", "RUN 1 "])
def test_a_run_is_found_by_its_number_once(backfilled: ConsoleService, text: str) -> None:
    entries = [entry for entry in found(backfilled, text) if entry.page == "run"]
    assert [entry.params for entry in entries] == [{"id": "1"}]


@pytest.mark.parametrize(("text", "numbers"), [("backfill 1", ["1"]), ("finding 1", []), ("upkeep 1", [])])
def test_a_number_beside_other_words_is_a_run_only_if_they_fit(
    backfilled: ConsoleService, text: str, numbers: list[str]
) -> None:
    entries = [entry for entry in found(backfilled, text) if entry.page == "run"]
    assert [entry.params["id"] for entry in entries] == numbers


@pytest.mark.parametrize("text", ["²", "run ٣", "9" * 5000])
def test_what_only_looks_like_a_number_names_no_run(console: ConsoleService, text: str) -> None:
    assert found(console, text) == []


def test_a_run_is_told_by_the_words_that_started_it(console: ConsoleService) -> None:
    btc = Series("BTCUSD", "1h", "simulated")
    for kind, mode in (("backfill", "gaps"), ("refetch", "refetch"), ("backfill", "resume")):
        console.runs.add(NewRun(kind, "simulated", mode, 0, 1, [btc], "ann", "console", "1"))
    assert labels(console, "run simulated") == [
        ("Run 3", "backfill, queued"),
        ("Run 2", "ask again, queued"),
        ("Run 1", "fill gaps, queued"),
    ]


@pytest.mark.parametrize(("text", "page"), [("check", "findings"), ("rule", "findings"), ("export", "candles")])
def test_what_is_done_on_a_page_of_another_name_is_found_by_its_own(
    backfilled: ConsoleService, text: str, page: str
) -> None:
    assert (page, "Verb") in [(entry.page, entry.detail) for entry in found(backfilled, text)]


@pytest.mark.parametrize("symbol", ["btc", "eth", "sol", "ada", "xrp", "eur", "gbp", "jpy", "usd", "xau"])
def test_no_verb_stands_before_a_series_by_chance(symbol: str) -> None:
    assert not [verb for verb in VERBS if verb.holds([symbol])]


def test_a_run_is_found_by_its_state_and_who_started_it(backfilled: ConsoleService) -> None:
    assert ("Run 1", "backfill, failed") in labels(backfilled, "failed ann")


def test_nothing_typed_offers_what_can_be_done(backfilled: ConsoleService) -> None:
    assert found(backfilled, "  ") == list(VERBS)


def test_however_many_there_are_few_are_shown(console: ConsoleService) -> None:
    series = [Series(f"A{number:03}USD", "1h", "simulated") for number in range(500)]
    console.watermarks.heal(lambda: dict.fromkeys(series, Watermarks(1_706_745_600, 1_704_067_200)))
    assert len(found(console, "a")) == MOST_FOUND


def ask(text: str) -> httpx.Response:
    async def asked() -> httpx.Response:
        transport = httpx.ASGITransport(Starlette(routes=PALETTE_ROUTES))
        async with httpx.AsyncClient(transport=transport, base_url="http://console") as client:
            return await client.get("/find", params={"q": text})

    return asyncio.run(asked())


def test_the_route_bounds_what_it_is_asked_and_tells_what_cannot_be_read(data_dir: Path) -> None:
    assert ask("upkeep").json() == [{"label": "Run upkeep", "detail": "Verb", "page": "storage", "params": {}}]
    too_long = ask("x" * (LONGEST + 1))
    assert (too_long.status_code, too_long.text) == (400, "q has 101 letters; give 100 at most.")


def test_the_route_says_that_the_data_cannot_be_used(data_dir: Path) -> None:
    data_dir.write_text("not a folder")
    answer = ask("btc")
    assert answer.status_code == 503
    assert str(data_dir) in answer.text
