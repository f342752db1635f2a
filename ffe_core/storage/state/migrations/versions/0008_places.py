"""Places: which data directory and lake belong to a state that a server keeps; ids there take any number."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

_IDS = {"runs": ("id", "parent_id"), "run_series": ("run_id",), "run_log": ("id", "run_id")} | {
    "schedules": ("id",),
    "fires": ("id", "schedule_id", "run_id", "filled_by"),
    "notices": ("id",),
    "audit": ("id",),
    "marked_holes": ("id",),
    "imported_files": ("id", "run_id"),
    "findings": ("id",),
}


def upgrade() -> None:
    """Make the table. No release has kept its state on a server before: no row is touched there."""
    op.create_table(
        "places",
        sa.Column("what", sa.String, primary_key=True),
        sa.Column("mark", sa.String, nullable=False),
        sa.Column("place", sa.String, nullable=False),
        sa.Column("noted_at", sa.Float, nullable=False),
    )
    if op.get_bind().dialect.name == "postgresql":
        for table, columns in _IDS.items():
            for column in columns:
                op.alter_column(table, column, type_=sa.BigInteger)
