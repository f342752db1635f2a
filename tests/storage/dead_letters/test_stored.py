"""Are dead letters in an object store what they are in a folder, each once, whoever else writes or is killed?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ffe_core import DeadLetterQueue
from ffe_core.errors import InputError, StorageError, StoreUnfit
from ffe_core.series import Series
from ffe_core.settings import Settings
from ffe_core.storage.dead_letters.file import PENDING, DeadLetterBatch, Step, step
from ffe_core.storage.dead_letters.opening import MOVED, queue_of
from ffe_core.storage.dead_letters.search import Wanted
from ffe_core.storage.dead_letters.stored import StoredFiles
from ffe_core.storage.objects import Objects, objects_of
from tests.object_store import Proxy, Store
from tests.storage.dead_letters.harness import BTC, START, SWAPPED, dead_lettered, upside_down

pytestmark = [pytest.mark.slow, pytest.mark.of_a_lake_folder("each names its store itself")]


class Machine:
    """A data directory of its own over a shared lake."""

    def __init__(self, folder: Path, store: Store, address: str, url: str | None = None) -> None:
        config = {"data_dir": str(folder), "lake_uri": address, "store": store.settings(url)}
        self.settings = Settings.load(config)
        self.objects = objects_of(address, self.settings.lake_options)
        self.queue = queue_of(self.settings)

    def keep(self, *hours: int) -> str:
        """Keep upside-down candles of these hours; the id of their batch."""
        saved = self.queue.save([upside_down(hour) for hour in hours], "e", BTC, [SWAPPED] * len(hours))
        return saved.batch_id or ""

    def discard(self, batch_id: str, *numbers: int) -> None:
        """Discard pending records of a batch."""

        def decide(batches: dict[str, DeadLetterBatch]) -> dict[str, list[Step]]:
            records = [n for n in numbers if batches[batch_id].records[n].status == PENDING]
            return {batch_id: [step("discard", "ann", why="w", records=records)]}

        self.queue.change([batch_id], decide)


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(StoredFiles, "fresh_seconds", 0.0)


@pytest.fixture
def address(object_store: Store) -> str:
    return object_store.address()


@pytest.fixture
def one(tmp_path: Path, object_store: Store, address: str) -> Machine:
    return Machine(tmp_path / "one", object_store, address)


@pytest.fixture
def other(tmp_path: Path, object_store: Store, address: str) -> Machine:
    return Machine(tmp_path / "other", object_store, address)


def counts(queue: DeadLetterQueue) -> tuple[int, int]:
    """How many records there are, and how many are pending."""
    return queue.count(), queue.count(Wanted(status=PENDING))


def keys(objects: Objects) -> list[str]:
    return [found.key for found in objects.listed("dlq")]


def test_what_a_machine_keeps_another_finds_and_does_not_double(one: Machine, other: Machine) -> None:
    batch_id = one.keep(0, 1)
    assert counts(other.queue) == (2, 2)
    saved = other.queue.save([upside_down(1), upside_down(2)], "e", BTC, [SWAPPED] * 2)
    assert (saved.saved, saved.repeats) == (1, 1)
    assert counts(one.queue) == (3, 3)
    assert one.queue.read(batch_id).records[0].raw == upside_down(0)


def test_a_machine_sees_at_once_what_it_keeps(one: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what others keep may be seen a little later."""
    monkeypatch.setattr(StoredFiles, "fresh_seconds", 60.0)
    monkeypatch.setattr("ffe_core.storage.dead_letters.stored._UNSURE_SECONDS", -1.0)
    series, day = Series(BTC["asset_pair"], BTC["timeframe"], BTC["provider"]), (START, START + 86_400)
    assert counts(one.queue) == (0, 0)
    assert one.queue.open_times(series, *day).tolist() == []
    batch_id = one.keep(0)
    assert counts(one.queue) == (1, 1)
    assert one.queue.open_times(series, *day).tolist() == [START]
    one.discard(batch_id, 0)
    assert counts(one.queue) == (1, 0)


def test_both_machines_add_to_one_batch_and_neither_is_lost(one: Machine, other: Machine) -> None:
    batch_id = one.keep(0, 1, 2)
    other.queue.count()
    one.discard(batch_id, 0)
    other.discard(batch_id, 1)
    assert counts(one.queue) == counts(other.queue) == (3, 1)
    assert [len(done["records"]) for done in one.queue.read(batch_id).history] == [1, 1]


def test_a_machine_that_comes_second_decides_again(one: Machine, other: Machine) -> None:
    batch_id, seen = one.keep(0), []

    def decide(batches: dict[str, DeadLetterBatch]) -> dict[str, list[Step]]:
        status = batches[batch_id].records[0].status
        seen.append(status)
        if len(seen) == 1:
            other.discard(batch_id, 0)
        return {} if status != PENDING else {batch_id: [step("discard", "bob", why="w", records=[0])]}

    one.queue.change([batch_id], decide)
    assert seen == ["pending", "discarded"]
    assert [done["by"] for done in one.queue.read(batch_id).history] == ["ann"]


def test_an_answer_that_was_lost_adds_once(tmp_path: Path, object_store: Store, store_proxy: Proxy) -> None:
    machine = Machine(tmp_path, object_store, object_store.address(), store_proxy.url)
    store_proxy.loses = "/dlq/20"
    batch_id = machine.keep(0, 1)
    store_proxy.loses = "/dlq/steps"
    machine.discard(batch_id, 0)
    assert store_proxy.loses is None
    assert counts(machine.queue) == (2, 1)
    assert len(machine.queue.read(batch_id).history) == 1


def test_the_index_is_made_of_the_objects(one: Machine, tmp_path: Path) -> None:
    batch_id = one.keep(0, 1)
    one.discard(batch_id, 0)
    before = one.queue.find().rows
    for file in (tmp_path / "one" / "dlq").glob(".index-*.sqlite"):
        file.unlink()
    assert one.queue.find().rows == before
    assert counts(one.queue) == (2, 1)


def test_a_file_of_another_tool_appears_and_what_is_none_is_told(one: Machine) -> None:
    content = {"timestamp": "2024-01-02T00:00:00Z", "error": "e", "context": BTC, "records": [upside_down(5)]}
    one.objects.put("dlq/theirs.json", json.dumps(content).encode())
    one.objects.put("dlq/torn.json", b"{")
    one.objects.put("dlq/note.txt", b"x")
    assert counts(one.queue) == (1, 1)
    assert [found.name for found in one.queue.quarantined()] == ["note.txt", "torn.json"]
    one.discard("theirs", 0)
    assert counts(one.queue) == (1, 0)


def test_an_id_that_cannot_be_is_told(one: Machine) -> None:
    for batch_id in ("none", "../x", ".changed", ""):
        with pytest.raises(InputError, match="there is no dead letter"):
            one.queue.read(batch_id)


def test_nothing_new_costs_one_request(
    tmp_path: Path, object_store: Store, store_proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ffe_core.storage.dead_letters.stored._UNSURE_SECONDS", -1)
    machine = Machine(tmp_path, object_store, object_store.address(), store_proxy.url)
    machine.keep(0)
    for _ in range(2):
        machine.queue.count()
    store_proxy.asked.clear()
    machine.queue.count()
    assert [(method, path.rpartition("/")[2]) for method, path in store_proxy.asked] == [("HEAD", ".changed")]


def test_keeping_a_batch_takes_seven_requests(tmp_path: Path, object_store: Store, store_proxy: Proxy) -> None:
    machine = Machine(tmp_path, object_store, object_store.address(), store_proxy.url)
    machine.keep(0)
    store_proxy.asked.clear()
    machine.keep(1)
    assert len(store_proxy.asked) == 7
    assert sum(method == "PUT" for method, _ in store_proxy.asked) == 2


def test_a_look_is_not_believed_while_what_was_announced_may_come(one: Machine, other: Machine) -> None:
    other.keep(0)
    assert counts(one.queue) == (1, 1)
    # As a writer does that was slow between its announcement and its file.
    content = {"timestamp": "2024-01-02T00:00:00Z", "error": "e", "context": BTC, "records": [upside_down(5)]}
    one.objects.create("dlq/slow.json", json.dumps(content).encode())
    assert counts(one.queue) == (2, 2)


def test_a_batch_that_is_deleted_takes_its_steps_along(one: Machine, other: Machine) -> None:
    batch_id, kept = one.keep(0), one.keep(1)
    one.discard(batch_id, 0)
    assert other.queue.remove([batch_id], lambda batch: True) == [batch_id]
    assert keys(one.objects) == ["dlq/.changed", f"dlq/{kept}.json"]
    assert counts(one.queue) == (1, 1)


def test_steps_of_a_batch_that_was_half_deleted_count_for_nothing(one: Machine, other: Machine) -> None:
    batch_id = one.keep(0)
    one.discard(batch_id, 0)
    one.objects.delete([f"dlq/{batch_id}.json"])
    assert counts(other.queue) == (0, 0)
    assert other.queue.quarantined() == []


def test_a_store_that_loses_commits_gets_no_dead_letter(
    tmp_path: Path, object_store: Store, store_proxy: Proxy
) -> None:
    store_proxy.drops = ("if-none-match",)
    machine = Machine(tmp_path, object_store, object_store.address(), store_proxy.url)
    with pytest.raises(StoreUnfit):
        machine.keep(0)
    assert keys(machine.objects) == []


class TestMovedUp:
    """Files that a release before kept in the data directory, beside a lake in a store."""

    def lay(self, folder: Path, *hours: int) -> list[str]:
        return [dead_lettered(folder / "dlq", hour) for hour in hours]

    def opened(self, folder: Path, store: Store, address: str) -> Any:
        return Machine(folder, store, address)

    def test_they_lie_in_the_store_then_and_stay_aside(self, tmp_path: Path, object_store: Store, address: str) -> None:
        ids = self.lay(tmp_path, 0, 1)
        texts = {id_: (tmp_path / "dlq" / f"{id_}.json").read_bytes() for id_ in ids}
        machine = self.opened(tmp_path, object_store, address)
        assert {id_: machine.objects.get(f"dlq/{id_}.json") for id_ in ids} == texts
        assert counts(machine.queue) == (2, 2)
        aside = tmp_path / "dlq" / MOVED
        assert {path.stem: path.read_bytes() for path in aside.iterdir()} == texts
        assert counts(self.opened(tmp_path, object_store, address).queue) == (2, 2)

    def test_what_a_kill_left_is_done_by_the_next_start(
        self, tmp_path: Path, object_store: Store, address: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.lay(tmp_path, 0, 1, 2)
        kept, done = Objects.create, []

        def killed(self: Objects, key: str, content: bytes) -> bool:
            if len(done) == 1 and "/20" in key:
                raise KeyboardInterrupt
            done.append(key) if "/20" in key else None
            return kept(self, key, content)

        with monkeypatch.context() as patch:
            patch.setattr(Objects, "create", killed)
            with pytest.raises(KeyboardInterrupt):
                self.opened(tmp_path, object_store, address)
        assert counts(self.opened(tmp_path, object_store, address).queue) == (3, 3)

    def test_another_file_of_the_name_stops_it(self, tmp_path: Path, object_store: Store, address: str) -> None:
        (batch_id,) = self.lay(tmp_path, 0)
        options = Settings.load({"lake_uri": address, "store": object_store.settings()}).lake_options
        objects_of(address, options).put(f"dlq/{batch_id}.json", b"{}")
        with pytest.raises(StorageError, match="another file of this name"):
            self.opened(tmp_path, object_store, address)
        assert (tmp_path / "dlq" / f"{batch_id}.json").exists()
