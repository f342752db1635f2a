"""Turns of series that are under way together: so many at once, and who else is still to come.

A series takes a turn to plan, fetch and count; it gives the turn back while its small batch waits to be committed
together with those of others, so that these can come that far.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Self

from ffe_core.series import Series


class Group:
    """Series whose small batches wait for one another: those of one run, or of all scheduled runs of a provider.

    `linger` is how long (seconds) they wait though nobody else is known to come: of runs that are due together each
    starts by itself.
    """

    def __init__(self, turns: asyncio.Semaphore, linger: float = 0.0) -> None:
        self.turns, self.linger = turns, linger
        self._members: set[Member] = set()
        self._listeners: set[Callable[[], None]] = set()

    def members(self, series: Iterable[Series]) -> list[Member]:
        """Places for these series, which are from now on waited for. Each has to leave."""
        made = [Member(self, item) for item in series]
        self._members.update(made)
        return made

    def under_way(self, table: str) -> int:
        """How many of a table are still to come, or wait already."""
        return sum(member.series.table == table for member in self._members)

    def on_change(self, listener: Callable[[], None]) -> None:
        """Tell whenever a member leaves."""
        self._listeners.add(listener)

    def discard(self, member: Member) -> None:
        """A member that nobody needs to wait for any more."""
        if member in self._members:
            self._members.remove(member)
            for listener in self._listeners:
                listener()


class Member:
    """One series of a group: entered, it has a turn until it gives it back; left, nobody waits for it."""

    def __init__(self, group: Group, series: Series) -> None:
        self.group, self.series = group, series
        self._has_turn = False

    async def take_turn(self) -> None:
        """Wait for a turn, unless it has one."""
        if not self._has_turn:
            await self.group.turns.acquire()
            self._has_turn = True

    def give_back_turn(self) -> None:
        """Let another series have its turn."""
        if self._has_turn:
            self._has_turn = False
            self.group.turns.release()

    def leave(self) -> None:
        """Be waited for no more."""
        self.group.discard(self)

    async def __aenter__(self) -> Self:
        await self.take_turn()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.give_back_turn()
        self.leave()
