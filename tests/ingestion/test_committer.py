"""Are small batches of series under way together committed together, and nobody kept waiting for what does not come?"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ffe_core import BatchDataIngester, DeltaLakeManager, MultiAssetBatchIngester, times
from ffe_core.candles import SCHEMA
from ffe_core.errors import CommitConflict, StorageError
from ffe_core.ingestion import committer as committer_module
from ffe_core.ingestion.committer import Committer, Pending
from ffe_core.ingestion.series_result import SeriesResult
from ffe_core.ingestion.turns import Group, Member
from ffe_core.providers.base import Fetched, Page
from ffe_core.series import Series, Watermarks
from ffe_core.storage.lake.commits import Batch, Outcome
from ffe_core.storage.lake.comparison import Committed
from ffe_core.storage.watermark_store import WatermarkStore
from tests.ingestion.fakes import BTC, HOUR, START, FakeProvider, hours, ingester, records, run, stored
from tests.storage.lake.test_delta_lake_manager import marks, rows

PAIRS = [f"{coin}USD" for coin in "BTC ETH SOL ADA LTC XRP DOT UNI XLM BCH".split()]
ALL = [Series(pair, "1h", "coinbase") for pair in PAIRS]
DAY = ("2024-01-01", "2024-01-01")


class Paced(FakeProvider):
    """Answers each pair when it is let go; counts how many are asked for at once."""

    def __init__(self, bars: int = 24) -> None:
        super().__init__(records(hours(0, bars)), page_bars=100)
        self.held_back: dict[str, asyncio.Event] = {}
        self.at_once = self.most_at_once = 0

    async def fetch(self, pair: str, timeframe: str, page: Page) -> Fetched:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await asyncio.sleep(0.001)
            if pair in self.held_back:
                await self.held_back[pair].wait()
            return await super().fetch(pair, timeframe, page)
        finally:
            self.at_once -= 1


async def together(single: BatchDataIngester, provider: FakeProvider, series: Sequence[Series], bars: int = 24) -> Any:
    """The tasks of a group of these series, as a run has them: two turns for all."""
    members = Group(asyncio.Semaphore(2)).members(series)

    async def one(member: Member) -> SeriesResult:
        async with member:
            return await single.run_series(member.series, provider, START, START + bars * HOUR, member=member)

    return [asyncio.create_task(one(member)) for member in members]


def versions(folder: Path) -> int:
    table = DeltaLakeManager(folder / "lake").open(BTC.table)
    return -1 if table is None else table.version()


def kept(folder: Path, series: Series) -> int:
    return len(DeltaLakeManager(folder / "lake").stored_open_times(series, START, START + 1000 * HOUR))


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits for somebody who does not come waits longer than the test may last."""
    monkeypatch.setattr(committer_module, "QUIET_SECONDS", 900.0)
    monkeypatch.setattr(committer_module, "LONGEST_SECONDS", 900.0)


@pytest.mark.usefixtures("patient")
class TestTogether:
    async def test_many_short_series_are_one_commit(self, tmp_path: Path):
        single, provider = ingester(tmp_path), Paced()
        done = await asyncio.gather(*await together(single, provider, ALL))
        assert [one.counts.stored for one in done] == [24] * len(ALL)
        assert versions(tmp_path) == 1
        assert provider.most_at_once <= 2, "whoever waits has given its turn to another, and none to spare"
        for series in ALL:
            assert kept(tmp_path, series) == 24
            assert single.watermark_store.get(series.asset_pair, "1h", "coinbase") == times.iso(START + 23 * HOUR)

    async def test_the_public_ingester_of_many_does_so_too(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        many = MultiAssetBatchIngester(DeltaLakeManager(tmp_path / "lake"), {"data_dir": str(tmp_path)})

        async def provider(_: str) -> FakeProvider:
            return FakeProvider(records(hours(0, 24)))

        monkeypatch.setattr(many.ingester, "_get_data_provider", provider)
        result = await many.ingest_all_assets(PAIRS, ["1h"], *DAY, "coinbase")
        assert (result["total_records"], versions(tmp_path)) == (24 * len(PAIRS), 1)

    async def test_each_table_has_commits_of_its_own(self, tmp_path: Path):
        single, provider = ingester(tmp_path), FakeProvider(records(hours(0, 24)), page_bars=100)
        series = [Series(pair, frame, "coinbase") for pair in PAIRS[:3] for frame in ("1h", "4h")]
        done = await asyncio.gather(*await together(single, provider, series))
        assert all(one.counts.stored for one in done)
        assert versions(tmp_path) == 1
        four = DeltaLakeManager(tmp_path / "lake").open("raw_market_data_4h")
        assert four is not None
        assert four.version() == 1

    def test_a_series_alone_is_committed_at_once(self, tmp_path: Path):
        began = time.monotonic()
        assert run(tmp_path, FakeProvider(records(hours(0, 24))), START, START + 24 * HOUR).counts.stored == 24
        assert time.monotonic() - began < 60

    async def test_one_that_ends_without_a_commit_is_not_waited_for(self, tmp_path: Path):
        single, provider = ingester(tmp_path), Paced()
        await single.run_series(ALL[1], provider, START, START + 24 * HOUR)
        done = await asyncio.gather(*await together(single, provider, [*ALL[:3], Series("NOUSD", "1h", "coinbase")]))
        assert [one.counts.stored for one in done] == [24, 0, 24, 24]
        assert versions(tmp_path) == 2

    async def test_one_that_fails_is_not_waited_for(self, tmp_path: Path):
        single, provider = ingester(tmp_path), Paced()
        lease = single.stores.lease(ALL[2]).acquire()
        tasks = await together(
            BatchDataIngester(single.delta_mgr, {"data_dir": str(tmp_path), "lease_wait_seconds": 0}), provider, ALL[:4]
        )
        done = await asyncio.gather(*tasks, return_exceptions=True)
        lease.release()
        assert [getattr(one, "counts", None) and one.counts.stored for one in done] == [24, 24, None, 24]
        assert versions(tmp_path) == 1

    async def test_only_the_one_whose_guard_fails_plans_again(self, tmp_path: Path):
        single, provider, rival = ingester(tmp_path), Paced(), ingester(tmp_path)
        real, calls = single.delta_mgr.commit_all, list[Sequence[Batch]]()

        def raced(batches: Sequence[Batch]) -> list[Outcome]:
            calls.append(batches)
            if len(calls) == 1:
                batch = next(batch for batch in batches if batch.series == ALL[3])
                rival.delta_mgr.commit(ALL[3], batch.rows.slice(0, 10), Watermarks(), marks(0, 9))
            return real(batches)

        single.delta_mgr.commit_all = raced  # type: ignore[method-assign]
        done = await asyncio.gather(*await together(single, provider, ALL))
        assert [len(batches) for batches in calls] == [len(ALL), 1]
        assert [one.counts.stored for one in done] == [14 if series == ALL[3] else 24 for series in ALL]
        assert [len(provider.asked), stored(tmp_path).num_rows] == [len(ALL) + 1, 24 * len(ALL)]

    async def test_a_cancelled_one_is_committed_with_all_that_waits(self, tmp_path: Path):
        single, provider = ingester(tmp_path), Paced()
        provider.held_back["XRPUSD"] = asyncio.Event()
        tasks = await together(single, provider, ALL[:6])
        await _until(lambda: len(_waiting(single)) == 5)
        tasks[1].cancel()
        with pytest.raises(asyncio.CancelledError):
            await tasks[1]
        assert [kept(tmp_path, series) for series in ALL[:6]] == [24, 24, 24, 24, 24, 0]
        provider.held_back["XRPUSD"].set()
        done = await asyncio.gather(*tasks, return_exceptions=True)
        assert [getattr(one, "counts", None) and one.counts.stored for one in done] == [24, None, 24, 24, 24, 24]

    async def test_every_task_of_a_loop_that_ends_is_committed(self, tmp_path: Path):
        single, provider = ingester(tmp_path), Paced()
        provider.held_back["XRPUSD"] = asyncio.Event()
        tasks = await together(single, provider, ALL[:6])
        await _until(lambda: len(_waiting(single)) == 5)
        for other in asyncio.all_tasks() - {asyncio.current_task()}:
            other.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert [kept(tmp_path, series) for series in ALL[:6]] == [24, 24, 24, 24, 24, 0]

    async def test_a_task_cancelled_before_its_first_step_is_begun_anew(self, tmp_path: Path):
        committer = Committer(DeltaLakeManager(tmp_path / "lake"), WatermarkStore(tmp_path))
        (member,) = Group(asyncio.Semaphore(1)).members([BTC])
        before = asyncio.all_tasks()
        pending = committer.begin(Batch(BTC, rows(hours(0, 3)), Watermarks(), marks(0, 2)), None, member, waits=False)
        (worker,) = asyncio.all_tasks() - before
        worker.cancel()
        async with asyncio.timeout(60):
            assert await pending.outcome == Committed(3, 0, 0)
        assert kept(tmp_path, BTC) == 3

    async def test_a_large_batch_waits_for_nobody(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(committer_module, "_SMALL_BYTES", 0)
        single, provider = ingester(tmp_path), Paced()
        provider.held_back["XRPUSD"] = asyncio.Event()
        tasks = await together(single, provider, [ALL[5], *ALL[:3]])
        await asyncio.gather(*tasks[1:])
        provider.held_back["XRPUSD"].set()
        await tasks[0]
        assert stored(tmp_path).num_rows == 4 * 24

    async def test_no_more_waits_than_may(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        size = rows(hours(0, 24)).nbytes
        monkeypatch.setattr(committer_module, "_WAITING_BYTES", 3 * size)
        single, provider = ingester(tmp_path), Paced()
        real, most = single.delta_mgr.commit_all, 0

        def seen(batches: Sequence[Batch]) -> list[Outcome]:
            nonlocal most
            most = max(most, sum(batch.rows.nbytes for batch in batches))
            return real(batches)

        single.delta_mgr.commit_all = seen  # type: ignore[method-assign]
        done = await asyncio.gather(*await together(single, provider, ALL))
        assert [one.counts.stored for one in done] == [24] * len(ALL)
        assert 0 < most <= 3 * size
        assert versions(tmp_path) > 2

    async def test_a_copy_that_cannot_be_written_fails_those_it_is_of_and_counts(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        single, provider = ingester(tmp_path), Paced()
        real = single.watermark_store.put_all

        def full(held: Any) -> None:
            if len(held) > 1:
                raise StorageError("No space left on device")
            real(held)

        monkeypatch.setattr(single.watermark_store, "put_all", full)
        done = await asyncio.gather(*await together(single, provider, ALL[:3]))
        assert [(one.status, one.counts.stored) for one in done] == [("error", 24)] * 3

    async def test_a_commit_that_fails_as_a_whole_fails_each(self, tmp_path: Path):
        single, provider = ingester(tmp_path), Paced()

        def broken(_: Any) -> Any:
            raise StorageError("the lake cannot be reached")

        single.delta_mgr.commit_all = broken  # type: ignore[method-assign]
        done = await asyncio.gather(*await together(single, provider, ALL[:3]))
        assert [(one.status, one.counts.stored) for one in done] == [("error", 0)] * 3
        assert versions(tmp_path) == -1


class TestWaiting:
    async def one_is_late(self, tmp_path: Path) -> None:
        """Six series of a run, of which five end while the sixth is still held back."""
        single, provider = ingester(tmp_path), Paced()
        provider.held_back["XRPUSD"] = asyncio.Event()
        tasks = await together(single, provider, ALL[:6])
        await asyncio.gather(*(task for place, task in enumerate(tasks) if place != 5))
        provider.held_back["XRPUSD"].set()
        await tasks[5]
        assert stored(tmp_path).num_rows == 6 * 24

    async def test_those_that_keep_coming_are_waited_for_no_longer_than_a_chunk_is(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(committer_module, "LONGEST_SECONDS", 0.3)
        await self.one_is_late(tmp_path)

    async def test_one_that_takes_long_is_waited_for_a_moment(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(committer_module, "QUIET_SECONDS", 0.2)
        monkeypatch.setattr(committer_module, "LONGEST_SECONDS", 900.0)
        await self.one_is_late(tmp_path)

    @pytest.mark.usefixtures("patient")
    async def test_runs_that_are_due_together_wait_for_one_another_a_moment(self, tmp_path: Path):
        single, provider, group = ingester(tmp_path), Paced(), Group(asyncio.Semaphore(4), linger=0.5)

        async def scheduled(series: Series, after: float) -> None:
            await asyncio.sleep(after)
            (member,) = group.members([series])
            async with member:
                await single.run_series(series, provider, START, START + 24 * HOUR, member=member)

        await asyncio.gather(*(scheduled(series, place * 0.02) for place, series in enumerate(ALL[:5])))
        assert stored(tmp_path).num_rows == 5 * 24
        assert versions(tmp_path) < 5


def _waiting(single: BatchDataIngester) -> list[Pending]:
    tables = single._committer._loops.get(asyncio.get_running_loop(), {})
    return tables[BTC.table]._waiting if BTC.table in tables else []


async def _until(is_true: Any) -> None:
    async with asyncio.timeout(60):
        while not is_true():
            await asyncio.sleep(0.01)


class Recording:
    """In the place of a lake: what was committed together, and an outcome for each as it was told."""

    def __init__(self, outcomes: dict[Series, list[str]]) -> None:
        self.commits: list[list[Batch]] = []
        self._outcomes, self._lock = outcomes, threading.Lock()

    def commit_all(self, batches: Sequence[Batch]) -> list[Outcome]:
        assert self._lock.acquire(blocking=False), "two commits of one table at once"
        try:
            time.sleep(0.0005)
            self.commits.append(list(batches))
            return [self._outcome(batch) for batch in batches]
        finally:
            self._lock.release()

    def _outcome(self, batch: Batch) -> Outcome:
        told = self._outcomes[batch.series].pop(0) if self._outcomes.get(batch.series) else "fine"
        if told == "fine":
            return Committed(batch.rows.num_rows, 0, 0)
        return CommitConflict(str(batch.series)) if told == "moved" else StorageError(str(batch.series))


KINDS: dict[str, type] = {"fine": Committed, "moved": CommitConflict, "failed": StorageError}
ARRIVALS = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.sampled_from(["fine", "fine", "moved", "failed"]),
        st.booleans(),
        st.sampled_from(["", "", "cancelled", "leaves"]),
        st.integers(0, 3),
    ),
    min_size=1,
    max_size=16,
)


@settings(max_examples=60, deadline=None)
@given(arrivals=ARRIVALS, turns=st.integers(1, 4))
def test_every_batch_is_committed_once_and_told_its_own_outcome(
    arrivals: list[tuple[int, str, bool, str, int]], turns: int, tmp_path_factory: pytest.TempPathFactory
):
    """Batches of four series arrive in any order, wait or not, are cancelled or their group is left meanwhile."""
    told: dict[Series, list[str]] = {}
    for place, outcome, *_ in arrivals:
        told.setdefault(ALL[place], []).append(outcome)
    expected = {series: list(outcomes) for series, outcomes in told.items()}
    lake, found = Recording(told), dict[int, Outcome]()
    store = WatermarkStore(tmp_path_factory.mktemp("watermarks"))

    async def arrive(number: int, committer: Committer, member: Member) -> None:
        place, _, waits, then, after = arrivals[number]
        for _ in range(after):
            await asyncio.sleep(0)
        async with member:
            batch = Batch(ALL[place], SCHEMA.empty_table(), Watermarks(), marks(0, number))
            pending = committer.begin(batch, None, member, waits=waits)
            if then == "cancelled":
                pending.hurry()
            elif then == "leaves":
                member.leave()
            found[number] = await pending.outcome

    async def everything() -> None:
        committer, group = Committer(lake, store), Group(asyncio.Semaphore(turns))  # type: ignore[arg-type]
        members = group.members(ALL[place] for place, *_ in arrivals)
        async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
            for number, member in enumerate(members):
                tasks.create_task(arrive(number, committer, member))
        assert group.turns._value == turns, "every turn was given back once"

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(committer_module, "QUIET_SECONDS", 0.02)
        asyncio.run(everything())
    committed = [batch for batches in lake.commits for batch in batches]
    assert len(committed) == len(found) == len(arrivals)
    assert len({id(batch) for batch in committed}) == len(arrivals)
    for batches in lake.commits:
        assert len({batch.series for batch in batches}) == len(batches)
    for series, outcomes in expected.items():
        mine = [batch.after for batch in committed if batch.series == series]
        mine_told = sorted(type(found[number]).__name__ for number in found if ALL[arrivals[number][0]] == series)
        assert len(mine) == len(outcomes)
        assert mine_told == sorted(KINDS[outcome].__name__ for outcome in outcomes)
