"""A delisted series on the command line: its range is cut at its end, and it is neither missing nor late."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from ffe_core.instruments.model import Instrument
from ffe_core.series import Series
from ffe_core.storage.state.database import DATABASE_FILE, Database
from ffe_core.storage.state.instruments import InstrumentStore
from tests.cli.test_backfill import run
from tests.ingestion.fakes import HOUR, START, FakeProvider, hours, ingester, records
from tests.ingestion.fakes import run as ingest

GONE = Series("GONEUSD", "1h", "coinbase")
END = START + 48 * HOUR
LATER = ("--start", "2024-01-01", "--end", "2024-01-10")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two days of a coin, and of one that goes on being listed."""
    for series in (GONE, Series("BTCUSD", "1h", "coinbase")):
        ingest(ingester(tmp_path), FakeProvider(records(set(hours(0, 48)))), START, END, series)
    return tmp_path


def delist(folder: Path, day: str | None = "2024-01-02") -> None:
    database = Database(folder / DATABASE_FILE)
    store = InstrumentStore(database)
    store.replace(
        "coinbase", [Instrument("coinbase", GONE.asset_pair, "GONE-USD", "crypto", delisted=day, status="delisted")]
    )
    if day is None:
        store.learn(GONE, last_bar=END - HOUR)
    database.close()


def rows(folder: Path, *arguments: str) -> dict[str, Any]:
    """Rows by pair."""
    done = run(folder, *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return {row["asset_pair"]: row for row in json.loads(done.stdout)}


@pytest.mark.parametrize("day", ["2024-01-02", None])
def test_it_is_up_to_date_with_its_last_bar_and_nothing_after_it_is_missing(folder: Path, day: str | None) -> None:
    before = rows(folder, "watermarks")
    assert before["GONEUSD"]["lag"] > 10_000
    assert rows(folder, "coverage", *LATER)["GONEUSD"]["unexplained"] == 8 * 24
    delist(folder, day)
    after = rows(folder, "watermarks")
    assert after["GONEUSD"]["lag"] == 0
    assert after["BTCUSD"]["lag"] > 10_000
    covered = rows(folder, "coverage", *LATER)
    counts = ("expected", "stored", "unexplained", "extra")
    assert [covered["GONEUSD"][name] for name in counts] == [48, 48, 0, 0]
    assert "it was delisted: nothing after 2024-01-02T23:" in covered["GONEUSD"]["notes"][0]
    assert covered["BTCUSD"]["unexplained"] == 8 * 24
    assert "notes" not in covered["BTCUSD"]
    assert "GONEUSD 1h from coinbase: it was delisted" in run(folder, "coverage", *LATER).stdout


@pytest.mark.of_a_state_file("what is the matter with a file")
def test_a_state_database_that_cannot_be_read_is_said_and_the_marks_are_shown(folder: Path) -> None:
    delist(folder)
    for file in folder.glob(f"{DATABASE_FILE}*"):
        file.write_bytes(b"no database" * 100)
    done = run(folder, "watermarks", "--json")
    assert done.returncode == 0
    assert len(json.loads(done.stdout)) == 2
    assert "what was delisted may look late" in done.stderr


@pytest.mark.of_a_state_file("what is the matter with a file")
def test_a_database_of_a_release_without_instruments_says_nothing(folder: Path) -> None:
    for file in folder.glob(f"{DATABASE_FILE}*"):
        file.unlink()
    with sqlite3.connect(folder / DATABASE_FILE) as connection:
        connection.execute("CREATE TABLE runs (id INTEGER)")
    assert rows(folder, "watermarks")["GONEUSD"]["lag"] > 10_000
