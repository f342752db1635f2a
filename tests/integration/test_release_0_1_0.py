"""Does a data directory that release 0.1.0 left open, show and run with today's code, with nothing lost?"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ffe_core import DeadLetterQueue, DeltaLakeManager, MultiAssetBatchIngester, WatermarkStore
from ffe_core.cli import main
from ffe_core.operations.console import ConsoleService
from ffe_core.operations.dead_letters.service import described
from ffe_core.series import Series
from ffe_core.storage.state.database import Database
from tests.storage.state.releases import expected, rows, unpacked

pytestmark = [
    pytest.mark.of_a_state_file("that release left one"),
    pytest.mark.of_a_lake_folder("that release left one"),
]
BTC = Series("BTCUSD", "1h", "coinbase")
TOLD = expected()
(KILLED,) = [run["id"] for run in TOLD["tables"]["runs"] if run["state"] == "running"]
_MAY_DIFFER = {"lag"}
"""How far behind a series is now, and fields that release 0.1.0 did not have."""


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FFE_DATA_DIR", str(tmp_path / "data"))
    return unpacked(tmp_path)


@pytest.fixture
def console(data: Path) -> Iterator[ConsoleService]:
    """The console over it, as the server opens it."""
    made = ConsoleService({"simulated": {"broken_records": 0}}).open()
    yield made
    made.drain()


def as_told(found: Any, told: Any) -> Any:
    """What was found, without what release 0.1.0 did not tell."""
    if isinstance(told, dict) and isinstance(found, dict):
        return {name: as_told(found.get(name), told[name]) for name in told if name not in _MAY_DIFFER}
    if isinstance(told, list) and isinstance(found, list):
        found = [row for row in found if not (isinstance(row, dict) and row.get("status") == "quarantined")]
        return [as_told(one, other) for one, other in zip(found, told, strict=True)]
    return found


def without(told: Any) -> Any:
    return as_told(told, told)


@pytest.fixture
def answer(data: Path, capsys: pytest.CaptureFixture[str]) -> Callable[[str], Any]:
    """What the command line prints."""

    def answered(verb: str) -> Any:
        assert main([*verb.split(), "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    return answered


class TestNothingIsLost:
    def test_of_the_database(self, data: Path):
        Database(data / "console.db").close()
        found = rows(data / "console.db")
        for table, told in TOLD["tables"].items():
            assert as_told(found[table], told) == told, table

    def test_of_a_run_whose_process_died(self, console: ConsoleService):
        """Nobody had noticed when the directory was left."""
        run = console.runs.get(KILLED)
        assert run is not None
        assert run.state == "interrupted"

    def test_of_what_the_verbs_say(self, console: ConsoleService):
        assert [one.name for one in console.watchlists.all()] == ["Ein Überblick", "Majors"]
        assert [(one.start, one.end, one.note) for one in console.acknowledged.of(BTC)] == [
            (row["start"], row["end"], row["note"]) for row in TOLD["tables"]["marked_holes"]
        ]
        acts = [(row.actor, row.verb, row.target, row.reason) for row in console.audit.find()]
        assert acts[::-1] == [
            (row["actor"], row["verb"], row["target"], row["reason"]) for row in TOLD["tables"]["audit"]
        ]
        assert [one.name for one in console.schedules.store.all()] == ["Every hour", "Majors at night", "Refused"]

    def test_of_the_dead_letters(self, data: Path):
        queue = DeadLetterQueue(data / "dlq")
        for batch_id, told in TOLD["dead_letters"].items():
            batch = queue.read(batch_id)
            found = [described(batch, record) for record in batch.records]
            assert as_told(found, told) == without(told)
        assert [item.name for item in queue.quarantined()] == ["half-written.json"]

    @pytest.mark.parametrize("verb", ["watermarks", "coverage", "dlq list", "schedules list"])
    def test_of_what_the_command_line_prints(self, answer: Callable[[str], Any], verb: str):
        told = TOLD[verb.partition(" ")[0]]
        assert as_told(answer(verb), told) == without(told)

    def test_of_the_watermarks_file(self, data: Path):
        store = WatermarkStore(data / "watermarks")
        assert store.get("SOLUSD", "1h") == "2024-01-03T00:00:00+00:00"
        assert store.get("BTCUSD", "1h", "coinbase") == "2024-01-04T18:00:00+00:00"


@pytest.mark.slow
class TestItRuns:
    def test_resume_goes_on_from_the_watermark(self, data: Path):
        lake = DeltaLakeManager(data / "lake")
        single = MultiAssetBatchIngester(lake, {"data_dir": str(data), "simulated": {"broken_records": 0}})
        day = ("2024-01-01", "2024-01-06")
        result = asyncio.run(single.ingest_all_assets(["ETHUSD"], ["1d"], *day, provider="simulated"))
        (series,) = result["results"]
        assert (series["status"], series["records"], series["stored"]) == ("success", 1, 6)

    def test_the_run_of_a_killed_process_is_continued(self, console: ConsoleService):
        run_id = console.run_service.resume(KILLED, "ann")
        console.run_service.wait(run_id, 60)
        run = console.runs.get(run_id)
        assert run is not None
        assert run.state == "complete"

    def test_a_dead_letter_that_was_edited_is_replayed_once(self, data: Path, answer: Callable[[str], Any]):
        (batch_id,) = [id_ for id_, told in TOLD["dead_letters"].items() if len(told) > 2]
        before = DeadLetterQueue(data / "dlq").read(batch_id).history
        answer(f"dlq mend {batch_id} --record 1 --set open=100 --set high=103 --set low=99 --set close=101")
        assert [answer(f"dlq replay {batch_id}#0 {batch_id}#1")["replayed"] for _ in range(2)] == [1, 0]
        batch = DeadLetterQueue(data / "dlq").read(batch_id)
        assert [record.status for record in batch.records[:2]] == ["replayed", "replayed"]
        assert batch.history[: len(before)] == before
        assert len(batch.history) > len(before)

    def test_schedules_go_on(self, console: ConsoleService):
        """What was due since 2024 was missed, the newest is caught up with; the one that paused itself rests."""
        by_name = {one.name: one for one in console.schedules.store.all()}
        assert by_name["Refused"].paused
        until(lambda: console.schedules.store.open_ticks() == [])
        ticks = console.schedules.store.last_ticks([one.id for one in by_name.values()], 5)
        # An instant may come while the former run still goes on: that one is told apart.
        [missed] = [tick for tick in ticks[by_name["Every hour"].id] if tick.outcome == "missed"]
        assert missed.count > 20_000
        caught_up = [tick.run_state for of_one in ticks.values() for tick in of_one if tick.outcome == "ran late"]
        assert set(caught_up) <= {"complete", "finished with gaps"}
        assert caught_up


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 90
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.1)
