"""The grid of an hourly share as a process shows it and lets a person accept another."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ffe_core.calendars import ExchangeHours
from ffe_core.calendars.hour_grid import on_hour_grid
from ffe_core.instruments.model import Instrument
from ffe_core.series import Series
from ffe_core.storage.state.audit import Audit
from ffe_core.storage.state.database import DATABASE_FILE, Database
from ffe_core.storage.state.instruments import InstrumentStore
from ffe_core.times import DAY, parse_instant
from tests.cli.test_backfill import run
from tests.ingestion.fakes import FakeProvider, ingester, records
from tests.ingestion.fakes import run as ingest

SHARE = Series("AAPL", "1h", "alpha_vantage")
MONDAY = parse_instant("2024-01-22")
ACCEPT = ("instruments", "--provider", "alpha_vantage", "--grid")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A week of a share on full hours."""
    opens = on_hour_grid(ExchangeHours("XNYS"), 0).expected_open_times("1h", MONDAY, MONDAY + 5 * DAY)
    ingest(ingester(tmp_path), FakeProvider(records(opens.tolist())), MONDAY, MONDAY + 5 * DAY, SHARE)
    return tmp_path


def test_the_grid_is_shown_and_another_accepted(folder: Path) -> None:
    [row] = json.loads(run(folder, "coverage", "--json").stdout)
    assert (row["hour_grid"], row["stored"], row["extra"]) == ("on the full hour", 35, 0)
    assert "AAPL 1h from alpha_vantage: bars open on the full hour" in run(folder, "coverage").stdout
    done = json.loads(run(folder, *ACCEPT, "half-hour", "AAPL", "--json").stdout)
    assert (done["hour_grid"], done["before"]) == ("on the half hour", "on the full hour")
    [row] = json.loads(run(folder, "coverage", "--json").stdout)
    assert (row["hour_grid"], row["extra"]) == ("on the half hour", 35)
    [act] = Audit(Database(folder / DATABASE_FILE)).find(target=SHARE.key)
    assert (act.verb, act.details["grid"]) == ("accept grid", "half-hour")


def test_what_a_release_before_stored_is_learned_when_coverage_looks(folder: Path) -> None:
    for file in folder.glob(f"{DATABASE_FILE}*"):
        file.unlink()
    [row] = json.loads(run(folder, "coverage", "--json").stdout)
    assert (row["hour_grid"], row["extra"]) == ("on the full hour", 0)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((*ACCEPT, "quarter", "AAPL"), "half-hour"),
        ((*ACCEPT, "hour"), "name one pair"),
        (("instruments", "--grid", "hour", "AAPL"), "name one pair"),
        ((*ACCEPT, "hour", "BTCUSD"), "BTCUSD is no share"),
    ],
)
def test_bad_input_gets_a_sentence(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    done = run(tmp_path, *arguments)
    assert (done.returncode, said in done.stderr) == (2, True)


def test_the_grid_of_a_share_is_accepted_however_its_name_is_written(tmp_path: Path) -> None:
    database = Database(tmp_path / DATABASE_FILE)
    listed = [Instrument("alpha_vantage", "BRK-B", "BRK-B", "equity", "Berkshire")]
    InstrumentStore(database).replace("alpha_vantage", listed)
    database.close()
    done = json.loads(run(tmp_path, *ACCEPT, "half-hour", "brk.b", "--json").stdout)
    assert (done["asset_pair"], done["hour_grid"]) == ("BRK-B", "on the half hour")
