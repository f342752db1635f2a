"""The command line as a process: what it prints where, and how it ends."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from ffe_core.cli import common
from ffe_core.storage.state.runs import RunSeries
from tests import children
from tests.processes import until

RANGE = ["--start", "2024-01-01", "--end", "2024-01-31"]
SERIES = ["--provider", "simulated", "--pairs", "BTCUSD", "--timeframes", "1h"]
QUIET = {"FFE_SIMULATED__BROKEN_RECORDS": "0"}


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "ffe_core", *arguments]


def environment(folder: Path, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FFE_")}
    return {**kept, **children.variables(folder), "FFE_DATA_DIR": str(folder), **QUIET, **more}


def run(folder: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments), env=environment(folder, **more), capture_output=True, text=True, timeout=120
    )


def backfill(folder: Path, *arguments: str, pairs: str = "BTCUSD", **more: str) -> subprocess.CompletedProcess[str]:
    series = ["--provider", "simulated", "--pairs", pairs, "--timeframes", "1h"]
    return run(folder, "backfill", *series, *RANGE, *arguments, **more)


def test_json_is_one_document_on_stdout_and_progress_goes_to_stderr(tmp_path: Path) -> None:
    done = backfill(tmp_path, "--json")
    assert done.returncode == 0
    document = json.loads(done.stdout)
    assert document["total_records"] == 744
    assert document["results"][0]["status"] == "success"
    assert "BTCUSD 1h: complete, 744 candles" in done.stderr


def test_a_second_run_has_nothing_to_do_and_exits_0(tmp_path: Path) -> None:
    backfill(tmp_path)
    again = backfill(tmp_path, "--json")
    result = json.loads(again.stdout)["results"][0]
    assert again.returncode == 0
    assert (result["status"], result["reason"], result["requests"]) == ("no_data", "up_to_date", 0)


def test_a_series_that_fails_exits_1_and_the_others_go_on(tmp_path: Path) -> None:
    done = backfill(tmp_path, "--json", pairs="NOPEUSD,BTCUSD")
    statuses = [result["status"] for result in json.loads(done.stdout)["results"]]
    assert done.returncode == 1
    assert statuses == ["error", "success"]


def test_without_json_people_read_a_table_and_the_error_in_full(tmp_path: Path) -> None:
    done = backfill(tmp_path, pairs="NOPEUSD")
    assert "unexplained" in done.stdout.splitlines()[0]
    assert "NOPEUSD 1h from simulated, 2024-01-01" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["--provider", "nope", "--pairs", "BTCUSD", "--timeframes", "1h", *RANGE], "provider: 'nope'"),
        (["--provider", "simulated", "--pairs", "../etc", "--timeframes", "1h", *RANGE], "pair: '../etc'"),
        (["--provider", "simulated", "--pairs", "BTCUSD", "--timeframes", "9h", *RANGE], "timeframe: '9h'"),
        ([*SERIES, "--start", "2024-02-01"], "--end"),
        (["--provider", "oanda", "--pairs", "EURUSD", "--timeframes", "1h", *RANGE], "FFE_OANDA__API_TOKEN"),
        (
            [*SERIES, "--start", "2024-02-01", "--end", "2024-01-01"],
            "end: 2024-01-01",
        ),
    ],
)
def test_wrong_usage_exits_2_with_one_line_that_names_the_input(
    tmp_path: Path, arguments: list[str], names: str
) -> None:
    done = run(tmp_path, "backfill", *arguments)
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert names in done.stderr
    assert done.stdout == ""


def test_bytes_that_are_no_text_are_wrong_usage_and_a_user_of_such_a_name_is_named_all_the_same(tmp_path: Path) -> None:
    assert backfill(tmp_path).returncode == 0
    series = ("--provider", "simulated", "--pairs", "BTCUSD", "--timeframes", "1h")
    rewind = ("watermarks", "rewind", *series, "--to", "2024-01-02T00:00:00Z", "--reason")
    refused = run(tmp_path, *rewind, "bad \udcff bytes")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.startswith("'bad \\udcff bytes' holds bytes that are no utf-8 text; write it in UTF-8")
    done = run(tmp_path, *rewind, "too far", LOGNAME="ann\udcff")
    assert done.returncode == 0, done.stderr


def test_every_series_that_has_dead_letters_is_named_with_how_many(tmp_path: Path) -> None:
    broken = {"FFE_SIMULATED__BROKEN_RECORDS": "0.05"}
    pairs = [f"{letter}{letter}TUSD" for letter in "ABCDEFGHIJ"]
    done = backfill(tmp_path, pairs=",".join(pairs), **broken)
    assert done.returncode == 0
    [line] = [line for line in done.stdout.splitlines() if line.startswith("kept as dead letters: ")]
    assert line.endswith(". To see why: ffe dlq list --run 1")
    named = {name: int(count) for count, name in re.findall(r"(\d+) of (\w+) 1h", line)}
    rest = re.search(r" and (\d+) of 2 other series", line)
    assert rest is not None
    assert len(named) == 8
    listed = json.loads(run(tmp_path, "dlq", "list", "--run", "1", "--json").stdout)
    kept = {pair: sum(row["records"] for row in listed if row["context"]["asset_pair"] == pair) for pair in pairs}
    assert {pair: kept[pair] for pair in named} == named
    assert sum(named.values()) + int(rest[1]) == sum(kept.values())
    assert re.search(r"^warning: 9 more like this: kept \d+ records", done.stderr, re.MULTILINE)


def test_a_dry_run_sends_nothing_and_stores_nothing(tmp_path: Path) -> None:
    done = backfill(tmp_path, "--dry-run", "--json")
    document = json.loads(done.stdout)
    assert (document["series"][0]["to_fetch"], document["series"][0]["stored"]) == (744, 0)
    assert not list(tmp_path.glob("lake/**/*.parquet"))


def test_a_dry_run_counts_what_finding_the_first_bar_costs(tmp_path: Path) -> None:
    asked = ("--provider", "alpha_vantage", "--pairs", "TSLA", "--timeframes", "1h", "--start", "beginning")
    key = {"FFE_ALPHA_VANTAGE__API_KEY": "DRYRUNKEY123"}
    words = ("backfill", *asked, "--end", "2021-08-31", "--dry-run")
    document = json.loads(run(tmp_path, *words, "--json", **key).stdout)
    [one] = document["series"]
    searches = document["first_bar_requests"]
    assert searches == one["first_bar_requests"] > 0
    assert document["requests"] == document["seconds"] == one["requests"] + searches  # at one a second
    said = f"at most {document['requests']} requests, of them {searches} to find where series begin, "
    assert said + f"{document['seconds']:.0f} s at the rate of alpha_vantage" in run(tmp_path, *words, **key).stdout


def test_interrupted_it_says_how_to_go_on_and_the_same_command_completes_it(tmp_path: Path) -> None:
    slow = environment(tmp_path, FFE_SIMULATED__LATENCY_SECONDS="30")
    process = subprocess.Popen(
        command("backfill", *SERIES, *RANGE),
        env=slow,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        # A shell that started the tests in the background has them ignore it, and the command would inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    until(lambda: children.rows(tmp_path, "select 1 from run_series where state = 'running'") != [], process)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "the same command continues it" in said
    assert json.loads(backfill(tmp_path, "--json").stdout)["results"][0]["stored"] == 744


def test_on_a_terminal_a_bar_is_drawn(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    done = subprocess.run(
        command("backfill", *SERIES, *RANGE), env=environment(tmp_path), stderr=theirs, stdout=subprocess.PIPE
    )
    os.close(theirs)
    drawn = os.read(ours, 100_000).decode()
    os.close(ours)
    assert done.returncode == 0
    assert "100%  1/1 series  744 candles" in drawn


def test_watermarks_lists_every_series(tmp_path: Path) -> None:
    backfill(tmp_path)
    rows: list[dict[str, Any]] = json.loads(run(tmp_path, "watermarks", "--json").stdout)
    assert [(row["asset_pair"], row["watermark"]) for row in rows] == [("BTCUSD", "2024-01-31T23:00:00+00:00")]


def test_watermarks_of_nothing_says_what_to_do(tmp_path: Path) -> None:
    done = run(tmp_path, "watermarks")
    assert done.returncode == 0
    assert "backfill" in done.stdout


def test_a_series_that_its_run_never_reported_on_is_an_error_with_the_reason() -> None:
    names = [field.name for field in fields(RunSeries)]
    row = RunSeries(**{**dict.fromkeys(names), "state": "interrupted"})  # type: ignore[arg-type]
    result = common._unfinished(row)
    assert result["status"] == "error"
    assert "interrupted" in result["error"]
