"""Is every record that is no candle kept once, whole, in strict JSON, inside its folder?"""

from __future__ import annotations

import json
import math
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ffe_core import DeadLetterQueue
from ffe_core.errors import StorageError
from ffe_core.series import Series
from tests.ingestion.strategies import json_values
from tests.lake_files import dead_letters
from tests.processes import at_once

AT = 1_704_067_200
BTC = {"asset_pair": "BTCUSD", "timeframe": "1h", "provider": "coinbase"}
RECORD = {"date": "2024-01-01T00:00:00+00:00", "open": "n/a", "nested": [{"a": None}], "text": "naïve \u2028"}


@pytest.fixture
def queue(tmp_path: Path) -> DeadLetterQueue:
    return DeadLetterQueue(tmp_path / "dlq")


def refuse(name: str) -> float:
    raise AssertionError(f"{name} is not JSON")


def contents(queue: DeadLetterQueue) -> list[dict[str, Any]]:
    """Every file, read as strictly as the standard has it."""
    return [*dead_letters(queue.storage_path, parse_constant=refuse).values()]


def kept(queue: DeadLetterQueue) -> list[Any]:
    return [record for content in contents(queue) for record in content["records"]]


def test_a_batch_is_one_file_with_its_records_as_received(queue: DeadLetterQueue):
    other = {"open": 1}
    saved = queue.save([RECORD, other], "validation_failed", BTC, [["not_a_number:open"], ["missing_field:date"]])
    (content,) = contents(queue)
    assert content.keys() == {"format_version", "timestamp", "error", "context", "records", "reasons"}
    assert content["format_version"] == 1
    assert content["records"] == [RECORD, other]
    assert content["reasons"] == [["not_a_number:open"], ["missing_field:date"]]
    assert (content["error"], content["context"]) == ("validation_failed", BTC)
    assert datetime.fromisoformat(content["timestamp"]).utcoffset() is not None
    assert (saved.saved, saved.repeats, saved.places) == (2, 0, (0, 1))


def test_the_name_is_the_time_and_a_uuid_of_series_and_content(queue: DeadLetterQueue, tmp_path: Path):
    batch = queue.save([RECORD], "e", BTC).batch_id
    again = DeadLetterQueue(tmp_path / "other" / "dlq").save([RECORD], "e", BTC).batch_id
    assert batch
    assert again
    stamp, _, identity = batch.partition("_")
    day, _, clock = stamp.partition("T")
    assert datetime.fromisoformat(f"{day}T{clock.replace('-', ':', 2)}".replace("+00-00", "+00:00"))
    assert UUID(identity).version == 5
    assert again.endswith(identity), "the same content of the same series has the same identity"


def test_what_json_cannot_hold_becomes_text(queue: DeadLetterQueue):
    record = {"nan": math.nan, "inf": math.inf, "low": -math.inf, "huge": 10**5000, "when": datetime(2024, 1, 1)}  # noqa: DTZ001
    queue.save([record, ("a", 1), None, b"raw"], "e", BTC)
    first, second, third, fourth = kept(queue)
    assert (first["nan"], first["inf"], first["low"]) == ("NaN", "Infinity", "-Infinity")
    assert int(first["huge"], 16) == 10**5000
    assert (first["when"], second, third, fourth) == ("2024-01-01T00:00:00", ["a", 1], None, "b'raw'")


@pytest.mark.parametrize("opening", ["[", '{"a":'])
def test_what_is_nested_very_deep_is_kept_too(queue: DeadLetterQueue, opening: str):
    deep = json.loads(opening * 900 + "1" + {"[": "]"}.get(opening, "}") * 900)
    assert queue.save([deep, RECORD], "e", BTC).saved == 2
    assert kept(queue)[1] == RECORD
    assert queue.save([deep], "e", BTC).repeats == 1


@pytest.mark.parametrize("record", [{"date": "\ud800"}, {"\udfff": 1}, "\ud83d", {"x": "\x00"}])
def test_text_that_no_encoding_holds_is_kept_as_escapes(queue: DeadLetterQueue, record: Any):
    queue.save([record], "\ud800", {**BTC, "note": "\ud800", "provider": "\udc00"})
    assert kept(queue) == [record]
    assert queue.save([record], "e", {**BTC, "provider": "\udc00"}).repeats == 1


class TestOnce:
    def test_the_same_record_again_is_a_repeat(self, queue: DeadLetterQueue):
        queue.save([RECORD], "e", BTC)
        again = queue.save([dict(reversed(RECORD.items()))], "another error", BTC)
        assert (again.batch_id, again.saved, again.repeats, again.places) == (None, 0, 1, ())
        assert kept(queue) == [RECORD]

    def test_only_what_is_new_is_written_with_its_own_reasons(self, queue: DeadLetterQueue):
        queue.save([{"n": 1}], "e", BTC, [["a"]])
        saved = queue.save([{"n": 2}, {"n": 1}, {"n": 2}, {"n": 3}], "e", BTC, [["b"], ["c"], ["d"], ["e"]])
        assert (saved.saved, saved.repeats, saved.places) == (2, 2, (0, 3))
        assert contents(queue)[1]["records"] == [{"n": 2}, {"n": 3}]
        assert contents(queue)[1]["reasons"] == [["b"], ["e"]]

    def test_another_series_keeps_its_own(self, queue: DeadLetterQueue):
        for name in ("asset_pair", "timeframe", "provider"):
            assert queue.save([RECORD], "e", {**BTC, name: "other"}).saved == 1
        assert queue.save([RECORD], "e", {}).saved == 1
        assert len(kept(queue)) == 4

    def test_a_number_and_its_text_are_two_records(self, queue: DeadLetterQueue):
        assert queue.save([{"v": 1}, {"v": "1"}, {"v": 1.0}, {"v": True}], "e", BTC).saved == 4

    def test_another_instance_knows_it(self, queue: DeadLetterQueue):
        other = DeadLetterQueue(queue.storage_path)
        assert other.save([{"n": 1}], "e", BTC).saved == 1
        assert queue.save([{"n": 1}], "e", BTC).repeats == 1
        assert other.save([{"n": 1}], "e", BTC).repeats == 1

    @pytest.mark.slow
    @pytest.mark.of_a_lake_folder("the processes open a folder; machines at one store: test_stored")
    def test_processes_at_once_keep_each_record_once(self, queue: DeadLetterQueue):
        code = """
import sys
from ffe_core import DeadLetterQueue
queue = DeadLetterQueue(sys.argv[1])
print(sum(queue.save([{"n": n}, {"n": n + 1}], "e", {"asset_pair": "BTCUSD"}).saved for n in range(20)))
"""
        counts = [int(out) for out in at_once(code, [(queue.storage_path,)] * 3)]
        assert sum(counts) == 21
        assert sorted(record["n"] for record in kept(queue)) == list(range(21))


class TestTheFilesAreTheTruth:
    def test_the_index_is_rebuilt_when_it_is_gone(self, queue: DeadLetterQueue):
        queue.save([RECORD], "e", BTC)
        queue._files.index_file.unlink()
        assert queue.save([RECORD], "e", BTC).repeats == 1
        assert DeadLetterQueue(queue.storage_path).save([RECORD], "e", BTC).repeats == 1

    def test_the_index_is_rebuilt_when_it_is_torn(self, queue: DeadLetterQueue):
        queue.save([RECORD], "e", BTC)
        queue._files.index_file.write_bytes(b"no database at all, only text " * 200)
        assert DeadLetterQueue(queue.storage_path).save([RECORD], "e", BTC).repeats == 1

    @pytest.mark.of_a_lake_folder("nobody takes an object away by hand")
    def test_a_file_taken_away_is_forgotten(self, queue: DeadLetterQueue):
        queue.save([RECORD], "e", BTC)
        next(queue.storage_path.glob("*.json")).unlink()
        assert queue.save([RECORD], "e", BTC).saved == 1

    @pytest.mark.of_a_lake_folder("files of others lie in folders")
    def test_other_files_in_the_folder_are_left_alone(self, queue: DeadLetterQueue):
        others = {"notes.json": "{", "list.json": "[1]", "half.json": '{"records": 5, "context": 1}', "x.txt": "x"}
        for name, text in others.items():
            (queue.storage_path / name).write_text(text)
        assert queue.save([RECORD], "e", BTC).saved == 1
        assert {name: (queue.storage_path / name).read_text() for name in others} == others

    def test_opens_are_those_of_the_series_in_the_range(self, queue: DeadLetterQueue):
        dates = ["2024-01-01T02:00:00Z", "2024-01-01T01:00:00Z", "2024-01-01T03:00:00Z", "unreadable"]
        queue.save([{"date": date, "n": n} for n in (0, 1) for date in dates], "e", BTC)
        queue.save([{"date": "2024-01-01T00:00:00Z"}], "e", {**BTC, "provider": "oanda"})
        found = queue.open_times(Series("BTCUSD", "1h", "coinbase"), AT, AT + 3 * 3600)
        assert found.tolist() == [AT + 3600, AT + 7200]


HOSTILE = [
    "../../escape",
    "/etc/passwd",
    "..",
    "a/b",
    "a\\b",
    "\x00",
    "x" * 5000,
    "CON",
    "\u202e",
    "",
    None,
    5,
    ["../x"],
]


@pytest.mark.of_a_lake_folder("a name is one of a file")
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_stays_in_its_folder(queue: DeadLetterQueue, tmp_path: Path, name: Any):
    context = dict.fromkeys(("asset_pair", "timeframe", "provider", "run_id"), name)
    saved = queue.save([RECORD], f"../{name}", context)
    assert saved.batch_id
    assert contents(queue)[0]["context"] == context
    assert {path.parent for path in tmp_path.rglob("*.json")} == {queue.storage_path}
    assert list(tmp_path.iterdir()) == [queue.storage_path]


def test_nothing_to_keep_writes_nothing(queue: DeadLetterQueue):
    assert queue.save([], "e", BTC).batch_id is None
    assert contents(queue) == []


def test_a_folder_that_cannot_be_made_is_a_storage_error(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="dead letter"):
        DeadLetterQueue(tmp_path / "file" / "dlq")


@pytest.mark.of_a_lake_folder("a store has no disk that fills up")
def test_a_full_disk_is_a_storage_error_and_leaves_no_half_file(
    queue: DeadLetterQueue, monkeypatch: pytest.MonkeyPatch
):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("ffe_core.storage.files.os.fsync", full)
        with pytest.raises(StorageError, match="No space left"):
            queue.save([RECORD], "e", BTC)
    assert not list(queue.storage_path.glob("*.json"))
    assert not list(queue.storage_path.glob(".*.tmp"))
    assert queue.save([RECORD], "e", BTC).saved == 1


@settings(max_examples=settings.default.max_examples * 2 // 5)
@given(st.lists(json_values(), max_size=6))
def test_whatever_came_is_kept_once_and_never_again(tmp_path_factory: pytest.TempPathFactory, records: list[Any]):
    queue = DeadLetterQueue(tmp_path_factory.mktemp("kept") / "dlq")
    first = queue.save(records, "e", BTC)
    assert first.saved + first.repeats == len(records)
    assert len(kept(queue)) == first.saved
    assert DeadLetterQueue(queue.storage_path).save(records, "e", BTC).saved == 0
