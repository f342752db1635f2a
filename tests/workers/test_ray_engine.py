"""Does the console's side of a cluster leave nothing behind when the process that drives it ends?"""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ffe_core.errors import WorkersLost
from ffe_core.operations.runs.backfill import BackfillRequest
from ffe_core.operations.runs.cluster import engine as module
from ffe_core.operations.runs.cluster.engine import RayEngine
from ffe_core.operations.runs.work import Work
from ffe_core.settings import Settings


def work(run_id: int) -> Work:
    return Work.whole(run_id, "me", BackfillRequest.of("simulated", ["BTCUSD"], ["1h"], "2024-01-01", "2024-01-02"))


class Child:
    """A child process that ends at once, and takes until `may_end` to be gone; `heard` is what was written to it."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.is_ending, self.may_end = asyncio.Event(), asyncio.Event()
        self.stdin = SimpleNamespace(write=self.heard.append, close=lambda: None)
        self.stdout = asyncio.StreamReader()
        self.stdout.feed_eof()

    async def wait(self) -> int:
        self.is_ending.set()
        await self.may_end.wait()
        return 1

    def kill(self) -> None:
        self.may_end.set()


def test_a_run_that_begins_while_the_child_ends_is_lost_and_not_begun_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "check_state", lambda settings: None)
    monkeypatch.setattr(module, "ray_environment", dict)
    children: list[Child] = []

    async def started(self: RayEngine, node: Path) -> Any:
        children.append(Child())
        return children[-1]

    monkeypatch.setattr(RayEngine, "_started", started)

    async def lost(engine: RayEngine, one: Work) -> None:
        with pytest.raises(WorkersLost):
            async for _ in engine.watch(one.key):
                pass

    async def scenario() -> None:
        engine = RayEngine(Settings.load({"data_dir": str(tmp_path), "ray_address": "head:6379"}))
        first, second, third = work(1), work(2), work(3)
        engine.start(first)
        while not children:
            await asyncio.sleep(0)
        await children[0].is_ending.wait()
        engine.start(second)
        children[0].may_end.set()
        await asyncio.gather(lost(engine, first), lost(engine, second))
        engine.start(third)
        while len(children) < 2:
            await asyncio.sleep(0)
        await children[1].is_ending.wait()
        children[1].may_end.set()
        await lost(engine, third)
        assert [len(child.heard) for child in children] == [1, 1]
        await engine.stop()

    asyncio.run(scenario())
