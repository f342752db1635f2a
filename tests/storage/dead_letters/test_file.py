"""Does a file say what was done about each record, and stay what it was otherwise?"""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from ffe_core.series import Series
from ffe_core.storage.dead_letters.file import (
    NotADeadLetter,
    instant,
    read_batch,
    series_of,
    step,
    steps_of,
    with_steps,
)
from tests.ingestion.strategies import json_values
from tests.storage.dead_letters.harness import BTC, SWAPPED, good, upside_down

THREE = [upside_down(0), {**good(1), "open": "n/a"}, "no record at all"]


def written(folder: Path, content: Any, name: str = "entry") -> Path:
    path = folder / f"{name}.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def content(**more: Any) -> dict[str, Any]:
    return {"timestamp": "2024-01-02T03:04:05+00:00", "error": "e", "context": BTC, "records": THREE, **more}


def with_history(folder: Path, *steps: dict[str, Any]) -> Any:
    return read_batch(written(folder, content(history=list(steps))))


class TestWhatIsReadFromOtherTools:
    def test_reasons_are_found_where_a_file_names_none(self, tmp_path: Path):
        batch = read_batch(written(tmp_path, content()))
        assert [record.reasons for record in batch.records] == [
            SWAPPED,
            ["not_a_number:open"],
            ["not_a_record"],
        ]
        assert batch.series == Series("BTCUSD", "1h", "coinbase")
        assert batch.status == "pending"

    @pytest.mark.parametrize("reasons", [None, [], [["a"]], "high_below_low", [1, 2, 3], [[], [], []]])
    def test_reasons_that_do_not_fit_count_as_missing(self, tmp_path: Path, reasons: Any):
        assert read_batch(written(tmp_path, content(reasons=reasons))).records[0].reasons == SWAPPED

    def test_reasons_that_fit_are_taken_as_they_are_but_not_at_any_length(self, tmp_path: Path):
        reasons = [["mine"], ["x" * 10_000, 5], [f"code {n}" for n in range(1000)]]
        first, second, third = read_batch(written(tmp_path, content(reasons=reasons))).records
        assert (first.reasons, second.reasons) == (["mine"], ["x" * 80, "5"])
        assert len(third.reasons) == 20

    @pytest.mark.parametrize(
        ("text", "epoch"),
        [
            ("2026-11-23T02-34-38.584207+00-00", 1_795_401_278.584207),
            ("2026-11-23T02:34:38.584207+00:00", 1_795_401_278.584207),
            ("2026-11-23T02:34:38Z", 1_795_401_278.0),
            ("2026-11-23T02:34:38", 1_795_401_278.0),
            ("2026-11-23T04-34-38+02-00", 1_795_401_278.0),
            ("2026-11-23T04:34:38+0200_and-more", 1_795_401_278.0),
            ("2026-13-23T02:34:38Z", None),
            ("yesterday", None),
            ("", None),
            (5, None),
            (None, None),
        ],
    )
    def test_times_in_every_spelling(self, text: Any, epoch: float | None):
        assert instant(text) == epoch

    def test_a_time_that_cannot_be_read_is_taken_from_the_name_and_then_from_the_file(self, tmp_path: Path):
        named = written(tmp_path, content(timestamp="soon"), "2024-01-02T03-04-05.5+00-00_x")
        assert read_batch(named).saved_at == instant("2024-01-02T03:04:05.5+00:00")
        path = written(tmp_path, content(timestamp=None), "anything")
        os.utime(path, (5, 5))
        assert read_batch(path).saved_at == 5.0

    def test_a_byte_order_mark_is_no_part_of_it(self, tmp_path: Path):
        path = tmp_path / "bom.json"
        path.write_bytes(b"\xef\xbb\xbf" + json.dumps(content()).encode())
        assert len(read_batch(path).records) == 3

    def test_bytes_that_are_no_text_are_kept_and_a_step_can_follow(self, tmp_path: Path):
        path = tmp_path / "bytes.json"
        path.write_bytes(b'{"context": {}, "records": [{"open": "\xff\xfe", "text": "\\ud800"}]}')
        before = read_batch(path).records[0].raw
        path.write_text(with_steps(path, [step("discard", "ann", why="no text", records=[0])]), encoding="utf-8")
        after = read_batch(path)
        assert after.records[0].raw == before == {"open": "\udcff\udcfe", "text": "\ud800"}
        assert after.status == "discarded"

    @pytest.mark.parametrize(
        ("context", "series"),
        [
            ({"asset_pair": "btc-usd", "timeframe": "1h", "provider": "coinbase"}, Series("BTCUSD", "1h", "coinbase")),
            ({**BTC, "provider": "my_tool"}, Series("BTCUSD", "1h", "my_tool")),
            ({**BTC, "provider": "../../etc"}, None),
            ({**BTC, "provider": "a'; DROP TABLE"}, None),
            ({**BTC, "timeframe": "7h"}, None),
            ({**BTC, "asset_pair": "../x"}, None),
            ({**BTC, "asset_pair": ["BTCUSD"]}, None),
            ({}, None),
        ],
    )
    def test_which_series_a_context_names(self, context: dict[str, Any], series: Series | None):
        assert series_of(context) == series


class TestWhatIsNoDeadLetter:
    @pytest.mark.parametrize(
        ("text", "why"),
        [
            ("", "not whole JSON"),
            ('{"records": [', "not whole JSON"),
            (json.dumps(content())[:-1], "not whole JSON"),
            (json.dumps(content()) + "x", "something after its end"),
            ("[1]", "not whole JSON"),
            ("{}", "lacks `records`"),
            ('{"records": {}, "context": {}}', "lacks `records`"),
            ('{"records": [1]}', "lacks `records`"),
            ('{"records": [], "context": {}}', "no records"),
            ("[" * 100_000, "not whole JSON"),
            ('{"a":' * 100_000, "nested too deep"),
            ('{"records": [' + "9" * 5000 + '], "context": {}}', "cannot be read"),
            (json.dumps(content(history={})), "not a list"),
            (json.dumps(content(history=[5])), "step 0"),
            (json.dumps(content(history=[step("dance", "ann")])), "step 0"),
            (json.dumps(content(history=[{"verb": "discard", "at": "soon", "records": [0]}])), "step 0"),
            (json.dumps(content(history=[step("discard", "ann", records=[3])])), "step 0"),
            (json.dumps(content(history=[step("discard", "ann", records=[-1])])), "step 0"),
            (json.dumps(content(history=[step("mend", "ann", values=[1])])), "step 0"),
        ],
    )
    def test_it_says_why(self, tmp_path: Path, text: str, why: str):
        with pytest.raises(NotADeadLetter, match=why):
            read_batch(written(tmp_path, text))

    def test_what_is_not_a_regular_file_is_not_even_opened(self, tmp_path: Path):
        os.mkfifo(tmp_path / "pipe.json")
        (tmp_path / "link.json").symlink_to(written(tmp_path, content(), "target"))
        (tmp_path / "folder.json").mkdir()
        for name in ("pipe", "link", "folder"):
            with pytest.raises(NotADeadLetter, match="not a regular file"):
                read_batch(tmp_path / f"{name}.json")

    @given(json_values())
    def test_whatever_a_file_holds_it_is_an_entry_or_says_why_not(
        self, tmp_path_factory: pytest.TempPathFactory, value: Any
    ):
        path = tmp_path_factory.mktemp("dlq") / "x.json"
        path.write_text(json.dumps({"context": {}, "records": value}), encoding="utf-8")
        try:
            batch = read_batch(path)
        except NotADeadLetter:
            assert not isinstance(value, list) or not value or _is_unreadable(path)
        else:
            assert [record.raw for record in batch.records] == value or "NaN" in path.read_text("utf-8")


def _is_unreadable(path: Path) -> bool:
    try:
        json.loads(path.read_text("utf-8"))
    except ValueError:
        return True
    return False


class TestTheLifeOfARecord:
    def test_each_mend_is_a_revision_and_the_raw_record_stays(self, tmp_path: Path):
        first, second = good(0, 5), good(0, 6)
        steps = [step("mend", by, why="", values={"0": value}) for by, value in (("ann", first), ("bob", second))]
        record = with_history(tmp_path, *steps).records[0]
        assert (record.raw, record.value, record.revision, record.status) == (THREE[0], second, 2, "pending")

    def test_a_replay_sorts_its_records(self, tmp_path: Path):
        replay = step("replay", "ann", run=3, stored={"0": 0}, kept=[1], failed={"2": ["not_a_record"]})
        batch = with_history(tmp_path, replay)
        assert [record.status for record in batch.records] == ["replayed", "superseded by stored", "pending"]
        assert [record.attempts for record in batch.records] == [1, 1, 1]
        assert [record.failed_again for record in batch.records] == [False, False, True]
        assert batch.status == "partly replayed"

    @pytest.mark.parametrize(
        ("discarded", "stored", "status"),
        [
            ([], [], "pending"),
            ([0], [], "pending"),
            ([0, 1, 2], [], "discarded"),
            ([0], [1, 2], "replayed"),
            ([0], [1], "partly replayed"),
            ([], [0, 1, 2], "replayed"),
        ],
    )
    def test_what_its_records_make_of_an_entry(
        self, tmp_path: Path, discarded: list[int], stored: list[int], status: str
    ):
        replay = step("replay", "ann", stored=dict.fromkeys(map(str, stored), 0), kept=[], failed={})
        assert with_history(tmp_path, step("discard", "ann", records=discarded), replay).status == status

    def test_discard_and_restore(self, tmp_path: Path):
        steps = [step("discard", "ann", why="noise", records=[0, 1]), step("restore", "bob", records=[1])]
        batch = with_history(tmp_path, *steps)
        assert [record.status for record in batch.records] == ["discarded", "pending", "pending"]
        assert [(s["verb"], s["by"], s.get("why")) for s in steps_of(batch, 1)] == [
            ("discard", "ann", "noise"),
            ("restore", "bob", None),
        ]
        assert [s["verb"] for s in steps_of(batch, 0)] == ["discard"]
        assert steps_of(batch, 2) == []

    def test_the_last_step_says_when_it_was_touched(self, tmp_path: Path):
        batch = read_batch(written(tmp_path, content()))
        assert batch.touched_at == batch.saved_at
        touched = {**step("restore", "ann", records=[]), "at": "2025-01-01T00:00:00+00:00"}
        assert with_history(tmp_path, touched).touched_at == instant("2025-01-01T00:00:00Z")


class TestAddingSteps:
    @pytest.mark.parametrize(
        "text",
        [
            '{"context":{},"records":[1.10,1e2, 5.000 ,{"b":1,"a":NaN}]}',
            ' {\n "records" : [1.10] ,\t"context":{ },"later" : {"history": [1], "x": "}"} }\n',
            '{"history": [],"records":[1.10],"context":{}, "z": "\\"history\\": [] "}',
        ],
    )
    def test_every_other_character_stays(self, tmp_path: Path, text: str):
        path = written(tmp_path, text)
        once = with_steps(path, [step("discard", "ann", why="w", records=[0])])
        path.write_text(once, encoding="utf-8")
        twice = with_steps(path, [step("restore", "ann", records=[0])])
        path.write_text(twice, encoding="utf-8")
        batch = read_batch(path)
        assert [s["verb"] for s in batch.history] == ["discard", "restore"]
        kept = text.rstrip().removesuffix("}").rstrip() if '"history": []' not in text[:15] else '"records":[1.10]'
        assert kept in once
        assert kept in twice
        assert json.loads(twice).keys() == json.loads(text).keys() | {"history"}

    @given(value=json_values())
    def test_whatever_was_received_reads_the_same_after_a_step(
        self, tmp_path_factory: pytest.TempPathFactory, value: Any
    ):
        path = tmp_path_factory.mktemp("dlq") / "x.json"
        path.write_text(json.dumps({"context": {}, "records": [value]}), encoding="utf-8")
        try:
            before = read_batch(path).records[0].raw
        except NotADeadLetter:
            return
        path.write_text(with_steps(path, [step("mend", "ann", why="", values={"0": before})]), encoding="utf-8")
        after = read_batch(path).records[0]
        assert repr(after.raw) == repr(before)
        assert after.revision == 1

    def test_a_step_is_strict_json(self, tmp_path: Path):
        path = written(tmp_path, content())
        path.write_text(with_steps(path, [step("mend", "ann", why="", values={"0": {"open": math.nan}})]))

        def refuse(name: str) -> float:
            raise AssertionError(name)

        json.loads(path.read_text(), parse_constant=refuse)
