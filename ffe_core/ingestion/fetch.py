"""How pages are fetched: many at once, handed on in order, and an empty one asked for again before it is believed."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable
from contextlib import aclosing
from typing import Any

from ffe_core.providers.base import Fetched, Page

Fetch = Callable[[Page], Coroutine[Any, Any, Fetched]]
Answers = AsyncGenerator[tuple[Page, Fetched], None]


async def in_order(pages: Iterable[Page], fetch: Fetch, ahead: int) -> Answers:
    """Each page with its answer, in the given order, at most `ahead` under way: memory does not grow with the range."""
    under_way: deque[tuple[Page, asyncio.Task[Fetched]]] = deque()
    remaining = iter(pages)
    try:
        while True:
            while len(under_way) < ahead and (page := next(remaining, None)) is not None:
                under_way.append((page, asyncio.create_task(fetch(page))))
            if not under_way:
                return
            page, task = under_way[0]
            answer = await task
            under_way.popleft()
            yield page, answer
    finally:
        for _, task in under_way:
            task.cancel()
        await asyncio.gather(*(task for _, task in under_way), return_exceptions=True)


async def believed(
    pages: Iterable[Page], fetch: Fetch, ahead: int, expects: Callable[[Page], bool], *, confirm_empty: bool
) -> Answers:
    """Pages in order; one that is empty though bars are expected is asked for once more.

    With `confirm_empty` at once; otherwise when a later page has data, so that the quiet end of a range costs nothing.
    """
    doubtful: list[Page] = []
    async with aclosing(in_order(pages, fetch, ahead)) as answers:
        async for page, answer in answers:
            empty = not answer.records and answer.covers_from is None and expects(page)
            if empty and confirm_empty:
                answer = await fetch(page)
            elif empty:
                doubtful.append(page)
                continue
            if answer.records and doubtful:
                async with aclosing(in_order(doubtful, fetch, ahead)) as second:
                    async for earlier in second:
                        yield earlier
                doubtful = []
            yield page, answer
    for page in doubtful:
        yield page, Fetched()
