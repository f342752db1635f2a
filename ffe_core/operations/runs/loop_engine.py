"""Engine of one process: what is worked off is a task of its event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from ffe_core.ingestion.batch_data_ingester import BatchDataIngester
from ffe_core.ingestion.multi_asset_batch_ingester import SERIES_AT_ONCE
from ffe_core.ingestion.series_result import SeriesResult
from ffe_core.ingestion.turns import Group
from ffe_core.operations.runs.engine import NEWS_SECONDS, News
from ffe_core.operations.runs.work import UnderWay, Work
from ffe_core.providers import provider_class
from ffe_core.providers.base import Provider
from ffe_core.settings import Settings

_LINGER_SECONDS = 0.25
"""How long what a scheduled run has fetched waits for other runs that were due with it."""


class LoopEngine:
    """Works in the event loop that its verbs are called in; commits are seen through in threads."""

    def __init__(self, ingester: BatchDataIngester) -> None:
        self.ingester = ingester
        self._under_way: dict[str, tuple[UnderWay, asyncio.Task[None]]] = {}
        self._cancelled: set[str] = set()
        self._turns: dict[tuple[str, bool], asyncio.Semaphore] = {}
        self._due: dict[str, Group] = {}
        self._shared_providers: dict[str, Provider] = {}

    def start(self, work: Work) -> None:
        """Begin a piece of work. CredentialsMissing if its provider needs some."""
        doing = work.job.begin(work, self)
        self._under_way[work.key] = doing, asyncio.create_task(doing.run())

    async def watch(self, key: str) -> AsyncIterator[News]:
        """What becomes of it, to its end."""
        doing, task = self._under_way[key]
        is_over = False
        while not is_over:
            await asyncio.wait([task], timeout=NEWS_SECONDS)
            is_over = task.done()  # asked first: it may end while the news is being written
            if news := News(doing.take()):
                yield news
        del self._under_way[key]
        self._cancelled.discard(key)
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error

    def cancel(self, key: str) -> None:
        """Cancel its task, once: a second time would cut off what the first lets come to its end."""
        if key in self._under_way and key not in self._cancelled:
            self._cancelled.add(key)
            self._under_way[key][1].cancel()

    async def stop(self) -> None:
        """Cancel all, and wait for it."""
        for key in list(self._under_way):
            self.cancel(key)
        if tasks := [task for _, task in self._under_way.values()]:
            await asyncio.wait(tasks)

    @property
    def settings(self) -> Settings:
        """The settings it works with."""
        return self.ingester.settings

    def done_so_far(self, key: str, number: int) -> SeriesResult | None:
        """The counts of one series of what is under way; None if it has not begun."""
        return self._under_way[key][0].done_so_far(number) if key in self._under_way else None

    def group(self, provider: str, priority: bool) -> Group:
        """What the series of new work belong to: a group of its own, or that of all work that goes first.

        At most so many series of a provider are under way at once; those that go first have turns of their own.
        """
        turns = self._turns.setdefault((provider, priority), asyncio.Semaphore(SERIES_AT_ONCE))
        return self._due.setdefault(provider, Group(turns, _LINGER_SECONDS)) if priority else Group(turns)

    def provider(self, name: str, priority: bool) -> Provider:
        """A provider of its own for long work; short work shares one, as each makes its own connections."""
        if priority and name in self._shared_providers:
            return self._shared_providers[name]
        made = provider_class(name)(config=self.settings)
        return self._shared_providers.setdefault(name, made) if priority else made
