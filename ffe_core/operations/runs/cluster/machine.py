"""Machine of a cluster: the actor that works off portions of runs with the settings of its own machine.

Its methods never block: what waits for a disk or a server does so in a thread, or every other method would wait too.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace

from ffe_core.descriptors import raise_descriptor_limit
from ffe_core.errors import FFEError, InputError
from ffe_core.ingestion.batch_data_ingester import BatchDataIngester
from ffe_core.ingestion.series_result import SeriesResult
from ffe_core.operations.runs import log as run_log
from ffe_core.operations.runs.engine import News
from ffe_core.operations.runs.log import RunLines
from ffe_core.operations.runs.loop_engine import LoopEngine
from ffe_core.operations.runs.outcome import GONE
from ffe_core.operations.runs.work import Work
from ffe_core.redaction import log_redacted, redact
from ffe_core.settings import Settings
from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager
from ffe_core.storage.state.faults import LOCKED
from ffe_core.storage.state.opening import open_state
from ffe_core.storage.state.runs import RunStore
from ffe_core.storage.waiting import waits_on


@dataclass(frozen=True, slots=True)
class Cannot:
    """Why a machine cannot work on a portion; `passes` if it may be able to in a while, as a server or a store is
    gone."""

    why: str
    passes: bool = False

    @classmethod
    def of(cls, error: Exception) -> Cannot:
        """In words, free of secrets."""
        if isinstance(error, FFEError | InputError):
            return cls(redact(str(error)), error.code in (*GONE, LOCKED))
        return cls(redact(f"{type(error).__name__}: {error}"))


@dataclass(frozen=True, slots=True)
class Told:
    """What a machine answers when it is asked for news of a portion.

    `done` holds the counts of series that go on, for who takes them over should this machine be lost; `failure` is why
    the whole portion ended, None if it did not, or by itself.
    """

    news: News
    done: dict[int, SeriesResult] = field(default_factory=dict)
    is_over: bool = False
    failure: Cannot | None = None


class Machine:
    """Works off portions of the runs of one console, one machine's part of them. Made by Ray, one a machine."""

    def __init__(self) -> None:
        self._engine: LoopEngine | None = None
        self._runs: RunStore | None = None
        self._watched: dict[str, tuple[AsyncIterator[News], RunLines]] = {}

    async def open(self) -> str | None:
        """Open state and lake with the settings of this machine; why they cannot be, None if they are open."""
        try:
            await asyncio.to_thread(self._open)
        except Exception as error:
            return Cannot.of(error).why
        return None

    async def start(self, work: Work) -> Cannot | None:
        """Begin a portion; why this machine cannot, None if it has begun."""
        try:
            await asyncio.to_thread(self._check, work)
            lines = RunLines()
            run_log.current.set(lines)
            patience = max(self._opened.settings.lease_wait_seconds, work.lease_wait)
            waits_on.set(lambda waited: waited < patience)
            self._opened.start(work)
        except (FFEError, InputError) as error:
            return Cannot.of(error)
        self._watched[work.key] = self._opened.watch(work.key), lines
        return None

    async def news(self, key: str) -> Told:
        """What has changed of a portion since the last time; waits until something has, or it is over."""
        watched, lines = self._watched[key]
        try:
            news = await anext(watched)
            return Told(replace(news, lines=lines.take()), self._done(key, news))
        except StopAsyncIteration:
            failure = None
        except Exception as error:
            failure = Cannot.of(error)
        del self._watched[key]
        return Told(News(lines=lines.take()), is_over=True, failure=failure)

    async def cancel(self, key: str) -> None:
        """Have a portion end within one request; its last news tells it."""
        if self._engine is not None:
            self._engine.cancel(key)

    @property
    def _opened(self) -> LoopEngine:
        assert self._engine is not None, "open() comes first"
        return self._engine

    def _open(self) -> None:
        log_redacted()
        raise_descriptor_limit()
        run_log.collect()
        settings = Settings.load()
        settings.check_sections()
        if not settings.database_url:
            raise InputError("a worker shares the state of the console; name it", field="FFE_DATABASE_URL")
        database = open_state(settings)
        self._runs = RunStore(database)
        lake = DeltaLakeManager.of(settings)
        lake.require_fit()
        self._engine = LoopEngine(BatchDataIngester(lake, settings, database))

    def _check(self, work: Work) -> None:
        """InputError if this machine's state is not that of the console: its candles would go to another lake."""
        run = self._runs.get(work.run_id) if self._runs is not None else None
        if run is None or run.owner != work.owner:
            raise InputError(
                f"the state of this machine knows no such run {work.run_id}; name that of the console",
                field="FFE_DATABASE_URL",
            )

    def _done(self, key: str, news: News) -> dict[int, SeriesResult]:
        counted = {number: self._opened.done_so_far(key, number) for number in news.changes}
        return {n: replace(one, error=None, completeness=None) for n, one in counted.items() if one is not None}
