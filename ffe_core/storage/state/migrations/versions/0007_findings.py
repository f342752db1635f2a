"""Findings of the checks, and which series have been checked."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Make the tables; nothing has been checked before."""
    op.create_table(
        "findings",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("severity", sa.String, nullable=False),
        sa.Column("asset_pair", sa.String, nullable=False),
        sa.Column("timeframe", sa.String, nullable=False),
        sa.Column("provider", sa.String, nullable=False),
        sa.Column("other", sa.String, nullable=False),
        sa.Column("start", sa.BigInteger, nullable=False),
        sa.Column("end", sa.BigInteger, nullable=False),
        sa.Column("bars", sa.BigInteger, nullable=False),
        sa.Column("size", sa.Float, nullable=False),
        sa.Column("evidence", sa.JSON, nullable=False),
        sa.Column("fingerprint", sa.String, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("first_at", sa.Float, nullable=False),
        sa.Column("last_at", sa.Float, nullable=False),
        sa.Column("accepted", sa.String),
        sa.Column("actor", sa.String),
        sa.Column("reason", sa.String),
        sa.Column("decided_at", sa.Float),
    )
    op.create_index("findings_by_series", "findings", ["asset_pair", "timeframe", "provider", "kind"])
    op.create_index("findings_by_state", "findings", ["state"])
    op.create_table(
        "checked_series",
        sa.Column("asset_pair", sa.String, primary_key=True),
        sa.Column("timeframe", sa.String, primary_key=True),
        sa.Column("provider", sa.String, primary_key=True),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("bars", sa.BigInteger, nullable=False),
        sa.Column("start", sa.BigInteger, nullable=False),
        sa.Column("end", sa.BigInteger, nullable=False),
    )
