"""Schedules, ticks and notices in the database: what is due, what became of it, and who has to be told.

Three tables. A schedule knows up to which instant it is accounted for; that moves only together with the rows that
account for it, in one transaction guarded by compare-and-swap, so no due instant is ever told twice or forgotten. A
tick is one due instant, or one unbroken row of them that came to the same (missed, paused). A notice is a message.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import sqlalchemy as sa

from ffe_core.errors import InputError
from ffe_core.storage.rows import columns_of, portions, read_rows
from ffe_core.storage.state.database import ID, Database, metadata

FIRING, WAITING, RAN, LATE = "firing", "waiting", "ran", "ran late"
SKIPPED, MISSED, PAUSED = "skipped", "missed", "paused"
OUTCOMES = (FIRING, WAITING, RAN, LATE, SKIPPED, MISSED, PAUSED)
"""What became of a due instant; the first two are on their way to one of the others."""
DUE, MANUAL = "due", "by hand"
"""Why there was a tick: its trigger was due, or somebody pressed a button."""
PENDING, DELIVERED, GIVEN_UP, SHOWN = "pending", "delivered", "given up", "shown here only"
"""What became of a notice; the last when no webhook is set."""

schedules = sa.Table(
    "schedules",
    metadata,
    sa.Column("id", ID, primary_key=True),
    sa.Column("name", sa.String, nullable=False),
    sa.Column("watchlist", sa.String),
    sa.Column("provider", sa.String, nullable=False),
    sa.Column("pairs", sa.JSON, nullable=False),
    sa.Column("timeframes", sa.JSON, nullable=False),
    sa.Column("mode", sa.String, nullable=False),
    sa.Column("trigger", sa.String, nullable=False),
    sa.Column("since", sa.String, nullable=False),
    sa.Column("zone", sa.String, nullable=False),
    sa.Column("overlap", sa.String, nullable=False),
    sa.Column("catch_up", sa.String, nullable=False),
    sa.Column("priority", sa.Boolean, nullable=False),
    sa.Column("pause_after", sa.Integer, nullable=False),
    sa.Column("failures", sa.Integer, nullable=False, server_default="0"),
    sa.Column("paused_at", sa.Float),
    sa.Column("paused_by", sa.String),
    sa.Column("paused_reason", sa.String),
    sa.Column("accounted_until", sa.BigInteger, nullable=False),
    sa.Column("next_due", sa.BigInteger, index=True),
    sa.Column("version", sa.Integer, nullable=False, server_default="1"),
    sa.Column("actor", sa.String, nullable=False),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("deleted_at", sa.Float),
    sa.Column("deleted_by", sa.String),
)
_kept = schedules.c.deleted_at.is_(None)
# As text: an index with a condition would have to name every kind of database, and load its support.
_BY_NAME = "CREATE UNIQUE INDEX schedules_by_name ON schedules (name) WHERE deleted_at IS NULL"
sa.event.listen(schedules, "after_create", sa.DDL(_BY_NAME))  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it untyped

ticks = sa.Table(
    "fires",
    metadata,
    sa.Column("id", ID, primary_key=True),
    sa.Column("schedule_id", sa.ForeignKey("schedules.id"), nullable=False),
    sa.Column("kind", sa.String, nullable=False, server_default=DUE),
    sa.Column("due", sa.BigInteger, nullable=False),
    sa.Column("until", sa.BigInteger, nullable=False),
    sa.Column("count", sa.Integer, nullable=False, server_default="1"),
    sa.Column("outcome", sa.String, nullable=False),
    sa.Column("at", sa.Float, nullable=False),
    sa.Column("late", sa.Float),
    sa.Column("fills_from", sa.BigInteger),
    sa.Column("run_id", ID),
    sa.Column("run_state", sa.String),
    sa.Column("filled_by", ID),
    sa.Column("actor", sa.String),
    sa.Column("note", sa.String),
    sa.UniqueConstraint("schedule_id", "kind", "due", name="each_due_instant_once"),
    sa.Index("fires_by_outcome", "outcome", "run_state"),
    sa.Index("fires_by_schedule", "schedule_id", "due"),
)
"""`due` to `until` are the first and last of `count` due instants; `run_state` is how the run ended, null until it
has; `fills_from` is the first missed instant that the tick stands in for; `filled_by` the run that filled a miss."""
NO_MISSED = 2**62
"""`fills_from` of a tick that left series out: it stands in for no missed one, even if it goes on from a watermark."""

notices = sa.Table(
    "notices",
    metadata,
    sa.Column("id", ID, primary_key=True),
    sa.Column("at", sa.Float, nullable=False),
    sa.Column("event", sa.String, nullable=False),
    sa.Column("text", sa.String, nullable=False),
    sa.Column("details", sa.JSON, nullable=False),
    sa.Column("state", sa.String, nullable=False, index=True),
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    sa.Column("next_at", sa.Float),
    sa.Column("error", sa.String),
)


@dataclass(frozen=True, slots=True)
class Schedule:
    """One schedule. `accounted_until` and `next_due` in epoch seconds; `failures` counts those in a row."""

    id: int
    name: str
    watchlist: str | None
    provider: str
    pairs: tuple[str, ...]
    timeframes: tuple[str, ...]
    mode: str
    trigger: str
    since: str
    zone: str
    overlap: str
    catch_up: str
    priority: bool
    pause_after: int
    failures: int
    paused_at: float | None
    paused_by: str | None
    paused_reason: str | None
    accounted_until: int
    next_due: int | None
    version: int
    actor: str
    created_at: float

    @property
    def paused(self) -> bool:
        """Whether it rests; `paused_by` and `paused_reason` say why."""
        return self.paused_at is not None

    @property
    def source(self) -> str:
        """What its runs name as where they came from."""
        return f"schedule:{self.id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTick:
    """A tick about to be written down; `due` to `until` are the first and last of `count` due instants, and `at` is
    when it was written, all in epoch seconds; `late` in seconds."""

    schedule_id: int
    kind: str = DUE
    due: int
    until: int
    count: int = 1
    outcome: str
    at: float
    late: float | None = None
    fills_from: int | None = None
    run_id: int | None = None
    run_state: str | None = None
    filled_by: int | None = None
    actor: str | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick(NewTick):
    """A tick on record."""

    id: int


@dataclass(frozen=True, slots=True)
class Notice:
    """A message of the scheduler; times in epoch seconds, `error` why its last try failed."""

    id: int
    at: float
    event: str
    text: str
    details: Mapping[str, Any]
    state: str
    attempts: int
    next_at: float | None
    error: str | None


@dataclass(frozen=True, slots=True)
class DueTicks:
    """The account of one schedule up to `until`: its new ticks, and when it is due next (None for never)."""

    schedule: Schedule
    until: int
    next_due: int | None
    rows: Sequence[NewTick] = field(default=())


_COLUMNS = columns_of(schedules, Schedule)
_CHANGED_LATER = ("outcome", "run_id", "late", "fills_from", "actor", "note")
"""Columns of a tick that `update_ticks` writes."""


class ScheduleStore:
    """Reads and writes schedules, ticks and notices."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # -- schedules

    def add(self, **values: Any) -> Schedule:
        """Write a new schedule. InputError if another has its name."""
        with self._database.write() as connection:
            _check_name(connection, values["name"], None)
            inserted = connection.execute(schedules.insert().values(created_at=time.time(), **values))
            found = _one(connection, int(inserted.inserted_primary_key[0]))  # type: ignore[index]
        assert found is not None
        return found

    def get(self, schedule_id: int) -> Schedule | None:
        """The schedule of this id, unless it was deleted."""
        with self._database.read() as connection:
            return _one(connection, schedule_id)

    def all(self) -> list[Schedule]:
        """Every schedule that was not deleted, by name."""
        with self._database.read() as connection:
            return _read(
                connection, sa.select(*_COLUMNS).where(_kept).order_by(sa.func.lower(schedules.c.name), schedules.c.id)
            )

    def check_name(self, name: str, own_id: int | None = None) -> None:
        """InputError if a schedule other than `own_id` has this name."""
        with self._database.read() as connection:
            _check_name(connection, name, own_id)

    def some(self, schedule_ids: Iterable[int]) -> dict[int, Schedule]:
        """Those of these schedules that were not deleted, by id."""
        wanted, found = list(set(schedule_ids)), []
        with self._database.read() as connection:
            for some in portions(wanted):
                found += _read(connection, sa.select(*_COLUMNS).where(_kept, schedules.c.id.in_(some)))
        return {schedule.id: schedule for schedule in found}

    def due(self, now: int) -> list[Schedule]:
        """Active schedules that are due at `now`, the longest due first."""
        wanted = _kept & schedules.c.paused_at.is_(None) & (schedules.c.next_due <= now)
        query = sa.select(*_COLUMNS).where(wanted).order_by(schedules.c.next_due, schedules.c.id)
        with self._database.read() as connection:
            return _read(connection, query)

    def next_due(self) -> int | None:
        """When the first active schedule is due."""
        wanted = _kept & schedules.c.paused_at.is_(None)
        with self._database.read() as connection:
            first: int | None = connection.scalar(sa.select(sa.func.min(schedules.c.next_due)).where(wanted))
        return first

    def change(self, schedule: Schedule, due_ticks: DueTicks | None = None, **values: Any) -> bool:
        """Change a schedule as it was read, with what it comes to until now; False if somebody was faster."""
        with self._database.write() as connection:
            if "name" in values:
                _check_name(connection, values["name"], schedule.id)
            guard = (schedules.c.id == schedule.id) & (schedules.c.version == schedule.version) & _kept
            if due_ticks is not None:
                guard &= schedules.c.accounted_until == schedule.accounted_until
            changed = connection.execute(schedules.update().where(guard).values(version=schedule.version + 1, **values))
            if changed.rowcount and due_ticks is not None:
                _settle(connection, [replace(due_ticks, schedule=replace(schedule, version=schedule.version + 1))])
            return bool(changed.rowcount)

    # -- ticks

    def settle(self, settlements: Sequence[DueTicks]) -> None:
        """Account for several schedules in one transaction; one that was changed meanwhile is left for next time."""
        if not settlements:
            return
        try:
            with self._database.write() as connection:
                _settle(connection, settlements)
        except _ChangedMeanwhile:
            if len(settlements) > 1:
                for due_ticks in settlements:
                    self.settle([due_ticks])

    def add_manual(self, schedule_id: int, at: float, run_id: int, actor: str, fills_from: int | None) -> None:
        """Write down a run that somebody started by hand; two in one second count as two."""
        by_hand = (ticks.c.schedule_id == schedule_id) & (ticks.c.kind == MANUAL)
        with self._database.write() as connection:
            last = connection.scalar(sa.select(sa.func.max(ticks.c.due)).where(by_hand))
            due = max(int(at), (last or 0) + 1)
            tick = NewTick(
                schedule_id=schedule_id,
                kind=MANUAL,
                due=due,
                until=due,
                outcome=RAN,
                at=at,
                late=0.0,
                run_id=run_id,
                actor=actor,
                fills_from=fills_from,
            )
            connection.execute(ticks.insert().values(**asdict(tick)))

    def update_ticks(self, changed: Sequence[Tick]) -> None:
        """Write what became of ticks: outcome, run, lateness, what they stand in for, actor and note."""
        if not changed:
            return
        with self._database.write() as connection:
            connection.execute(_UPDATE_TICK, [_as_update(tick) for tick in changed])

    def end_runs(self, run_states: Mapping[int, str], failures: Mapping[int, int]) -> None:
        """Note how the runs of ticks (by id) ended, and with it how many failures in a row schedules have had."""
        ends = ticks.update().where(ticks.c.id == sa.bindparam("fire")).values(run_state=sa.bindparam("ended"))
        counts = schedules.update().where(schedules.c.id == sa.bindparam("of")).values(failures=sa.bindparam("count"))
        with self._database.write() as connection:
            connection.execute(ends, [{"fire": tick, "ended": state} for tick, state in run_states.items()])
            if failures:
                connection.execute(counts, [{"of": one, "count": count} for one, count in failures.items()])

    def open_ticks(self) -> list[Tick]:
        """Fires that have no end yet, the longest due first: to be started, waiting, or running."""
        running = ticks.c.outcome.in_((RAN, LATE)) & ticks.c.run_state.is_(None)
        query = (
            sa.select(ticks).where(ticks.c.outcome.in_((FIRING, WAITING)) | running).order_by(ticks.c.due, ticks.c.id)
        )
        with self._database.read() as connection:
            return read_rows(connection, Tick, query)

    def ticks(
        self, schedule_id: int | None = None, *, outcomes: Sequence[str] = (), limit: int = 50, offset: int = 0
    ) -> tuple[list[Tick], int]:
        """One page of ticks, newest first, and how many rows there are."""
        wanted: list[sa.ColumnElement[bool]] = [ticks.c.schedule_id == schedule_id] if schedule_id is not None else []
        wanted += [ticks.c.outcome.in_(outcomes)] if outcomes else []
        query = sa.select(ticks).where(*wanted).order_by(ticks.c.due.desc(), ticks.c.id.desc())
        with self._database.read() as connection:
            total = connection.scalar(sa.select(sa.func.count()).select_from(ticks).where(*wanted)) or 0
            return read_rows(connection, Tick, query.limit(limit).offset(offset)), total

    def last_ticks(self, schedule_ids: Iterable[int], each: int) -> dict[int, list[Tick]]:
        """The newest ticks of each schedule, oldest first."""
        newest = sa.select(ticks).order_by(ticks.c.due.desc(), ticks.c.id.desc()).limit(each)
        with self._database.read() as connection:
            return {
                one: read_rows(connection, Tick, newest.where(ticks.c.schedule_id == one))[::-1] for one in schedule_ids
            }

    def unfilled(self, schedule_id: int | None = None, *, under_way: bool = False) -> list[Tick]:
        """Missed ticks whose data nobody has fetched since, oldest first; `under_way`: also those that an open tick
        stands in for, which will have been if it ends well."""
        wanted = (ticks.c.outcome == MISSED) & ticks.c.filled_by.is_(None)
        wanted &= ticks.c.schedule_id.in_(sa.select(schedules.c.id).where(_kept))
        if schedule_id is not None:
            wanted &= ticks.c.schedule_id == schedule_id
        # Looked for first: a run that ends well in between has filled them by the time they are read.
        standing_in = [] if under_way else self.open_ticks()
        with self._database.read() as connection:
            missed = read_rows(connection, Tick, sa.select(ticks).where(wanted).order_by(ticks.c.due, ticks.c.id))
            return [row for row in missed if not any(_stands_in(tick, row) for tick in standing_in)]

    def fill(self, schedule_id: int, first: int, before: int, run_id: int) -> None:
        """Note the run that has fetched what missed ticks would have: those due from `first` on that were on record
        before the tick of id `before`."""
        missed = (ticks.c.schedule_id == schedule_id) & (ticks.c.outcome == MISSED) & ticks.c.filled_by.is_(None)
        recorded = (ticks.c.due >= first) & (ticks.c.id < before)
        with self._database.write() as connection:
            connection.execute(ticks.update().where(missed & recorded).values(filled_by=run_id))

    # -- notices

    def add_notice(self, event: str, text: str, details: Mapping[str, Any], state: str) -> int:
        """Write a message down; returns its id."""
        now = time.time()
        values = {"at": now, "event": event, "text": text, "details": dict(details), "state": state, "next_at": now}
        with self._database.write() as connection:
            inserted = connection.execute(notices.insert().values(**values))
            return int(inserted.inserted_primary_key[0])  # type: ignore[index]

    def pending_notices(self, now: float, limit: int = 20) -> list[Notice]:
        """Messages whose next try has come, oldest first."""
        wanted = (notices.c.state == PENDING) & (notices.c.next_at <= now)
        with self._database.read() as connection:
            query = sa.select(notices).where(wanted).order_by(notices.c.id).limit(limit)
            return read_rows(connection, Notice, query)

    def update_notice(self, notice_id: int, **values: Any) -> None:
        """Change columns of a message."""
        with self._database.write() as connection:
            connection.execute(notices.update().where(notices.c.id == notice_id).values(**values))

    def notices(self, limit: int = 20, event: str | None = None) -> list[Notice]:
        """The newest messages, newest first."""
        query = sa.select(notices).order_by(notices.c.id.desc()).limit(limit)
        with self._database.read() as connection:
            return read_rows(connection, Notice, query.where(notices.c.event == event) if event else query)


def _stands_in(tick: Tick, missed: Tick) -> bool:
    """Whether a tick asks for what a missed one would have, on record before it."""
    if tick.fills_from is None or tick.schedule_id != missed.schedule_id:
        return False
    return tick.fills_from <= missed.due and missed.id < tick.id


class _ChangedMeanwhile(Exception):
    """The account of a schedule is not where a book began."""


_MOVE = (
    schedules.update()
    .where(
        schedules.c.id == sa.bindparam("of"),
        schedules.c.version == sa.bindparam("as_of"),
        schedules.c.accounted_until == sa.bindparam("begun"),
    )
    .values(accounted_until=sa.bindparam("to"), next_due=sa.bindparam("then"))
)


def _settle(connection: sa.Connection, settlements: Sequence[DueTicks]) -> None:
    """Move accounts and write their rows, all or none."""
    moves = [
        {
            "of": due_ticks.schedule.id,
            "as_of": due_ticks.schedule.version,
            "begun": due_ticks.schedule.accounted_until,
            "to": due_ticks.until,
            "then": due_ticks.next_due,
        }
        for due_ticks in settlements
    ]
    if connection.execute(_MOVE, moves).rowcount != len(settlements):
        raise _ChangedMeanwhile
    if rows := [asdict(row) for due_ticks in settlements for row in due_ticks.rows]:
        connection.execute(ticks.insert(), rows)


_UPDATE_TICK = (
    ticks.update()
    .where(ticks.c.id == sa.bindparam("tick_id"))
    .values({name: sa.bindparam(f"new_{name}") for name in _CHANGED_LATER})
)


def _as_update(tick: Tick) -> dict[str, object]:
    return {"tick_id": tick.id, **{f"new_{name}": getattr(tick, name) for name in _CHANGED_LATER}}


def _read(connection: sa.Connection, query: sa.Select[Any]) -> list[Schedule]:
    return [_schedule(row) for row in connection.execute(query).mappings()]


def _one(connection: sa.Connection, schedule_id: int) -> Schedule | None:
    found = _read(connection, sa.select(*_COLUMNS).where(_kept, schedules.c.id == schedule_id))
    return found[0] if found else None


def _schedule(row: sa.RowMapping) -> Schedule:
    return Schedule(**{**row, "pairs": tuple(row["pairs"]), "timeframes": tuple(row["timeframes"])})


def _check_name(connection: sa.Connection, name: str, own_id: int | None) -> None:
    taken = connection.scalar(sa.select(schedules.c.id).where(_kept, schedules.c.name == name))
    if taken is not None and taken != own_id:
        raise InputError(f"there is a schedule {name!r} already; choose another name", field="name")
