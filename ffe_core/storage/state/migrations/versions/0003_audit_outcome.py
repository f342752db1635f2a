"""The outcome of each act in the audit: rows are written before the act. Those of before were written after it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the column; what is there was done."""
    op.add_column("audit", sa.Column("outcome", sa.String, nullable=False, server_default="done"))
