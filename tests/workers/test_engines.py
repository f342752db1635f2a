"""Do both engines do the same with the same four verbs, and does a cluster bear the loss of its parts?

The cluster is a real one: a head and two workers, each a process of its own, over one lake and one state in PostgreSQL.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyarrow.compute as pc
import pytest

from ffe_core.errors import WorkersLost
from ffe_core.files.plan import Target
from ffe_core.ingestion.batch_data_ingester import BatchDataIngester
from ffe_core.insight.coverage import Coverage
from ffe_core.operations.checks.job import CheckJob
from ffe_core.operations.coverage.job import CoverageJob
from ffe_core.operations.imports.job import ImportJob
from ffe_core.operations.imports.request import ImportRequest
from ffe_core.operations.imports.service import planned
from ffe_core.operations.runs.backfill import BackfillRequest
from ffe_core.operations.runs.cluster.engine import RayEngine
from ffe_core.operations.runs.engine import Engine
from ffe_core.operations.runs.loop_engine import LoopEngine
from ffe_core.operations.runs.service import RunService
from ffe_core.operations.runs.work import Job, Work
from ffe_core.operations.upkeep.job import ALL_PROVIDERS, UpkeepJob, rows_of
from ffe_core.operations.upkeep.tables import COMPACT, VACUUM
from ffe_core.rules.model import rule_of
from ffe_core.series import Series
from ffe_core.settings import Settings
from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager
from ffe_core.storage.lake.range_cache import RangeCache
from ffe_core.storage.lake.snapshot import Snapshot
from ffe_core.storage.leases import UpkeepLease
from ffe_core.storage.state.database import Database
from ffe_core.storage.state.findings import FindingStore
from ffe_core.storage.state.lock_rows import locks_in
from ffe_core.storage.state.opening import open_state
from ffe_core.storage.state.runs import UPKEEP, NewRun, RunStore
from tests.browser.driver import poll
from tests.files.making import candles, lines, ohlcv
from tests.ingestion.fakes import stored
from tests.postgresql import Server
from tests.workers.cluster import Cluster

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
WAIT = 240.0
"""Seconds; a worker joins in ten on a quiet machine, and takes several times that beside other work."""
OWNER = "the tests"
PACE = {"FFE_SIMULATED__REQUESTS_PER_SECOND": "8", "FFE_SIMULATED__LATENCY_SECONDS": "0.05"}
"""Slow enough for what is long to be met in its middle."""


class Place:
    """A data directory with its state in PostgreSQL."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.environment = {"FFE_DATA_DIR": str(folder), "FFE_DATABASE_URL": url, **PACE}
        self.database: Database = open_state(self.settings())
        self.runs = RunStore(self.database)

    def settings(self, **more: str) -> Settings:
        """Settings as a process with this place in its environment has them."""
        with pytest.MonkeyPatch.context() as patch:
            for name, value in {**self.environment, **more}.items():
                patch.setenv(name, value)
            return Settings.load()

    def work(self, job: Job, lease_wait: float = 0.0) -> Work:
        """A run of the job, written down, as work for an engine."""
        run = NewRun("backfill", "simulated", "resume", 0, 1, job.series, "ann", "test", OWNER)
        return Work.whole(self.runs.add(run), OWNER, job, lease_wait)

    def kept(self, pair: str, timeframe: str) -> list[int]:
        """Opens of every stored row of a series, a bar that is stored twice twice."""
        rows = stored(self.folder, Series(pair, timeframe, ""))
        return rows.filter(pc.equal(rows["asset_pair"], pair))["timestamp"].cast("int64").to_pylist()


class Hosted:
    """An engine in an event loop of its own; `rows` is what was told of each piece of work, `ended` how it ended."""

    def __init__(self, loop: asyncio.AbstractEventLoop, engine: Engine) -> None:
        self._loop, self.engine = loop, engine
        self.rows: dict[str, dict[int, dict[str, Any]]] = {}
        self.ended: dict[str, BaseException | None] = {}

    def start(self, work: Work) -> str:
        """Begin work, and watch it; its key."""
        asyncio.run_coroutine_threadsafe(self._start(work), self._loop).result(WAIT)
        return work.key

    def cancel(self, key: str) -> None:
        self._loop.call_soon_threadsafe(self.engine.cancel, key)

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self.engine.stop(), self._loop).result(WAIT)

    def wait(self, key: str) -> dict[int, dict[str, Any]]:
        """Its rows when it is over."""
        poll(lambda: key in self.ended, f"the end of {key}: {self.rows[key]}", WAIT)
        return self.rows[key]

    async def _start(self, work: Work) -> None:
        self.rows[work.key] = {}
        self.engine.start(work)
        self._watching = asyncio.create_task(self._watch(work.key))

    async def _watch(self, key: str) -> None:
        failure = None
        try:
            async for news in self.engine.watch(key):
                for number, columns in news.changes.items():
                    self.rows[key].setdefault(number, {}).update(columns)
        except Exception as error:
            failure = error
        self.ended[key] = failure


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, postgresql_server: Server, state_template: str) -> Iterator[Place]:
    made = Place(tmp_path_factory.mktemp("shared"), postgresql_server.database(state_template))
    yield made
    made.database.close()


@pytest.fixture(scope="module")
def cluster(place: Place) -> Iterator[Cluster]:
    """A head and the workers north and south."""
    made = Cluster({**place.environment, "RAY_gcs_rpc_server_reconnect_timeout_s": "4"})
    try:
        made.start_head()
        made.start_worker("north")
        made.start_worker("south")
        yield made
    finally:
        made.stop()
    # A node that lost its head asks for it for some seconds before it ends.
    poll(lambda: not made.left_over(), "every process of the cluster to end", WAIT)


@pytest.fixture(scope="module", params=["loop", "ray"])
def hosted(request: pytest.FixtureRequest, place: Place) -> Iterator[Hosted]:
    if request.param == "loop":
        settings = place.settings()
        engine: Engine = LoopEngine(BatchDataIngester(DeltaLakeManager.of(settings), settings, place.database))
    else:
        engine = ray_engine(place, request.getfixturevalue("cluster"))
    with in_a_loop(engine) as made:
        yield made


def ray_engine(place: Place, cluster: Cluster) -> RayEngine:
    """The engine of a console of this cluster."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in cluster.environment.items():
            patch.setenv(name, value)
        return RayEngine(place.settings(FFE_RAY_ADDRESS=cluster.address))


@contextmanager
def in_a_loop(engine: Engine) -> Iterator[Hosted]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    made = Hosted(loop, engine)
    try:
        yield made
    finally:
        made.stop()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def asked(*pairs: str, timeframes: tuple[str, ...] = ("1h",), end: str = "2024-01-10") -> BackfillRequest:
    return BackfillRequest.of("simulated", pairs, timeframes, "2024-01-01", end)


def upkeep_of(place: Place, *timeframes: str) -> UpkeepJob:
    tables = {row: share for one in timeframes for row, share in rows_of(one).items()}
    return UpkeepJob(tables, (COMPACT, VACUUM), 3, place.settings().upkeep)


def files_of(place: Place, pair: str, timeframe: str) -> int:
    snapshot = DeltaLakeManager.of(place.settings()).snapshot(f"raw_market_data_{timeframe}")
    return 0 if snapshot is None else len(snapshot.files(Series(pair, timeframe, "simulated")))


def new_pair() -> str:
    """The name of a pair that no other test has."""
    return f"T{uuid4().hex[:10].upper()}USD"


# -- the contract


def test_every_series_ends_with_its_counts_and_one_that_fails_fails_alone(hosted: Hosted, place: Place) -> None:
    pair, other = new_pair(), new_pair()
    rows = hosted.wait(hosted.start(place.work(asked(pair, "NOPEUSD", other, timeframes=("1h", "1d")))))
    assert {number for number, row in rows.items() if row["state"] == "failed"} == {2, 3}
    assert all(rows[number]["state"] == "complete" for number in (0, 1, 4, 5))
    assert all(row["ended_at"] is not None and row["started_at"] is not None for row in rows.values())
    assert rows[2]["error_code"] == "provider_refused"
    for number, frame in ((0, "1h"), (1, "1d")):
        kept = place.kept(pair, frame)
        assert rows[number]["records"] + rows[number]["failed_records"] == rows[number]["expected"]
        assert len(kept) == len(set(kept)) == rows[number]["records"] == rows[number]["result"]["records"]
    assert list(hosted.ended.values())[-1] is None


def test_files_are_imported_where_their_series_are_worked_off(hosted: Hosted, place: Place, tmp_path: Path) -> None:
    pairs, files = [new_pair() for _ in range(4)], {}
    for pair in pairs:
        path, target = tmp_path / f"{pair}.csv", Target.of(f"files:mine/{pair}/1h")
        rows = [f"{one.utc:%Y-%m-%d %H:%M},{ohlcv(one)}" for one in candles("1h")]
        path.write_bytes(lines(rows, "time,open,high,low,close,volume"))
        asked_for = ImportRequest((str(path),), target, answers={"zone": "UTC", "stamp": "open"})
        files |= planned(asked_for, place.settings()).files
    told = hosted.wait(hosted.start(place.work(ImportJob(files))))
    assert [told[number]["state"] for number in range(4)] == ["complete"] * 4
    for number, pair in enumerate(pairs):
        assert len(place.kept(pair, "1h")) == told[number]["records"] == len(candles("1h"))
        assert told[number]["result"]["files"][0]["file"].endswith(f"{pair}.csv")
    again = hosted.wait(hosted.start(place.work(ImportJob(files))))
    assert [again[number]["records"] for number in range(4)] == [0] * 4


def test_pairs_are_checked_by_the_rules_there_were_and_one_that_is_gone_fails_alone(
    hosted: Hosted, place: Place
) -> None:
    pair, other = new_pair(), new_pair()
    hosted.wait(hosted.start(place.work(asked(pair, other, end="2024-01-03"))))
    rule = rule_of(name="ends_at_once", holds="close < 0")
    told = hosted.wait(hosted.start(place.work(CheckJob((pair, "NOPEUSD", other), None, (rule,)))))
    assert [told[number]["state"] for number in range(3)] == ["complete", "failed", "complete"]
    assert "not stored any more" in told[1]["error"]
    found = FindingStore(place.database).find(kinds=["rule:ends_at_once"], states=["open"])
    assert {row.series.asset_pair for row in found} >= {pair, other}
    for number, name in ((0, pair), (2, other)):
        assert told[number]["result"]["bars"] == len(place.kept(name, "1h"))
        assert told[number]["result"]["new"] >= 1
    again = hosted.wait(hosted.start(place.work(CheckJob((pair,), None, (rule,)))))
    assert again[0]["result"]["new"] == 0
    hosted.wait(hosted.start(place.work(CheckJob((pair, other), None, ()))))  # no later test finds it


def test_what_is_counted_need_not_be_read_again_and_what_cannot_be_fails_alone(
    hosted: Hosted, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = tuple(new_pair() for _ in range(3))
    brought = hosted.wait(hosted.start(place.work(asked(*pairs, timeframes=("15m",), end="2024-01-03"))))
    series = tuple(Series(pair, "15m", "simulated") for pair in pairs)
    [torn] = (place.folder / "lake").glob(f"raw_market_data_15m/*/partition_asset_pair={pairs[1]}/*.parquet")
    whole = torn.read_bytes()
    torn.write_bytes(whole[:-20])
    try:
        told = hosted.wait(hosted.start(place.work(CoverageJob(series))))
    finally:
        torn.write_bytes(whole)
    assert (told[1]["state"], told[1]["error_code"]) == ("failed", "storage_failed")
    read: list[str] = []
    monkeypatch.setattr(Snapshot, "read_file", lambda *asked: read.append(asked[1]))
    stores = BatchDataIngester(DeltaLakeManager.of(place.settings()), place.settings(), place.database).stores
    here = Coverage(stores, RangeCache(place.database)).of([series[0], series[2]])
    assert read == []
    for number, found in ((0, here[0]), (2, here[1])):
        assert told[number]["state"] == ("finished with gaps" if found.counts.unexplained else "complete")
        assert told[number]["stored"] == found.counts.stored == brought[number]["records"]
        assert told[number]["expected"] == found.counts.expected == told[number]["result"]["expected"]


def test_tables_are_kept_up_by_one_at_a_time(hosted: Hosted, place: Place) -> None:
    pair, table = new_pair(), "raw_market_data_4h"
    for end in ("2024-01-03", "2024-01-05", "2024-01-07"):
        hosted.wait(hosted.start(place.work(asked(pair, timeframes=("4h",), end=end))))
    before, count = place.kept(pair, "4h"), files_of(place, pair, "4h")
    with UpkeepLease(locks_in(place.database), table, "somebody").acquire():
        refused = hosted.wait(hosted.start(place.work(upkeep_of(place, "4h"))))
        assert (refused[0]["state"], refused[0]["error_code"]) == ("failed", "upkeep_held")
        waits = hosted.start(place.work(upkeep_of(place, "4h"), lease_wait=WAIT))
        poll(lambda: hosted.rows[waits].get(0, {}).get("state") == "running", "it to wait", WAIT)
    done = hosted.wait(waits)[0]
    assert (done["state"], done["result"]["table"], done["phase"]) == ("complete", table, None)
    assert done["pages_done"] == done["pages_planned"] > 0
    assert done["result"]["files_before"] - done["result"]["files_after"] >= count - 1
    assert count > files_of(place, pair, "4h") == 1
    assert sorted(place.kept(pair, "4h")) == sorted(before)


def test_a_series_that_another_holds_says_so(hosted: Hosted, place: Place) -> None:
    pair = new_pair()
    stores = BatchDataIngester(DeltaLakeManager.of(place.settings()), place.settings(), place.database).stores
    with stores.lease(Series(pair, "1h", "simulated"), "99").acquire():
        rows = hosted.wait(hosted.start(place.work(asked(pair))))
    assert (rows[0]["state"], rows[0]["error_code"]) == ("failed", "series_held")


def test_what_is_cancelled_ends_within_a_request_and_goes_on_where_it_was(hosted: Hosted, place: Place) -> None:
    long = asked(new_pair(), timeframes=("1m",), end="2024-03-31")
    key = hosted.start(place.work(long))
    poll(lambda: hosted.rows[key].get(0, {}).get("pages_done", 0) >= 3, "some pages", WAIT)
    began = time.monotonic()
    hosted.cancel(key)
    hosted.cancel(key)
    row = hosted.wait(key)[0]
    assert time.monotonic() - began < 20  # the commit in flight, beside whatever else this machine does
    assert hosted.ended[key] is None
    assert row["state"] == "running"
    assert row["pages_done"] < row["pages_planned"]
    before = len(place.kept(long.series[0].asset_pair, "1m"))
    rest = hosted.wait(hosted.start(place.work(long)))[0]
    kept = place.kept(long.series[0].asset_pair, "1m")
    assert rest["state"] == "complete"
    assert len(kept) == len(set(kept)) == before + rest["records"]
    hosted.cancel(key)  # of what is over: nothing


def test_stopping_ends_all_that_is_under_way(hosted: Hosted, place: Place) -> None:
    """The last test of the contract: an engine that was stopped starts nothing."""
    long = place.work(asked(*(new_pair() for _ in range(6)), timeframes=("1m",), end="2024-03-31"))
    key = hosted.start(long)
    poll(lambda: any(row.get("pages_done") for row in hosted.rows[key].values()), "some pages", WAIT)
    hosted.stop()
    assert hosted.wait(key)
    assert any(row.get("ended_at") is None for row in hosted.rows[key].values())
    for series in long.job.series:
        kept = place.kept(series.asset_pair, "1m")
        assert len(kept) == len(set(kept))


# -- what only a cluster can lose


def test_a_cluster_that_loses_a_worker_and_then_its_head(cluster: Cluster, place: Place) -> None:
    """One test, as a cluster takes long to start."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**cluster.environment, "FFE_RAY_ADDRESS": cluster.address}.items():
            patch.setenv(name, value)
        service = RunService(Settings.load(), place.database)
    try:
        loses_a_worker(service, cluster, place)
        loses_its_head(service, cluster, place)
    finally:
        service.close()


def small_run(service: RunService) -> int:
    """The number of a run that has ended, with as many series as two machines share out."""
    run_id = service.start(asked(*(new_pair() for _ in range(4))), "ann")
    service.wait(run_id, WAIT)
    return run_id


def machines_of(service: RunService, run_id: int) -> set[str | None]:
    return {row.machine for row in service.runs.series(run_id)}


def loses_a_worker(service: RunService, cluster: Cluster, place: Place) -> None:
    """Its series and its table go to another machine, and end once each."""
    both = {"north", "south"}
    until = time.monotonic() + WAIT
    while machines_of(service, run_id := small_run(service)) != both:
        said = [line.text for line in service.runs.lines(run_id)] + [cluster.said(name)[-2000:] for name in both]
        assert time.monotonic() < until, said
    pairs = [new_pair() for _ in range(12)]
    run_id = service.start(asked(*pairs, timeframes=("1m",), end="2024-01-31"), "ann")
    with ExitStack() as held:
        upkeep = kept_waiting(service, place, held)
        poll(lambda: machines_of(service, upkeep) == both, "a table on each", WAIT)
        poll(lambda: {row.machine for row in service.runs.series(run_id) if row.pages_done} == both, "series", WAIT)
        cluster.kill("south")
        poll(lambda: machines_of(service, upkeep) == {"north", None}, "a table to wait for the other", WAIT)
    service.wait(upkeep, WAIT)
    assert [(row.state, row.machine) for row in service.runs.series(upkeep)] == [("complete", "north")] * 2
    said = [line.text for line in service.runs.lines(upkeep)]
    assert sum(text.startswith("north: raw_market_data_1h: ") for text in said) == 1, said
    assert sum(text.startswith("north: raw_market_data_1d: ") for text in said) == 1, said
    service.wait(run_id, WAIT)
    rows = service.runs.series(run_id)
    run = service.runs.get(run_id)
    said = [line.text for line in service.runs.lines(run_id)]
    assert run is not None
    assert (run.state, {row.state for row in rows}) == ("complete", {"complete"}), said
    assert any(text.startswith("south: it is lost") for text in said), said
    assert sum(row.machine == "north" for row in rows) >= len(rows) / 2
    for row in rows:
        kept = place.kept(row.asset_pair, "1m")
        assert len(kept) == len(set(kept)) == row.stored
        assert sum(f"{row.asset_pair} 1m from simulated: " in text and "stored" in text for text in said) == 1
    assert not any("gone" in text for text in said)


def kept_waiting(service: RunService, place: Place, held: ExitStack) -> int:
    """A run of upkeep of two tables, each of which waits for a lease as long as they are `held`; its number."""
    job = upkeep_of(place, "1h", "1d")
    for row in job.series:
        held.enter_context(UpkeepLease(service.locks, row.table, "somebody").acquire())
    run = NewRun(UPKEEP, ALL_PROVIDERS, "", 0, 0, job.series, "ann", "test", "")
    return service.submit(run, service.by_engine(job, lease_wait=WAIT))


def loses_its_head(service: RunService, cluster: Cluster, place: Place) -> None:
    """The run ends as interrupted, the console goes on, and so does the run once there is a head again."""
    pairs = [new_pair() for _ in range(3)]
    run_id = service.start(asked(*pairs, timeframes=("1m",), end="2024-03-31"), "ann")
    poll(lambda: any(row.pages_done for row in service.runs.series(run_id)), "some pages", WAIT)
    cluster.kill("head")
    service.wait(run_id, WAIT)
    run = service.runs.get(run_id)
    assert run is not None
    assert (run.state, run.error_code) == ("interrupted", WorkersLost.code), run.error
    cluster.kill("north")
    cluster.start_head()
    cluster.start_worker("west")
    again = service.resume(run_id, "ann")
    service.wait(again, WAIT)
    assert {row.state for row in service.runs.series(again)} == {"complete"}
    assert machines_of(service, again) == {"west"}
    for pair in pairs:
        kept = place.kept(pair, "1m")
        assert len(kept) == len(set(kept))
