"""Does the index say what the files say, whatever happened to them, and find what is asked for?"""

from __future__ import annotations

import json
import os
import random
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from ffe_core import DeadLetterQueue
from ffe_core.errors import InputError, StorageError
from ffe_core.series import Series
from ffe_core.storage.dead_letters import index as dead_letter_index
from ffe_core.storage.dead_letters.file import step
from ffe_core.storage.dead_letters.keeping import LocalFiles
from ffe_core.storage.dead_letters.search import Wanted
from tests.processes import at_once
from tests.storage.dead_letters.harness import BTC, HOUR, START, SWAPPED, dead_lettered, good, upside_down

pytestmark = pytest.mark.of_a_lake_folder("files that other tools write and damage; those of a store: test_stored")
ETH = {**BTC, "asset_pair": "ETHUSD"}
TODAY = datetime.now(UTC)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "dlq"


@pytest.fixture
def queue(folder: Path) -> DeadLetterQueue:
    return DeadLetterQueue(folder)


@pytest.fixture(autouse=True)
def _look_always(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file changed in place is found at the next look, not some seconds later."""
    monkeypatch.setattr(LocalFiles, "look_seconds", -1.0)


def put(folder: Path, name: str, ago_days: float = 0, **content: Any) -> Path:
    """A file as another tool would write it."""
    folder.mkdir(exist_ok=True)
    stamp = (TODAY - timedelta(days=ago_days)).isoformat()
    path = folder / f"{name}.json"
    whole = {"timestamp": stamp, "error": "e", "context": BTC, "records": [upside_down(0)], **content}
    path.write_text(json.dumps(whole), encoding="utf-8")
    return path


def dump(folder: Path) -> dict[str, list[Any]]:
    """What the index holds, without its own keys."""
    engine = sa.create_engine(f"sqlite:///{folder / '.index.sqlite'}", poolclass=sa.NullPool)
    queries = {
        "groups": "SELECT dimension, value, status, count, first_seen, last_seen FROM groups ORDER BY 1, 2, 3",
        "days": "SELECT dimension, value, status, day, count FROM days ORDER BY 1, 2, 3, 4",
        "cells": "SELECT id, reason, cells.status, count FROM cells JOIN entries ON key = entry ORDER BY 1, 2, 3",
        "records": "SELECT id, number, hex(fingerprint), open, records.status, attempts, revision, reasons"
        " FROM records JOIN entries ON key = entry ORDER BY 1, 2",
        "set_aside": "SELECT name, reason FROM set_aside ORDER BY 1",
    }
    with engine.connect() as connection:
        return {name: [tuple(row) for row in connection.execute(sa.text(text))] for name, text in queries.items()}


class TestTheFilesAreTheTruth:
    def test_whatever_happens_to_files_the_kept_counts_are_those_of_a_new_index(self, folder: Path):
        chance = random.Random(7)
        queue = DeadLetterQueue(folder)
        for number in range(120):
            files = sorted(path.stem for path in folder.glob("*.json"))
            act = chance.choice(["put", "put", "drop", "steps", "steps", "tear", "replace"]) if files else "put"
            self._act(act, number, files, folder, queue, chance)
            if number % 3 == 0:
                queue.refresh()
        queue.refresh()
        kept = dump(folder)
        (folder / ".index.sqlite").unlink()
        DeadLetterQueue(folder).refresh()
        assert dump(folder) == kept
        assert all(kept.values()), "every table has something to compare"

    def _act(
        self, act: str, number: int, files: list[str], folder: Path, queue: DeadLetterQueue, chance: random.Random
    ) -> None:
        batch_id = chance.choice(files) if files else ""
        if act == "put" or act == "replace":
            name = f"e{number}" if act == "put" else batch_id
            pair = chance.choice(["BTCUSD", "ETHUSD"])
            records = [{**upside_down(n), "open": chance.choice(["n/a", "100"])} for n in range(chance.randint(1, 4))]
            put(folder, name, chance.randint(0, 5), context={**BTC, "asset_pair": pair}, records=records)
        elif act == "drop":
            (folder / f"{batch_id}.json").unlink()
        elif act == "tear":
            (folder / f"{batch_id}.json").write_text('{"torn')
        else:
            with suppress(InputError):  # a corrupt one cannot be changed
                queue.change([batch_id], lambda batches: {batch_id: [self._step(chance)]})

    def _step(self, chance: random.Random) -> dict[str, Any]:
        match chance.choice(["discard", "restore", "stored", "failed", "mend"]):
            case "stored":
                return step("replay", "ann", stored={"0": 0}, kept=[], failed={})
            case "failed":
                return step("replay", "ann", stored={}, kept=[], failed={"0": ["off_grid"]})
            case "mend":
                return step("mend", "ann", why="", values={"0": good(chance.randint(0, 9))})
            case verb:
                return step(verb, "ann", why="w", records=[0])

    def test_a_file_dropped_in_or_changed_in_place_or_taken_away_is_seen(self, queue: DeadLetterQueue, folder: Path):
        path = put(folder, "2026-11-23T02-34-38.584207+00-00", timestamp="2026-11-23T02-34-38.584207+00-00")
        (row,) = queue.batches()
        assert row.saved_at == datetime(2026, 11, 23, 2, 34, 38, 584207, UTC).timestamp()
        assert (row.id, row.records, row.status) == (path.stem, 1, "pending")
        put(folder, path.stem, records=[upside_down(0), upside_down(1)])
        assert queue.batches()[0].records == 2
        path.unlink()
        assert queue.batches() == []
        assert queue.groups("reason") == []

    def test_an_index_of_another_version_is_made_anew(self, queue: DeadLetterQueue, folder: Path):
        put(folder, "a")
        queue.refresh()
        engine = sa.create_engine(f"sqlite:///{folder / '.index.sqlite'}", poolclass=sa.NullPool)
        with engine.begin() as connection:
            connection.execute(sa.text("DROP TABLE records"))
            connection.execute(sa.text("CREATE TABLE stray (x)"))
            connection.execute(sa.text("PRAGMA user_version = 1"))
        assert DeadLetterQueue(folder).count() == 1

    def test_its_tables_are_made_all_or_none(
        self, queue: DeadLetterQueue, folder: Path, monkeypatch: pytest.MonkeyPatch
    ):
        make, file = dead_letter_index._metadata.create_all, folder / ".index.sqlite"

        def interrupted(connection: sa.Connection, **options: Any) -> None:
            make(connection, **options)
            raise KeyboardInterrupt

        put(folder, "one")
        with monkeypatch.context() as patch:
            patch.setattr(dead_letter_index._metadata, "create_all", interrupted)
            with pytest.raises(KeyboardInterrupt):
                queue.count()
        with closing(sqlite3.connect(file)) as connection:
            assert connection.execute("SELECT name FROM sqlite_master").fetchall() == []
        assert queue.count() > 0

    def test_nothing_is_read_again_when_nothing_was_touched(
        self, queue: DeadLetterQueue, folder: Path, monkeypatch: pytest.MonkeyPatch
    ):
        put(folder, "good")
        (folder / "torn.json").write_text("{")
        queue.refresh()

        def never(path: Path) -> Any:
            raise AssertionError(f"{path} was read again")

        monkeypatch.setattr("ffe_core.storage.dead_letters.keeping.read_batch", never)
        queue.refresh()
        assert DeadLetterQueue(folder).count() == 1

    def test_a_folder_untouched_for_a_while_is_not_even_listed(
        self, queue: DeadLetterQueue, folder: Path, monkeypatch: pytest.MonkeyPatch
    ):
        put(folder, "good")
        monkeypatch.setattr(LocalFiles, "look_seconds", 3600.0)
        queue.refresh()
        os.utime(folder, (1, 1))
        queue.refresh()
        monkeypatch.setattr(LocalFiles, "listed", lambda self: pytest.fail("listed again"))
        assert queue.count() == 1
        monkeypatch.undo()
        put(folder, "another")
        assert queue.count() == 2

    def test_an_answer_that_was_kept_ends_with_a_file_changed_in_place(self, queue: DeadLetterQueue, folder: Path):
        """The folder's own time stays, so that what was seen of it is the same again at the next look."""
        path = put(folder, "one")
        queue.refresh()
        os.utime(folder, (1, 1))
        assert (queue.count(), queue.largest(["asset_pair"])) == (1, {"asset_pair": {"BTCUSD": 1}})
        path.write_text(json.dumps({**json.loads(path.read_text()), "records": [upside_down(0), upside_down(1)]}))
        assert [row.records for row in queue.batches()] == [2]
        assert (queue.count(), queue.largest(["asset_pair"])) == (2, {"asset_pair": {"BTCUSD": 2}})

    def test_a_rebuild_tells_of_its_progress_and_takes_few_files_at_a_time(
        self, queue: DeadLetterQueue, folder: Path, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(dead_letter_index, "_BATCH_FILES", 4)
        for number in range(10):
            put(folder, f"e{number}")
        told: list[tuple[int, int]] = []
        queue.refresh(lambda done, total: told.append((done, total)))
        assert told == [(4, 10), (8, 10), (10, 10)]

    @pytest.mark.slow
    def test_two_processes_build_it_at_the_same_time(self, folder: Path):
        for number in range(200):
            put(folder, f"e{number}", number % 7)
        code = "import sys; from ffe_core import DeadLetterQueue; print(DeadLetterQueue(sys.argv[1]).count())"
        assert at_once(code, [(folder,)] * 2) == ["200\n"] * 2
        kept = dump(folder)
        (folder / ".index.sqlite").unlink()
        DeadLetterQueue(folder).refresh()
        assert dump(folder) == kept


class TestWhatIsSetAside:
    def test_it_is_named_with_the_reason_stays_where_it_is_and_disturbs_nothing(
        self, queue: DeadLetterQueue, folder: Path
    ):
        put(folder, "good")
        (folder / "torn.json").write_text('{"records": [')
        (folder / "notes.txt").write_text("hello")
        (folder / "folder").mkdir()
        (folder / ".hidden").write_text("nobody's business")
        (folder / b"\xff.json".decode("utf-8", "surrogateescape")).write_text("{}")
        reasons = {item.name: item.reason for item in queue.quarantined()}
        assert reasons.keys() == {"torn.json", "notes.txt", "folder", "\\udcff.json"}
        assert "not whole JSON" in reasons["torn.json"]
        assert "does not end in .json" in reasons["notes.txt"]
        assert queue.count() == 1
        assert (folder / "torn.json").read_text() == '{"records": ['

    def test_one_that_is_completed_becomes_a_batch(self, queue: DeadLetterQueue, folder: Path):
        (folder / "slow.json").write_text('{"records": [')
        assert len(queue.quarantined()) == 1
        put(folder, "slow")
        assert queue.quarantined() == []
        assert queue.count() == 1
        (folder / "slow.json").unlink()
        (folder / "gone.json").write_text("{")
        assert len(queue.quarantined()) == 1
        (folder / "gone.json").unlink()
        assert queue.quarantined() == []


def fill(folder: Path) -> None:
    """Six batches of two pairs over three days, with records in every status."""
    put(folder, "a", 2, context={**BTC, "run_id": 7}, records=[upside_down(0), {**good(1), "open": "n/a"}])
    put(folder, "b", 1, context={**ETH, "run_id": "8"}, records=[upside_down(0), upside_down(1)])
    put(folder, "c", 1, context={**ETH, "timeframe": "1d"}, records=[{**good(0), "volume": None, "low": "x"}])
    put(folder, "d", 0, context={**BTC, "provider": "oanda"}, records=[good(0), {"raw": "NEEDLE and straw"}])
    replay = step("replay", "ann", stored={"0": 0}, kept=[1], failed={})
    put(folder, "e", 0, records=[good(0), good(1), upside_down(2)], history=[replay])
    failed = step("replay", "ann", stored={}, kept=[], failed={"0": ["off_grid"]})
    put(folder, "f", 0, records=[upside_down(0), upside_down(1)], history=[failed, step("discard", "a", records=[1])])


def found(queue: DeadLetterQueue, **wanted: str) -> set[str]:
    """Entry and number of all that matches, from pages of two; every way of counting must agree."""
    asked = Wanted(**wanted)
    rows, offset = [], 0
    while (page := queue.find(asked, 2, offset)).rows:
        rows += page.rows
        offset += 2
        assert page.more == (len(queue.find(asked, 1, offset).rows) == 1)
    names = {f"{row.batch_id}{row.number}" for row in rows}
    assert len(names) == len(rows)
    assert names == {f"{id_}{n}" for id_, numbers in queue.select(asked).items() for n in numbers}
    assert sum(row.matching for row in queue.batches(asked)) == len(rows)
    if "text" not in wanted:
        assert page.total == queue.count(asked) == len(rows)
        if len(rows):
            for dimension in ("asset_pair", "timeframe", "provider", "run", "day"):
                assert sum(group.count for group in queue.groups(dimension, asked)) == len(rows)
    return names


OLD, NEW = {**BTC, "asset_pair": "BRKB"}, {**BTC, "asset_pair": "BC~2FPB"}
ALIKE = ({**BTC, "asset_pair": "A-BC"}, {**BTC, "asset_pair": "AB-C"})


class TestPairs:
    @pytest.mark.parametrize(
        ("typed", "names"),
        [
            ("btc-usd", {"a0"}),
            ("BRK-B", {"b0", "b1"}),
            ("brk.b", {"b0", "b1"}),
            ("BC/PB", {"c0"}),
            ("bcpb", {"c0"}),
            ("abc", {"d0", "e0"}),
            ("ab-c", {"e0"}),
            ("ABCD", set()),
        ],
    )
    def test_a_pair_is_found_however_it_is_written(self, tmp_path: Path, typed: str, names: set[str]):
        contexts = (BTC, OLD, NEW, *ALIKE)
        for name, context in zip("abcde", contexts, strict=True):
            put(tmp_path, name, context=context, records=[upside_down(0), upside_down(1)][: 1 + (name == "b")])
        queue = DeadLetterQueue(tmp_path)
        assert found(queue, asset_pair=typed) == names
        assert found(queue, asset_pair=typed, status="pending") == names
        assert found(queue, asset_pair=typed, timeframe="1h", reason="high_below_low") == names

    def test_what_cannot_be_a_name_matches_nothing_and_is_refused_where_it_is_typed(self, tmp_path: Path):
        put(tmp_path, "a")
        queue = DeadLetterQueue(tmp_path)
        assert queue.find(Wanted(asset_pair="?")).rows == []
        with pytest.raises(InputError, match=r"'\?' cannot be a pair"):
            queue.names_of("?")


class TestFinding:
    @pytest.mark.parametrize(
        ("wanted", "names"),
        [
            ({}, {"a0", "a1", "b0", "b1", "c0", "d0", "d1", "e0", "e1", "e2", "f0", "f1"}),
            ({"status": "pending"}, {"a0", "a1", "b0", "b1", "c0", "d0", "d1", "e2", "f0"}),
            ({"status": "new"}, {"a0", "a1", "b0", "b1", "c0", "d0", "d1", "e2"}),
            ({"status": "failed again"}, {"f0"}),
            ({"status": "replayed"}, {"e0"}),
            ({"status": "superseded by stored"}, {"e1"}),
            ({"status": "discarded"}, {"f1"}),
            ({"status": "partly replayed"}, {"e0", "e1", "e2"}),
            ({"reason": "high_below_low"}, {"a0", "b0", "b1", "e2", "f1"}),
            ({"reason": "not_a_number"}, {"a1", "c0"}),
            ({"reason": "not_a_number:low"}, {"c0"}),
            ({"reason": "off_grid"}, {"f0"}),
            ({"reason": "none"}, {"d0", "e0", "e1"}),
            ({"reason": "high"}, set()),
            ({"asset_pair": "ETHUSD"}, {"b0", "b1", "c0"}),
            ({"asset_pair": "ETHUSD", "timeframe": "1d"}, {"c0"}),
            ({"provider": "oanda"}, {"d0", "d1"}),
            ({"run": "7"}, {"a0", "a1"}),
            ({"run": "8", "reason": "high_below_low", "status": "pending"}, {"b0", "b1"}),
            ({"day": (TODAY - timedelta(days=1)).date().isoformat()}, {"b0", "b1", "c0"}),
            ({"batch": "e"}, {"e0", "e1", "e2"}),
            ({"batch": "nope"}, set()),
            ({"text": "needle"}, {"d1"}),
            ({"text": "NEEDLE and"}, {"d1"}),
            ({"text": "n/a"}, {"a1"}),
            ({"text": "n/a", "asset_pair": "ETHUSD"}, set()),
            ({"text": "T01:00"}, {"a1", "b1", "e1", "f1"}),
        ],
    )
    def test_every_filter_alone_and_together(
        self, queue: DeadLetterQueue, folder: Path, wanted: dict[str, str], names: set[str]
    ):
        fill(folder)
        assert found(queue, **wanted) == names

    def test_the_newest_batch_comes_first_and_its_records_in_their_order(self, queue: DeadLetterQueue, folder: Path):
        for days, name in ((3, "old"), (1, "new"), (2, "middle")):
            put(folder, name, days, records=[upside_down(0), upside_down(1)])
        order = [(row.batch_id, row.number) for row in queue.find().rows]
        assert order == [(name, n) for name in ("new", "middle", "old") for n in (0, 1)]
        assert [row.id for row in queue.batches(limit=1, offset=1)] == ["middle"]

    def test_a_row_says_what_a_list_shows(self, queue: DeadLetterQueue, folder: Path):
        fill(folder)
        (row,) = queue.find(Wanted(status="failed again")).rows
        assert (row.asset_pair, row.timeframe, row.provider, row.status) == ("BTCUSD", "1h", "coinbase", "pending")
        assert (row.reasons, row.attempts, row.revision, row.open) == (("off_grid",), 1, 0, START)
        assert row.value == upside_down(0)

    def test_a_mended_value_is_found_too_and_its_time_counts(self, queue: DeadLetterQueue, folder: Path):
        put(folder, "a", history=[step("mend", "ann", why="", values={"0": good(5, mark="MENDED")})])
        assert found(queue, text="mended") == {"a0"}
        assert queue.open_times(Series("BTCUSD", "1h", "coinbase"), START, START + 9 * HOUR).tolist() == [
            START + 5 * HOUR
        ]

    @pytest.mark.parametrize("value", ["%", "_", "'", '"', "\\", "a' OR 1=1 --", "\x00", "é", "<b>"])
    def test_a_text_is_a_text(self, queue: DeadLetterQueue, folder: Path, value: str):
        put(folder, "plain")
        put(folder, "with", records=[{"note": f"x{value}x"}])
        assert queue.find(Wanted(reason=value)).rows == []
        assert queue.find(Wanted(asset_pair=value)).rows == []
        matching = {row.batch_id for row in queue.find(Wanted(text=f"x{value}x")).rows}
        # In JSON a quote, a backslash and a control character are spelled with a backslash; so are they searched for.
        assert matching == ({"with"} if json.dumps(value, ensure_ascii=False)[1:-1] == value else set())

    @pytest.mark.parametrize("search", ["find", "batches", "select"])
    def test_a_dead_letter_is_kept_while_a_long_search_reads(
        self, queue: DeadLetterQueue, folder: Path, monkeypatch: pytest.MonkeyPatch, search: str
    ):
        for number in range(150):
            put(folder, f"e{number}")
        queue.refresh()
        reading, saved, was_saved = threading.Event(), threading.Event(), []
        read = queue.read

        def slow(batch_id: str) -> Any:
            if not reading.is_set():
                reading.set()
                was_saved.append(saved.wait(20))
            return read(batch_id)

        monkeypatch.setattr(queue, "read", slow)
        with ThreadPoolExecutor() as pool:
            searching = pool.submit(getattr(queue, search), Wanted(text="nowhere é"))
            assert reading.wait(20)
            dead_lettered(folder, 9)
            saved.set()
            searching.result()
        assert was_saved == [True]

    @pytest.mark.parametrize("search", ["find", "batches", "select"])
    def test_what_is_removed_while_a_search_reads_is_not_found(
        self, queue: DeadLetterQueue, folder: Path, monkeypatch: pytest.MonkeyPatch, search: str
    ):
        for name in ("a", "b", "c"):
            put(folder, name, records=[{"note": "é"}])
        read = queue.read

        def removing(batch_id: str) -> Any:
            (folder / "b.json").unlink(missing_ok=True)
            return read(batch_id)

        queue.refresh()
        monkeypatch.setattr(queue, "read", removing)
        ids = {
            "find": lambda wanted: {row.batch_id for row in queue.find(wanted).rows},
            "batches": lambda wanted: {row.id for row in queue.batches(wanted)},
            "select": lambda wanted: set(queue.select(wanted)),
        }
        assert ids[search](Wanted(text="é")) == {"a", "c"}

    def test_what_cannot_be_asked_for_is_said(self, queue: DeadLetterQueue):
        with pytest.raises(InputError, match="status: 'lost' is unknown"):
            Wanted(status="lost")
        with pytest.raises(InputError, match="group: 'colour' is unknown"):
            queue.groups("colour")

    @pytest.mark.parametrize("batch_id", ["nope", "../x", "", ".", "..", "a/b", "x\0y", ".index.sqlite", "n" * 5000])
    def test_an_id_that_is_none_is_said(self, queue: DeadLetterQueue, batch_id: str):
        with pytest.raises(InputError, match="there is no dead letter"):
            queue.read(batch_id)
        with pytest.raises(InputError, match="there is no dead letter"):
            queue.rows([batch_id])


class TestGroups:
    def test_counts_first_and_last_seen_and_trend(self, queue: DeadLetterQueue, folder: Path):
        for days in (0, 0, 3, 29, 40):
            put(folder, f"{days}-{random.random()}", days)
        put(folder, "other", 1, context=ETH)
        groups = {group.value: group for group in queue.groups("asset_pair")}
        assert (groups["BTCUSD"].count, groups["ETHUSD"].count) == (5, 1)
        assert abs(groups["BTCUSD"].last_seen - TODAY.timestamp()) < 1
        assert abs(groups["BTCUSD"].first_seen - (TODAY - timedelta(days=40)).timestamp()) < 1
        assert len(groups["BTCUSD"].trend) == 30
        assert sum(groups["BTCUSD"].trend) == 4

    def test_a_record_counts_under_each_of_its_reasons_by_rule(self, queue: DeadLetterQueue, folder: Path):
        put(folder, "a", records=[upside_down(0), {**good(1), "open": "x", "low": "y"}])
        counts = {group.value: group.count for group in queue.groups("reason")}
        assert counts == dict.fromkeys([*SWAPPED, "not_a_number"], 1)
        counts = {group.value: group.count for group in queue.groups("reason", Wanted(asset_pair="BTCUSD"))}
        assert counts == dict.fromkeys([*SWAPPED, "not_a_number"], 1)

    def test_counted_under_filters_or_kept_they_are_the_same(self, queue: DeadLetterQueue, folder: Path):
        fill(folder)
        for status in ("", "pending", "replayed"):
            for dimension in ("reason", "asset_pair", "timeframe", "provider", "run", "day"):
                kept = queue.groups(dimension, Wanted(status=status))
                # Every record is from a provider, so this filter changes nothing but the way of counting.
                counted = [
                    group
                    for provider in ("coinbase", "oanda")
                    for group in queue.groups(dimension, Wanted(status=status, provider=provider))
                ]
                totals: dict[str, int] = {}
                for group in counted:
                    totals[group.value] = totals.get(group.value, 0) + group.count
                assert totals == {group.value: group.count for group in kept}

    def test_only_the_largest(self, queue: DeadLetterQueue, folder: Path):
        for number in range(5):
            put(folder, f"r{number}", context={**BTC, "run_id": number + 1}, records=[upside_down(0)] * (number + 1))
        assert [group.value for group in queue.groups("run", most=2)] == ["5", "4"]

    @pytest.mark.parametrize("given", [{}, {"status": "pending"}, {"status": "partly replayed"}, {"provider": "oanda"}])
    def test_what_a_filter_offers_are_the_groups_without_their_days(
        self, queue: DeadLetterQueue, folder: Path, given: dict[str, str]
    ):
        fill(folder)
        wanted, names = Wanted(**given), ("reason", "asset_pair", "timeframe", "provider", "run", "day")
        groups = {name: queue.groups(name, wanted, most=2) for name in names}
        offered = queue.largest(names, wanted, most=2)
        assert [(name, *found.items()) for name, found in offered.items()] == [
            (name, *((group.value, group.count) for group in groups[name])) for name in names
        ]

    def test_a_filter_offers_nothing_of_a_dimension_that_there_is_not(self, queue: DeadLetterQueue):
        with pytest.raises(InputError, match="'colour' is unknown"):
            queue.largest(["run", "colour"])


class TestWhatCountsAsDeadLettered:
    def test_pending_and_discarded_do_and_what_is_in_the_lake_does_not(self, queue: DeadLetterQueue, folder: Path):
        batch_id = dead_lettered(folder, 0, 1, 2, 3)
        replay = step("replay", "ann", stored={"0": 0}, kept=[1], failed={"2": ["off_grid"]})
        queue.change([batch_id], lambda _: {batch_id: [replay, step("discard", "ann", why="w", records=[3])]})
        open_times = queue.open_times(Series("BTCUSD", "1h", "coinbase"), START, START + 9 * HOUR)
        assert open_times.tolist() == [START + 2 * HOUR, START + 3 * HOUR]

    def test_a_pair_in_another_spelling_is_the_same_series(self, queue: DeadLetterQueue, folder: Path):
        put(folder, "a", context={**BTC, "asset_pair": "btc-usd"})
        assert len(queue.open_times(Series("BTCUSD", "1h", "coinbase"), START, START + HOUR)) == 1
        assert found(queue, asset_pair="BTCUSD") == {"a0"}


class TestChanging:
    def test_nothing_is_changed_when_the_decision_fails(self, queue: DeadLetterQueue, folder: Path):
        first, second = dead_lettered(folder, 0), dead_lettered(folder, 1)

        def refuse(batches: Any) -> Any:
            assert batches.keys() == {first, second}
            raise InputError("no")

        with pytest.raises(InputError, match="no"):
            queue.change([first, second], refuse)
        assert queue.read(first).history == []

    @pytest.mark.slow
    def test_processes_at_once_lose_no_step(self, queue: DeadLetterQueue, folder: Path):
        batch_id = dead_lettered(folder, 0)
        code = """
import sys
from ffe_core import DeadLetterQueue
from ffe_core.storage.dead_letters.file import step
queue, batch_id = DeadLetterQueue(sys.argv[1]), sys.argv[2]
for n in range(15):
    queue.change([batch_id], lambda _: {batch_id: [step("mend", "ann", why=str(n), values={"0": {"n": n}})]})
"""
        at_once(code, [(folder, batch_id)] * 3)
        assert queue.read(batch_id).records[0].revision == 45
        assert queue.find().rows[0].revision == 45

    def test_a_full_disk_is_a_storage_error_and_changes_nothing(
        self, queue: DeadLetterQueue, folder: Path, monkeypatch: pytest.MonkeyPatch
    ):
        batch_id = dead_lettered(folder, 0)
        before = (folder / f"{batch_id}.json").read_bytes()

        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr("ffe_core.storage.files.os.fsync", full)
            with pytest.raises(StorageError, match="No space left"):
                queue.change([batch_id], lambda _: {batch_id: [step("discard", "ann", why="w", records=[0])]})
        assert (folder / f"{batch_id}.json").read_bytes() == before

    def test_only_what_may_go_is_removed(self, queue: DeadLetterQueue, folder: Path):
        first, second = dead_lettered(folder, 0), dead_lettered(folder, 1)
        assert queue.remove([first, second], lambda batch: batch.id == first) == [first]
        assert [row.id for row in queue.batches()] == [second]


def test_a_series_gets_its_first_dead_letter_while_others_are_asked_for(tmp_path: Path) -> None:
    """Which series have any is kept only as long as the folder is the same, whoever adds to it."""
    mine, another = DeadLetterQueue(tmp_path), DeadLetterQueue(tmp_path)
    for number, queue in enumerate((mine, another, mine, another)):
        series = Series(f"P{number}USD", "1h", "coinbase")
        assert len(mine.open_times(series, 0, 2**40)) == 0
        context = {"asset_pair": series.asset_pair, "timeframe": "1h", "provider": "coinbase"}
        saved = queue.save([{"date": "2024-01-01T00:00:00Z", "open": "x"}], "validation_failed", context)
        assert mine.open_times(series, 0, 2**40).tolist() == [1_704_067_200]
    assert saved.batch_id is not None
    another.remove([saved.batch_id], lambda _: True)
    assert len(mine.open_times(series, 0, 2**40)) == 0


def test_another_thread_finds_the_folder_changed_in_the_middle_of_a_question(
    queue: DeadLetterQueue, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was seen last is gone from one reading of it to the next, as when another thread just looked."""
    dead_lettered(folder, 0)
    said = cycle([("mark", 1, 0.0), None])
    flickering = property(lambda _: next(said), lambda _, seen: None)
    monkeypatch.setattr(dead_letter_index.DeadLetterIndex, "_seen", flickering, raising=False)
    for _ in range(4):  # whichever of the two comes first
        assert len(queue.open_times(Series("BTCUSD", "1h", "coinbase"), START, START + HOUR)) == 1
        next(said)
        assert queue.find().total == 1
