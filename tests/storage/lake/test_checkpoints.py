"""Does a table with a damaged checkpoint open from its commits, and is it said what is lost where they are gone?"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ffe_core.candles import SCHEMA, table_name
from ffe_core.errors import StorageError
from ffe_core.series import Series, Watermarks
from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager
from tests.lake_files import StoredPath, log_path, put_copy

pytestmark = pytest.mark.both_stores
BTC = Series("BTCUSD", "1h", "coinbase")
COMMITS = 23
Damage = Callable[[Path | StoredPath], object]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake of many commits: checkpoints at 9 and 19."""
    lake = DeltaLakeManager(tmp_path_factory.mktemp("template") / "lake")
    before = Watermarks()
    for number in range(COMMITS):
        after = Watermarks(number * 3600, 0)
        lake.commit(BTC, SCHEMA.empty_table(), before, after)
        before = after
    return Path(lake.storage_path)


@pytest.fixture
def lake(template: Path, tmp_path: Path) -> DeltaLakeManager:
    lake = DeltaLakeManager(tmp_path / "lake")
    put_copy(template, lake)
    return lake


def log_of(lake: DeltaLakeManager) -> Path | StoredPath:
    return log_path(lake, table_name("1h"))


def newest(lake: DeltaLakeManager) -> Path | StoredPath:
    return sorted(log_of(lake).glob("*.checkpoint.parquet"))[-1]


def cut(path: Path | StoredPath) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def garbled(path: Path | StoredPath) -> None:
    path.write_bytes(bytes(byte ^ 0x5A for byte in path.read_bytes()))


def emptied(path: Path | StoredPath) -> None:
    path.write_bytes(b"")


def gone(path: Path | StoredPath) -> None:
    path.unlink()


DAMAGES = [cut, garbled, emptied, gone]


@pytest.mark.parametrize("damage", DAMAGES)
def test_it_opens_from_its_commits_and_goes_on(lake: DeltaLakeManager, damage: Damage) -> None:
    damage(newest(lake))
    now = Watermarks((COMMITS - 1) * 3600, 0)
    assert lake.marks(BTC) == now
    snapshot = DeltaLakeManager(lake.storage_path).snapshot(BTC.table)
    assert snapshot is not None
    assert snapshot.marks(BTC) == now
    for number in range(12):  # past the next checkpoint
        after = Watermarks((COMMITS + number) * 3600, 0)
        lake.commit(BTC, SCHEMA.empty_table(), now, after)
        now = after
    assert DeltaLakeManager(lake.storage_path).marks(BTC) == now


@pytest.mark.parametrize("damage", [cut, garbled])
def test_what_was_damaged_is_kept(lake: DeltaLakeManager, damage: Damage) -> None:
    name = newest(lake).name
    damage(newest(lake))
    bytes_ = newest(lake).read_bytes()
    lake.marks(BTC)
    assert (log_of(lake) / f"{name}.torn-1").read_bytes() == bytes_


@pytest.mark.parametrize("damage", DAMAGES)
def test_an_older_whole_checkpoint_stands_in_for_commits_that_were_cleaned(
    lake: DeltaLakeManager, damage: Damage
) -> None:
    for version in range(9):
        (log_of(lake) / f"{version:020}.json").unlink()
    damage(newest(lake))
    assert lake.marks(BTC) == Watermarks((COMMITS - 1) * 3600, 0)


@pytest.mark.parametrize("damage", DAMAGES)
def test_where_commits_are_gone_it_says_which_and_changes_nothing(lake: DeltaLakeManager, damage: Damage) -> None:
    sorted(log_of(lake).glob("*.checkpoint.parquet"))[0].unlink()
    for version in range(9):
        (log_of(lake) / f"{version:020}.json").unlink()
    damage(newest(lake))
    before = sorted(path.name for path in log_of(lake).iterdir())
    with pytest.raises(StorageError, match=r"00000000000000000000\.json.*copy of the lake"):
        lake.marks(BTC)
    assert sorted(path.name for path in log_of(lake).iterdir()) == before


def test_where_it_cannot_be_renamed_it_says_what_to_move(
    lake: DeltaLakeManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut(newest(lake))
    name = newest(lake).name

    def refused(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    for name_of_class in ("LocalLog", "StoredLog"):
        monkeypatch.setattr(f"ffe_core.storage.lake.commit_stamps.{name_of_class}.set_aside", refused)
    with pytest.raises(StorageError, match=f"move {name}"):
        lake.marks(BTC)


def test_another_trouble_is_told_as_it_is(lake: DeltaLakeManager) -> None:
    (log_of(lake) / f"{COMMITS:020}.json").write_text("{")
    with pytest.raises(StorageError):
        lake.marks(BTC)
    assert not list(log_of(lake).glob("*.torn-*"))


def test_a_table_that_is_not_there_is_not_there(tmp_path: Path) -> None:
    assert DeltaLakeManager(tmp_path).open("raw_market_data_1h") is None
