"""Locks and paces: who holds what until when, and when the next request to a provider may go out, on a server."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Make both tables. A SQLite file has them too, and leaves them empty."""
    op.create_table(
        "lease",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("holder", sa.String, nullable=False),
        sa.Column("token", sa.BigInteger, nullable=False),
        sa.Column("until", sa.Float, nullable=False),
        sa.Column("note", sa.JSON, nullable=False),
    )
    op.create_table(
        "pace",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("free_at", sa.Float, nullable=False),
        sa.Column("held_until", sa.Float, nullable=False),
        sa.Column("written_at", sa.Float, nullable=False),
        sa.Column("day", sa.Integer, nullable=False),
        sa.Column("used", sa.Integer, nullable=False),
    )
