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


def test_bars_on_the_grid_of_before_are_named_until_their_range_is_fetched_again(folder: Path) -> None:
    assert "former_grid" not in json.loads(run(folder, "coverage", "--json").stdout)[0]
    accepted = run(folder, *ACCEPT, "half-hour", "AAPL").stdout
    assert "ffe coverage --provider alpha_vantage --pairs AAPL --timeframes 1h" in accepted
    [row] = json.loads(run(folder, "coverage", "--json").stdout)
    command = "ffe backfill --provider alpha_vantage --pairs AAPL --timeframes 1h --start 2024-01-22 --end 2024-01-26"
    assert row["former_grid"] == {
        "hour_grid": "on the full hour",
        "bars": 35,
        "start": "2024-01-22T14:00:00+00:00",
        "end": "2024-01-26T20:00:00+00:00",
        "missing": 35,
        "command": f"{command} --mode refetch",
    }
    said = run(folder, "coverage").stdout
    assert "35 stored bars from 2024-01-22T14:00:00+00:00" in said
    assert "35 bars of the grid of now are missing there" in said
    assert f"    {command} --mode refetch\n" in said
    again = ExchangeHours("XNYS").expected_open_times("1h", MONDAY, MONDAY + 5 * DAY)
    provider = FakeProvider(records(again.tolist()))
    ingest(ingester(folder), provider, MONDAY, MONDAY + 5 * DAY, SHARE, mode="refetch")
    [row] = json.loads(run(folder, "coverage", "--json").stdout)
    assert (row["stored"], row["unexplained"], row["extra"], row["former_grid"]["missing"]) == (35, 0, 35, 0)
    assert "All of it is there on the grid of now as well" in run(folder, "coverage").stdout


def test_bars_outside_market_hours_stand_on_no_former_grid(folder: Path) -> None:
    night = [MONDAY + 3 * 3600 + day * DAY for day in range(5)]
    ingest(ingester(folder), FakeProvider(records(night)), MONDAY, MONDAY + 5 * DAY, SHARE, mode="refetch")
    [row] = json.loads(run(folder, "coverage", "--json").stdout)
    assert row["extra"] == 5
    assert "former_grid" not in row


@pytest.mark.of_a_state_file("a file is removed")
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
