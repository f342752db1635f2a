"""Audit rows: who changed what by hand, when and why, written before the act and completed after it.

The row comes first, with what is intended. A process that is killed in between leaves it without an outcome, so
whatever happened has a name.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from ffe_core.errors import InputError, StorageError
from ffe_core.redaction import redact
from ffe_core.storage.files import strict
from ffe_core.storage.rows import read_rows
from ffe_core.storage.state.database import ID, Database, metadata

log = logging.getLogger(__name__)
BEGUN, DONE, FAILED = "begun", "done", "failed"
"""What came of an act: nothing is known (its process ended), it was done, or it was refused or failed."""

audit_rows = sa.Table(
    "audit",
    metadata,
    sa.Column("id", ID, primary_key=True),
    sa.Column("at", sa.Float, nullable=False, index=True),
    sa.Column("actor", sa.String, nullable=False),
    sa.Column("verb", sa.String, nullable=False),
    sa.Column("target", sa.String, nullable=False, index=True),
    sa.Column("reason", sa.String, nullable=False),
    sa.Column("details", sa.JSON, nullable=False),
    sa.Column("outcome", sa.String, nullable=False, server_default=DONE),
)
_LONGEST_REASON = 500


class Act:
    """An act under way: what only becomes known while it is done can be added to its row."""

    def __init__(self, target: str, details: dict[str, Any]) -> None:
        self.target, self.details = target, details

    def note(self, **details: Any) -> None:
        """Add to the details that are written with the outcome."""
        self.details |= details


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One act; `at` in epoch seconds, `details` what the verb had to say besides, `outcome` begun, done or failed."""

    id: int
    at: float
    actor: str
    verb: str
    target: str
    reason: str
    details: Mapping[str, Any]
    outcome: str


class Audit:
    """Adds and reads rows. Only its own act completes one, and only age removes one, where a setting says so."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @contextmanager
    def act(self, actor: str, verb: str, target: str, reason: str = "", **details: Any) -> Iterator[Act]:
        """Name an act before the block does it, for example ("ann", "rewind", "BTCUSD/1h/coinbase", "bad candles").

        StorageError, and nothing is done, if it cannot be written down. What the block raises goes on, and the row says
        that the act failed.
        """
        row_id = self._begin(actor, verb, target, reason, details)
        act = Act(target, dict(details))
        try:
            yield act
        except BaseException as error:
            act.note(error=redact(f"{type(error).__name__}: {error}"))
            self._complete(row_id, act, FAILED)
            raise
        self._complete(row_id, act, DONE)

    def _begin(self, actor: str, verb: str, target: str, reason: str, details: dict[str, Any]) -> int:
        row = {"actor": actor, "verb": verb, "target": target, "reason": reason, "details": strict(details)}
        with self._database.write() as connection:
            added = connection.execute(audit_rows.insert().values(**row, at=time.time(), outcome=BEGUN))
            return int(added.inserted_primary_key[0])  # type: ignore[index]

    def _complete(self, row_id: int, act: Act, outcome: str) -> None:
        """What is done stays done where this cannot be written: the row then says that the act was begun."""
        values = {"target": act.target, "details": strict(act.details), "outcome": outcome}
        try:
            with self._database.write() as connection:
                connection.execute(audit_rows.update().where(audit_rows.c.id == row_id).values(**values))
        except StorageError as error:
            log.warning("what came of audit row %d (%s) cannot be written: %s", row_id, outcome, error)

    def find(self, *, target: str | None = None, verb: str | None = None, limit: int = 100) -> list[AuditRow]:
        """The newest rows, newest first."""
        wanted = [audit_rows.c.target == target] if target is not None else []
        wanted += [audit_rows.c.verb == verb] if verb is not None else []
        query = sa.select(audit_rows).where(*wanted).order_by(audit_rows.c.id.desc()).limit(limit)
        with self._database.read() as connection:
            return read_rows(connection, AuditRow, query)


def required_reason(reason: str, example: str = "the provider corrected its data") -> str:
    """The reason without blanks around it; InputError, with an example, if there is none, or a very long one."""
    clean = reason.strip()
    if not clean or len(clean) > _LONGEST_REASON:
        raise InputError(f"say why in 1 to {_LONGEST_REASON} characters, for example {example!r}", field="reason")
    return clean
