"""Does every page, in every state the data can be in, say what there is and what to do, and never show a traceback?"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from filelock import FileLock
from streamlit.testing.v1 import AppTest

from ffe_core.operations import console as service_module
from ffe_core.operations.console import ConsoleService
from ffe_core.series import Series, Watermarks
from ffe_core.storage.state.runs import COMPLETE, NewRun
from tests.lake_files import log_path
from tests.pages.conftest import PAGES, Fill, Open, words

STORED = {"provider": "simulated", "pair": "BTCUSD", "timeframe": "1h"}
NONSENSE = ["", "-1", "99999999999999999999", "NaN", "<script>", "'; drop table runs; --", "2024-13-45", "🙂", "a,b,,c"]
NAMES = (
    "provider pair pairs timeframe timeframes start end mode state states since until page id number kind status view"
    " as_of at source schedule watchlist unit q tab"
).split()


def calm(at: AppTest) -> AppTest:
    """The page, on which nothing is broken: no exception shown, no traceback, no section that gave up."""
    assert not at.exception, at.exception
    said = words(at)
    assert "Traceback" not in said
    assert "the server's log has the details" not in said, said
    return at


# --- Empty and full


@pytest.mark.parametrize("page", PAGES)
def test_with_nothing_at_all_a_page_says_so(open_page: Open, page: str) -> None:
    assert words(calm(open_page(page)))


def test_what_is_empty_says_what_to_do_next(open_page: Open) -> None:
    at = open_page("overview")
    assert "Nothing is stored yet" in words(at)
    assert [button.label for button in at.button] == ["Try a simulated backfill", "Set up a real one"]
    assert "New backfill" in [button.label for button in open_page("runs").button]


@pytest.mark.parametrize("page", PAGES)
def test_with_a_series_that_is_stored_and_one_that_failed(
    backfilled: ConsoleService, open_page: Open, page: str
) -> None:
    calm(open_page(page))
    calm(open_page(page, id="1", **STORED))


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.usefixtures("backfilled")
def test_numbers_are_written_alike_in_every_browser(open_page: Open, page: str) -> None:
    """In the browser's language 1.234 is a thousand and more, beside a price that is little more than one."""
    at = open_page(page, id="1", **STORED)
    localized = {
        (name, str(frame.value.dtypes.get(name)))
        for frame in at.dataframe
        for name, column in json.loads(frame.proto.columns).items()
        if (column.get("type_config") or {}).get("format") == "localized"
    }
    assert [name for name, kind in localized if not kind.startswith("timedelta")] == []


def test_the_run_page_tells_the_whole_story(backfilled: ConsoleService, open_page: Open) -> None:
    said = words(open_page("run", id="1"))
    assert "simulated has no pair NOPEUSD" in said
    assert "asking again would give the same answer" in said
    assert "BTCUSD 1h from simulated" in said


def test_a_run_that_is_queued_or_running_is_drawn(console: ConsoleService, open_page: Open) -> None:
    owner = console.run_service._process_lock.owner
    series = [Series("BTCUSD", "1h", "simulated"), Series("ETHUSD", "1h", "simulated")]
    run_id = console.runs.add(NewRun("backfill", "simulated", "resume", 0, 3600, series, "ann", "console", owner))
    at = calm(open_page("run", id=str(run_id)))
    assert "Cancel" in [button.label for button in at.button]
    console.runs.update(run_id, state="running", started_at=time.time())
    console.runs.update_series(run_id, {0: {"state": "running", "phase": "fetching", "pages_planned": 4}})
    for page in ("run", "runs", "overview"):
        calm(open_page(page, id=str(run_id)))


# --- Errors


@pytest.mark.parametrize("page", PAGES)
def test_a_torn_watermarks_file(backfilled: ConsoleService, data_dir: Path, open_page: Open, page: str) -> None:
    for text in ("", "{", "[1, 2]", '{"BTCUSD/1h/simulated": 7}', "\x00\x01"):
        (data_dir / "watermarks" / "watermarks.json").write_text(text)
        calm(open_page(page, **STORED))


@pytest.mark.of_a_lake_folder("nobody moves a bucket away")
@pytest.mark.parametrize("page", PAGES)
def test_a_lake_that_is_gone(backfilled: ConsoleService, data_dir: Path, open_page: Open, page: str) -> None:
    (data_dir / "lake").rename(data_dir / "lake-moved-away")
    calm(open_page(page, **STORED))


@pytest.mark.parametrize("page", PAGES)
def test_a_table_whose_log_is_torn(backfilled: ConsoleService, open_page: Open, page: str) -> None:
    for file in log_path(backfilled.lake, "raw_market_data_1h").glob("*.json"):
        file.write_text("{")
    calm(open_page(page, **STORED))


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[sa.Engine]:
    """A database that somebody else holds, reading included."""
    file = tmp_path / "locked.db"
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    engine = sa.create_engine(f"sqlite:///{file}", connect_args={"timeout": 0.02})
    yield engine
    engine.dispose()
    other.close()


@pytest.mark.of_a_state_file("a server has no lock of the whole state")
@pytest.mark.parametrize("page", PAGES)
@pytest.mark.usefixtures("failures_are_logged")
def test_a_locked_ledger(
    backfilled: ConsoleService, open_page: Open, page: str, locked: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        for name in ("_engine", "_reading"):
            patch.setattr(backfilled.database, name, locked)
        at = open_page(page, id="1", **STORED)
        assert not at.exception
        said = words(at)
    assert "Traceback" not in said
    assert "the server's log has the details" not in said
    if page in ("overview", "run", "runs", "backfill"):
        assert "is locked by another program" in said


@pytest.mark.parametrize("page", PAGES)
def test_a_data_directory_that_cannot_be_used(data_dir: Path, open_page: Open, page: str) -> None:
    data_dir.write_text("not a folder")
    at = open_page()
    assert "The data directory cannot be used" in words(at)
    assert str(data_dir) in words(at)
    data_dir.unlink()
    at.button[0].click().run()
    assert "Nothing is stored yet" in words(calm(at))


@pytest.mark.parametrize("page", PAGES)
def test_a_provider_that_is_down(open_page: Open, monkeypatch: pytest.MonkeyPatch, page: str) -> None:
    monkeypatch.setenv("FFE_COINBASE__BASE_URL", "http://127.0.0.1:9")
    calm(open_page(page, provider="coinbase", pair="BTCUSD", pairs="BTCUSD", timeframe="1h"))


# --- Read-only


@pytest.mark.of_a_state_file("which one leads is told by a file; by a row of a server: tests/cli")
@pytest.mark.parametrize("page", PAGES)
def test_a_standby_says_so_and_starts_nothing(data_dir: Path, open_page: Open, page: str) -> None:
    (data_dir / "locks").mkdir(parents=True)
    leader = FileLock(data_dir / "locks" / "leader.lock")
    with leader:
        at = calm(open_page(page))
        assert "This console is a standby" in words(at)
        primary = [button for button in at.button if button.proto.type == "primary" and "start" in (button.key or "")]
        assert all(button.disabled for button in primary)
        service_module.drain_shared()


# --- Nonsense


@pytest.mark.parametrize("page", PAGES)
def test_an_address_that_makes_no_sense(backfilled: ConsoleService, open_page: Open, page: str) -> None:
    for value in NONSENSE:
        calm(open_page(page, **dict.fromkeys(NAMES, value)))


@pytest.mark.parametrize("page", PAGES)
def test_an_address_about_what_is_not_there(backfilled: ConsoleService, open_page: Open, page: str) -> None:
    calm(open_page(page, id="4711", provider="oanda", pair="XAUUSD", pairs="XAUUSD", timeframe="1d", timeframes="1d"))
    calm(open_page(page, **STORED, start="2031-01-01", end="2031-02-01"))
    calm(open_page(page, **STORED, start="2024-02-01", end="2024-01-01", pairs="BTCUSD", timeframes="1h"))


# --- Huge


def huge(folder: Path) -> None:
    """One run of 500 series."""
    console = ConsoleService({"data_dir": str(folder)})
    series = [Series(f"A{number:03}USD", "1h", "simulated") for number in range(500)]
    run_id = console.runs.add(NewRun("backfill", "simulated", "resume", 0, 3600, series, "ann", "console", "1"))
    done = {"state": COMPLETE, "records": 8_760, "unexplained": 2, "started_at": 1.0, "ended_at": 2.0}
    console.runs.update_series(run_id, dict.fromkeys(range(500), done))
    console.runs.update(run_id, state=COMPLETE, started_at=1.0, ended_at=2.0)
    marks = Watermarks(1_706_745_600, 1_704_067_200)
    console.watermarks.heal(lambda: dict.fromkeys(series, marks))
    console.drain()


@pytest.mark.parametrize("page", PAGES)
def test_five_hundred_series(filled_by: Callable[[Fill], ConsoleService], open_page: Open, page: str) -> None:
    filled_by(huge)
    calm(open_page(page, id="1"))
