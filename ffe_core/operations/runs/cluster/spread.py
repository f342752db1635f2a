"""Spread of a run's series over machines: portions of one table each, large ones first.

A table has as few writers as may be, since each machine gathers small batches of a table into one commit. Portions
shrink as the work does (guided self-scheduling: Polychronopoulos and Kuck, 1987), so that all machines end together.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Mapping
from hashlib import blake2b

from ffe_core.series import Series


class Spread:
    """The series of a run, by their numbers, that no machine works on.

    A machine works on so many `at_once`. `whole` keeps a table on one machine.
    """

    def __init__(self, series: Mapping[int, Series], *, at_once: int, whole: bool = False) -> None:
        self._table = {number: one.timeframe for number, one in series.items()}  # a table each
        self._waiting: dict[str, deque[int]] = {}
        self._machine_of: dict[int, str] = {}
        self._at_once, self._whole = at_once, whole
        self.give_back(series)

    @property
    def waiting(self) -> int:
        """How many series wait for a machine."""
        return sum(map(len, self._waiting.values()))

    def take(self, machine: str, machines: Collection[str]) -> list[int]:
        """The next portion for a machine, one of `machines`; empty if there is none for it."""
        tables = [table for table, numbers in self._waiting.items() if numbers]
        if self._whole:
            tables = [table for table in tables if home(table, machines) == machine]
        if not tables:
            return []
        table = max(tables, key=lambda one: self._liking(one, machine, machines))
        numbers = self._waiting[table]
        taken = [numbers.popleft() for _ in range(self._portion(len(numbers), len(machines)))]
        self._machine_of.update(dict.fromkeys(taken, machine))
        return taken

    def give_back(self, numbers: Iterable[int]) -> None:
        """Let series wait again, before those that nobody has begun."""
        for number in sorted(numbers, reverse=True):
            self._machine_of.pop(number, None)
            self._waiting.setdefault(self._table[number], deque()).appendleft(number)

    def end(self, number: int) -> None:
        """A series that has ended."""
        self._machine_of.pop(number, None)

    def clear(self) -> None:
        """Nothing waits any more."""
        self._waiting.clear()

    def _portion(self, waiting: int, machines: int) -> int:
        if self._whole:
            return waiting
        share = -(-waiting // machines)
        return max(min(self._at_once, share), -(-waiting // (2 * machines)))

    def _liking(self, table: str, machine: str, machines: Collection[str]) -> tuple[bool, bool, bool, int]:
        """What is at hand first, then what nobody has, then what is at home there, then the most."""
        workers = {self._machine_of[number] for number in self._machine_of if self._table[number] == table}
        return machine in workers, not workers, home(table, machines) == machine, len(self._waiting[table])


def home(table: str, machines: Collection[str]) -> str:
    """The machine that a table belongs to, the same for each run; few move when one comes or goes (rendezvous hashing:
    Thaler and Ravishankar, 1998)."""
    return max(machines, key=lambda machine: blake2b(f"{table}\0{machine}".encode(), digest_size=8).digest())
