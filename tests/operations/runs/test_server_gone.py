"""Does a run get over a PostgreSQL server that goes in its midst, or end as what it is, with nothing half done?"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ffe_core.operations.runs.service import RunService
from ffe_core.settings import Settings
from ffe_core.storage.state.database import Database
from tests.operations.harness import WAIT, Market, asked, done, kept, lines_of, states_of
from tests.operations.runs.test_service import held_up, poll
from tests.postgresql import Server, running

pytestmark = [pytest.mark.slow, pytest.mark.of_a_state_file("each has a server of its own")]


@pytest.fixture
def server() -> Iterator[Server]:
    with running() as server:
        yield server


@contextmanager
def opened(folder: Path, url: str, patience: float = 60) -> Iterator[RunService]:
    database = Database(url)
    service = RunService(Settings.load({"data_dir": str(folder), "lease_wait_seconds": patience}), database)
    try:
        yield service
    finally:
        service.close()
        database.close()


def test_it_waits_says_so_and_goes_on(
    tmp_path: Path, market: Market, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    with opened(tmp_path, server.database()) as service:
        run_id = held_up(service, market)
        server.stop()
        market.goes_on.set()
        poll(lambda: "It is waited for" in caplog.text, "the server to be missed")
        server.start()
        service.wait(run_id, WAIT)
        assert states_of(service, run_id) == ("complete", {"BTCUSD": "complete"})
        assert service.runs.series(run_id)[0].stored == 72
        assert any("cannot be reached" in line for line in lines_of(service, run_id))
    assert len(kept(tmp_path)) == len(set(kept(tmp_path))) == 72


def test_one_whose_console_ends_meanwhile_reads_interrupted_and_is_continued(
    tmp_path: Path, market: Market, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    url = server.database()
    with opened(tmp_path, url) as service:
        run_id = held_up(service, market)
        server.stop()
        market.goes_on.set()
        poll(lambda: "It is waited for" in caplog.text, "the server to be missed")
    server.start()
    with opened(tmp_path, url) as service:
        # Its process could not say that it ended: its row says so when its time is over.
        poll(lambda: service.adopt_dead_runs() == [run_id], "the process to count as dead")
        assert states_of(service, run_id) == ("interrupted", {"BTCUSD": "interrupted"})
        again = service.resume(run_id, "ann")
        service.wait(again, WAIT)
        assert states_of(service, again)[0] == "complete"
    assert len(kept(tmp_path)) == len(set(kept(tmp_path))) == 72


def test_one_whose_patience_ends_reads_interrupted(
    tmp_path: Path, market: Market, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ffe_core.operations.runs.service._PATIENCE_SECONDS", 0.2)
    with opened(tmp_path, server.database(), patience=0) as service:
        run_id = held_up(service, market)
        server.stop()
        market.goes_on.set()
        poll(lambda: service.unwritten(run_id) is not None or service.has_ended(run_id), "the run to give up")
        server.start()
        service.wait(run_id, WAIT)
        poll(lambda: service.unwritten(run_id) is None, "its end to be written down")
        assert states_of(service, run_id)[0] == "interrupted"
        done(service, asked())
    assert len(kept(tmp_path)) == len(set(kept(tmp_path))) == 72
