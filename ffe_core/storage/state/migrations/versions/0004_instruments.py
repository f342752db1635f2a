"""Instruments: copies of the providers' catalogues, and what was learned about series."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
_TEXTS = ("symbol", "kind", "title", "base", "quote", "exchange", "volume_unit", "listed", "delisted", "status")


def upgrade() -> None:
    """Make the tables; there was nothing of the kind before."""
    op.create_table(
        "instruments",
        sa.Column("provider", sa.String, primary_key=True),
        sa.Column("name", sa.String, primary_key=True),
        *(sa.Column(name, sa.String) for name in _TEXTS),
        sa.Column("decimals", sa.Integer),
        sa.Column("same_as", sa.JSON, nullable=False),
        sa.Column("compact", sa.String, nullable=False),
        sa.Column("searched", sa.String, nullable=False),
    )
    op.create_index("instruments_by_compact", "instruments", ["provider", "compact"])
    op.create_index("instruments_by_symbol", "instruments", ["provider", "symbol"])
    op.create_table(
        "catalogues",
        sa.Column("provider", sa.String, primary_key=True),
        sa.Column("read_at", sa.Float),
        sa.Column("tried_at", sa.Float, nullable=False),
        sa.Column("error", sa.String),
    )
    op.create_table(
        "series_facts",
        *(sa.Column(name, sa.String, primary_key=True) for name in ("provider", "asset_pair", "timeframe")),
        *(sa.Column(name, sa.BigInteger) for name in ("first_bar", "last_bar", "asked_from")),
        sa.Column("asked_at", sa.Float),
        sa.Column("hour_offset", sa.Integer),
        sa.Column("listed", sa.String),
    )
