"""Table committer: gathers the ready batches of series that are under way together into one commit of their table.

A batch of a series alone, a large one and one of a run that ends are committed at once, and whatever waits goes along.
A small batch waits for those of its group that are still under way, as long as one keeps coming within a second, and
ten seconds in all: as long as a chunk waits for its pages. Each series gets its own outcome.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

from ffe_core.errors import StorageError
from ffe_core.ingestion.turns import Group, Member
from ffe_core.storage.lake.commits import Batch, Outcome
from ffe_core.storage.lake.comparison import Committed
from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager
from ffe_core.storage.waiting import waits_on
from ffe_core.storage.watermark_store import WatermarkStore

QUIET_SECONDS = 1.0
LONGEST_SECONDS = 10.0
_SMALL_BYTES = 1 << 20
"""A larger batch is worth a commit of its own."""
_WAITING_BYTES = 32 << 20
"""So much waits at most; what comes then keeps its turn, so that no more is fetched before it is committed."""
_MOST_SERIES = 500
"""Of one commit: one that is refused is looked at again as a whole."""


@dataclass(slots=True, eq=False)
class Pending:
    """A batch on its way into the lake; `settled` goes into the readable copy of the watermarks with its marks."""

    batch: Batch
    settled: int | None
    member: Member | None
    outcome: asyncio.Future[Outcome]
    waits: bool
    bytes: int
    """Memory that its rows take."""
    _table: _TableCommitter
    patience: Callable[[float], bool] = field(default_factory=waits_on.get)
    """Whether its run waits on for a store that is gone."""
    not_copied: StorageError | None = None
    """Why the readable copy could not be written, though the batch was committed."""

    def hurry(self) -> None:
        """Wait for nobody any more."""
        self.waits = False
        self._table.look()


class Committer:
    """The one way of pipelines into a lake's tables, for any number of event loops."""

    def __init__(self, lake: DeltaLakeManager, watermarks: WatermarkStore) -> None:
        self._lake, self._watermarks = lake, watermarks
        self._loops: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, _TableCommitter]] = WeakKeyDictionary()

    def begin(self, batch: Batch, settled: int | None, member: Member | None, *, waits: bool) -> Pending:
        """Hand a batch over; its `outcome` comes whatever becomes of whoever waits for it.

        With `waits` it may be committed together with others of the member's group, and its turn is given back.
        """
        tables = self._loops.setdefault(asyncio.get_running_loop(), {})
        if batch.series.table not in tables:
            tables[batch.series.table] = _TableCommitter(self._lake, self._watermarks, batch.series.table)
        return tables[batch.series.table].begin(batch, settled, member, waits=waits)


class _TableCommitter:
    """One table in one event loop: at most one commit is under way, and a task works while a batch waits."""

    def __init__(self, lake: DeltaLakeManager, watermarks: WatermarkStore, table: str) -> None:
        self._lake, self._watermarks, self._name = lake, watermarks, table
        self._waiting: list[Pending] = []
        self._worker: asyncio.Task[None] | None = None
        self._changed: asyncio.Event | None = None  # only while somebody waits: it would keep a loop that has ended
        self._first = self._last = 0.0
        self._closing = False

    def look(self) -> None:
        """See whether it is time now."""
        if self._changed is not None:
            self._changed.set()

    def begin(self, batch: Batch, settled: int | None, member: Member | None, *, waits: bool) -> Pending:
        loop = asyncio.get_running_loop()
        pending = Pending(batch, settled, member, loop.create_future(), waits, int(batch.rows.nbytes), self)
        self._last = time.monotonic()
        self._first = self._first if self._waiting else self._last
        self._waiting.append(pending)
        fits = pending.bytes <= _SMALL_BYTES and self._bytes() <= _WAITING_BYTES
        pending.waits = waits and member is not None and fits
        if member is not None:
            member.group.on_change(self.look)
            if pending.waits:
                member.give_back_turn()
        self.look()
        if self._worker is None:
            self._begin_work()
        return pending

    def _begin_work(self) -> None:
        # In a context of its own: a commit of several runs logs for none of them.
        self._worker = asyncio.get_running_loop().create_task(self._work(), context=Context())
        self._worker.add_done_callback(self._worked)

    def _worked(self, task: asyncio.Task[None]) -> None:
        """Begin anew for what came last, also where a loop that ends cancelled the task before its first step."""
        self._worker = None
        self._closing = task.cancelled()
        if self._waiting:
            self._begin_work()

    def _bytes(self) -> int:
        return sum(pending.bytes for pending in self._waiting)

    # -- when

    def _wait(self) -> float:
        """Seconds that there is still to be waited for others; 0 or less where it is time."""
        full = self._bytes() > _WAITING_BYTES or len(self._waiting) >= _MOST_SERIES
        if full or self._closing or not all(pending.waits for pending in self._waiting):
            return 0.0
        groups = {pending.member.group for pending in self._waiting if pending.member is not None}
        complete = [group.linger for group in groups if self._is_complete(group)]
        quiet = min([QUIET_SECONDS, *complete])
        now = time.monotonic()
        return min(self._first + LONGEST_SECONDS, self._last + quiet) - now

    def _is_complete(self, group: Group) -> bool:
        here = sum(pending.member is not None and pending.member.group is group for pending in self._waiting)
        return here >= group.under_way(self._name)

    # -- the commits

    async def _work(self) -> None:
        self._changed = asyncio.Event()
        try:
            while self._waiting:
                await self._until_due(self._changed)
                await self._commit(self._taken())
        finally:
            self._changed = None

    async def _until_due(self, changed: asyncio.Event) -> None:
        while True:
            changed.clear()
            if (seconds := self._wait()) <= 0:
                return
            try:
                async with asyncio.timeout(seconds):
                    await changed.wait()
            except TimeoutError:
                continue
            except asyncio.CancelledError:  # the loop ends: what was handed over is still committed
                self._closing = True

    def _taken(self) -> list[Pending]:
        """Those of the next commit: of a series the first, and no more in all than may wait."""
        taken: dict[object, Pending] = {}
        size = 0
        for pending in self._waiting:
            fits = not taken or (size + pending.bytes <= _WAITING_BYTES and len(taken) < _MOST_SERIES)
            if fits and pending.batch.series not in taken:
                taken[pending.batch.series] = pending
                size += pending.bytes
        self._waiting = [pending for pending in self._waiting if taken.get(pending.batch.series) is not pending]
        self._first = self._last = time.monotonic()
        return list(taken.values())

    async def _commit(self, group: Sequence[Pending]) -> None:
        call = asyncio.get_running_loop().run_in_executor(None, copy_context().run, self._committed, group)
        while not call.done():
            try:
                await asyncio.wait([call])
            except asyncio.CancelledError:
                self._closing = True
        failure = call.exception()
        outcomes = call.result() if failure is None else [_told(failure)] * len(group)
        for pending, outcome in zip(group, outcomes, strict=True):
            if not pending.outcome.done():
                pending.outcome.set_result(outcome)

    def _committed(self, group: Sequence[Pending]) -> list[Outcome]:
        waits_on.set(lambda waited: any(pending.patience(waited) for pending in group))
        outcomes = self._lake.commit_all([pending.batch for pending in group])
        done = [pending for pending, outcome in zip(group, outcomes, strict=True) if isinstance(outcome, Committed)]
        self._copy([one for one in done if one.settled is not None or one.batch.after != one.batch.before])
        return outcomes

    def _copy(self, moved: Sequence[Pending]) -> None:
        """Write the readable copy of all at once; where that fails, each is told, as it is committed all the same."""
        try:
            if moved:
                self._watermarks.put_all({one.batch.series: (one.batch.after, one.settled) for one in moved})
        except StorageError as error:
            for one in moved:
                one.not_copied = error


def _told(failure: BaseException) -> Exception:
    return failure if isinstance(failure, Exception) else StorageError(f"the commit ended with {failure!r}")
