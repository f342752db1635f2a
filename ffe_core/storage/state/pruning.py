"""Pruning of history by age: runs that have ended, ticks, messages and audit rows; never what is pending.

The newest run of every series stays, as it says how well the series is.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from ffe_core.storage.state import schedules as schedule_states
from ffe_core.storage.state.audit import BEGUN, audit_rows
from ffe_core.storage.state.database import Database
from ffe_core.storage.state.runs import ACTIVE, COVERAGE, run_series, runs
from ffe_core.storage.state.schedules import notices, ticks


def old_runs(before: float) -> sa.ColumnElement[bool]:
    """Runs that ended before an instant, that no series has as its newest, and that no tick waits for."""
    names = (run_series.c.asset_pair, run_series.c.timeframe, run_series.c.provider)
    brought = sa.select(sa.func.max(run_series.c.run_id)).join(runs, runs.c.id == run_series.c.run_id)
    newest = brought.where(runs.c.kind != COVERAGE).group_by(*names)
    awaited = sa.select(ticks.c.run_id).where(ticks.c.run_id.is_not(None), ticks.c.run_state.is_(None))
    return (
        runs.c.state.not_in(ACTIVE) & (runs.c.ended_at < before) & runs.c.id.not_in(newest) & runs.c.id.not_in(awaited)
    )


def old_ticks(before: float) -> sa.ColumnElement[bool]:
    """Ticks that came to their end before an instant; a missed one that no run has filled is still to be."""
    waits = ticks.c.outcome.in_((schedule_states.FIRING, schedule_states.WAITING))
    runs_on = ticks.c.run_id.is_not(None) & ticks.c.run_state.is_(None)
    unfilled = (ticks.c.outcome == schedule_states.MISSED) & ticks.c.filled_by.is_(None)
    return (ticks.c.until < before) & sa.not_(waits | runs_on | unfilled)


def old_notices(before: float) -> sa.ColumnElement[bool]:
    """Messages of before an instant that nobody is going to send any more."""
    return (notices.c.at < before) & (notices.c.state != schedule_states.PENDING)


def old_acts(before: float) -> sa.ColumnElement[bool]:
    """Audit rows of acts that came to their end before an instant."""
    return (audit_rows.c.at < before) & (audit_rows.c.outcome != BEGUN)


WHAT = {"runs": (runs, old_runs), "ticks": (ticks, old_ticks), "notices": (notices, old_notices)} | {
    "audit": (audit_rows, old_acts)
}
"""What can be pruned: the table, and which of its rows."""


def count_old(database: Database, what: str, before: float) -> int:
    """How many rows `prune` would delete."""
    table, old = WHAT[what]
    with database.read() as connection:
        return int(connection.scalar(sa.select(sa.func.count()).select_from(table).where(old(before))) or 0)


def prune(database: Database, what: str, before: float) -> int:
    """Delete what ended before an instant (epoch seconds), with all that belongs to it; returns how many rows."""
    table, old = WHAT[what]
    with database.write() as connection:
        deleted: sa.CursorResult[Any] = connection.execute(table.delete().where(old(before)))
        return int(deleted.rowcount)
