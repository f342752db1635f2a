"""Does `--json` print exactly one JSON document whatever happens, and does no traceback reach a user?"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ffe_core import DeadLetterQueue
from ffe_core.cli import parser
from ffe_core.instruments.model import Instrument
from ffe_core.storage.state.database import DATABASE_FILE, Database
from ffe_core.storage.state.instruments import InstrumentStore
from tests.cli.test_backfill import RANGE, SERIES, backfill, command, environment, run
from tests.storage.dead_letters.harness import BTC

USAGE = [
    [],
    ["nope"],
    ["backfill"],
    ["backfill", *SERIES, "--start", "2024-02-01"],
    ["backfill", *SERIES, "--start", "2024-02-01", "--end", "2024-01-01"],
    ["backfill", "--provider", "nope", *SERIES[2:], *RANGE],
    ["backfill", "--provider", "oanda", *SERIES[2:], *RANGE],
    ["watermarks", "rewind"],
    ["watermarks", "forget", *SERIES, "--reason", "x"],
    ["watermarks", "--nope"],
    ["coverage", "--provider", "nobody"],
    ["coverage", "mark", *SERIES, "--reason", "because"],
    ["dlq"],
    ["dlq", "show", "nope"],
    ["dlq", "replay"],
    ["dlq", "edit", "nope", "--record", "x"],
    ["dlq", "list", "--limit", "-1"],
    ["schedules"],
    ["schedules", "run", "nope"],
    ["schedules", "add", "--name", "x", "--every", "0", *SERIES],
]


@pytest.mark.parametrize("arguments", USAGE, ids=" ".join)
def test_wrong_usage_is_a_document_too(tmp_path: Path, arguments: list[str]) -> None:
    done = run(tmp_path, *arguments, "--json")
    document = json.loads(done.stdout)
    assert done.returncode == document["exit_status"] == 2
    assert document["code"] in ("bad_input", "credentials_missing")
    assert document["error"].split() == done.stderr.split()


def test_json_may_stand_before_a_verb_of_a_verb_and_be_shortened(tmp_path: Path) -> None:
    for arguments in (["watermarks", "--json", "forget", *SERIES, "--reason", "x"], ["watermarks", "--nope", "--js"]):
        assert json.loads(run(tmp_path, *arguments).stdout)["exit_status"] == 2


def test_filters_before_a_verb_of_a_verb_are_not_forgotten(tmp_path: Path) -> None:
    done = run(tmp_path, "coverage", *SERIES, "--start", "2024-02-01", "--end", "2024-01-01", "unmark", "--json")
    assert "2024-01-01 is not after" in json.loads(done.stdout)["error"]


def in_the_way(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "lake").write_text("a file where a folder should be")


def no_database(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "console.db").write_bytes(b"not a database" * 500)


def a_folder_for_a_database(folder: Path) -> None:
    (folder / "console.db").mkdir(parents=True)


def no_locks(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "locks").write_text("")


def no_folder(folder: Path) -> None:
    folder.rmdir()
    folder.write_text("")


def a_folder_for_the_index(folder: Path) -> None:
    (folder / "dlq" / ".index.sqlite").mkdir(parents=True)


def a_broken_log(folder: Path) -> None:
    backfill(folder)
    for commit in (folder / "lake" / "raw_market_data_1h" / "_delta_log").glob("*.json"):
        commit.write_bytes(b"\0" * 100)


DAMAGES = [in_the_way, no_database, a_folder_for_a_database, no_locks, no_folder, a_folder_for_the_index, a_broken_log]
VERBS = [
    ["backfill", *SERIES, *RANGE],
    ["watermarks"],
    ["watermarks", "forget", *SERIES, "--reason", "x"],
    ["coverage"],
    ["coverage", "mark", *SERIES, *RANGE, "--reason", "no trades"],
    ["dlq", "list"],
    ["instruments", "BTC", "--provider", "simulated"],
    ["dlq", "discard", "--reason", "x", "--pair", "BTCUSD"],
    ["schedules", "list"],
    ["storage"],
    ["storage", "compact"],
    ["storage", "vacuum"],
    ["storage", "vacuum", "--dry-run"],
    ["import", "no-such-file.csv", "--as", "files:mine/BTCUSD/1h"],
    ["export", "no-such-folder", "--as", "arrow", "--pairs", "NOPEUSD", "--timeframe", "1h"],
    ["check"],
    ["sql", "SELECT count(*) FROM series"],
    ["actions", "list"],
    ["migrate", "--from", "."],
]


def test_every_verb_with_json_meets_damage() -> None:
    tried = {arguments[0] for arguments in VERBS}
    assert tried == set(parser.VERBS) - {"console", "worker"}, "tests/cli/test_json.py: a line in VERBS for each verb"


@pytest.mark.of_a_state_file("what is the matter with files")
@pytest.mark.of_a_lake_folder("what is the matter with files")
@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_a_document_in_words(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    damage(folder)
    for arguments in VERBS:
        done = run(folder, *arguments, "--json", TMPDIR=str(tmp_path))
        document = json.loads(done.stdout)
        assert done.returncode in (0, 1, 2), (arguments, done.stderr)
        assert "Traceback" not in done.stdout + done.stderr, arguments
        assert not done.returncode or isinstance(document, list) or "error" in json.dumps(document), arguments


def test_the_unforeseen_is_one_sentence_that_says_where_the_details_are(tmp_path: Path) -> None:
    code = (
        "import sys, ffe_core.storage.lake.delta_lake_manager as lake\n"
        "def broken(*arguments): raise KeyError('nobody', 'expected\\nthis')\n"
        "lake.DeltaLakeManager.all_marks = broken\n"
        "from ffe_core.cli import process\n"
        "process.run()\n"
    )
    for arguments in (["watermarks", "--json"], ["watermarks"]):
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments], env=environment(tmp_path), capture_output=True, text=True
        )
        [said] = done.stderr.splitlines()
        place = tmp_path / "logs" / "ffe.log"
        assert done.returncode == 1
        assert "unexpected KeyError" in said
        assert str(place) in said
        assert "Traceback" in place.read_text("utf-8")
    assert "nobody" in place.read_text("utf-8")


def test_what_ends_a_thread_or_cannot_be_raised_shows_no_traceback(tmp_path: Path) -> None:
    code = (
        "import threading, ffe_core.storage.lake.delta_lake_manager as lake\n"
        "class Falls:\n"
        "    def __del__(self): raise ValueError('at the end')\n"
        "def odd(*arguments):\n"
        "    thread = threading.Thread(target=lambda: 1 / 0); thread.start(); thread.join()\n"
        "    Falls()\n"
        "    return {}\n"
        "lake.DeltaLakeManager.all_marks = odd\n"
        "from ffe_core.cli import process\n"
        "process.run()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "watermarks", "--json"], env=environment(tmp_path), capture_output=True, text=True
    )
    assert (done.returncode, json.loads(done.stdout)) == (0, [])
    assert [line.split(";")[0] for line in done.stderr.splitlines()] == [
        "warning: unexpected ZeroDivisionError: division by zero",
        "warning: unexpected ValueError: at the end",
    ]


class TestWarnings:
    """What a command warns of is in its document as well as on stderr."""

    @pytest.mark.of_a_lake_folder("files of others lie in folders")
    def test_of_an_object_they_are_a_member(self, tmp_path: Path) -> None:
        batch_id = DeadLetterQueue(tmp_path / "dlq").save([{"a": 1}], "e", BTC).batch_id
        (tmp_path / "dlq" / "torn.json").write_text("{")
        done = run(tmp_path, "dlq", "show", batch_id, "--json")
        [warning] = json.loads(done.stdout)["warnings"]
        assert warning.startswith("quarantined: torn.json: it is not whole JSON")
        assert f"warning: {warning}" in done.stderr

    @pytest.mark.of_a_lake_folder("files of others lie in folders")
    def test_of_a_list_they_are_a_member_of_each_row(self, tmp_path: Path) -> None:
        backfill(tmp_path)
        (tmp_path / "dlq").mkdir(exist_ok=True)
        (tmp_path / "dlq" / "torn.json").write_text("{")
        [row] = json.loads(run(tmp_path, "coverage", "--json").stdout)
        assert row["warnings"][0].startswith("quarantined: torn.json")
        (tmp_path / "dlq" / "torn.json").unlink()
        [row] = json.loads(run(tmp_path, "coverage", "--json").stdout)
        assert "warnings" not in row

    @pytest.mark.of_a_lake_folder("files of others lie in folders")
    def test_a_broken_dead_letter_file_is_a_row_of_the_list(self, tmp_path: Path) -> None:
        batch_id = DeadLetterQueue(tmp_path / "dlq").save([{"a": 1}], "e", BTC).batch_id
        (tmp_path / "dlq" / "torn.json").write_text("{")
        for _ in range(2):
            whole, broken = json.loads(run(tmp_path, "dlq", "list", "--json").stdout)
            assert set(whole) == set(broken)
            assert (whole["id"], broken["id"], broken["status"]) == (batch_id, "torn.json", "quarantined")
            assert "it is not whole JSON" in broken["error"]
            assert (broken["records"], broken["pending"]) == (0, 0)
        assert [row["id"] for row in self._listed(tmp_path, "pending")] == [batch_id]
        assert [row["id"] for row in self._listed(tmp_path, "quarantined")] == ["torn.json"]

    def _listed(self, folder: Path, status: str) -> list[dict[str, Any]]:
        return list(json.loads(run(folder, "dlq", "list", "--status", status, "--json").stdout))

    def test_of_what_is_logged_the_first_is_told_and_the_rest_counted(self, tmp_path: Path) -> None:
        offline = {"FFE_COINBASE__BASE_URL": "http://127.0.0.1:9", "FFE_RETRY__BASE_DELAY_SECONDS": "0"}
        series = ["--provider", "coinbase", "--pairs", "BTCUSD,ETHUSD", "--timeframes", "1h"]
        done = run(tmp_path, "backfill", *series, *RANGE, "--json", **offline)
        [warning] = [text for text in json.loads(done.stdout)["warnings"] if "try 1 of 3" in text]
        assert "more like it" in warning
        assert done.stderr.count("try 1 of 3") == 1

    def test_of_a_series_that_is_refused(self, tmp_path: Path) -> None:
        backfill(tmp_path)
        both = ["--provider", "simulated", "--pairs", "ETHUSD,BTCUSD", "--timeframes", "1h", "--reason", "x"]
        done = run(tmp_path, "watermarks", "forget", *both, "--json")
        [row] = json.loads(done.stdout)
        assert (done.returncode, row["asset_pair"]) == (2, "BTCUSD")
        assert "ETHUSD 1h from simulated has no watermark" in row["warnings"][0]


class TestStreams:
    """A stream that is closed or that nobody reads stops no work and shows no traceback."""

    @pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
    def test_closed_from_the_start(self, tmp_path: Path, closed: str) -> None:
        line = " ".join([*command("backfill", *SERIES, *RANGE, "--json"), closed])
        done = subprocess.run(["sh", "-c", line], env=environment(tmp_path), capture_output=True, text=True)
        assert (done.returncode, "Traceback" in done.stderr) == (0, False)
        assert json.loads(run(tmp_path, "coverage", "--json").stdout)[0]["stored"] == 744

    def test_nobody_reads(self, tmp_path: Path) -> None:
        reader, writer = os.pipe()
        os.close(reader)
        done = subprocess.run(
            command("backfill", *SERIES, *RANGE, "--json"), env=environment(tmp_path), stdout=writer, stderr=writer
        )
        os.close(writer)
        assert done.returncode == 0
        assert json.loads(run(tmp_path, "coverage", "--json").stdout)[0]["stored"] == 744

    def test_a_full_disk_is_said(self, tmp_path: Path) -> None:
        with Path("/dev/full").open("w") as full:
            done = subprocess.run(
                command("watermarks", "--json"),
                env=environment(tmp_path),
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
            )
        assert done.returncode == 1
        assert done.stderr == "the result could not be written (No space left on device); what was done stays done\n"

    def test_any_encoding(self, tmp_path: Path) -> None:
        name = ["--name", "täglich \N{CANDLE}", *SERIES, "--bar-close"]
        for arguments in (["schedules", "add", *name], ["schedules", "list"], ["schedules", "list", "--json"]):
            done = run(tmp_path, *arguments, PYTHONIOENCODING="ascii")
            assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)[0]["name"] == name[1]


def test_what_is_said_of_a_pair_is_in_the_document(tmp_path: Path) -> None:
    """A share that its provider's list lacks is asked for as typed, and that is said."""
    database = Database(tmp_path / DATABASE_FILE)
    listed = Instrument("alpha_vantage", "BRK-B", "BRK-B", "equity", listed="1996-05-09")
    InstrumentStore(database).replace("alpha_vantage", [listed])
    database.close()
    day = ["--start", "2024-01-02", "--end", "2024-01-02", "--dry-run", "--json"]
    asked = ["--provider", "alpha_vantage", "--pairs", "BRK-C", "--timeframes", "1d", *day]
    done = run(tmp_path, "backfill", *asked, FFE_ALPHA_VANTAGE__API_KEY="K3YOFTHETEST")
    [said] = json.loads(done.stdout)["warnings"]
    assert "'BRK-C'" in said
    assert "BRK-B" in said
