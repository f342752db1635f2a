"""Is what a cancelled run has fetched committed, each bar once, and nothing past what is missing?"""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from ffe_core.errors import StorageError
from ffe_core.ingestion import chunk as chunk_module
from ffe_core.providers.base import Fetched, Page
from ffe_core.series import Watermarks
from tests.ingestion.fakes import BTC, HOUR, START, FakeProvider, hours, ingester, open_times, records


class Stuck(FakeProvider):
    """Never answers the page that holds the open `at`; says when it is asked for it."""

    at = START + 35 * HOUR

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.is_asked = asyncio.Event()
        self.lets_go = asyncio.Event()

    async def fetch(self, pair: str, timeframe: str, page: Page) -> Fetched:
        if page.start <= self.at < page.end:
            self.is_asked.set()
            await self.lets_go.wait()
        return await super().fetch(pair, timeframe, page)


def hour(number: int) -> int:
    return START + number * HOUR


async def cancelled(task: asyncio.Task[Any]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_what_came_before_the_page_that_is_awaited_is_committed(tmp_path: Path):
    single, provider = ingester(tmp_path), Stuck(records(hours(0, 100)))
    task = asyncio.create_task(single.run_series(BTC, provider, hour(0), hour(100)))
    await provider.is_asked.wait()
    await asyncio.sleep(0.2)
    await cancelled(task)
    assert open_times(tmp_path) == list(hours(0, 30))
    assert single.delta_mgr.marks(BTC) == Watermarks(hour(29), hour(0))
    single.stores.lease(BTC).acquire().release()


async def test_history_that_came_is_committed_too(tmp_path: Path):
    single = ingester(tmp_path)
    await single.run_series(BTC, FakeProvider(records(hours(100, 110))), hour(100), hour(110))
    provider = Stuck(records(hours(0, 110)))
    task = asyncio.create_task(single.run_series(BTC, provider, hour(0), hour(110)))
    await provider.is_asked.wait()
    await asyncio.sleep(0.2)
    await cancelled(task)
    assert open_times(tmp_path) == list(hours(40, 110))
    assert single.delta_mgr.marks(BTC) == Watermarks(hour(109), hour(40))


@pytest.mark.parametrize("is_failing", [False, True])
async def test_pages_that_came_during_a_commit_are_committed_unless_it_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_failing: bool
):
    monkeypatch.setattr(chunk_module, "_VALIDATE_RECORDS", 1)
    monkeypatch.setattr(chunk_module, "_COMMIT_ROWS", 1)
    single, provider = ingester(tmp_path), FakeProvider(records(hours(0, 100)))
    commit, entered, go_on = single.delta_mgr.commit_all, threading.Event(), threading.Event()

    def slow(*arguments: Any) -> Any:
        entered.set()
        go_on.wait(20)
        if is_failing:
            raise StorageError("no space is left")
        return commit(*arguments)

    monkeypatch.setattr(single.delta_mgr, "commit_all", slow)
    task = asyncio.create_task(single.run_series(BTC, provider, hour(0), hour(100)))
    assert await asyncio.to_thread(entered.wait, 20)
    await asyncio.sleep(0.2)
    task.cancel()
    await asyncio.sleep(0)
    go_on.set()
    await cancelled(task)
    assert open_times(tmp_path) == ([] if is_failing else list(hours(0, 40)))
    assert len(provider.asked) == provider.max_in_flight


async def test_an_empty_page_that_was_not_asked_for_again_ends_what_is_committed(tmp_path: Path):
    single, provider = ingester(tmp_path), Stuck(records(hours(0, 100)))
    provider.empty_once = {hour(15)}
    provider.at = hour(25)
    task = asyncio.create_task(single.run_series(BTC, provider, hour(0), hour(100)))
    await provider.is_asked.wait()
    await asyncio.sleep(0.2)
    await cancelled(task)
    assert open_times(tmp_path) == list(hours(0, 10))
    again = await single.run_series(BTC, FakeProvider(records(hours(0, 100))), hour(0), hour(100))
    assert again.status == "success"
    assert open_times(tmp_path) == list(hours(0, 100))
