"""Page fetcher: fetches many at once, hands them on in order, and confirms an empty one by asking again."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable, Sequence
from contextlib import aclosing
from typing import Any

from ffe_core.providers.base import Fetched, Page
from ffe_core.validation import UNREADABLE, first_open_time, read_open_times

Fetch = Callable[[Page], Coroutine[Any, Any, Fetched]]
Answers = AsyncGenerator[tuple[Page, Fetched], None]


def _never() -> bool:
    return False


async def in_order(pages: Iterable[Page], fetch: Fetch, ahead: int, is_stopped: Callable[[], bool] = _never) -> Answers:
    """Each page with its answer, in the given order, at most `ahead` under way: memory does not grow with the range.

    Stopped, it asks for nothing more and hands on what has come.
    """
    under_way: deque[tuple[Page, asyncio.Task[Fetched]]] = deque()
    remaining = iter(pages)
    try:
        while True:
            while not is_stopped() and len(under_way) < ahead and (page := next(remaining, None)) is not None:
                under_way.append((page, asyncio.create_task(fetch(page))))
            if not under_way:
                return
            page, task = under_way[0]
            if is_stopped() and not task.done():
                return
            answer = await task
            under_way.popleft()
            yield page, answer
    finally:
        for _, task in under_way:
            task.cancel()
        await asyncio.gather(*(task for _, task in under_way), return_exceptions=True)


def is_empty(page: Page, answer: Fetched, *, whole_bodies: bool) -> bool:
    """Whether an answer says nothing of its page: no records, or only some that open outside of it.

    With `whole_bodies` they always may (`Provider.sends_whole_bodies`). A record whose time cannot be read says that
    something is there.
    """
    if answer.covers_from is not None:
        return False
    if whole_bodies or not answer.records:
        return not answer.records
    # Nearly always the first one tells, and there are as many pages as requests.
    return not _speak_of(page, [first_open_time(answer.records)]) and not _speak_of(
        page, read_open_times(answer.records).tolist()
    )


def _speak_of(page: Page, opens: Sequence[int]) -> bool:
    return any(at == UNREADABLE or page.start <= at < page.end for at in opens)


async def confirmed(
    pages: Iterable[Page],
    fetch: Fetch,
    ahead: int,
    is_unexpectedly_empty: Callable[[Page, Fetched], bool],
    *,
    confirm_empty: bool,
    is_stopped: Callable[[], bool] = _never,
) -> Answers:
    """Pages in order; one whose answer is empty though bars are expected is asked for once more.

    With `confirm_empty` at once; otherwise when a later page has data, so that the quiet end of a range costs nothing.
    One that was answered with records of other pages is asked for again at once too: it is no quiet end. Stopped, it
    asks for nothing more: what would have been asked for again ends the pages.
    """
    unconfirmed: list[Page] = []
    async with aclosing(in_order(pages, fetch, ahead, is_stopped)) as answers:
        async for page, answer in answers:
            empty = is_unexpectedly_empty(page, answer)
            if is_stopped() and (empty or unconfirmed):
                return
            if empty and (confirm_empty or answer.records):
                answer = _both(answer, await fetch(page))
            elif empty:
                unconfirmed.append(page)
                continue
            if answer.records and unconfirmed:
                async with aclosing(in_order(unconfirmed, fetch, ahead)) as second:
                    async for earlier in second:
                        yield earlier
                unconfirmed = []
            yield page, answer
    for page in [] if is_stopped() else unconfirmed:
        yield page, Fetched()


def _both(first: Fetched, second: Fetched) -> Fetched:
    """The second answer, and what only the first one held: every record is counted, one sent with both of them once."""
    held = set(map(repr, second.records))
    records = [*second.records, *(one for one in first.records if repr(one) not in held)]
    return Fetched(records, second.covers_from, first.closed if second.closed is None else second.closed)
