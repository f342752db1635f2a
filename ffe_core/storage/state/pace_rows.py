"""Paces as rows of a state on a server: one rate for the requests of all machines to a provider.

The same algorithm as in a file (generic cell rate, ITU-T I.371), on the server's clock: a statement reserves the next
slots, and each is one instant that is never handed out again. Several are reserved at once, as many as a tenth of a
second has, so that a server is asked ten times a second at most; under ten requests a second they are reserved one by
one. A process turns an instant of the server into one of its monotonic clock by the round trip that took least. Who
wakes too late for a slot gives it up: used late it would fall together with others'. The step between slots is as much
wider than the rate asks as lateness is allowed, so no second has more requests than the rate and two in a hundred.

A hold-back (after a 429) is in the row and read with each reservation: others hear of it within a tenth of a second, or
before their next request. The row also counts the requests of a day, where a key has only so many.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from ffe_core.errors import DatabaseError, QuotaError
from ffe_core.providers.rate import MakePacer
from ffe_core.storage.state.database import Database, metadata
from ffe_core.storage.state.faults import passes
from ffe_core.storage.state.lock_rows import RowLocks, locks_in
from ffe_core.storage.waiting import waits_on
from ffe_core.times import DAY

log = logging.getLogger(__name__)
LATE_SECONDS = 0.03
"""Who wakes so much later than its slot gives it up."""
_BATCH_SECONDS = 0.1
_ONE_BY_ONE = 10.0
"""Requests a second below which slots are reserved one by one."""
_LOOK_SECONDS = 0.1
"""So long before a slot that was waited for, a hold-back is looked for once more."""
_AHEAD = 0.005
_MOST_AHEAD = 1.0
"""Seconds from now in which the first slot lies at least: so long, at first and at most, the answer takes to arrive."""
_SAMPLES = 20
_ROUNDING = 0.005
"""By so much an instant of the server may move here as its clock is learned better."""
_AGAIN_SECONDS = 0.5
_LONGEST_RESERVATION = 600.0
_NOW = "CAST(extract(epoch FROM clock_timestamp()) AS float8)"

pace = sa.Table(
    "pace",
    metadata,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("free_at", sa.Float, nullable=False),
    sa.Column("held_until", sa.Float, nullable=False),
    sa.Column("written_at", sa.Float, nullable=False),
    sa.Column("day", sa.Integer, nullable=False),
    sa.Column("used", sa.Integer, nullable=False),
)
_MAKE = sa.text("INSERT INTO pace VALUES (:name, 0, 0, 0, 0, 0) ON CONFLICT DO NOTHING")
_SET_BACK = "CASE WHEN written_at > clock.at + 1 THEN written_at - clock.at ELSE 0 END"
"""Seconds by which the server's clock was set back, or another server's is behind the one that failed."""
_RESERVE = sa.text(
    "WITH mine AS MATERIALIZED (SELECT * FROM pace WHERE name = :name FOR UPDATE),"
    # The clock is read once the row is ours.
    f" clock AS MATERIALIZED (SELECT {_NOW} AS at FROM mine),"
    f" told AS (SELECT clock.at, least(held_until - {_SET_BACK}, clock.at + :far) AS held_until,"
    f"  least(free_at - {_SET_BACK}, clock.at + :far + 100 * :step) AS free_at,"
    "  CAST(floor(clock.at / 86400) AS integer) AS today,"
    "  CASE WHEN day = floor(clock.at / 86400) THEN greatest(used - :returned, 0) ELSE 0 END AS used"
    "  FROM mine, clock),"
    " taken AS (SELECT *, greatest(free_at, held_until, at + :ahead) AS first,"
    "  CASE WHEN used + :count <= :per_day THEN :count ELSE 0 END AS number FROM told)"
    " UPDATE pace SET"
    "  free_at = CASE WHEN number > 0 THEN first + number * CAST(:step AS float8) ELSE taken.free_at END,"
    "  held_until = taken.held_until, written_at = at, day = today, used = taken.used + number"
    " FROM taken WHERE name = :name RETURNING first, number, taken.held_until AS held_until, at"
)
_HOLD = sa.text(
    f"UPDATE pace SET held_until = greatest(held_until, {_NOW} + :seconds), written_at = {_NOW} WHERE name = :name"
)
_LOOK = sa.text(f"SELECT held_until, {_NOW} AS at FROM pace WHERE name = :name")


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is reserved: `count` slots, the first `ahead` seconds from now or later; `returned` were not used."""

    count: int
    ahead: float
    returned: int


class RowPace:
    """Reserves request slots `1 / rate` seconds apart among all who share the row; for any thread and event loop."""

    def __init__(self, locks: RowLocks, name: str, rate: float, per_day: int | None = None) -> None:
        self.rate = rate
        self._locks, self._name, self._per_day = locks, name, per_day
        self.step = step_of(rate)
        self._count = max(1, int(rate * _BATCH_SECONDS)) if rate >= _ONE_BY_ONE and per_day is None else 1
        self._slots: deque[float] = deque()
        self._held_until = 0.0
        self._spent_until = 0.0
        self._ahead, self._returned, self._is_made = _AHEAD, 0, False
        self._clock = _ServerClock()
        self._lock = threading.Lock()
        self._asking = ThreadPoolExecutor(1, thread_name_prefix="pace")  # in order: a hold-back before what follows it

    async def wait(self) -> None:
        """Return when this request may go out. DatabaseError if the server cannot be asked and is not waited for,
        QuotaError if the day has no request left."""
        while True:
            slot = await self._next()
            if slot - time.monotonic() > 2 * _LOOK_SECONDS and self._count == 1:
                await asyncio.sleep(slot - time.monotonic() - _LOOK_SECONDS)
                await self._asked(self._look)
            if (delay := slot - time.monotonic()) > 0:
                await asyncio.sleep(delay)
            if time.monotonic() - slot <= LATE_SECONDS and self._held_until <= slot + _ROUNDING:
                return
            self._returned += 1

    def hold_back(self, seconds: float) -> None:
        """Let nothing out for `seconds`, not even who has a slot already; others are told by a thread."""
        self._held_until = max(self._held_until, time.monotonic() + seconds)
        self._asking.submit(self._hold, seconds)

    async def _next(self) -> float:
        """The next slot in hand that is not over, or else of a new batch."""
        while True:
            with self._lock:
                while self._slots:
                    slot = self._slots.popleft()
                    if slot >= time.monotonic() - LATE_SECONDS and slot + _ROUNDING >= self._held_until:
                        return slot
                    self._returned += 1
            await self._asked(self._reserve)

    async def _asked(self, work: Callable[[], None]) -> None:
        """Ask the server; one that is gone is waited for as long as whoever asks wants to."""
        began = time.monotonic()
        while True:
            try:
                call = copy_context().run
                await asyncio.get_running_loop().run_in_executor(self._asking, call, work)
                return
            except DatabaseError as error:
                if not passes(error) or not waits_on.get()(time.monotonic() - began):
                    raise
            await asyncio.sleep(_AGAIN_SECONDS)

    # -- in the thread

    def _reserve(self) -> None:
        if self._slots:
            return  # somebody else has asked meanwhile
        self._refuse_if_spent()
        asked = _Asked(self._count, self._ahead, self._returned)
        began = time.monotonic()
        row = self._reserved(asked)
        took = time.monotonic() - began
        self._returned -= asked.returned
        self._held_until = max(self._held_until, self._clock.here(row.held_until))
        if row.number == 0:
            self._spent_until = self._clock.here((row.at // DAY + 1) * DAY)
            self._refuse_if_spent()
        first = self._clock.here(row.first)
        late = first < time.monotonic()
        self._ahead = min(_MOST_AHEAD, max(2 * self._ahead, took)) if late else max(_AHEAD, 0.9 * self._ahead)
        with self._lock:
            self._slots.extend(first + number * self.step for number in range(row.number))

    def _reserved(self, asked: _Asked) -> sa.Row[Any]:
        values = {"name": self._name, "step": self.step, "count": asked.count, "ahead": asked.ahead}
        values |= {"returned": asked.returned, "per_day": self._per_day or 2**31 - 1, "far": _LONGEST_RESERVATION}
        with self._locks.asking() as connection:
            if not self._is_made:
                connection.execute(_MAKE, {"name": self._name})
            began = time.monotonic()
            row = connection.execute(_RESERVE, values).one()
            self._clock.saw(row.at, began, time.monotonic())
        self._is_made = True
        return row

    def _look(self) -> None:
        with self._locks.asking() as connection:
            row = connection.execute(_LOOK, {"name": self._name}).one()
        self._held_until = max(self._held_until, self._clock.here(row.held_until))

    def _hold(self, seconds: float) -> None:
        try:
            with self._locks.asking() as connection:
                connection.execute(_MAKE, {"name": self._name})
                connection.execute(_HOLD, {"name": self._name, "seconds": seconds})
        except DatabaseError as error:
            log.warning("a hold-back of %g s holds for this process alone: %s", seconds, error)

    def _refuse_if_spent(self) -> None:
        if time.monotonic() < self._spent_until:
            provider = self._name.rpartition("-")[0]
            raise QuotaError(
                f"{provider}: the {self._per_day} requests of today (UTC) are used up by all machines together; run it"
                f" again tomorrow, or set FFE_{provider.upper()}__REQUESTS_PER_DAY to what the key really has"
            )


def paces_in(database: Database) -> MakePacer:
    """What makes the paces of an open state on a server: one for each provider and rate."""
    made: dict[tuple[str, float, int | None], RowPace] = {}
    making = threading.Lock()

    def make(name: str, rate: float, per_day: int | None) -> RowPace:
        with making:
            if (name, rate, per_day) not in made:
                made[name, rate, per_day] = RowPace(locks_in(database), name, rate, per_day)
            return made[name, rate, per_day]

    return make


class _ServerClock:
    """The server's clock against the monotonic one, by the round trip that took least of the last ones."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, float]] = deque(maxlen=_SAMPLES)

    def saw(self, at: float, began: float, ended: float) -> None:
        """Learn that the server's clock showed `at` between two instants of the monotonic one."""
        took, ahead = ended - began, at - (began + ended) / 2
        known = self._best()
        if known is not None and abs(ahead - known[1]) > (took + known[0]) / 2 + LATE_SECONDS:
            self._samples.clear()  # one of the clocks was set, or another server answers
        self._samples.append((took, ahead))

    def here(self, at: float) -> float:
        """An instant of the server's clock as one of the monotonic clock."""
        known = self._best()
        return at - (known[1] if known else 0.0)

    def _best(self) -> tuple[float, float] | None:
        return min(self._samples, default=None)


def step_of(rate: float) -> float:
    """Seconds between slots: so much wider than `1 / rate` that slots used late stay within it (decision 39)."""
    return (1.05 if rate < 50 else 1.03) / rate
