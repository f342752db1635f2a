"""Does the readable copy of the watermarks keep every update, survive a corrupt file, and heal from the log?"""

from __future__ import annotations

import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from ffe_core import WatermarkStore
from ffe_core.errors import StorageError
from ffe_core.series import Series, Watermarks
from ffe_core.storage import watermark_store
from tests.processes import at_once

AT = 1_704_067_200
STAMP = "2024-01-01T00:00:00+00:00"
BTC = Series("BTCUSD", "1h", "coinbase")


@pytest.fixture
def store(tmp_path: Path) -> WatermarkStore:
    return WatermarkStore(tmp_path / "watermarks")


def test_unknown_is_none(store: WatermarkStore):
    assert store.get("BTCUSD", "1h") is None
    assert store.entries() == []


def test_what_is_set_is_got_by_any_spelling_and_by_the_next_process(store: WatermarkStore, tmp_path: Path):
    store.set("btc/usd", "1h", STAMP)
    assert store.get("BTC-USD", "1h") == STAMP
    assert WatermarkStore(str(tmp_path / "watermarks")).get("BTCUSD", "1h") == STAMP
    assert store.get("BTCUSD", "4h") is None
    assert store.get("BTCUSDT", "1h") is None


@pytest.mark.parametrize(
    "moment",
    [datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 1, 1, tzinfo=timezone(timedelta(hours=1)))],
)
def test_an_aware_datetime_becomes_text(store: WatermarkStore, moment: datetime):
    store.set("BTCUSD", "1h", moment)
    assert store.get("BTCUSD", "1h") == STAMP


def test_a_watermark_belongs_to_its_provider_and_without_one_the_newest_is_got(store: WatermarkStore):
    store.set("BTCUSD", "1h", "2024-01-02T00:00:00+01:00", "coinbase")
    store.set("BTCUSD", "1h", "2024-01-01T23:30:00Z", "oanda")
    store.set("BTCUSD", "1h", STAMP)
    assert store.get("BTCUSD", "1h", "coinbase") == "2024-01-02T00:00:00+01:00"
    assert store.get("BTCUSD", "1h", "simulated") is None
    assert store.get("BTCUSD", "1h") == "2024-01-01T23:30:00Z", "compared as instants, not as texts"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("../BTC", "1h", STAMP), "pair"),
        (("", "1h", STAMP), "pair"),
        (("BTCUSD", "2h", STAMP), "timeframe"),
        (("BTCUSD", "1h", "yesterday"), "timestamp"),
        (("BTCUSD", "1h", "2024-01-01T00:00:00"), "timestamp"),
        (("BTCUSD", "1h", datetime(2024, 1, 1)), "timestamp"),  # noqa: DTZ001
        (("BTCUSD", "1h", None), "timestamp"),
    ],
)
def test_bad_input_is_refused_by_name_and_writes_nothing(store: WatermarkStore, arguments: tuple, named: str):
    with pytest.raises(ValueError, match=rf"^{named}: "):
        store.set(*arguments)
    assert not store.file.exists()


def test_a_copied_series_reads_back_and_a_forgotten_one_leaves(store: WatermarkStore):
    store.put(BTC, Watermarks(AT, AT - 7200))
    store.set("BTCUSD", "1h", STAMP)
    (by_hand, copied) = store.entries()
    assert (copied.series, copied.marks) == (BTC, Watermarks(AT, AT - 7200))
    assert (by_hand.series.provider, by_hand.marks) == ("", Watermarks(AT, None))
    store.put(BTC, Watermarks())
    assert [entry.series.provider for entry in store.entries()] == [""]


def test_healing_says_what_the_lake_says_and_leaves_what_was_set_by_hand(store: WatermarkStore):
    store.set("EURUSD", "1d", STAMP)
    store.put(Series("ETHUSD", "1h", "coinbase"), Watermarks(AT, AT))
    store.put(BTC, Watermarks(AT, AT))
    store.heal(lambda: {BTC: Watermarks(AT + 3600, AT), Series("XAUUSD", "4h", "oanda"): Watermarks()})
    assert {entry.series.key: entry.marks for entry in store.entries()} == {
        "BTCUSD/1h/coinbase": Watermarks(AT + 3600, AT),
        "EURUSD/1d/": Watermarks(AT, None),
    }


def test_healing_some_providers_leaves_the_others(store: WatermarkStore):
    """A provider of one's own is not in the table of providers, and the lake is not asked about it."""
    mine, gone = Series("BTCUSD", "1h", "mybroker"), Series("ETHUSD", "1h", "coinbase")
    store.put(mine, Watermarks(AT, AT))
    store.put(gone, Watermarks(AT, AT))
    store.heal(dict, ["coinbase"])
    assert [entry.series for entry in store.entries()] == [mine]


CORRUPT = [
    b"",
    b'{"BTCUSD/1h/coinbase": {"water',
    b"[1, 2]",
    b'{"BTCUSD/1h/coinbase": 5}',
    b'{"BTCUSD/1h/coinbase": {"watermark": "soon"}}',
    b'{"BTCUSD/1h/coinbase": {"watermark": [1]}}',
    b'{"BTCUSD/9h/coinbase": {}}',
    b'{"../x": {}}',
    b'{"format_version": "1"}',
    b'{"format_version": 0}',
    b'{"format_version": true}',
    b"\xff\xfe\x00",
    b"\x00" * 200,
]


@pytest.mark.parametrize("content", CORRUPT)
def test_a_torn_file_is_set_aside_and_rebuilt(store: WatermarkStore, content: bytes):
    store.file.write_bytes(content)
    assert not store.is_readable
    assert store.get("BTCUSD", "1h") is None
    store.set("BTCUSD", "1h", STAMP)
    assert store.is_readable
    assert store.get("BTCUSD", "1h") == STAMP
    (aside,) = store.storage_path.glob("watermarks.json.torn-*")
    assert aside.read_bytes() == content


def test_every_torn_file_is_kept(store: WatermarkStore):
    for _ in range(3):
        store.file.write_text("{")
        store.heal(dict)
    assert len(list(store.storage_path.glob("*.torn-*"))) == 3


def test_the_file_is_plain_json_that_a_person_can_read(store: WatermarkStore):
    store.put(BTC, Watermarks(AT, AT))
    content = {"format_version": 1, "BTCUSD/1h/coinbase": {"watermark": STAMP, "low": STAMP}}
    assert json.loads(store.file.read_text()) == content


def test_a_file_of_release_0_1_0_has_no_version_and_gets_one_with_its_next_change(store: WatermarkStore):
    store.file.write_text(json.dumps({"BTCUSD/1h/coinbase": {"watermark": STAMP}, "EURUSD/1d/": {"watermark": STAMP}}))
    assert store.is_readable
    assert store.get("BTCUSD", "1h") == store.get("EURUSD", "1d") == STAMP
    store.put(Series("ETHUSD", "1h", "coinbase"), Watermarks(AT, AT))
    content = json.loads(store.file.read_text())
    assert (content.pop("format_version"), len(content)) == (1, 3)
    assert store.get("EURUSD", "1d") == STAMP


def test_a_file_of_a_newer_release_is_refused_and_left_alone(store: WatermarkStore):
    content = json.dumps({"format_version": 2, "series": [["BTCUSD", "1h", "coinbase", STAMP]]})
    store.file.write_text(content)
    assert not store.is_readable
    for act in (
        lambda: store.get("BTCUSD", "1h"),
        lambda: store.set("BTCUSD", "1h", STAMP),
        lambda: store.put(BTC, Watermarks(AT, AT)),
        lambda: store.heal(dict),
        store.entries,
    ):
        with pytest.raises(StorageError, match=r"watermarks\.json was written by a newer release.*version 2.*up to 1;"):
            act()
    assert store.file.read_text() == content
    assert not list(store.storage_path.glob("*.torn-*"))


def test_a_folder_that_cannot_be_made_or_written_is_a_storage_error(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="watermark"):
        WatermarkStore(tmp_path / "file" / "watermarks")
    store = WatermarkStore(tmp_path / "watermarks")
    store.file.mkdir()
    with pytest.raises(StorageError, match=r"watermarks\.json cannot be"):
        store.set("BTCUSD", "1h", STAMP)


def test_a_failed_write_leaves_the_old_file_and_no_litter(store: WatermarkStore, monkeypatch: pytest.MonkeyPatch):
    store.set("BTCUSD", "1h", STAMP)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("ffe_core.storage.files.os.fsync", full)
        with pytest.raises(StorageError, match="No space left"):
            store.set("ETHUSD", "1h", STAMP)
    assert [entry.series.asset_pair for entry in store.entries()] == ["BTCUSD"]
    assert not list(store.storage_path.glob(".*.tmp"))


_HUNDRED_UPDATES = """
import sys
from ffe_core import WatermarkStore
store = WatermarkStore(sys.argv[1])
for number in range(100):
    store.set(f"P{sys.argv[2]}X{number}", "1h", "2024-01-01T00:00:00+00:00", "coinbase")
"""


@pytest.mark.slow
def test_four_processes_at_once_keep_all_400_updates(tmp_path: Path):
    at_once(_HUNDRED_UPDATES, [(tmp_path, worker) for worker in range(4)])
    entries = WatermarkStore(tmp_path).entries()
    assert len(entries) == 400
    assert len({entry.series.asset_pair for entry in entries}) == 400


def test_threads_on_one_store_keep_all_updates(store: WatermarkStore):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: store.put(Series(f"P{number}X", "1h", "a"), Watermarks(AT, AT)), range(80)))
    assert len(store.entries()) == 80


class Log:
    """A lake's log: when it changed last, what it says, and how often it was read."""

    def __init__(self) -> None:
        self.changed: int | None = None
        self.reads = 0
        self.marks = {BTC: Watermarks(AT, AT)}

    def read(self) -> dict[Series, Watermarks]:
        self.reads += 1
        return self.marks

    def changes(self, seconds_ago: float) -> None:
        self.changed = time.time_ns() - int(seconds_ago * 1e9)


@pytest.fixture
def log() -> Log:
    return Log()


def follows(store: WatermarkStore, log: Log) -> WatermarkStore:
    store.follow(lambda: log.changed, log.read, ["coinbase"])
    return store


def written(store: WatermarkStore, seconds_ago: float) -> None:
    store.put(BTC, Watermarks(AT - 3600, AT))
    os.utime(store.file, (time.time() - seconds_ago,) * 2)


class TestACopyThatIsOlderThanTheLog:
    def test_is_healed_when_a_process_begins(self, store: WatermarkStore, log: Log):
        written(store, seconds_ago=100)
        log.changes(seconds_ago=1)
        follows(store, log)
        assert store.get("BTCUSD", "1h", "coinbase") == STAMP

    def test_is_healed_when_it_is_read(self, store: WatermarkStore, log: Log):
        written(store, seconds_ago=0)
        log.changes(seconds_ago=50)
        follows(store, log)
        assert log.reads == 0
        written(store, seconds_ago=100)
        assert [entry.marks for entry in store.entries()] == [Watermarks(AT, AT)]

    def test_is_compared_once_for_each_change(self, store: WatermarkStore, log: Log):
        store.put(BTC, Watermarks(AT, AT))
        os.utime(store.file, (time.time() - 100,) * 2)
        log.changes(seconds_ago=50)
        follows(store, log)
        for _ in range(3):
            store.entries()
        assert log.reads == 1

    def test_is_left_to_its_writer_for_a_moment(self, store: WatermarkStore, log: Log):
        follows(store, log)
        written(store, seconds_ago=100)
        log.changes(seconds_ago=0.5)
        reads = log.reads
        store.entries()
        assert log.reads == reads

    def test_is_read_as_it_is_where_the_log_cannot_be_read(self, store: WatermarkStore, log: Log):
        """Also by a process that begins: it may work on another table than the damaged one."""

        def damaged() -> dict[Series, Watermarks]:
            raise StorageError("the log is damaged")

        written(store, seconds_ago=100)
        log.changes(seconds_ago=50)
        store.follow(lambda: log.changed, damaged, ["coinbase"])
        assert [entry.marks for entry in store.entries()] == [Watermarks(AT - 3600, AT)]

    def test_must_be_healed_where_it_cannot_be_read(self, store: WatermarkStore, log: Log):
        def damaged() -> dict[Series, Watermarks]:
            raise StorageError("the log is damaged")

        with pytest.raises(StorageError, match="damaged"):
            store.follow(lambda: log.changed, damaged, ["coinbase"])

    def test_means_nothing_where_nobody_can_tell(self, store: WatermarkStore, log: Log):
        written(store, seconds_ago=100)
        follows(store, log)
        store.entries()
        assert log.reads == 0


def test_commits_of_other_machines_are_seen_where_the_log_tells_no_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with a lake in an object store; what settled is kept, as healing is no rare event there."""
    monkeypatch.setattr(watermark_store, "_LOOK_SECONDS", 0.0)
    store, series = WatermarkStore(tmp_path), Series("BTCUSD", "1h", "coinbase")
    truth: dict[Series, Watermarks] = {}
    store.follow(lambda: None, lambda: truth, ["coinbase"], lambda: len(truth))
    store.put(series, Watermarks(3600, 0), settled=3600)
    truth |= {series: Watermarks(3600, 0), Series("ETHUSD", "1h", "coinbase"): Watermarks(7200, 0)}
    assert [entry.series.asset_pair for entry in store.entries()] == ["BTCUSD", "ETHUSD"]
    assert store.settled(series) == 3600

    def unreadable() -> object:
        raise StorageError("the store is gone")

    store.follow(lambda: None, lambda: truth, ["coinbase"], unreadable)
    assert len(store.entries()) == 2
