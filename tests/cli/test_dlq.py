"""Does every verb of `dlq` do what it says, in words and as JSON, with the right exit status?"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ffe_core import DeadLetterQueue, cli
from tests.cli.test_backfill import command, environment
from tests.ingestion.fakes import stored
from tests.storage.dead_letters.harness import BTC, SWAPPED, dead_lettered, good, upside_down


@pytest.fixture(autouse=True)
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FFE_DATA_DIR", str(tmp_path))
    return tmp_path


class Said:
    """What a command said and how it ended."""

    def __init__(self, status: int, out: str, err: str) -> None:
        self.status, self.out, self.err = status, out, err

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def dlq(capsys: pytest.CaptureFixture[str]) -> Any:
    """`dlq("list", "--json")`: the command run in this process."""

    def run(*arguments: str) -> Said:
        try:
            status = cli.main(["dlq", *arguments])
        except SystemExit as end:
            status = int(end.code or 0)
        return Said(status, *capsys.readouterr())

    return run


def dead_letter(folder: Path, *hours: int, **context: Any) -> str:
    return dead_lettered(folder / "dlq", *hours, context={**BTC, **context})


class TestPairs:
    @pytest.mark.parametrize("typed", ["BRK-B", "brk.b", "BRKB"])
    def test_a_name_of_an_earlier_release_is_found_by_what_is_typed_now(self, dlq: Any, tmp_path: Path, typed: str):
        dead_letter(tmp_path, 0)
        entry_id = dead_letter(tmp_path, 0, asset_pair="BRKB", provider="alpha_vantage")
        assert [row["id"] for row in dlq("list", "--pair", typed, "--json").json] == [entry_id]
        assert dlq("discard", "--pair", typed, "--reason", "x", "--json").json["discarded"] == 1

    def test_what_cannot_be_a_pair_is_refused_in_one_sentence(self, dlq: Any, tmp_path: Path):
        dead_letter(tmp_path, 0)
        said = dlq("list", "--pair", "???")
        assert (said.status, said.err.count("\n")) == (2, 1)
        assert "'???' cannot be a pair" in said.err


class TestList:
    def test_each_entry_with_its_counts(self, dlq: Any, tmp_path: Path):
        batch_id = dead_letter(tmp_path, 0, 1, run_id="7")
        said = dlq("list", "--json")
        (row,) = said.json
        assert (row["id"], row["error"], row["records"], row["pending"]) == (batch_id, "validation_failed", 2, 2)
        assert (row["status"], row["context"]) == ("pending", {**BTC, "run_id": "7"})
        assert said.status == 0
        assert batch_id in dlq("list").out

    @pytest.mark.parametrize(
        ("filters", "number"),
        [
            ([], 3),
            (["--pair", "eth-usd"], 1),
            (["--run", "7"], 1),
            (["--reason", "high_below_low"], 3),
            (["--code", "off_grid"], 0),
            (["--status", "pending", "--timeframe", "1h", "--provider", "oanda"], 1),
            (["--status", "replayed"], 0),
            (["--text", "T05:00"], 1),
            (["--day", "1999-01-01"], 0),
            (["--limit", "2"], 2),
            (["--limit", "2", "--offset", "2"], 1),
        ],
    )
    def test_filters(self, dlq: Any, tmp_path: Path, filters: list[str], number: int):
        dead_letter(tmp_path, 0, asset_pair="ETHUSD")
        dead_letter(tmp_path, 1, run_id=7)
        dead_letter(tmp_path, 5, provider="oanda")
        assert len(dlq("list", "--json", *filters).json) == number

    def test_nothing_is_no_error(self, dlq: Any):
        assert dlq("list", "--json").json == []
        assert "no dead letters match" in dlq("list").out

    @pytest.mark.parametrize("number", ["²", "-1", "9" * 23, "9" * 5000])
    @pytest.mark.parametrize("option", ["--limit", "--offset"])
    def test_a_number_that_counts_nothing_is_refused(self, dlq: Any, option: str, number: str):
        said = dlq("list", f"{option}={number}")
        assert said.status == 2
        assert "is not a number from 0 to 999999999" in said.err

    @pytest.mark.of_a_lake_folder("files of others lie in folders")
    def test_what_is_set_aside_is_named_on_stderr(self, dlq: Any, tmp_path: Path):
        dead_letter(tmp_path, 0)
        (tmp_path / "dlq" / "torn\x1b[31m.json").write_text("{")
        said = dlq("list")
        assert "quarantined: torn\\x1b[31m.json: it is not whole JSON" in said.err
        assert said.status == 0


class TestShow:
    def test_each_record_with_its_reasons_in_words(self, dlq: Any, tmp_path: Path):
        batch_id = dead_letter(tmp_path, 0)
        (record,) = dlq("show", batch_id, "--json").json["records"]
        assert (record["raw"], record["reasons"], record["status"]) == (upside_down(0), SWAPPED, "pending")
        assert record["in_words"][0] == "high is below low"
        text = dlq("show", batch_id).out
        assert "because   high is below low" in text
        assert '"high": "98.00"' in text

    def test_hostile_content_never_reaches_the_terminal_as_it_is(self, dlq: Any, tmp_path: Path):
        queue = DeadLetterQueue(tmp_path / "dlq")
        record = {"open": "\x1b]0;owned\x07", "x": "\ud800", "deep": json.loads("[" * 80 + "]" * 80)}
        context = {**BTC, "run_id": "\x1b[31m", "asset_pair": "../../etc"}
        batch_id = queue.save([record, "\x9b"], "\x1b[2J", context, [["\x1b[0m"], ["b"]]).batch_id
        for arguments in (["list"], ["show", batch_id], ["show", batch_id, "--json"], ["list", "--json"]):
            said = dlq(*arguments)
            assert said.status == 0
            assert not {"\x1b", "\x9b", "\x07"} & set(said.out)
            said.out.encode("utf-8")


class TestMend:
    @pytest.mark.parametrize(
        ("how", "value"),
        [
            (["--swap-high-low"], good(0)),
            (["--set", "high=102.00", "--set", 'low="98.00"'], {**good(0), "high": 102.0}),
            (["--value", json.dumps(good(0, 7.0))], good(0, 7.0)),
            (["--scale", "volume=1000", "--swap-high-low"], good(0, volume="1500")),
            (
                ["--drop-volume", "--swap-high-low"],
                {name: value for name, value in good(0).items() if name != "volume"},
            ),
        ],
    )
    def test_ways_to_mend(self, dlq: Any, tmp_path: Path, how: list[str], value: dict[str, Any]):
        batch_id = dead_letter(tmp_path, 0)
        said = dlq("edit", batch_id, "--record", "0", *how, "--why", "looked swapped", "--json")
        assert said.status == 0
        assert said.json["records"][0]["outcome"] == "passes"
        (record,) = dlq("show", batch_id, "--json").json["records"]
        assert (record["value"], record["raw"], record["revision"]) == (value, upside_down(0), 1)
        assert record["history"][0]["why"] == "looked swapped"

    def test_several_records_at_once(self, dlq: Any, tmp_path: Path):
        batch_id = dead_letter(tmp_path, 0, 1, 2)
        assert dlq("edit", batch_id, "--record", "0", "--record", "2", "--swap-high-low", "--json").json["edited"] == 2
        records = dlq("show", batch_id, "--json").json["records"]
        assert [record["revision"] for record in records] == [1, 0, 1]

    def test_a_dry_run_saves_nothing(self, dlq: Any, tmp_path: Path):
        batch_id = dead_letter(tmp_path, 0)
        said = dlq("edit", batch_id, "--record", "0", "--set", "high=1", "--dry-run")
        assert "still fails, because high is below low" in said.out
        assert dlq("show", batch_id, "--json").json["records"][0]["revision"] == 0

    @pytest.mark.parametrize(
        ("how", "why"),
        [
            (["--set", "open=abc"], "open: 'abc': a field does not read as a number"),
            (["--set", "date=2024-01-01T00:30:00Z"], "not on the timeframe's grid"),
            (["--set", "open"], "--set high=43000.5"),
            (["--set", "open=1", "--set", "open=2"], "'open' is given twice; say which of 1 and 2 it is"),
            (["--value", "{"], "not JSON"),
            (["--value", "[]"], "an object"),
            (["--scale", "date=2"], "cannot be scaled"),
            ([], "say how"),
        ],
    )
    def test_a_bad_edit_exits_2_says_where_and_saves_nothing(self, dlq: Any, tmp_path: Path, how: list[str], why: str):
        batch_id = dead_letter(tmp_path, 0)
        said = dlq("edit", batch_id, "--record", "0", *how)
        assert (said.status, said.out) == (2, "")
        assert why in said.err
        assert dlq("show", batch_id, "--json").json["records"][0]["revision"] == 0

    def test_a_stale_revision_exits_1_and_names_the_other(self, dlq: Any, tmp_path: Path):
        batch_id = dead_letter(tmp_path, 0)
        dlq("edit", batch_id, "--record", "0", "--swap-high-low")
        said = dlq("edit", batch_id, "--record", "0", "--revision", "0", "--set", "open=5")
        assert said.status == 1
        assert "was edited meanwhile by" in said.err

    @pytest.mark.parametrize("number", ["1", "-1", "x", "9" * 40])
    def test_a_record_that_there_is_not(self, dlq: Any, tmp_path: Path, number: str):
        batch_id = dead_letter(tmp_path, 0)
        for how in (["--swap-high-low"], ["--value", "{}"]):
            assert dlq("edit", batch_id, f"--record={number}", *how).status == 2
        assert dlq("edit", batch_id, "--swap-high-low").status == 2


class TestReplay:
    def test_a_dry_run_then_the_replay_then_once_more(self, dlq: Any, tmp_path: Path):
        batch_id = dead_letter(tmp_path, 0, 1)
        dlq("edit", batch_id, "--record", "0", "--swap-high-low")
        counts = {"replayed": 1, "failed": 1, "collided": 0}
        dry = dlq("replay", batch_id, "--dry-run", "--json")
        assert {name: dry.json[name] for name in counts} == counts
        assert [record["outcome"] for record in dry.json["records"]] == ["passes", "fails"]
        assert stored(tmp_path).num_rows == 0
        real = dlq("replay", batch_id, "--json")
        assert {name: real.json[name] for name in counts} == counts
        assert (dry.status, real.status) == (0, 0)
        assert stored(tmp_path)["_dead_letter_id"].to_pylist() == [f"{batch_id}#0"]
        again = dlq("replay", batch_id, "--json").json
        assert (again["replayed"], again["failed"]) == (0, 1)
        assert stored(tmp_path).num_rows == 1
        assert dlq("list", "--json").json[0]["status"] == "partly replayed"

    @pytest.mark.parametrize(("option", "replayed", "collided"), [([], 0, 1), (["--restate"], 1, 0)])
    def test_a_collision(self, dlq: Any, tmp_path: Path, option: list[str], replayed: int, collided: int):
        queue = DeadLetterQueue(tmp_path / "dlq")
        first = queue.save([good(0)], "e", BTC).batch_id
        second = queue.save([good(0, 7.0)], "e", BTC).batch_id
        assert dlq("replay", first).status == 0
        for more in (["--dry-run"], []):
            document = dlq("replay", second, "--json", *option, *more).json
            assert (document["replayed"], document["collided"]) == (replayed, collided)
        status = dlq("show", second, "--json").json["records"][0]["status"]
        assert status == ("replayed" if option else "superseded by stored")

    def test_records_and_filters_choose_what_is_replayed(self, dlq: Any, tmp_path: Path):
        queue = DeadLetterQueue(tmp_path / "dlq")
        first = queue.save([good(0), good(1), good(2)], "e", BTC).batch_id
        second = queue.save([good(0)], "e", {**BTC, "asset_pair": "ETHUSD"}).batch_id
        assert dlq("replay", f"{first}#1", "--json").json["replayed"] == 1
        assert dlq("replay", first, second, "--pair", "ETHUSD", "--json").json["replayed"] == 1
        assert dlq("replay", "--text", "T02:00", "--json").json["replayed"] == 1
        assert dlq("show", first, "--json").json["records"][0]["status"] == "pending"

    @pytest.mark.parametrize(
        "arguments",
        [[], ["nope"], ["../x"], ["--status", "lost"], ["--pair", "../x"], ["nope#0"], ["x#²"], ["x#" + "9" * 5000]],
    )
    def test_what_cannot_be_chosen_exits_2(self, dlq: Any, tmp_path: Path, arguments: list[str]):
        dead_letter(tmp_path, 0)
        said = dlq("replay", *arguments)
        assert (said.status, said.out) == (2, "")
        assert said.err

    def test_what_cannot_be_chosen_is_said_as_json_where_json_is_asked_for(self, dlq: Any, tmp_path: Path):
        dead_letter(tmp_path, 0)
        said = dlq("replay", "--json")
        assert (said.status, said.json["error"]) == (2, said.err.rstrip("\n"))

    def test_what_a_filter_chooses_beside_is_left_out_and_told(self, dlq: Any, tmp_path: Path):
        DeadLetterQueue(tmp_path / "dlq").save([good(0)], "e", BTC)
        lost = DeadLetterQueue(tmp_path / "dlq").save([{"a": 1}], "e", {"note": "by a script"}).batch_id
        said = dlq("replay", "--status", "pending", "--json")
        assert (said.status, said.json["replayed"]) == (0, 1)
        assert "left out 1 whose context names no series" in said.err
        named = dlq("replay", lost)
        assert (named.status, "names no pair" in named.err) == (2, True)

    def test_nothing_left_to_do_exits_0(self, dlq: Any, tmp_path: Path):
        batch_id = dead_letter(tmp_path, 0)
        dlq("discard", batch_id, "--reason", "noise")
        said = dlq("replay", batch_id, "--json")
        assert (said.status, said.json) == (0, {"replayed": 0, "failed": 0, "collided": 0})

    @pytest.mark.of_a_state_file("a state at a server looks up its lake first, and the command ends there")
    @pytest.mark.of_a_lake_folder("it cannot be made below a file")
    def test_a_series_that_fails_exits_1(self, dlq: Any, tmp_path: Path):
        batch_id = DeadLetterQueue(tmp_path / "dlq").save([good(0)], "e", BTC).batch_id
        (tmp_path / "lake").write_text("in the way")
        said = dlq("replay", batch_id, "--json")
        assert said.status == 1
        assert said.json["results"][0]["status"] == "error"


class TestDiscardAndRestore:
    def test_a_mark_that_can_be_taken_back(self, dlq: Any, tmp_path: Path):
        first, second = dead_letter(tmp_path, 0, 1), dead_letter(tmp_path, 5, asset_pair="ETHUSD")
        assert dlq("discard", first, "--reason", "noise", "--dry-run", "--json").json["discarded"] == 2
        assert dlq("discard", first, "--reason", "noise", "--json").json == {"discarded": 2, "entries": [first]}
        assert dlq("discard", "--code", "high_below_low", "--reason", "noise", "--json").json["entries"] == [second]
        assert [row["status"] for row in dlq("list", "--json").json] == ["discarded"] * 2
        assert "1 restored" in dlq("restore", f"{first}#1").out
        assert dlq("restore", "--pair", "ETHUSD", "--json").json["restored"] == 1
        assert dlq("list", "--json", "--status", "pending").json[0]["pending"] == 1

    def test_a_reason_is_required(self, dlq: Any, tmp_path: Path):
        batch_id = dead_letter(tmp_path, 0)
        assert dlq("discard", batch_id).status == 2
        assert dlq("discard", batch_id, "--reason", " ").status == 2


class TestRefetch:
    def test_what_the_provider_sends_now_takes_the_place_of_the_records(self, dlq: Any, tmp_path: Path):
        batch_id = dead_letter(tmp_path, 3, 4, provider="simulated")
        asked = dlq("refetch", batch_id, "--dry-run", "--json").json
        assert asked == {"records": 2, "superseded": 0, "pending": 2}
        assert "1 would be asked for" in dlq("refetch", f"{batch_id}#1", "--dry-run").out
        said = dlq("refetch", batch_id, "--json")
        assert (said.status, said.json["superseded"], said.json["pending"]) == (0, 2, 0)
        assert said.json["results"][0]["records"] == 2
        assert dlq("list", "--json").json[0]["superseded"] == 2
        assert "0 asked for" in dlq("refetch", batch_id).out

    def test_missing_credentials_exit_2(self, dlq: Any, tmp_path: Path):
        said = dlq("refetch", dead_letter(tmp_path, 3, provider="oanda"))
        assert (said.status, "FFE_OANDA__API_TOKEN" in said.err) == (2, True)

    def test_a_provider_that_does_not_answer_exits_1_and_nothing_is_lost(
        self, dlq: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setenv("FFE_COINBASE__BASE_URL", "http://127.0.0.1:9")
        monkeypatch.setenv("FFE_RETRY__ATTEMPTS", "1")
        said = dlq("refetch", dead_letter(tmp_path, 3), "--json")
        assert (said.status, said.json["pending"]) == (1, 1)
        assert "127.0.0.1" in said.err or "cannot be reached" in said.err


class TestPurge:
    def test_only_what_has_ended_and_is_old_enough_goes(self, dlq: Any, tmp_path: Path):
        ended, pending = dead_letter(tmp_path, 0, 1), dead_letter(tmp_path, 5)
        dlq("discard", ended, "--reason", "noise")
        assert "0 batches" in dlq("purge", "--days", "1", "--reason", "old").out
        would = dlq("purge", "--days", "0", "--reason", "old", "--dry-run", "--json").json
        assert would == {"purged": 1, "records": 2, "entries": [ended], "dry_run": True}
        assert dlq("purge", "--days", "0", "--reason", "old", "--pair", "ETHUSD", "--json").json["purged"] == 0
        assert dlq("purge", "--days", "0", "--reason", "old", "--json").json["entries"] == [ended]
        assert [row["id"] for row in dlq("list", "--json").json] == [pending]

    @pytest.mark.parametrize("arguments", [["--days", "-1", "--reason", "x"], ["--reason", "x"], ["--days", "1"]])
    def test_wrong_usage_exits_2(self, dlq: Any, tmp_path: Path, arguments: list[str]):
        assert dlq("purge", *arguments).status == 2

    def test_a_blank_reason_deletes_nothing(self, dlq: Any, tmp_path: Path):
        dlq("discard", dead_letter(tmp_path, 0), "--reason", "noise")
        assert dlq("purge", "--days", "0", "--reason", " ").status == 2
        assert len(dlq("list", "--json").json) == 1


@pytest.mark.of_a_lake_folder("files of others lie in folders")
def test_as_a_process_one_document_on_stdout_and_the_rest_on_stderr(tmp_path: Path):
    batch_id = dead_letter(tmp_path, 0)
    (tmp_path / "dlq" / "torn.json").write_text("{")
    for arguments in (["list", "--json"], ["replay", batch_id, "--json"]):
        done = subprocess.run(
            command("dlq", *arguments), env=environment(tmp_path), capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)
