"""What becomes of work whose news cannot be written, or that is cancelled? It ends, and whoever asked learns why."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from ffe_core.errors import LeaseLost, StorageError, WorkersLost
from ffe_core.operations.runs.cluster.engine import RayEngine
from ffe_core.operations.runs.engine import News, worked_off
from ffe_core.operations.runs.log import Line
from ffe_core.operations.runs.work import Work
from ffe_core.settings import Settings


class Endless:
    """An engine whose work ends only when it is cancelled."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.started, self.is_cancelled, self._failure = False, asyncio.Event(), failure
        self.told = 0

    def start(self, work: Work) -> None:
        self.started = True

    async def watch(self, key: str) -> AsyncIterator[News]:
        while not self.is_cancelled.is_set():
            self.told += 1
            yield News({0: {"records": self.told}})
            await asyncio.sleep(0)
        yield News({0: {"records": -1}})
        if self._failure is not None:
            raise self._failure

    def cancel(self, key: str) -> None:
        self.is_cancelled.set()

    async def stop(self) -> None:
        self.is_cancelled.set()


WORK: Any = type("Work", (), {"key": "7"})()


@pytest.mark.parametrize("failure", [StorageError("full"), LeaseLost("it stood still"), RuntimeError("unforeseen")])
async def test_news_that_cannot_be_written_end_the_work_and_are_told(failure: Exception) -> None:
    engine, written = Endless(), []

    async def write(news: News) -> None:
        written.append(news)
        if len(written) == 3:
            raise failure

    async with asyncio.timeout(10):
        with pytest.raises(type(failure)) as told:
            await worked_off(engine, WORK, write)
    assert told.value is failure
    assert engine.is_cancelled.is_set()
    assert len(written) == 3  # a second failure would take as long to find out as the first


@pytest.mark.parametrize("failure", [None, WorkersLost("its head is gone")])
async def test_what_is_cancelled_is_so_when_its_last_news_is_written(failure: Exception | None) -> None:
    engine, written = Endless(failure), []

    async def write(news: News) -> None:
        written.append(news.changes[0]["records"])

    work = asyncio.create_task(worked_off(engine, WORK, write))
    async with asyncio.timeout(10):
        while len(written) < 3:
            await asyncio.sleep(0)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
    assert written[-1] == -1


@pytest.mark.parametrize("failure", [None, WorkersLost("its head is gone")])
async def test_what_many_machines_tell_meanwhile_is_written_at_once_and_in_order(
    monkeypatch: pytest.MonkeyPatch, failure: WorkersLost | None
) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", "a-token-of-the-tests")
    engine = RayEngine(
        Settings.load({"database_url": "postgresql+psycopg://ffe@127.0.0.1:1/ffe", "ray_address": "h:1"})
    )
    queue = engine._watched["7"] = asyncio.Queue()
    watched = engine.watch("7")
    for number in range(50):
        queue.put_nowait(News({number % 2: {"records": number, "phase": None}}, [Line(number, "info", str(number))]))
    news = await anext(watched)
    assert news.changes == {0: {"records": 48, "phase": None}, 1: {"records": 49, "phase": None}}
    assert [line.text for line in news.lines] == [str(number) for number in range(50)]
    for last in (News({1: {"phase": "done"}}), failure, WorkersLost("said after the end")):
        queue.put_nowait(last)
    assert (await anext(watched)).changes == {1: {"phase": "done"}}
    with pytest.raises(StopAsyncIteration if failure is None else WorkersLost) as ended:
        await anext(watched)
    assert failure is None or ended.value is failure
    assert not engine._watched
