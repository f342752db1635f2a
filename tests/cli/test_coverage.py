"""`coverage` and `watermarks` as a process: what they print, and how they end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ffe_core.series import Series
from ffe_core.times import DAY
from tests.cli.test_backfill import backfill, run
from tests.ingestion.fakes import HOUR, START, FakeProvider, hours, ingester, records
from tests.ingestion.fakes import run as ingest

ONE = ["--provider", "coinbase", "--pairs", "BTC-USD", "--timeframes", "1h"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two days of a coinbase pair without its sixth and seventh hour."""
    gone = {START + at * HOUR for at in (5, 6)}
    ingest(ingester(tmp_path), FakeProvider(records(set(hours(0, 48)) - gone)), START, START + 48 * HOUR)
    return tmp_path


def printed(folder: Path, *arguments: str) -> Any:
    done = run(folder, *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_coverage_names_counts_and_gaps(folder: Path) -> None:
    [row] = printed(folder, "coverage")
    assert row == {
        "asset_pair": "BTCUSD",
        "timeframe": "1h",
        "provider": "coinbase",
        "start": "2024-01-01T00:00:00+00:00",
        "end": "2024-01-03T00:00:00+00:00",
        "expected": 48,
        "stored": 46,
        "dead_lettered": 0,
        "marked": 0,
        "unexplained": 2,
        "extra": 0,
        "gaps": [
            {
                "start": "2024-01-01T05:00:00+00:00",
                "end": "2024-01-01T06:00:00+00:00",
                "candles": 2,
                "kind": "unexplained",
                "venue_outage": False,
            }
        ],
    }
    assert printed(folder, "coverage", "--provider", "oanda") == []
    assert "no series matches these filters" in run(folder, "coverage", "--provider", "oanda").stdout
    [row] = printed(folder, "coverage", *ONE, "--start", "2023-12-31", "--end", "2024-01-01")
    assert (row["expected"], row["unexplained"]) == (48, 26)
    [row] = printed(folder, "coverage", "--provider", "oanda", *ONE[2:], "--start", "2024-01-08", "--end", "2024-01-08")
    assert (row["expected"], row["stored"]) == (24, 0)
    assert "2024-01-01T06:00:00+00:00" in run(folder, "coverage").stdout


def test_counting_is_a_run_that_says_the_same(folder: Path) -> None:
    found = printed(folder, "coverage", "count")
    [row] = found["series"]
    shown = printed(folder, "coverage")[0]
    assert found["run"] == 1
    assert {name: row[name] for name in ("asset_pair", "expected", "stored", "unexplained")} == {
        name: shown[name] for name in ("asset_pair", "expected", "stored", "unexplained")
    }
    assert "BTCUSD" in run(folder, "coverage", "count", "--pairs", "BTC-USD").stdout
    assert printed(folder, "coverage", "count", "--provider", "oanda") == {"run": None, "series": []}
    refused = run(folder, "coverage", "--start", "2024-01-01", "count")
    assert (refused.returncode, "leave --start and --end away" in refused.stderr) == (2, True)


def test_marking_and_taking_it_back(folder: Path) -> None:
    done = printed(folder, "coverage", "mark", *ONE, "--reason", "venue outage")
    assert (done["holes"], done["candles"]) == (1, 2)
    [row] = printed(folder, "coverage")
    assert (row["marked"], row["unexplained"], [gap["kind"] for gap in row["gaps"]]) == (2, 0, ["marked"])
    assert run(folder, "coverage", "mark", *ONE, "--reason", "venue outage").returncode == 2
    assert printed(folder, "coverage", "unmark", *ONE) == {"holes": 1}
    assert printed(folder, "coverage")[0]["unexplained"] == 2


def test_marking_several_series_marks_what_it_can_and_says_the_rest(folder: Path) -> None:
    more = ["--provider", "coinbase", "--pairs", "ETHUSD,BTC-USD", "--timeframes", "1h", "--reason", "venue outage"]
    done = run(folder, "coverage", "mark", *more, "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["candles"] == 2
    assert "nothing is missing without a reason in ETHUSD 1h from coinbase" in done.stderr
    done = run(folder, "coverage", "mark", *more)
    assert (done.returncode, done.stdout) == (2, "")
    assert all(f"in {pair} 1h from coinbase" in done.stderr for pair in ("BTCUSD", "ETHUSD"))


def test_wrong_usage_of_coverage_exits_2_and_says_what_to_do(folder: Path) -> None:
    for arguments, said in (
        (["coverage", "--provider", "nobody"], "nobody"),
        (["coverage", "--timeframes", "2h"], "2h"),
        (["coverage", "--start", "2024-02-01", "--end", "2024-01-01"], "not after start"),
        (["coverage", "mark", "--reason", "no trades"], "--provider, --pairs and --timeframes"),
        (["coverage", "mark", *ONE, "--reason", "because"], "use one of 'no trades'"),
        (["coverage", "mark", *ONE, "--asked-twice", "--reason", "no trades"], "nothing was asked for twice"),
        (["watermarks", "rewind", *ONE, "--to", "2024-01-01"], "--reason"),
        (["watermarks", "rewind", *ONE, "--to", "2999-01-01", "--reason", "x"], "the nearest that can is"),
    ):
        done = run(folder, *arguments)
        assert (done.returncode, done.stdout) == (2, ""), arguments
        assert said in done.stderr


def test_beyond_a_calendar_it_is_said_and_exits_2(tmp_path: Path) -> None:
    share = ["--provider", "alpha_vantage", "--pairs", "AAPL", "--timeframes", "1d"]
    done = run(tmp_path, "coverage", *share, "--start", "1960-01-01", "--end", "1960-02-01", "--json")
    [row] = json.loads(done.stdout)
    assert done.returncode == 2
    assert row["expected"] is None
    assert "1960-01-01 lies outside what the XNYS calendar knows" in row["error"]


def test_watermarks_are_rewound_forgotten_and_put_back(folder: Path) -> None:
    to = "2024-01-02T00:00:00Z"
    [seen] = printed(folder, "watermarks", "rewind", *ONE, "--to", to, "--reason", "x", "--dry-run")
    assert (seen["bars"], seen["stored"], seen["requests"]) == (23, 23, 1)
    [row] = printed(folder, "watermarks")
    assert (row["watermark"], row["oldest"]) == ("2024-01-02T23:00:00+00:00", "2024-01-01T00:00:00+00:00")
    printed(folder, "watermarks", "rewind", *ONE, "--to", to, "--reason", "x")
    assert printed(folder, "watermarks")[0]["watermark"] == "2024-01-02T00:00:00+00:00"
    printed(folder, "watermarks", "undo", *ONE)
    assert printed(folder, "watermarks")[0]["watermark"] == "2024-01-02T23:00:00+00:00"
    printed(folder, "watermarks", "forget", *ONE, "--reason", "x")
    assert printed(folder, "watermarks") == []
    assert printed(folder, "coverage")[0]["stored"] == 46


def test_a_refused_series_stops_no_other(tmp_path: Path) -> None:
    backfill(tmp_path)
    ones = ["--provider", "simulated", "--pairs", "ETHUSD,BTCUSD", "--timeframes", "1h"]
    done = run(tmp_path, "watermarks", "forget", *ones, "--reason", "x", "--json")
    assert done.returncode == 2
    assert [row["asset_pair"] for row in json.loads(done.stdout)] == ["BTCUSD"]
    assert "ETHUSD 1h from simulated has no watermark" in done.stderr


@pytest.fixture
def shares(tmp_path: Path) -> Path:
    """A share as an earlier release stored it, and two that have the same letters."""
    for name in ("BRKB", "A-BC", "AB-C"):
        share = Series(name, "1d", "alpha_vantage")
        ingest(ingester(tmp_path), FakeProvider(records([START + DAY])), START + DAY, START + 2 * DAY, share)
    return tmp_path


@pytest.mark.parametrize("typed", ["BRK-B", "brk.b", "BRKB"])
def test_a_pair_is_found_and_acted_on_however_it_is_written(shares: Path, typed: str) -> None:
    one = ("--provider", "alpha_vantage", "--pairs", typed, "--timeframes", "1d")
    week = ("--start", "2024-01-02", "--end", "2024-01-05")
    [row] = printed(shares, "coverage", *one, *week)
    assert (row["asset_pair"], row["stored"], row["unexplained"]) == ("BRKB", 1, 3)
    assert [row["asset_pair"] for row in printed(shares, "coverage", "--pairs", typed)] == ["BRKB"]
    assert printed(shares, "coverage", "mark", *one, *week, "--reason", "venue outage")["candles"] == 3
    [row] = printed(shares, "coverage", *one, *week)
    assert (row["marked"], row["unexplained"]) == (3, 0)
    assert printed(shares, "coverage", "unmark", *one, *week)["holes"] == 1
    [row] = printed(shares, "watermarks", "forget", *one, "--reason", "x")
    assert row["asset_pair"] == "BRKB"


def test_a_name_that_fits_several_shows_all_and_moves_none(shares: Path) -> None:
    assert {row["asset_pair"] for row in printed(shares, "coverage", "--pairs", "abc")} == {"A-BC", "AB-C"}
    one = ("--provider", "alpha_vantage", "--pairs", "abc", "--timeframes", "1d")
    refused = run(shares, "watermarks", "forget", *one, "--reason", "x")
    assert refused.returncode == 2
    assert "'abc' fits A-BC, AB-C; name one of them" in refused.stderr
    assert printed(shares, "coverage", "--pairs", "NOSUCH") == []
