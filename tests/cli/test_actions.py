"""`actions` as a process: what is put on record, listed, refused and taken out."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.test_backfill import run
from tests.fake_exchanges import AlphaVantageExchange, Market

KEY = "ACTIONSKEY12345"
WHY = ("--reason", "announced")


def test_splits_and_dividends_are_put_on_record_listed_and_taken_out(tmp_path: Path) -> None:
    assert run(tmp_path, "actions", "add", "aapl", "2014-06-09", "--split", "7:1", *WHY).returncode == 0
    done = run(tmp_path, "actions", "add", "AAPL", "2014-05-08", "--dividend", "3.29", *WHY, "--json")
    assert json.loads(done.stdout)["added"] is True
    listed = json.loads(run(tmp_path, "actions", "list", "--pairs", "AAPL", "--json").stdout)["actions"]
    assert [(one["day"], one["kind"], one["value"]) for one in listed] == [
        ("2014-05-08", "dividend", "3.29"),
        ("2014-06-09", "split", "7:1"),
    ]
    gone = run(tmp_path, "actions", "remove", "AAPL", "2014-05-08", "--dividend", "--reason", "wrong")
    assert "is out of" in gone.stdout
    assert "7:1" in run(tmp_path, "actions", "list").stdout


def test_bad_input_is_one_sentence_and_status_2(tmp_path: Path) -> None:
    for words, said in (
        (["2014-06-09", "--split", "7"], "split: '7' is no split; write new shares for old ones, as 7:1"),
        (["2014-06-09", "--split", "7:0"], "split: '7:0' is no split"),
        (["2014-06-09", "--dividend", "-3"], "dividend"),
        (["2014-06-09", "--split", "999999999999:0.000000000001"], "has more than twelve digits or decimals"),
        (["9 June", "--split", "7:1"], "day: '9 June' is no day; write it as 2014-06-09"),
    ):
        done = run(tmp_path, "actions", "add", "AAPL", *words, *WHY)
        assert (done.returncode, said in done.stderr) == (2, True), done.stderr


def test_nearly_the_same_split_is_put_beside_another_only_if_it_is_meant(tmp_path: Path) -> None:
    words = ["actions", "add", "AAPL", "2014-06-09", "--split", "7:1", *WHY]
    assert run(tmp_path, "actions", "add", "AAPL", "2014-06-07", "--split", "7:1", *WHY).returncode == 0
    refused = run(tmp_path, *words)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "AAPL has a split of 7:1 on 2014-06-07 on record (announced)" in refused.stderr
    assert "say that both are meant" in refused.stderr
    assert run(tmp_path, *words, "--yes").returncode == 0
    assert run(tmp_path, "actions", "list").stdout.count("7:1") == 2


def test_splits_and_dividends_are_fetched_and_what_differs_is_status_1(tmp_path: Path) -> None:
    with AlphaVantageExchange(Market({("AAPL", 86_400): {}}), key=KEY, per_second=None) as exchange:
        exchange.actions = {("SPLITS", "AAPL"): [{"effective_date": "2014-06-09", "split_factor": "7.0000"}]}
        more = {"FFE_ALPHA_VANTAGE__API_KEY": KEY, "FFE_ALPHA_VANTAGE__BASE_URL": exchange.url}
        done = run(tmp_path, "actions", "fetch", "--pairs", "aapl", "--json", **more)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["pairs"] == [{"pair": "AAPL", "received": 1, "added": 1, "problems": []}]
        exchange.actions["SPLITS", "AAPL"] = [{"effective_date": "2014-06-09", "split_factor": "2.0000"}]
        again = run(tmp_path, "actions", "fetch", "--pairs", "AAPL", **more)
        assert again.returncode == 1
        assert "7:1 on record" in again.stderr
    assert "API_KEY" in run(tmp_path, "actions", "fetch", "--pairs", "AAPL").stderr
