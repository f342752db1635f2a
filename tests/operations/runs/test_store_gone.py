"""Does a run get over an object store that goes in its midst, or end as what it is, with nothing half done?"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ffe_core.operations.runs.service import RunService
from ffe_core.series import Series
from ffe_core.settings import Settings
from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager
from ffe_core.storage.state.database import DATABASE_FILE, Database
from tests.object_store import SECRET, Proxy, Store
from tests.operations.harness import WAIT, Market, asked, done, lines_of, states_of
from tests.operations.runs.test_service import held_up, poll

pytestmark = [
    pytest.mark.slow,
    pytest.mark.of_a_state_file("each names its places itself"),
    pytest.mark.of_a_lake_folder("each names its places itself"),
]


@pytest.fixture
def settings(tmp_path: Path, object_store: Store, store_proxy: Proxy) -> Settings:
    return Settings.load({
        "data_dir": str(tmp_path), "lake_uri": object_store.address(), "store": object_store.settings(store_proxy.url)
    })  # fmt: skip


@contextmanager
def opened(settings: Settings, patience: float = 60) -> Iterator[RunService]:
    database = Database(settings.data_dir / DATABASE_FILE)
    service = RunService(settings.model_copy(update={"lease_wait_seconds": patience}), database)
    try:
        yield service
    finally:
        service.close()
        database.close()


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request is given up at once, not after the retries of a library."""
    monkeypatch.setitem(_bounds(), "max_retries", "0")


def _bounds() -> dict[str, str]:
    from ffe_core.storage.store_faults import BOUNDS

    return BOUNDS


def kept(settings: Settings) -> list[int]:
    """Opens of every stored row, a bar that is stored twice twice."""
    rows = DeltaLakeManager.of(settings).read_table("raw_market_data_1h")
    return sorted(int(at.timestamp()) for at in rows["timestamp"])


def test_it_waits_says_so_and_goes_on(
    settings: Settings, market: Market, store_proxy: Proxy, caplog: pytest.LogCaptureFixture
) -> None:
    with opened(settings) as service:
        run_id = held_up(service, market)
        store_proxy.is_gone = True
        market.goes_on.set()
        poll(lambda: "It is waited for" in caplog.text, "the store to be missed")
        store_proxy.is_gone = False
        service.wait(run_id, WAIT)
        assert states_of(service, run_id) == ("complete", {"BTCUSD": "complete"})
        assert SECRET not in caplog.text
    assert len(kept(settings)) == len(set(kept(settings))) == 72


def test_one_whose_console_ends_meanwhile_reads_interrupted_and_is_continued(
    settings: Settings, market: Market, store_proxy: Proxy, caplog: pytest.LogCaptureFixture
) -> None:
    with opened(settings) as service:
        run_id = held_up(service, market)
        store_proxy.is_gone = True
        market.goes_on.set()
        poll(lambda: "It is waited for" in caplog.text, "the store to be missed")
    store_proxy.is_gone = False
    with opened(settings) as service:
        assert states_of(service, run_id)[0] == "interrupted"
        again = service.resume(run_id, "ann")
        service.wait(again, WAIT)
        assert states_of(service, again)[0] == "complete"
    assert len(kept(settings)) == len(set(kept(settings))) == 72


def test_one_whose_patience_ends_reads_interrupted(
    settings: Settings, market: Market, store_proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ffe_core.operations.runs.service._PATIENCE_SECONDS", 0.2)
    with opened(settings, patience=0) as service:
        run_id = held_up(service, market)
        store_proxy.is_gone = True
        market.goes_on.set()
        service.wait(run_id, WAIT)
        state, series = states_of(service, run_id)
        assert (state, series) == ("interrupted", {"BTCUSD": "interrupted"})
        assert any("cannot be reached" in line for line in lines_of(service, run_id))
        store_proxy.is_gone = False
        done(service, asked())
    assert len(kept(settings)) == len(set(kept(settings))) == 72


@pytest.mark.parametrize("lost", ["_delta_log/0", ".parquet"])
def test_an_answer_that_was_lost_doubles_and_loses_nothing(
    settings: Settings, market: Market, store_proxy: Proxy, lost: str
) -> None:
    with opened(settings) as service:
        run_id = held_up(service, market)
        store_proxy.loses = lost
        market.goes_on.set()
        service.wait(run_id, WAIT)
        assert store_proxy.loses is None
        assert states_of(service, run_id)[0] == "complete"
    assert len(kept(settings)) == len(set(kept(settings))) == 72
    assert Series("BTCUSD", "1h", "coinbase") in DeltaLakeManager.of(settings).all_marks(["coinbase"])
