"""Do batches of many series go into one commit, each under a guard of its own?"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError, DeltaError
from hypothesis import given, settings
from hypothesis import strategies as st

from ffe_core import DeltaLakeManager
from ffe_core.candles import SCHEMA
from ffe_core.errors import CommitConflict, StorageError
from ffe_core.insight.lineage import _named
from ffe_core.series import Series, Watermarks
from ffe_core.storage.lake import commits, data_files
from ffe_core.storage.lake.commits import Batch, Outcome
from ffe_core.storage.lake.comparison import Committed
from ffe_core.storage.lake.transactions import Transactions
from tests.ingestion.fakes import HOUR, START, hours
from tests.lake_files import StoredPath, lake_path, log_path
from tests.storage.lake.test_delta_lake_manager import TABLE, marks, rows
from tests.storage.lake.test_delta_lake_manager import lake as lake

ALL = [Series(f"{coin}USD", "1h", "coinbase") for coin in ("BTC", "ETH", "SOL", "ADA", "LTC", "XRP")]


def batch(series: Series, first: int, last: int, before: Watermarks | None = None, low: int = 0) -> Batch:
    """Bars `first` to `last` (excluded), planned where the watermark stood at the bar before the first."""
    stood = before or (marks(low, first - 1) if first > low else Watermarks())
    return Batch(series, rows(hours(first, last), series), stood, marks(low, last - 1), {"ingestion_id": series.key})


def version(lake: DeltaLakeManager) -> int:
    table = lake.open(TABLE)
    return -1 if table is None else table.version()


def bars(lake: DeltaLakeManager, series: Series) -> list[int]:
    return [(at - START) // HOUR for at in lake.stored_open_times(series, START - 99 * HOUR, START + 99 * HOUR)]


def every_row(lake: DeltaLakeManager) -> int:
    return len(lake.read_table(TABLE))


def new(outcome: Outcome) -> int | None:
    return outcome.new if isinstance(outcome, Committed) else None


class TestCommitAll:
    def test_many_series_are_one_version_and_each_has_its_rows_and_marks(self, lake: DeltaLakeManager):
        lake.ensure_table("1h")
        done = lake.commit_all([batch(series, 0, 3) for series in ALL])
        assert [new(one) for one in done] == [3] * len(ALL)
        assert version(lake) == 1
        other = DeltaLakeManager(lake.storage_path)
        for series in ALL:
            assert (bars(other, series), other.marks(series)) == ([0, 1, 2], marks(0, 2))

    def test_a_series_whose_marks_moved_is_told_so_and_the_others_go_on(self, lake: DeltaLakeManager):
        lake.commit_all([batch(series, 0, 3) for series in ALL])
        DeltaLakeManager(lake.storage_path).commit(ALL[2], rows(hours(3, 4), ALL[2]), marks(0, 2), marks(0, 3))
        done = lake.commit_all([batch(series, 3, 5) for series in ALL])
        assert isinstance(done[2], CommitConflict)
        assert [new(one) for one in done] == [2, 2, None, 2, 2, 2]
        assert bars(lake, ALL[2]) == [0, 1, 2, 3]
        assert all(bars(lake, series) == [0, 1, 2, 3, 4] for series in ALL if series != ALL[2])

    def test_one_moved_between_look_and_commit_is_found_out_and_the_others_files_are_used(
        self, lake: DeltaLakeManager, monkeypatch: pytest.MonkeyPatch
    ):
        lake.commit_all([batch(series, 0, 3) for series in ALL])
        rival, real, written = DeltaLakeManager(lake.storage_path), data_files.commit, 0

        def raced(table: DeltaTable, files: Any, properties: Any) -> None:
            nonlocal rival, written
            if rival is not None:
                other, rival = rival, None
                done = other.commit(ALL[4], rows(hours(3, 4), ALL[4]), marks(0, 2), marks(0, 3))
                assert done.new == 1
            written = len(files)
            real(table, files, properties)

        monkeypatch.setattr(data_files, "commit", raced)
        writes, real_write = [], data_files.write
        monkeypatch.setattr(data_files, "write", lambda *a: writes.append(1) or real_write(*a))
        done = lake.commit_all([batch(series, 3, 5) for series in ALL])
        assert isinstance(done[4], CommitConflict)
        assert [new(one) for one in done] == [2, 2, 2, 2, None, 2]
        assert (written, len(writes)) == (5, 7), "six files and the rival's; five of the six are committed later"
        assert every_row(lake) == 6 * 3 + 1 + 5 * 2

    def test_what_is_stored_already_is_a_repeat_and_needs_no_commit(self, lake: DeltaLakeManager):
        lake.commit_all([batch(series, 0, 3) for series in ALL])
        before = version(lake)
        same = [Batch(series, rows(hours(0, 3), series), marks(0, 2), marks(0, 2)) for series in ALL]
        assert lake.commit_all(same) == [Committed(0, 0, 3)] * len(ALL)
        assert version(lake) == before
        mixed = lake.commit_all([*same[:3], *(batch(series, 3, 4) for series in ALL[3:])])
        assert [new(one) for one in mixed] == [0, 0, 0, 1, 1, 1]
        assert version(lake) == before + 1

    def test_marks_alone_go_with_rows_of_others(self, lake: DeltaLakeManager):
        lake.commit_all([batch(series, 0, 3) for series in ALL])
        lower = Batch(ALL[0], SCHEMA.empty_table(), marks(0, 2), marks(-5, 2))
        done = lake.commit_all([lower, batch(ALL[1], 3, 4)])
        assert (new(done[0]), new(done[1])) == (0, 1)
        assert (lake.marks(ALL[0]), lake.marks(ALL[1])) == (marks(-5, 2), marks(0, 3))

    def test_a_series_twice_is_refused_before_anything_is_written(self, lake: DeltaLakeManager):
        with pytest.raises(ValueError, match="twice"):
            lake.commit_all([batch(ALL[0], 0, 3), batch(ALL[0], 3, 5)])
        assert version(lake) == -1

    @pytest.mark.of_a_lake_folder("a file lies where a folder should be")
    def test_a_file_that_cannot_be_written_fails_its_series_alone(self, lake: DeltaLakeManager):
        lake.ensure_table("1h")
        table = Path(lake.table_uri(TABLE))
        part = table / "partition_date=2024-01-01"
        part.mkdir()
        (part / f"partition_asset_pair={ALL[1].asset_pair}").write_text("a file where a folder should be")
        done = lake.commit_all([batch(series, 0, 3) for series in ALL])
        assert isinstance(done[1], StorageError)
        assert "there is a file where a folder should be" in str(done[1])
        assert [new(one) for one in done] == [3, None, 3, 3, 3, 3]
        assert lake.marks(ALL[1]) == Watermarks()

    def test_a_stored_file_that_cannot_be_read_fails_its_series_alone(self, lake: DeltaLakeManager):
        lake.commit_all([batch(series, 0, 3) for series in ALL])
        for path in lake_path(lake, TABLE).rglob("part-*"):
            if path.parent.name == f"partition_asset_pair={ALL[3].asset_pair}":
                path.write_bytes(b"spoiled")
        done = lake.commit_all([batch(series, 2, 4, marks(0, 2)) for series in ALL])
        assert isinstance(done[3], StorageError)
        assert [new(one) for one in done] == [1, 1, 1, None, 1, 1]

    @pytest.mark.parametrize("landed", [True, False])
    def test_a_commit_of_unknown_outcome_doubles_nothing_and_loses_nothing(
        self, lake: DeltaLakeManager, monkeypatch: pytest.MonkeyPatch, landed: bool
    ):
        lake.commit_all([batch(series, 0, 3) for series in ALL])
        _fail_once(monkeypatch, CommitFailedError("no answer"), landed)
        done = lake.commit_all([batch(series, 3, 5) for series in ALL])
        if landed:
            assert all(isinstance(one, CommitConflict) for one in done), "to be planned again from where they stand"
        else:
            assert [new(one) for one in done] == [2] * len(ALL)
        assert all(bars(lake, series) == [0, 1, 2, 3, 4] for series in ALL)
        assert every_row(lake) == 5 * len(ALL)

    def test_gaps_whose_commit_landed_unheard_of_are_repeats(
        self, lake: DeltaLakeManager, monkeypatch: pytest.MonkeyPatch
    ):
        lake.commit_all([batch(series, 0, 3) for series in ALL])
        _fail_once(monkeypatch, CommitFailedError("no answer"), landed=True)
        held = marks(0, 2)
        done = lake.commit_all([Batch(series, rows(hours(-4, -2), series), held, held) for series in ALL])
        assert done == [Committed(0, 0, 2)] * len(ALL)
        assert every_row(lake) == 5 * len(ALL)

    def test_another_failure_is_told_to_each_and_its_files_stay(
        self, lake: DeltaLakeManager, monkeypatch: pytest.MonkeyPatch
    ):
        lake.ensure_table("1h")
        _fail_once(monkeypatch, DeltaError("the disk is full"), landed=False)
        done = lake.commit_all([batch(series, 0, 3) for series in ALL])
        assert [str(series) in str(one) for series, one in zip(ALL, done, strict=True)] == [True] * len(ALL)
        assert all(isinstance(one, StorageError) for one in done)
        assert len(list(lake_path(lake, TABLE).rglob("part-*.parquet"))) == len(ALL)

    def test_a_table_that_delta_rs_writes_gets_one_commit_too(self, lake: DeltaLakeManager):
        lake.ensure_table("1h").alter.add_constraint({"late": "timestamp > '2000-01-01T00:00:00Z'"})
        before = version(lake)
        plain = Batch(ALL[1], rows(hours(0, 3), ALL[1]).cast(SCHEMA), Watermarks(), marks(0, 2))
        done = lake.commit_all([batch(ALL[0], 0, 3), plain, batch(ALL[2], 0, 3)])
        assert [new(one) for one in done] == [3, 3, 3]
        assert version(lake) == before + 1
        assert all(bars(lake, series) == [0, 1, 2] for series in ALL[:3])

    def test_one_that_always_loses_is_told_so_in_the_end(self, lake: DeltaLakeManager, monkeypatch: pytest.MonkeyPatch):
        lake.ensure_table("1h")

        def never(*_: Any) -> None:
            raise CommitFailedError("busy")

        monkeypatch.setattr(data_files, "commit", never)
        done = lake.commit_all([batch(series, 0, 3) for series in ALL[:2]])
        assert all("less busy" in str(one) for one in done)

    def test_the_log_names_the_run_of_each(self, lake: DeltaLakeManager):
        one, other = (
            Batch(series, rows(hours(0, 1), series), Watermarks(), marks(0, 0), {"ingestion_id": id_, "run_id": run})
            for series, id_, run in ((ALL[0], "first", "7"), (ALL[1], "second", "8"))
        )
        lake.commit_all([one, other])
        table = lake.open(TABLE)
        assert table is not None
        origins = _named(table.history())
        assert {name: origin.run for name, origin in origins.items()} == {"first": 7, "second": 8}


def _fail_once(monkeypatch: pytest.MonkeyPatch, error: Exception, landed: bool) -> None:
    """The next commit is told to have failed, though it may have landed."""
    real, left = data_files.commit, [error]

    def failing(*arguments: Any) -> None:
        if left:
            if landed:
                real(*arguments)
            raise left.pop()
        real(*arguments)

    monkeypatch.setattr(data_files, "commit", failing)


def test_writers_of_overlapping_series_lose_and_double_nothing(tmp_path: Path):
    DeltaLakeManager(tmp_path).ensure_table("1h")
    problems: list[BaseException] = []

    def write() -> None:
        own = DeltaLakeManager(tmp_path)
        try:
            for _ in range(8):
                held = {series: own.marks(series) for series in ALL}
                own.commit_all([_next(series, held[series]) for series in ALL])
        except BaseException as error:
            problems.append(error)

    writers = [threading.Thread(target=write) for _ in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert problems == []
    after = DeltaLakeManager(tmp_path)
    for series in ALL:
        watermark = after.marks(series).watermark
        assert watermark is not None
        assert bars(after, series) == list(range((watermark - START) // HOUR + 1))
    assert every_row(after) == sum(len(bars(after, series)) for series in ALL)


def _next(series: Series, held: Watermarks) -> Batch:
    first = 0 if held.watermark is None else (held.watermark - START) // HOUR + 1
    return Batch(series, rows(hours(first, first + 1), series), held, marks(0, first))


Step = tuple[int, bool, int, str]
STEPS = st.lists(
    st.tuples(
        st.integers(1, 2 ** len(ALL[:4]) - 1), st.booleans(), st.integers(0, 3), st.sampled_from(["", "lost", "landed"])
    ),
    max_size=6,
)


@settings(max_examples=25, deadline=None)
@given(steps=STEPS)
def test_whatever_happens_each_bar_is_stored_once_and_marks_tell_the_truth(
    steps: list[Step], tmp_path_factory: pytest.TempPathFactory
):
    """Groups of series commit, some planned from marks that moved since, some told of a failure that was none."""
    lake, truth = DeltaLakeManager(tmp_path_factory.mktemp("lake")), dict.fromkeys(ALL[:4], 0)
    lake.ensure_table("1h")
    for chosen, moves, moved, failure in steps:
        group = [series for place, series in enumerate(ALL[:4]) if chosen >> place & 1]
        planned = [_next(series, lake.marks(series)) for series in group]
        if moves and ALL[moved] in group:
            DeltaLakeManager(lake.storage_path).commit_all([planned[group.index(ALL[moved])]])
            truth[ALL[moved]] += 1
        with pytest.MonkeyPatch.context() as patch:
            if failure:
                _fail_once(patch, CommitFailedError("no answer"), failure == "landed")
            done = lake.commit_all(planned)
        for series, outcome in zip(group, done, strict=True):
            overtaken = moves and series == ALL[moved]
            assert overtaken <= isinstance(outcome, CommitConflict)
            truth[series] += not overtaken
    for series, count in truth.items():
        assert bars(lake, series) == list(range(count))
        assert lake.marks(series) == (marks(0, count - 1) if count else Watermarks())
    assert every_row(lake) == sum(truth.values())


class TestHandle:
    def test_a_handle_does_not_move_by_its_own_commit(self, lake: DeltaLakeManager):
        """A kept handle that moved would let a rival's commit pass that lies between."""
        lake.commit_all([batch(series, 0, 3) for series in ALL])
        seen = lake.snapshot(TABLE)
        assert seen is not None
        lake.commit(ALL[0], rows(hours(3, 4), ALL[0]), marks(0, 2), marks(0, 3))
        assert seen.table.version() == seen.version

    def test_one_that_somebody_moved_is_not_used(self, lake: DeltaLakeManager):
        lake.commit_all([batch(series, 0, 3) for series in ALL])
        seen = lake.snapshot(TABLE)
        assert seen is not None
        held = seen.marks(ALL[0])
        rival = DeltaLakeManager(lake.storage_path)
        rival.commit(ALL[0], rows(hours(3, 4), ALL[0]), held, marks(0, 3))
        seen.table.update_incremental()
        with pytest.raises(CommitConflict):
            lake.commit(ALL[0], rows(hours(3, 4), ALL[0]), held, marks(0, 3))
        assert every_row(lake) == 3 * len(ALL) + 1


class TestTransactions:
    @pytest.fixture
    def grown(self, lake: DeltaLakeManager) -> DeltaLakeManager:
        for number in range(23):
            lake.commit_all([batch(series, number, number + 1) for series in ALL[: 1 + number % 6]][:1])
            lake.commit_all([_next(series, lake.marks(series)) for series in ALL[1:3]])
        return lake

    def told(self, table: DeltaTable) -> dict[str, int | None]:
        names = [name for series in ALL for name in (series.key, series.low_key)]
        return {name: at for name in names if (at := table.transaction_version(name)) is not None}

    def test_they_are_what_delta_rs_says_at_every_version(self, grown: DeltaLakeManager):
        kept = Transactions(grown.storage_options)
        for number in range(1, version(grown) + 1):
            table = DeltaTable(grown.table_uri(TABLE), number, grown.storage_options)
            found = kept.at(table)
            assert found is None or found == self.told(table)
        newest = DeltaTable(grown.table_uri(TABLE), storage_options=grown.storage_options)
        assert Transactions(grown.storage_options).at(newest) == self.told(table)

    @pytest.mark.parametrize(
        "spoil",
        [
            lambda log: [path.unlink() for path in log.glob("*.checkpoint.parquet")],
            lambda log: [path.write_bytes(b"spoiled") for path in log.glob("*.checkpoint.parquet")],
            lambda log: (log / "_last_checkpoint").write_text("{"),
            lambda log: sorted(log.glob("0*.json"))[-1].unlink(),
            lambda log: sorted(log.glob("0*.json"))[-1].write_text('{"txn": 1}\n'),
        ],
        ids=["no checkpoint", "spoiled checkpoint", "spoiled hint", "no commit", "odd commit"],
    )
    def test_where_the_log_cannot_be_read_so_it_is_left_to_delta_rs(
        self, grown: DeltaLakeManager, spoil: Callable[[Path | StoredPath], object]
    ):
        table = DeltaTable(grown.table_uri(TABLE), storage_options=grown.storage_options)
        spoil(log_path(grown, TABLE))
        assert Transactions(grown.storage_options).at(table) is None

    def test_a_kept_handle_whose_log_was_cleaned_up_is_opened_anew(self, grown: DeltaLakeManager):
        log, seen = log_path(grown, TABLE), grown.snapshot(TABLE)
        assert seen is not None
        held = {series: DeltaLakeManager(grown.storage_path).marks(series) for series in ALL}
        grown.ensure_table("1h").create_checkpoint()
        for path in [*log.glob("*.json"), *log.glob("*.checkpoint.parquet")]:
            if int(path.name[:20]) < seen.version:
                path.unlink()
        assert grown.marks(ALL[0]) == held[ALL[0]]
        assert [new(one) for one in grown.commit_all([_next(series, held[series]) for series in ALL])] == [1] * len(ALL)

    @pytest.mark.of_a_lake_folder("a folder is renamed")
    def test_a_table_made_anew_is_read_anew(self, tmp_path: Path):
        kept, before, now = Transactions(), DeltaLakeManager(tmp_path / "a"), DeltaLakeManager(tmp_path / "b")
        before.commit_all([batch(series, 0, 3) for series in ALL[:3]])
        now.commit_all([batch(series, 0, 3) for series in ALL[3:]])
        first = DeltaTable(before.table_uri(TABLE))
        assert kept.at(first) == self.told(first)
        (tmp_path / "a").rename(tmp_path / "old")
        (tmp_path / "b").rename(tmp_path / "a")
        second = DeltaTable(before.table_uri(TABLE))
        assert kept.at(second) == self.told(second)


def test_notes_of_another_tool_are_left_as_they_are():
    for odd in ("no json", json.dumps("text"), json.dumps(None)):
        assert commits.notes_of({commits.BATCHES: odd, "ingestion_id": "x"})[0]["ingestion_id"] == "x"
    assert commits.notes_of({commits.BATCHES: json.dumps([1, {"a": "b"}])}) == [{"a": "b"}]


def test_a_batch_without_rows_of_a_table_that_is_not_there_makes_it(lake: DeltaLakeManager):
    (done,) = lake.commit_all([Batch(ALL[0], SCHEMA.empty_table(), Watermarks(), marks(0, 2))])
    assert isinstance(done, Committed)
    assert done.version == 1
    assert isinstance(lake.read_table(TABLE).shape, tuple)
    assert pa.table({"x": [every_row(lake)]})["x"].to_pylist() == [0]
