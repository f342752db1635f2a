"""Who changed what by hand, when and why: one row an act, written by the verbs in `operations/`."""

from __future__ import annotations

import time
from typing import Any

import sqlalchemy as sa

from ffe_core.errors import InputError
from ffe_core.storage.files import strict
from ffe_core.storage.state.database import Database, metadata

_table = sa.Table(
    "audit",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("at", sa.Float, nullable=False, index=True),
    sa.Column("actor", sa.String, nullable=False),
    sa.Column("verb", sa.String, nullable=False),
    sa.Column("target", sa.String, nullable=False, index=True),
    sa.Column("reason", sa.String, nullable=False),
    sa.Column("details", sa.JSON, nullable=False),
)
_LONGEST_REASON = 500


class Audit:
    """Adds and reads rows; none is ever changed or removed."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, actor: str, verb: str, target: str, reason: str = "", **details: Any) -> None:
        """Write down an act, for example ("ann", "rewind", "BTCUSD/1h/coinbase", "bad candles", watermark=...)."""
        row = {
            "at": time.time(),
            "actor": actor,
            "verb": verb,
            "target": target,
            "reason": reason,
            "details": strict(details),
        }
        with self._database.write() as connection:
            connection.execute(_table.insert().values(**row))

    def find(self, *, target: str | None = None, verb: str | None = None, limit: int = 100) -> list[sa.RowMapping]:
        """The newest rows, newest first."""
        wanted = [_table.c.target == target] if target is not None else []
        wanted += [_table.c.verb == verb] if verb is not None else []
        query = sa.select(_table).where(*wanted).order_by(_table.c.id.desc()).limit(limit)
        with self._database.read() as connection:
            return list(connection.execute(query).mappings())


def required_reason(reason: str) -> str:
    """The reason without blanks around it; InputError if there is none, or a very long one."""
    clean = reason.strip()
    if not clean or len(clean) > _LONGEST_REASON:
        raise InputError(
            f"say why in 1 to {_LONGEST_REASON} characters, for example 'provider corrected its data'", field="reason"
        )
    return clean
