"""Work whose series are done one after the other, in threads, each failing alone: imports and checks."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from ffe_core.ingestion.series_result import SeriesResult
from ffe_core.operations.runs.series_work import ended
from ffe_core.operations.runs.work import Columns, Work
from ffe_core.series import Series
from ffe_core.storage.state import runs as run_states


class OneByOne:
    """Series one by one; what is shown of one may come from the thread that works on it."""

    def __init__(self, work: Work, one: Callable[[int, Series, OneByOne], Awaitable[Mapping[str, Any]]]) -> None:
        """`one` does a series and returns the columns of its row, `state` among them."""
        self._work, self._one = work, one
        self._changes: dict[int, Columns] = {}
        self._lock = threading.Lock()
        self._task: asyncio.Task[Any] | None = None

    async def run(self) -> None:
        """Do each; a failure is in its row, and the next begins."""
        self._task = asyncio.current_task()
        for number, series in self._work.series.items():
            self.show(number, state=run_states.RUNNING, started_at=time.time(), phase="waiting")
            columns = await ended(series, self._one(number, series, self))
            self.show(number, **columns, phase=None, ended_at=time.time())

    def take(self) -> dict[int, Columns]:
        """What has changed of the rows since the last time."""
        with self._lock:
            changes, self._changes = self._changes, {}
        return changes

    def done_so_far(self, number: int) -> SeriesResult | None:
        """Nothing: what is done is known where it lies, and not done again."""
        return None

    def show(self, number: int, **columns: Any) -> None:
        """Change columns of a row."""
        with self._lock:
            self._changes.setdefault(number, {}).update(columns)

    def is_stopped(self) -> bool:
        """Whether it was told to end: what works in a thread asks it between two steps."""
        return self._task is not None and self._task.cancelling() > 0
