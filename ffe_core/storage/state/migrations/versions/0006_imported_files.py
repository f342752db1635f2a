"""Imported files: what each file brought to a series, so that a row leads to its file and the same file is known."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Make the table; no file has been imported before."""
    op.create_table(
        "imported_files",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("sha256", sa.String, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("asset_pair", sa.String, nullable=False),
        sa.Column("timeframe", sa.String, nullable=False),
        sa.Column("provider", sa.String, nullable=False),
        sa.Column("ingestion_id", sa.String, nullable=False),
        sa.Column("reading", sa.String, nullable=False),
        sa.Column("run_id", sa.Integer),
        sa.Column("first", sa.BigInteger),
        sa.Column("last", sa.BigInteger),
        sa.Column("received", sa.BigInteger, nullable=False),
        sa.Column("stored", sa.BigInteger, nullable=False),
        sa.Column("restated", sa.BigInteger, nullable=False),
        sa.Column("dead_lettered", sa.BigInteger, nullable=False),
        sa.Column("repeats", sa.BigInteger, nullable=False),
        sa.Column("at", sa.Float, nullable=False),
    )
    op.create_index(
        "imported_files_by_series", "imported_files", ["asset_pair", "timeframe", "provider", "ingestion_id"]
    )
