"""Machines: which worker of a cluster a series of a run is worked off by."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Add the column; a plain one, as making the table anew would empty what refers to it."""
    op.add_column("run_series", sa.Column("machine", sa.String))
