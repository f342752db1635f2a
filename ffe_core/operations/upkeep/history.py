"""Upkeep of history: dead letters that have ended, runs, ticks and audit rows by age, and the space of the database.

Each kind is kept for ever unless a setting gives it days. What is deleted is named in the audit first.
"""

from __future__ import annotations

import time
from typing import Any

from ffe_core.insight.storage import ages
from ffe_core.operations.dead_letters.service import DeadLetters
from ffe_core.settings import Settings
from ffe_core.storage.lake.upkeep.disk import check_room
from ffe_core.storage.state.audit import Audit
from ffe_core.storage.state.database import DATABASE_FILE, Database
from ffe_core.storage.state.pruning import count_old, prune
from ffe_core.times import DAY

NAME = DATABASE_FILE
"""What stands for the state database in the rows of a run, wherever it is."""
_WORTH_BYTES, _WORTH_SHARE = 2**20, 0.2
"""The database is written anew when so much of it holds nothing."""


def prune_history(
    settings: Settings, database: Database, audit: Audit, dead_letters: DeadLetters, actor: str
) -> dict[str, Any]:
    """Delete what is older than the settings keep it; returns how many of each kind.

    StorageError if the audit row cannot be written, before anything is deleted, or a kind cannot be.
    """
    found: dict[str, Any] = {}
    for what, days in ages(settings).items():
        found[what] = _pruned(database, audit, what, days, actor) if days else 0
    found["dead_letters"] = _purged(dead_letters, settings.upkeep.dead_letter_days, actor)
    return found


def _pruned(database: Database, audit: Audit, what: str, days: int, actor: str) -> int:
    before = time.time() - days * DAY
    if not count_old(database, what, before):
        return 0
    with audit.act(actor, "prune history", what, f"older than {days} days, by the settings", days=days) as act:
        gone = prune(database, what, before)
        act.note(rows=gone)
    return gone


def _purged(dead_letters: DeadLetters, days: int, actor: str) -> int:
    if not days:
        return 0
    ids = [row.id for row in dead_letters.purgeable(days)]
    return len(dead_letters.purge(ids, days, actor, f"older than {days} days, by the settings")) if ids else 0


def is_worth_shrinking(size: int, free: int) -> bool:
    """Whether so many free bytes of a database of so many are worth writing the rest anew."""
    return free >= _WORTH_BYTES and free >= _WORTH_SHARE * size


def shrink(settings: Settings, database: Database) -> int:
    """Give the space back that the database does not use, if that is worth it; returns the bytes won.

    NearlyFullError before anything is written, DatabaseError if another program uses it.
    """
    size, free = database.size()
    if not is_worth_shrinking(size, free):
        return 0
    check_room(settings.data_dir / DATABASE_FILE, 2 * (size - free))
    database.vacuum()
    return size - database.size()[0]
