"""Answers kept: the last ones to be worked out, each as long as nothing changes that it hangs on."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from typing import Any, Generic, Protocol, Self, TypeVar


class Grounds(Protocol):
    """What an answer hangs on besides the question."""

    def is_as(self, before: Self) -> bool:
        """Whether nothing has changed."""


On = TypeVar("On", bound=Grounds)
Answer = TypeVar("Answer")


class Answers(Generic[On, Answer]):
    """The last answers by their question. Safe to use from several threads."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: OrderedDict[Hashable, tuple[On, Answer]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, question: Hashable, grounds: On, work: Callable[[], Answer]) -> Answer:
        """The very same answer as before on the same grounds, else what `work` finds; what it raises is not kept."""
        with self._lock:
            kept = self._kept.get(question)
            if kept and grounds.is_as(kept[0]):
                self._kept.move_to_end(question)
                return kept[1]
        found = work()
        with self._lock:
            self._kept[question] = grounds, found
            self._kept.move_to_end(question)
            if len(self._kept) > self._most:
                self._kept.popitem(last=False)
        return found


def same(one: Sequence[Any], other: Sequence[Any]) -> bool:
    """Whether the two hold the very same objects."""
    return len(one) == len(other) and all(mine is its for mine, its in zip(one, other, strict=True))
