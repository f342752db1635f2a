"""Commands over a lake in an object store, as processes: what each finds there, what it says when it cannot, kills."""

from __future__ import annotations

import json
import random
import subprocess
from pathlib import Path

import pytest

from ffe_core.settings import Settings
from ffe_core.storage.dead_letters.opening import queue_of
from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager
from tests.cli.test_backfill import RANGE, SERIES, backfill, command, environment, run
from tests.object_store import SECRET, Proxy, Store

pytestmark = [
    pytest.mark.of_a_state_file("each names its places itself"),
    pytest.mark.of_a_lake_folder("each names its places itself"),
]

BROKEN = {"FFE_SIMULATED__BROKEN_RECORDS": "0.02"}


@pytest.fixture
def place(object_store: Store) -> dict[str, str]:
    """The variables of a lake of its own."""
    return {**object_store.variables(), "FFE_LAKE_URI": object_store.address()}


@pytest.fixture
def own_place(object_store: Store) -> dict[str, str]:
    """The same by the variables of S3's own libraries."""
    return {**object_store.own_variables(), "FFE_LAKE_URI": object_store.address()}


def test_what_one_stores_every_verb_finds(tmp_path: Path, place: dict[str, str]) -> None:
    done = backfill(tmp_path, "--json", **{**place, **BROKEN})
    counts = json.loads(done.stdout)["results"][0]
    dead = counts["failed_records"]
    assert counts["records"] + dead == 744
    assert dead
    assert not (tmp_path / "lake").exists()
    assert not list((tmp_path / "dlq").glob("*.json"))

    listed = json.loads(run(tmp_path, "dlq", "list", "--json", **place).stdout)
    assert sum(row["records"] for row in listed["entries"]) == dead if "entries" in listed else listed
    exported = run(tmp_path, "export", str(tmp_path / "out"), "--as", "freqtrade", "--pairs", "BTCUSD",
                   "--timeframe", "1h", "--json", **place)  # fmt: skip
    assert json.loads(exported.stdout)["series"][0]["bars"] == counts["records"]
    asked = run(tmp_path, "sql", "SELECT count(*) AS n FROM candles_1h", "--json", **place)
    assert str(counts["records"]) in asked.stdout
    covered = run(tmp_path, "coverage", *SERIES, *RANGE, "--json", **place)
    assert covered.returncode == 0, covered.stderr
    kept = run(tmp_path, "storage", "--json", **place)
    assert kept.returncode == 0, kept.stderr
    another = json.loads(run(tmp_path / "another", "dlq", "list", "--json", **place).stdout)
    assert another == listed, "a second machine sees the same"


def test_the_stores_own_variables_go_on_working(tmp_path: Path, own_place: dict[str, str]) -> None:
    done = backfill(tmp_path, "--json", **own_place)
    assert json.loads(done.stdout)["total_records"] == 744, done.stderr


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"FFE_STORE__ENDPOINT_URL": "http://127.0.0.1:9"}, "the object store at 127.0.0.1:9 cannot be reached"),
        ({"FFE_LAKE_URI": "s3://elsewhere/lake"}, "there is no such bucket at 127.0.0.1"),
    ],
)
@pytest.mark.parametrize("verb", ["backfill", "export"])
def test_a_store_that_cannot_be_used_is_said_in_a_sentence(
    tmp_path: Path, place: dict[str, str], verb: str, given: dict[str, str], words: str
) -> None:
    variables = {**place, **given, "FFE_LEASE_WAIT_SECONDS": "0"}
    if verb == "backfill":
        done = backfill(tmp_path, **variables)
    else:
        done = run(tmp_path, "export", "out", "--as", "vectorbt", "--pairs", "BTCUSD", "--timeframe", "1h", **variables)
    assert done.returncode == 1
    assert words in done.stderr
    assert SECRET not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_a_store_that_loses_commits_is_refused(tmp_path: Path, place: dict[str, str], store_proxy: Proxy) -> None:
    store_proxy.drops = ("if-none-match",)
    done = backfill(tmp_path, **{**place, "FFE_STORE__ENDPOINT_URL": store_proxy.url})
    assert done.returncode == 1
    assert "honours If-None-Match" in done.stderr
    settings = Settings.load({"lake_uri": place["FFE_LAKE_URI"], "store": {
        name.removeprefix("FFE_STORE__").lower(): value for name, value in place.items() if "STORE" in name
    }})  # fmt: skip
    assert DeltaLakeManager.of(settings).snapshot("raw_market_data_1h") is None


def test_a_backfill_killed_at_random_moments_loses_and_doubles_nothing(
    tmp_path: Path, place: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    chance, kills = random.Random(3), 0
    words = command("backfill", *SERIES[:4], "--timeframes", "1h,4h", "--start", "2024-01-01", "--end", "2024-06-30")
    variables = environment(tmp_path, **{**place, **BROKEN})
    for _ in range(4):
        process = subprocess.Popen(words, env=variables, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            process.wait(chance.uniform(0.4, 2.5))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(60)
            kills += 1
    assert kills
    done = subprocess.run(words, env=variables, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode in (0, 1), done.stderr
    for name, value in place.items():
        monkeypatch.setenv(name, value)
    settings = Settings.load({"data_dir": str(tmp_path)})
    for timeframe, expected in (("1h", 182 * 24), ("4h", 182 * 6)):
        opens = DeltaLakeManager.of(settings).read_table(f"raw_market_data_{timeframe}")["timestamp"].tolist()
        queue = queue_of(settings)
        dead = [row for row in queue.find(limit=10_000).rows if row.timeframe == timeframe]
        assert len(opens) == len(set(opens)), "doubled"
        assert len(opens) + len(dead) == expected, "lost"
        assert len({(row.open, row.number, row.batch_id) for row in dead}) == len(dead)
