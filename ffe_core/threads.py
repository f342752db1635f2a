"""Worker threads: work seen through to its end, and a step repeated until it is stopped."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from contextvars import copy_context
from functools import partial
from typing import ParamSpec, TypeVar

log = logging.getLogger(__name__)
Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
FEW = ThreadPoolExecutor(max(2, (os.cpu_count() or 1) // 2), thread_name_prefix="few")
"""Threads for the many small steps of many series, which wait for nothing but this machine.

They are mostly the interpreter's work, which more threads only take from each other: six did a tick of 50 series with
15,000 changes of thread. Whoever waits for others does so in the loop's own threads.
"""
Within = Callable[[], AbstractContextManager[bool]]
"""The context of a step, which says whether it may be taken now."""


async def run_to_completion(
    work: Callable[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs
) -> Result:
    """Do work in a thread and await its end, however often this task is cancelled meanwhile; then be cancelled, with
    what the work raised as the cause.

    A thread cannot be stopped: whoever holds a lease for it must hold it until it is done.
    """
    return await seen_through(in_thread(work, *args, **kwargs))


async def seen_through(done: asyncio.Future[Result]) -> Result:
    """As `run_to_completion`, of work that was begun."""
    cancelled: asyncio.CancelledError | None = None
    while not done.done():
        try:
            await asyncio.wait([done])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is None:
        return done.result()
    if failure := done.exception():
        log.warning("what was under way when the run was cancelled failed: %s", failure)
    raise cancelled from failure


def in_thread(
    work: Callable[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs
) -> asyncio.Future[Result]:
    """Work begun in a thread of the loop's own; whoever awaits it must not be cancelled with it."""
    return in_pool(None, work, *args, **kwargs)


def in_pool(
    pool: Executor | None, work: Callable[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs
) -> asyncio.Future[Result]:
    """As `in_thread`, in a thread of this pool."""
    # Not a task: a loop that is closed cancels every task, this one's and, where it were one, the work's.
    call = partial(copy_context().run, partial(work, *args, **kwargs))
    return asyncio.get_running_loop().run_in_executor(pool, call)


def _always() -> AbstractContextManager[bool]:
    return nullcontext(True)


class Worker:
    """A thread that repeats a step every `seconds`, or at once when it is woken, until it is stopped.

    The step handles its own failures: what it raises ends the thread.
    """

    def __init__(self, name: str, step: Callable[[], object], seconds: float) -> None:
        self._step, self._seconds = step, seconds
        self._within: Within = _always
        self._wake, self._stop = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._repeat, name=name, daemon=True)

    @property
    def is_running(self) -> bool:
        """Whether the thread has been started and has not ended."""
        return self._thread.is_alive()

    @property
    def is_stopped(self) -> bool:
        """Whether it was told to stop."""
        return self._stop.is_set()

    def start(self, within: Within | None = None) -> None:
        """Begin, with the first step at once, or take the next one now; nothing once it was stopped.

        Each step is taken `within` a context that says whether it may be.
        """
        self._within = within or self._within
        if self.is_running:
            self.wake()
        elif not self.is_stopped:
            self._thread.start()

    def wake(self) -> None:
        """Take the next step now."""
        self._wake.set()

    def end(self) -> None:
        """Take no further step; what is under way comes to its end. The step itself may call it."""
        self._stop.set()
        self._wake.set()

    def stop(self) -> None:
        """End, and wait for the step that is under way."""
        self.end()
        if self._thread.is_alive():
            self._thread.join()

    def _repeat(self) -> None:
        while not self._stop.is_set():
            with self._within() as may:
                if may:
                    self._step()
            self._wake.wait(self._seconds)
            self._wake.clear()
