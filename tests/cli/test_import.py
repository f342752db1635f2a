"""`ffe import` as a process: questions end it with 2 and store nothing, a kill anywhere loses nothing."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager
from tests.cli import test_backfill
from tests.cli.test_backfill import command, environment
from tests.files.making import FORMS, candles, kline, text

KLINES = text(kline(1000, 60))


def run(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    return test_backfill.run(folder / "data", *map(str, arguments))


def document(folder: Path, *arguments: object) -> Any:
    return json.loads(run(folder, *arguments, "--json").stdout)


def is_empty(folder: Path) -> bool:
    """Nothing was stored, not even an empty table."""
    return set(DeltaLakeManager(folder / "data" / "lake").versions()) == {None}


def form(profile: str) -> Any:
    return next(one for one in FORMS if one.profile == profile)


def test_a_file_comes_in_and_is_seen_by_every_verb_that_lists_series(tmp_path: Path) -> None:
    path = form("kraken-ohlcvt").write(tmp_path)
    done = run(tmp_path, "import", path, "--as", "files:kraken")
    assert done.returncode == 0, done.stderr
    assert "XBTUSD_60.csv: received 24 = stored 24 + dead lettered 0 + repeats 0" in done.stdout
    [mark] = document(tmp_path, "watermarks")
    assert (mark["asset_pair"], mark["timeframe"], mark["provider"]) == ("BTCUSD", "1h", "files:kraken")
    [covered] = document(tmp_path, "coverage", "--provider", "files:kraken")
    assert (covered["expected"], covered["stored"]) == (24, 24)
    again = run(tmp_path, "import", path, "--as", "files:kraken")
    assert "repeats 24, the same file as before: nothing new" in again.stdout


def test_what_cannot_be_told_is_asked_with_both_readings_and_nothing_is_stored(tmp_path: Path) -> None:
    path = form("metatrader4").write(tmp_path)
    asked = run(tmp_path, "import", path, "--as", "files:mt4/EURUSD/1h")
    assert asked.returncode == 2
    assert "--zone UTC " in asked.stdout
    assert "2024.01.15 17:00 is 2024-01-15T17:00:00+00:00" in asked.stdout
    assert "2024.01.15 17:00 is 2024-01-15T15:00:00+00:00" in asked.stdout
    assert is_empty(tmp_path)
    questions = document(tmp_path, "import", path, "--as", "files:mt4/EURUSD/1h")["questions"]
    assert [one["code"] for one in questions] == ["zone"]
    done = run(tmp_path, "import", path, "--as", "files:mt4/EURUSD/1h", "--zone", "UTC+2")
    assert done.returncode == 0
    assert "stored 24" in done.stdout


def test_a_dry_run_shows_the_rows_beside_their_text_and_why(tmp_path: Path) -> None:
    path = form("tiingo").write(tmp_path)
    shown = run(tmp_path, "import", path, "--as", "files:tiingo/GOOGL/1d", "--dry-run")
    assert shown.returncode == 0
    assert "open 100.0  high 103.5  low 97.25  close 101.5" in shown.stdout
    assert "2024-01-15,101.5,103.5,97.25,100.0" in shown.stdout
    assert is_empty(tmp_path)
    [found] = document(tmp_path, "import", path, "--as", "files:tiingo/GOOGL/1d", "--dry-run")["forms"]
    assert found["columns"]["close"] == {"column": "close", "why": "as the profile says"}


def test_a_reading_that_was_corrected_is_kept_and_used_again(tmp_path: Path) -> None:
    rows = text(lambda c: f"{c.at},{c.open},{c.close},{c.low},{c.high},{c.volume}", "when,a,b,c,d,e")
    path = tmp_path / "odd.csv"
    path.write_bytes(rows(candles("1h")))
    target = ("--as", "files:odd/BTCUSD/1h")
    assert run(tmp_path, "import", path, *target).returncode == 2
    maps = [
        word for one in ("time=when", "open=a", "close=b", "low=c", "high=d", "volume=e") for word in ("--map", one)
    ]
    kept = run(tmp_path, "import", path, *target, *maps, "--stamp", "open", "--save-profile", "odd", "--dry-run")
    assert kept.returncode == 0, kept.stderr + kept.stdout
    assert "odd" in [one["name"] for one in document(tmp_path, "import", "profiles")]
    done = document(tmp_path, "import", path, *target, "--profile", "odd")
    assert done["results"][0]["records"] == 24
    file = tmp_path / "shared.toml"
    file.write_text(run(tmp_path, "import", "profiles", "show", "odd").stdout)
    assert document(tmp_path, "import", path, *target, "--profile", file)["results"][0]["repeats"] == 24


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "as: say where the candles go"),
        (("--as", "coinbase/BTCUSD/1h"), "names no source of files"),
        (("--as", "files:x/BTCUSD/1h", "--map", "open"), "map: 'open' maps nothing"),
        (("--as", "files:x/BTCUSD/1h", "--map", "open=a", "--map", "open=b"), "map: open is mapped twice"),
        (("--as", "files:x/BTCUSD/1h", "--zone", "Mars"), "is no zone"),
        (("--as", "files:x/BTCUSD/1h", "--profile", "nope"), "profile: 'nope' is unknown"),
        (("--as", "files:kraken/BTCUSD/1m", "--any-name"), "its bars lie 1h apart"),
    ],
)
def test_wrong_usage_says_what_and_stores_nothing(arguments: tuple[str, ...], says: str, tmp_path: Path) -> None:
    path = form("kraken-ohlcvt").write(tmp_path)
    done = run(tmp_path, "import", path, *arguments)
    assert done.returncode == 2
    assert says in done.stderr
    assert is_empty(tmp_path)


def test_what_needs_a_provider_says_why_it_cannot_be(tmp_path: Path) -> None:
    window = ("--start", "2024-01-01", "--end", "2024-01-02")
    done = run(tmp_path, "backfill", "--provider", "files:x", "--pairs", "BTCUSD", "--timeframes", "1h", *window)
    assert done.returncode == 2
    assert "files:x holds imported files, which cannot be asked for more" in done.stderr


def test_a_file_that_cannot_be_read_is_named_and_the_others_go_in(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "BTCUSDT-1m-2024-01-15.csv").write_bytes(KLINES(candles("1m")))
    (folder / "BTCUSDT-1m-2024-01-16.zip").write_bytes(b"no zip")
    (folder / "BTCUSDT-1m-2024-01-17.csv").write_bytes(b"")
    done = run(tmp_path, "import", folder, "--as", "files:binance")
    assert done.returncode == 1
    assert "BTCUSDT-1m-2024-01-16.zip" in done.stdout
    assert "BTCUSDT-1m-2024-01-17.csv holds no rows" in done.stderr
    assert "stored 24" in done.stdout


@pytest.mark.of_a_state_file("at a server the leases of who was killed end 15 s later: tests/workers")
def test_killed_anywhere_it_comes_to_the_same_rows(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    day, days = 1440, 120
    for number in range(days):
        name = f"BTCUSDT-1m-2024-{number // 28 + 1:02}-{number % 28 + 1:02}.csv"
        (folder / name).write_bytes(KLINES(candles("1m", 1704067200 + number * 86_400, day)))
    arguments = command("import", str(folder), "--as", "files:binance/BTCUSDT/1m", "--any-name", "--json")
    for attempt in range(4):
        process = subprocess.Popen(
            arguments, env=environment(tmp_path / "data"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        time.sleep(1.0 + attempt * 0.4)
        process.send_signal(signal.SIGKILL)
        process.wait()
    last = subprocess.run(arguments, env=environment(tmp_path / "data"), capture_output=True, text=True, timeout=120)
    assert last.returncode == 0, last.stderr
    [result] = json.loads(last.stdout)["results"]
    assert result["received"] == day * days == result["records"] + result["repeats"]
    assert all(one["received"] == one["stored"] + one["dead_lettered"] + one["repeats"] for one in result["files"])
    [covered] = document(tmp_path, "coverage")
    assert (covered["expected"], covered["stored"]) == (day * days, day * days)
