"""Does a run whose machine was lost count what that had stored and not told?"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

from ffe_core.ingestion.batch_data_ingester import BatchDataIngester
from ffe_core.operations.runs.backfill import BackfillRequest
from ffe_core.operations.runs.loop_engine import LoopEngine
from ffe_core.operations.runs.work import Columns, Work
from ffe_core.settings import Settings
from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager

_DAY = 86_400
_START = 1_704_067_200


def worked_off(folder: Path, work: Work) -> Columns:
    """The row of its first series in the end."""
    settings = Settings.load({"data_dir": str(folder), "simulated": {"fault_rate": 0.0}})
    engine, row = LoopEngine(BatchDataIngester(DeltaLakeManager.of(settings), settings)), Columns()

    async def run() -> None:
        engine.start(work)
        async for news in engine.watch(work.key):
            row.update(news.changes.get(0, {}))

    asyncio.run(run())
    return row


def asked(days: int) -> BackfillRequest:
    return BackfillRequest.of("simulated", ["BTCUSD"], ["1h"], _START, _START + days * _DAY)


def test_what_the_lost_machine_stored_and_did_not_tell_is_counted_in_the_end(tmp_path: Path) -> None:
    whole = Work.whole(7, "ann", asked(6))
    before = worked_off(tmp_path, replace(whole, job=asked(2)))["records"]
    after = worked_off(tmp_path, whole.share("7/2", [0], again=frozenset([0])))
    assert before > 0
    assert after["records"] == after["stored"] > before
    assert after["received"] == after["records"] + after["failed_records"] + after["repeats"]


def test_what_another_run_stored_is_not_counted(tmp_path: Path) -> None:
    before = worked_off(tmp_path, Work.whole(6, "ann", asked(2)))["records"]
    after = worked_off(tmp_path, Work.whole(7, "ann", asked(6)).share("7/2", [0], again=frozenset([0])))
    assert before > 0
    assert after["records"] == after["stored"] - before
