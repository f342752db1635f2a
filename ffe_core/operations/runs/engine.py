"""Engines: what works off the series of a run, behind four verbs: start, watch, cancel, stop.

The default is the event loop of this process (`loop_engine`); with workers on other machines it is a cluster
(`ffe_core.operations.runs.cluster`). Rows and logs of runs are written by whoever watches, never by an engine.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from ffe_core.errors import WorkersLost
from ffe_core.operations.runs.log import Line
from ffe_core.operations.runs.work import Columns, Work

NEWS_SECONDS = 0.5
"""How often an engine tells what has changed."""


@dataclass(frozen=True, slots=True)
class News:
    """What has changed since the last time: columns of the rows of series by their number in the run, and lines of its
    log from elsewhere; what this process logs of a run is among its lines at once."""

    changes: dict[int, Columns] = field(default_factory=dict)
    lines: list[Line] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.changes or self.lines)

    def add(self, later: News) -> None:
        """Take in what was told later: of a column the last counts."""
        for number, columns in later.changes.items():
            self.changes[number] = {**self.changes.get(number, {}), **columns}
        self.lines.extend(later.lines)


class Engine(Protocol):
    """Works off what it is given; each verb is called in one event loop, and none but `stop` waits for anything."""

    def start(self, work: Work) -> None:
        """Begin a piece of work."""

    def watch(self, key: str) -> AsyncIterator[News]:
        """What becomes of it, to its end; it is watched once. Raises what ended it, if it was not its own series:
        WorkersLost if there is nobody left who works, what a provider raises that cannot be opened."""

    def cancel(self, key: str) -> None:
        """Have it end within one request, with what is fetched committed; how it ends is watched. Nothing if it has."""

    async def stop(self) -> None:
        """Cancel all, and give up what the engine holds once that has ended. It starts nothing after."""


async def worked_off(engine: Engine, work: Work, write: Callable[[News], Awaitable[None]]) -> None:
    """Have an engine do the work, and write all its news. Cancelled, it is so when what cannot be cut off has ended.

    Raises as `Engine.watch`, and what `write` raises, which ends the work too, as nobody could see what becomes of it.
    """
    engine.start(work)
    watching = asyncio.create_task(_written(engine, work.key, write))
    try:
        await asyncio.shield(watching)
    except asyncio.CancelledError:
        engine.cancel(work.key)
        with suppress(WorkersLost):  # it ends as whoever cancelled it wants
            await watching
        raise


async def _written(engine: Engine, key: str, write: Callable[[News], Awaitable[None]]) -> None:
    failure: Exception | None = None
    async for news in engine.watch(key):
        try:
            if failure is None:
                await write(news)
        except Exception as error:  # whatever it is: what nobody watches must not go on
            failure = error
            engine.cancel(key)
    if failure is not None:
        raise failure
