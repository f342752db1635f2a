"""`check` as a process: what it prints, its exit status, and what is accepted stays so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager
from tests.checks import faults
from tests.checks.markets import coarser
from tests.checks.test_engine import minutes, put
from tests.cli.test_backfill import run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three days of minutes with a spike in them."""
    made = minutes(3)
    faults.spike(np.random.default_rng(2), made, 2_000)
    put(DeltaLakeManager(tmp_path / "lake"), made)
    return tmp_path


def printed(folder: Path, *arguments: str, status: int) -> Any:
    done = run(folder, *arguments, "--json")
    assert done.returncode == status, done.stderr
    return json.loads(done.stdout)


def test_open_findings_are_status_1_until_they_are_accepted(folder: Path) -> None:
    found = printed(folder, "check", status=1)
    [spike] = found["findings"]
    assert (spike["kind"], spike["severity"], spike["state"], spike["bars"]) == ("spike", "error", "open", 1)
    assert "outside its neighbours" in spike["says"]
    assert "check accept: the following arguments are required: --reason" in run(folder, "check", "accept", "1").stderr
    assert printed(folder, "check", "accept", str(spike["id"]), "--reason", "on the tape", status=0)["changed"] == 1
    assert printed(folder, "check", status=0)["findings"] == []
    [row] = printed(folder, "check", "list", "--state", "accepted", status=0)["findings"]
    assert (row["state"], row["reason"]) == ("accepted", "on the tape")
    assert printed(folder, "check", "reopen", str(spike["id"]), status=0)["changed"] == 1
    assert printed(folder, "check", "--kind", "off_tick", status=0)["findings"] == []
    assert printed(folder, "check", "--series", "btc-usd/1m", status=1)["findings"][0]["id"] == spike["id"]


def test_bad_input_is_one_sentence_and_status_2(folder: Path) -> None:
    for words, said in (
        (["--series", "NOPE"], "series: 'NOPE' is not stored; there is BTCUSD/1m/coinbase"),
        (["--kind", "nope"], "kind: 'nope' is unknown; use one of timeframes"),
        (["--severity", "bad"], "severity: 'bad' is unknown; use one of error, warning, notice"),
        (["accept", "99", "--reason", "x"], "finding: there is no finding 99"),
        (["accept", "9" * 23, "--reason", "x"], f"finding: there is no finding {'9' * 23}"),
        (["reopen", str(2**63)], f"finding: there is no finding {2**63}"),
        (["list", "--kind", "nope"], "kind: 'nope' is unknown; use one of timeframes"),
        (["list", "--series", "NOPE"], "series: 'NOPE' is not stored"),
        (["list", "--severity", "bad"], "severity: 'bad' is unknown"),
        (["list", "--state", "closed"], "state: 'closed' is unknown; use one of open, accepted, gone"),
    ):
        done = run(folder, "check", *words)
        assert (done.returncode, said in done.stderr) == (2, True), done.stderr


def test_what_was_known_then_goes_on_no_record(folder: Path) -> None:
    then = printed(folder, "check", "--as-known-at", "2000-01-01T00:00:00Z", status=0)
    assert (then["run"], then["findings"]) == (None, [])
    assert printed(folder, "check", "list", status=0)["findings"] == []


def test_an_empty_lake_says_what_to_do(tmp_path: Path) -> None:
    done = run(tmp_path, "check")
    assert (done.returncode, "nothing is stored yet" in done.stderr) == (2, True)


def test_a_rule_of_ones_own_is_tried_kept_checked_and_let_go(folder: Path) -> None:
    holds = ["--holds", "high <= 1.01 * low"]
    tried = printed(folder, "check", "try", "narrow", *holds, status=0)
    assert (tried["series"], tried["bars"]) == (1, 3 * 1440)
    assert 1 <= tried["found"] == len(tried["examples"]) <= 20
    assert printed(folder, "check", "list", "--state", "open", status=0)["findings"] == []
    printed(folder, "check", "save", "narrow", *holds, "--level", "error", "--says", "minutes are narrow", status=0)
    assert [one["name"] for one in printed(folder, "check", "rules", status=0)["rules"]] == ["narrow"]
    found = printed(folder, "check", "--kind", "rule:narrow", status=1)["findings"]
    assert {(one["kind"], one["severity"]) for one in found} == {("rule:narrow", "error")}
    assert found[0]["says"] == "does not hold: minutes are narrow"
    printed(folder, "check", "forget", "narrow", status=0)
    printed(folder, "check", status=1)
    gone = printed(folder, "check", "list", "--state", "gone", status=0)["findings"]
    assert {one["kind"] for one in gone} == {"rule:narrow"}
    assert printed(folder, "check", "list", "--kind", "rule:narrow", "--state", "gone", status=0)["findings"] == gone


def test_a_rule_that_cannot_be_is_said_at_its_field(folder: Path) -> None:
    for words, said in (
        (["try", "narrow", "--holds", "high <="], "holds: rule narrow cannot be read"),
        (["save", "narrow", "--holds", "nope > 1"], "holds: rule narrow cannot be evaluated"),
        (["try", "narrow", "--holds", "high"], "holds: rule narrow is no condition"),
        (["try", "narrow", "--holds", "true", "--for", "*/2h"], "series: nothing can fit */2h"),
        (["try", "narrow"], "name: 'narrow' is unknown"),
        (["try", "narrow", "--bound", "close=1"], "bound: 'close=1' is no bound"),
        (["save", "narrow", "--bound", "close=1:", "--bound", "close=:2"], "bound: 'close=1:' is no bound"),
        (["save", "narrow", "--bound", "close=1:2", "--bound", "close=1:3"], "bound: there are two bounds of close"),
        (["try", "narrow", "--holds", "true", "--for", "EURUSD"], "series: nothing that is stored fits EURUSD"),
        (["forget", "narrow"], "name: 'narrow' is unknown"),
        (["--kind", "rule:narrow"], "kind: 'rule:narrow' is unknown"),
    ):
        done = run(folder, "check", *words)
        assert (done.returncode, said in done.stderr) == (2, True), done.stderr


def test_a_rule_that_would_dead_letter_much_asks_first(folder: Path) -> None:
    words = ["check", "save", "none", "--holds", "close < 0", "--dead-letter"]
    done = run(folder, *words)
    assert (done.returncode, "dead_letters: none would find 4,320 bars of 4,320 (100.0 %)" in done.stderr) == (2, True)
    assert printed(folder, "check", "rules", status=0)["rules"] == []
    printed(folder, *words, "--yes", status=0)
    kept = printed(folder, "check", "save", "few", "--holds", "high <= 2 * low", "--dead-letter", status=0)
    assert (kept["on"], kept["found"], kept["bars"]) == (True, 0, 4320)
    assert [one["dead_letters"] for one in printed(folder, "check", "rules", status=0)["rules"]] == [True, True]


def test_a_rule_is_kept_off(folder: Path) -> None:
    words = ["check", "save", "range", "--bound", "close=0:1"]
    done = run(folder, *words, "--off")
    assert (done.returncode, done.stdout.splitlines()[0].endswith("rules.toml, and off")) == (0, True), done.stdout
    assert "it would find 4,320 bars of 4,320" in done.stdout
    assert run(folder, "check", "--kind", "rule:range").returncode == 2
    printed(folder, *words, status=0)
    assert len(printed(folder, "check", "--kind", "rule:range", status=1)["findings"]) == 1


def test_two_series_are_compared_as_a_table_and_a_document(folder: Path) -> None:
    coarse = coarser(minutes(3), "1h")
    put(DeltaLakeManager(folder / "lake"), coarse)  # the spike is in the minutes alone
    words = ["check", "compare", "BTCUSD/1h", "btc-usd/1m"]
    found = printed(folder, *words, status=1)
    assert (found["series"], found["other"]) == ("BTCUSD/1h/coinbase", "BTCUSD/1m/coinbase")
    assert (found["compared"], found["different"], found["only_there"]) == (72, 1, 0)
    told = run(folder, *words).stdout
    assert "72 bars compared: 1 differ by more than half a tick" in told
    assert "column  bars" in told
    assert printed(folder, "check", "list", status=0)["findings"] == [], "nothing goes on record"
    then = run(folder, *words, "--as-known-at", "2000-01-01T00:00:00Z")
    assert (then.returncode, "no bar in common" in then.stdout) == (0, True)
    for wrong, said in (
        (["BTCUSD", "BTCUSD/1m"], "series: 'BTCUSD' may be BTCUSD/1h/coinbase, BTCUSD/1m/coinbase; name one"),
        (["BTCUSD/1m", "BTCUSD/1m"], "is compared with itself"),
        (["NOPE", "BTCUSD/1m"], "series: 'NOPE' is not stored"),
    ):
        done = run(folder, "check", "compare", *wrong)
        assert (done.returncode, said in done.stderr) == (2, True), done.stderr
