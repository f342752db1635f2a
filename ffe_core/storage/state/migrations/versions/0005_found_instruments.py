"""Instruments found by asking, beside those of a catalogue: when, in which region, and their hours as sent."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the columns; what is there is of catalogues."""
    op.add_column("instruments", sa.Column("region", sa.String))
    op.add_column("instruments", sa.Column("hours", sa.String))
    op.add_column("instruments", sa.Column("found_at", sa.Float))
