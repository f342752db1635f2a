"""`schedules` on the command line: each verb, its output as text and as one JSON document, and its exit status."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ffe_core.cli import main
from ffe_core.instruments.model import Instrument
from ffe_core.storage.state.database import DATABASE_FILE, Database
from ffe_core.storage.state.instruments import InstrumentStore

_SERIES = ("--provider", "simulated", "--pairs", "BTCUSD", "--timeframes", "1d")


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FFE_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("FFE_SIMULATED__BROKEN_RECORDS", "0")


def schedules(*arguments: str) -> int:
    try:
        return main(["schedules", *arguments])
    except SystemExit as end:
        return int(end.code or 0)


def document(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    """The JSON document of a command that succeeds."""
    capsys.readouterr()
    assert schedules(*arguments, "--json") == 0
    return json.loads(capsys.readouterr().out)


def test_a_schedule_since_the_beginning_is_listed_as_such(capsys: pytest.CaptureFixture[str]) -> None:
    added = document(capsys, "add", "--name", "All", *_SERIES, "--since", "beginning", "--bar-close")
    assert added["since"] == "beginning"
    assert [one["since"] for one in document(capsys, "list")] == ["beginning"]
    [first], [second] = (document(capsys, "run", "All")["results"] for _ in range(2))
    assert first["records"] > 5_000
    assert (second["expected"], second["reason"]) == (first["expected"], "up_to_date")


def test_an_empty_list_says_what_to_do_next(capsys: pytest.CaptureFixture[str]) -> None:
    assert schedules("list") == 0
    assert capsys.readouterr().out == "no schedule yet: start with python -m ffe_core schedules add --help\n"
    assert document(capsys, "list") == []


def test_a_schedule_from_its_beginning_to_its_end(capsys: pytest.CaptureFixture[str]) -> None:
    cron = ("--cron", "30 2 * * 1-5", "--zone", "Europe/Berlin", "--since", "10d")
    added = document(capsys, "add", "--name", "Daily", *_SERIES, *cron)
    assert (added["name"], added["trigger"], added["state"]) == ("Daily", "cron 30 2 * * mon-fri", "active")
    assert "is read as mon-fri" in added["notes"][0]
    assert added["next_due"].endswith("T02:30:00+00:00")

    paused = document(capsys, "pause", "Daily", "--reason", "provider maintenance")
    assert (paused["state"], paused["paused_reason"], paused["next_due"]) == ("paused", "provider maintenance", None)
    assert schedules("list") == 0
    assert "provider maintenance" in capsys.readouterr().out

    ran = document(capsys, "run", "Daily")
    assert (ran["schedule"], ran["run"], ran["state"]) == ("Daily", 1, "complete")
    assert ran["results"][0]["records"] == 9

    assert document(capsys, "resume", str(added["id"]))["state"] == "active"
    assert schedules("list") == 0
    shown = capsys.readouterr().out
    assert "CE" in shown
    assert "complete" in shown or "ran" in shown

    assert schedules("remove", "Daily") == 0
    assert capsys.readouterr().out == "removed Daily; its runs and all data stay\n"
    assert document(capsys, "list") == []


def test_a_note_is_visible(capsys: pytest.CaptureFixture[str]) -> None:
    assert schedules("add", "--name", "x", *_SERIES, "--cron", "0 0 * * 1") == 0
    assert "note: weekday 1 is read as mon" in capsys.readouterr().out


def test_a_run_that_fails_exits_1(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FFE_RETRY__ATTEMPTS", "1")
    monkeypatch.setenv("FFE_COINBASE__BASE_URL", "http://127.0.0.1:9")
    series = ("--provider", "coinbase", "--pairs", "BTCUSD", "--timeframes", "1d")
    assert schedules("add", "--name", "x", *series, "--bar-close") == 0
    assert schedules("run", "x") == 1
    assert capsys.readouterr().out.endswith("x: run 1 failed\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("add", "--name", "x", *_SERIES, "--cron", "0 0 30 2 *"), "trigger: day 30 of month 2 never comes"),
        (("add", "--name", "x", *_SERIES, "--every", "0"), "1 to 1440"),
        (("add", "--name", "x", *_SERIES, "--bar-close", "--zone", "Mars"), "zone: 'Mars' does not exist"),
        (("add", "--name", "x", *_SERIES), "one of the arguments --cron --every --bar-close is required"),
        (("add", "--name", "x", *_SERIES, "--watchlist", "w", "--bar-close"), "watchlist: give a watchlist, or"),
        (("add", "--name", "x", "--watchlist", "w", "--bar-close"), "watchlist: there is no watchlist named 'w'"),
        (("pause", "x", "--reason", "why"), "schedule: there is no schedule named 'x'; there are: none yet"),
        (("run", "x"), "schedule: there is no schedule named 'x'"),
        (("pause", "x"), "--reason"),
        ((), "VERB"),
    ],
)
def test_wrong_usage_exits_2_and_says_why(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str
) -> None:
    assert schedules(*arguments) == 2
    assert said in capsys.readouterr().err


def test_both_names_of_one_book_are_scheduled_only_on_purpose(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    book = {"BTCUSD": ("BTC-USD", "BTCUSDC"), "BTCUSDC": ("BTC-USDC", "BTCUSD")}
    database = Database(tmp_path / DATABASE_FILE)
    InstrumentStore(database).replace(
        "simulated", [Instrument("simulated", name, sent, "crypto", same_as=(o,)) for name, (sent, o) in book.items()]
    )
    database.close()
    both = ("add", "--name", "Both", "--provider", "simulated", "--pairs", "BTC-USD,BTC-USDC", "--timeframes", "1d")
    assert schedules(*both, "--bar-close") == 2
    assert "one order book at simulated under two names" in (said := capsys.readouterr().err)
    assert "(--same-book)" in said
    assert document(capsys, "list") == []
    added = document(capsys, *both, "--bar-close", "--same-book")
    assert added["pairs"] == ["BTCUSD", "BTCUSDC"]
    assert [row["name"] for row in document(capsys, "list")] == ["Both"]
