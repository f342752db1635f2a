"""What becomes of work whose news cannot be written, or that is cancelled? It ends, and whoever asked learns why."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from ffe_core.errors import LeaseLost, StorageError, WorkersLost
from ffe_core.operations.runs.engine import News, worked_off
from ffe_core.operations.runs.work import Work


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
