"""`storage` as a process: what it prints, what it does, what it refuses, and the upkeep that a backfill brings."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from ffe_core.providers.simulated import SimulatedProvider
from ffe_core.series import Series
from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager
from ffe_core.storage.leases import UpkeepLease
from tests.cli.test_backfill import backfill, run
from tests.ingestion.fakes import BTC, HOUR, START, ingester, locks_of, stored
from tests.ingestion.fakes import run as ingest
from tests.lake_files import StoredPath, age, lake_path, put_copy

TABLE = "raw_market_data_1h"
SIX = range(1, 7)


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two pairs, six days, a day a commit."""
    place: Path = tmp_path_factory.mktemp("grown")
    for day in SIX:
        end = START + day * 24 * HOUR
        for pair in ("BTCUSD", "ETHUSD"):
            series = Series(pair, "1h", "simulated")
            ingest(ingester(place), SimulatedProvider(config={"simulated": {"broken_records": 0}}), START, end, series)
    return place


@pytest.fixture
def folder(store_kind: str, grown: Path, tmp_path: Path) -> Path:
    """A copy of that, its lake in a store if that is where this test's lie."""
    if store_kind == "folder":
        return Path(shutil.copytree(grown, tmp_path / "data"))
    put_copy(grown / "lake", DeltaLakeManager(tmp_path / "data" / "lake"))
    return tmp_path / "data"


def data_file(folder: Path, pair: str = "BTCUSD") -> Path | StoredPath:
    files = lake_path(DeltaLakeManager(folder / "lake"), TABLE).rglob("part-*.parquet")
    return next(file for file in files if f"partition_asset_pair={pair}" in file.parts)


def dates(day: int) -> list[str]:
    return ["--timeframes", "1h", "--start", "2024-01-01", "--end", f"2024-01-{day:02}"]


def printed(folder: Path, *arguments: str, status: int = 0, **more: Any) -> Any:
    done = run(folder, *arguments, "--json", **more)
    assert done.returncode == status, done.stderr
    return json.loads(done.stdout)


def test_it_names_what_there_is_and_what_upkeep_would_win(folder: Path, store_kind: str) -> None:
    found = printed(folder, "storage")
    [table] = found["tables"]
    assert (table["table"], table["files"], table["small_files"], table["last_upkeep"]) == (TABLE, 12, 12, None)
    assert table["rows"] == sum(one["rows"] for one in found["series"])
    assert table["bytes"] == sum(one["bytes"] for one in found["series"]) > 0
    assert table["commits_since_checkpoint"] < 10
    assert table["next"] == {
        "files_to_merge": 12,
        "files_spared": 10,
        "bytes_to_rewrite": table["bytes"],
        "log_entries_to_delete": 0,
        "unused_files": 0,
        "unused_bytes": 0,
    }
    assert [(one["asset_pair"], one["files"]) for one in found["series"]] == [("BTCUSD", 6), ("ETHUSD", 6)]
    has_disk = store_kind == "folder"
    assert found["bytes_left"] > 0 if has_disk else found["bytes_left"] is None
    assert found["database"]["old"] == {"runs": 0, "ticks": 0, "notices": 0, "audit": 0}
    text = run(folder, "storage").stdout
    assert TABLE in text
    assert ("disk left: -" in text) is not has_disk


def test_compact_makes_them_few_and_a_dry_run_makes_nothing(folder: Path) -> None:
    before = stored(folder, BTC).to_pylist()
    [row] = printed(folder, "storage", "compact", "--dry-run")["tables"]
    assert (row["table"], row["files_to_merge"], row["files_spared"]) == (TABLE, 12, 10)
    done = printed(folder, "storage", "compact")
    [row] = done["tables"]
    assert (row["table"], row["status"], row["files_before"], row["files_after"]) == (TABLE, "success", 12, 2)
    found = printed(folder, "storage")["tables"][0]
    assert (found["files"], found["commits_since_checkpoint"]) == (2, 0)
    assert found["last_upkeep"] is not None
    after = stored(folder, BTC).to_pylist()
    assert sorted(after, key=str) == sorted(before, key=str)
    assert f"{TABLE}: 2 files are 2 now" in run(folder, "storage", "compact").stdout


def test_vacuum_deletes_what_is_old_enough_and_says_what_it_would(folder: Path) -> None:
    orphan = data_file(folder).with_name("part-orphan.parquet")
    orphan.write_text("x" * 2000)
    age([orphan])
    preview = printed(folder, "storage", "vacuum", "--dry-run")
    assert preview["tables"] == [{"table": TABLE, "unused_files": 1, "unused_bytes": 2000}]
    assert "2.0 KB" in run(folder, "storage", "vacuum", "--dry-run").stdout
    assert orphan.exists()
    table, history = printed(folder, "storage", "vacuum")["tables"]
    assert (table["files_deleted"], table["bytes_deleted"]) == (1, 2000)
    assert (history["table"], set(history["deleted"].values())) == ("console.db", {0})
    assert not orphan.exists()


def test_history_goes_by_the_settings(folder: Path) -> None:
    assert "older than the settings keep" not in run(folder, "storage").stdout
    [row] = printed(folder, "storage", "vacuum", "--dry-run")["tables"]
    assert row["unused_files"] == 0
    _, history = printed(folder, "storage", "vacuum", FFE_UPKEEP__RUN_DAYS="1")["tables"]
    assert history["deleted"]["runs"] == 0, "they are young"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("vacuum", "--retention-hours", "0"), "--retention-hours: 0 is too short: a chart, an export"),
        (
            ("compact", "--timeframes", "4h"),
            "there is no raw_market_data_4h in this lake; choose from 1h",
        ),
        (("vacuum", "--timeframes", "9h", "--dry-run"), "there is no 9h in this lake"),
    ],
)
def test_what_cannot_be_is_refused(folder: Path, arguments: tuple[str, ...], says: str) -> None:
    found = printed(folder, "storage", *arguments, status=2)
    assert (found["code"], found["exit_status"]) == ("bad_input", 2)
    assert says in found["error"]


def test_a_wrong_setting_is_named(folder: Path) -> None:
    found = printed(folder, "storage", status=2, FFE_UPKEEP__FILE_RETENTION_HOURS="0")
    assert "FFE_UPKEEP__FILE_RETENTION_HOURS: 0 is too short" in found["error"]


def test_an_upkeep_that_another_process_does_is_waited_for(folder: Path) -> None:
    with UpkeepLease(locks_of(folder), TABLE, "run 12 of the console").acquire():
        found = printed(folder, "storage", "compact", status=1)
        assert found["code"] == "upkeep_held"
        assert "run 12 of the console" in found["error"]
        assert backfill(folder, "--pairs", "BTCUSD", *dates(9)).returncode == 0, "it holds up no backfill"


def test_an_empty_lake_has_nothing(tmp_path: Path) -> None:
    assert printed(tmp_path, "storage")["tables"] == []
    assert "no table yet" in run(tmp_path, "storage").stdout
    assert printed(tmp_path, "storage", "compact") == {"run": None, "tables": []}
    assert "no table yet" in run(tmp_path, "storage", "compact").stdout
    assert printed(tmp_path, "storage", "compact", "--dry-run")["tables"] == []


def test_a_table_that_cannot_be_compacted_is_told_and_the_exit_status_says_so(folder: Path) -> None:
    data_file(folder).unlink()
    found = printed(folder, "storage", "compact", status=1)
    [row] = found["tables"]
    assert (row["table"], row["status"], row["error_code"]) == (TABLE, "error", "storage_failed")
    assert f"{TABLE}: " in run(folder, "storage", "compact").stdout


def test_a_backfill_that_leaves_many_small_files_tidies_up(folder: Path) -> None:
    done = backfill(folder, "--pairs", "BTCUSD,ETHUSD", *dates(8), "--json", FFE_UPKEEP__SMALL_FILES="10")
    assert done.returncode == 0
    assert json.loads(done.stdout)["total_records"] == 2 * 48
    assert "upkeep of their tables" in done.stderr
    assert printed(folder, "storage")["tables"][0]["files"] == 2


def test_an_upkeep_that_fails_after_a_backfill_changes_nothing_of_its_result(folder: Path) -> None:
    data_file(folder, "ETHUSD").unlink()
    done = backfill(folder, "--pairs", "BTCUSD", *dates(8), "--json", FFE_UPKEEP__SMALL_FILES="5")
    assert done.returncode == 0
    document = json.loads(done.stdout)
    assert document["results"][0]["status"] == "success"
    assert any("upkeep failed and is tried again the next time" in text for text in document["warnings"])
