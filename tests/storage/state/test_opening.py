"""Is it said that the state database is gone while its lake is there, once and until somebody has seen it?"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from ffe_core import BatchDataIngester, DeltaLakeManager
from ffe_core.settings import Settings
from ffe_core.storage.state.audit import Audit
from ffe_core.storage.state.database import Database
from ffe_core.storage.state.opening import acknowledge, open_state, state_is_missing, state_notice
from tests.ingestion.fakes import FakeProvider, hours, ingester, records, run

pytestmark = [
    pytest.mark.of_a_state_file("what lies beside the file is looked at"),
    pytest.mark.of_a_lake_folder("what lies beside the file is looked at"),
]
DAY = hours(0, 24)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Of a data directory with a day of candles, whose state database is gone."""
    run(tmp_path, FakeProvider(records(DAY)), DAY[0], DAY[-1] + 3600)
    for file in tmp_path.glob("console.db*"):
        file.unlink()
    return Settings.load({"data_dir": str(tmp_path)})


def test_nothing_is_said_of_a_first_start(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    settings = Settings.load({"data_dir": str(tmp_path)})
    assert not state_is_missing(settings)
    run(tmp_path, FakeProvider(records(DAY)), DAY[0], DAY[-1] + 3600)
    assert state_notice(open_state(settings), settings) is None
    assert "made anew" not in caplog.text


@pytest.mark.parametrize("trace", ["tables", "watermarks"])
def test_a_lake_without_it_is_noticed(settings: Settings, trace: str):
    if trace == "tables":
        (settings.data_dir / "watermarks" / "watermarks.json").unlink()
    else:
        settings = Settings.load({"data_dir": str(settings.data_dir), "lake_uri": "s3://elsewhere"})
    assert state_is_missing(settings)


def test_a_lake_that_was_never_written_to_is_not_missed(tmp_path: Path):
    settings = Settings.load({"data_dir": str(tmp_path)})
    ingester(tmp_path)  # heals: it leaves a file of watermarks without any
    assert (tmp_path / "watermarks" / "watermarks.json").exists()
    assert not state_is_missing(settings)


def test_an_empty_file_is_none(settings: Settings):
    (settings.data_dir / "console.db").touch()
    assert state_is_missing(settings)


def test_it_is_said_in_the_log_and_on_record_until_it_is_acknowledged(
    settings: Settings, caplog: pytest.LogCaptureFixture
):
    told = state_notice(open_state(settings), settings)
    assert told is not None
    assert f"{settings.data_dir}/console.db was not there although the lake holds candles" in told
    assert told in caplog.text
    again = open_state(settings)
    assert not again.is_new
    assert state_notice(again, settings) == told
    acknowledge(again, "ann")
    assert state_notice(again, settings) is None
    assert [row.actor for row in Audit(again).find(target="console.db")] == ["ann", "this program"]


def test_so_does_python_code_that_writes_to_the_lake_before_it_opens_the_database(settings: Settings):
    """It knows before its first commit; afterwards the lake would be there in any case."""
    single = ingester(settings.data_dir)
    run(single, FakeProvider(records(hours(24, 48))), hours(24, 48)[0], hours(24, 48)[-1] + 3600)
    assert state_notice(Database(settings.data_dir / "console.db"), settings)


def test_the_first_run_of_python_code_says_nothing(tmp_path: Path):
    single = BatchDataIngester(DeltaLakeManager(tmp_path / "lake"), {"data_dir": str(tmp_path)})
    result = asyncio.run(
        single.ingest_historical_data("BTCUSD", "1h", "2024-01-01", "2024-01-01", provider="simulated")
    )
    assert result["status"] == "success"
    settings = Settings.load({"data_dir": str(tmp_path)})
    assert state_notice(Database(tmp_path / "console.db"), settings) is None
