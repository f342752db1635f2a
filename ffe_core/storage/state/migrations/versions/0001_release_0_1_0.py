"""Release 0.1.0: the tables as that release made them, without a version.

They are spelled out, not taken from the code of today: this is what lies on the disks of users. A database of that
release is adopted here: its tables must have these columns, and those it lacks are made, as the release made only the
tables that a process had use for.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from ffe_core.storage.state.faults import not_of_a_release

revision = "0001"
down_revision = None
tables = sa.MetaData()


def upgrade() -> None:
    """Make what is missing; DatabaseError if a table of these names is another one."""
    connection = op.get_bind()
    there = sa.inspect(connection)
    names = set(there.get_table_names()) & set(tables.tables)
    for name in sorted(names):
        lacking = set(tables.tables[name].columns.keys()) - {column["name"] for column in there.get_columns(name)}
        if lacking:
            raise not_of_a_release(connection.engine.url, f"table {name} lacks {', '.join(sorted(lacking))}")
    tables.create_all(connection)
    if "schedules" not in names:
        op.execute("CREATE UNIQUE INDEX schedules_by_name ON schedules (name) WHERE deleted_at IS NULL")


sa.Table(
    "runs",
    tables,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("state", sa.String, nullable=False, index=True),
    sa.Column("provider", sa.String, nullable=False),
    sa.Column("mode", sa.String, nullable=False),
    sa.Column("start", sa.BigInteger, nullable=False),
    sa.Column("end", sa.BigInteger, nullable=False),
    sa.Column("actor", sa.String, nullable=False),
    sa.Column("source", sa.String, nullable=False),
    sa.Column("parent_id", sa.Integer),
    sa.Column("owner", sa.String, nullable=False),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("started_at", sa.Float),
    sa.Column("ended_at", sa.Float),
    sa.Column("error", sa.String),
    sa.Column("parameters", sa.JSON, nullable=False),
)
sa.Table(
    "run_series",
    tables,
    sa.Column("run_id", sa.ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("asset_pair", sa.String, nullable=False),
    sa.Column("timeframe", sa.String, nullable=False),
    sa.Column("provider", sa.String, nullable=False),
    sa.Column("state", sa.String, nullable=False),
    sa.Column("phase", sa.String),
    sa.Column("start", sa.BigInteger),
    sa.Column("end", sa.BigInteger),
    sa.Column("pages_done", sa.Integer, nullable=False, server_default="0"),
    sa.Column("pages_planned", sa.Integer, nullable=False, server_default="0"),
    sa.Column("received", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("records", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("failed_records", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("repeats", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("restated", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("requests", sa.Integer, nullable=False, server_default="0"),
    sa.Column("retries", sa.Integer, nullable=False, server_default="0"),
    sa.Column("expected", sa.BigInteger),
    sa.Column("stored", sa.BigInteger),
    sa.Column("dead_lettered", sa.BigInteger),
    sa.Column("marked", sa.BigInteger),
    sa.Column("unexplained", sa.BigInteger),
    sa.Column("watermark", sa.BigInteger),
    sa.Column("started_at", sa.Float),
    sa.Column("ended_at", sa.Float),
    sa.Column("error", sa.String),
    sa.Column("next_step", sa.String),
    sa.Column("result", sa.JSON),
    sa.Index("run_series_by_series", "asset_pair", "timeframe", "provider"),
)
sa.Table(
    "run_log",
    tables,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("run_id", sa.ForeignKey("runs.id", ondelete="CASCADE"), nullable=False, index=True),
    sa.Column("at", sa.Float, nullable=False),
    sa.Column("level", sa.String, nullable=False),
    sa.Column("text", sa.String, nullable=False),
)
sa.Table(
    "schedules",
    tables,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.String, nullable=False),
    sa.Column("watchlist", sa.String),
    sa.Column("provider", sa.String, nullable=False),
    sa.Column("pairs", sa.JSON, nullable=False),
    sa.Column("timeframes", sa.JSON, nullable=False),
    sa.Column("mode", sa.String, nullable=False),
    sa.Column("trigger", sa.String, nullable=False),
    sa.Column("since", sa.String, nullable=False),
    sa.Column("zone", sa.String, nullable=False),
    sa.Column("overlap", sa.String, nullable=False),
    sa.Column("catch_up", sa.String, nullable=False),
    sa.Column("priority", sa.Boolean, nullable=False),
    sa.Column("pause_after", sa.Integer, nullable=False),
    sa.Column("failures", sa.Integer, nullable=False, server_default="0"),
    sa.Column("paused_at", sa.Float),
    sa.Column("paused_by", sa.String),
    sa.Column("paused_reason", sa.String),
    sa.Column("accounted_until", sa.BigInteger, nullable=False),
    sa.Column("next_due", sa.BigInteger, index=True),
    sa.Column("version", sa.Integer, nullable=False, server_default="1"),
    sa.Column("actor", sa.String, nullable=False),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("deleted_at", sa.Float),
    sa.Column("deleted_by", sa.String),
)
sa.Table(
    "fires",
    tables,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("schedule_id", sa.ForeignKey("schedules.id"), nullable=False),
    sa.Column("kind", sa.String, nullable=False, server_default="due"),
    sa.Column("due", sa.BigInteger, nullable=False),
    sa.Column("until", sa.BigInteger, nullable=False),
    sa.Column("count", sa.Integer, nullable=False, server_default="1"),
    sa.Column("outcome", sa.String, nullable=False),
    sa.Column("at", sa.Float, nullable=False),
    sa.Column("late", sa.Float),
    sa.Column("fills_from", sa.BigInteger),
    sa.Column("run_id", sa.Integer),
    sa.Column("run_state", sa.String),
    sa.Column("filled_by", sa.Integer),
    sa.Column("actor", sa.String),
    sa.Column("note", sa.String),
    sa.UniqueConstraint("schedule_id", "kind", "due", name="each_due_instant_once"),
    sa.Index("fires_by_outcome", "outcome", "run_state"),
    sa.Index("fires_by_schedule", "schedule_id", "due"),
)
sa.Table(
    "notices",
    tables,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("at", sa.Float, nullable=False),
    sa.Column("event", sa.String, nullable=False),
    sa.Column("text", sa.String, nullable=False),
    sa.Column("details", sa.JSON, nullable=False),
    sa.Column("state", sa.String, nullable=False, index=True),
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    sa.Column("next_at", sa.Float),
    sa.Column("error", sa.String),
)
sa.Table(
    "audit",
    tables,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("at", sa.Float, nullable=False, index=True),
    sa.Column("actor", sa.String, nullable=False),
    sa.Column("verb", sa.String, nullable=False),
    sa.Column("target", sa.String, nullable=False, index=True),
    sa.Column("reason", sa.String, nullable=False),
    sa.Column("details", sa.JSON, nullable=False),
)
sa.Table(
    "watchlists",
    tables,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("provider", sa.String, nullable=False),
    sa.Column("pairs", sa.JSON, nullable=False),
    sa.Column("timeframes", sa.JSON, nullable=False),
    sa.Column("actor", sa.String, nullable=False),
    sa.Column("saved_at", sa.Float, nullable=False),
)
sa.Table(
    "marked_holes",
    tables,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("asset_pair", sa.String, nullable=False),
    sa.Column("timeframe", sa.String, nullable=False),
    sa.Column("provider", sa.String, nullable=False),
    sa.Column("start", sa.BigInteger, nullable=False),
    sa.Column("end", sa.BigInteger, nullable=False),
    sa.Column("candles", sa.BigInteger, nullable=False),
    sa.Column("reason", sa.String, nullable=False),
    sa.Column("note", sa.String, nullable=False),
    sa.Column("actor", sa.String, nullable=False),
    sa.Column("at", sa.Float, nullable=False),
    sa.Index("marked_holes_by_series", "asset_pair", "timeframe", "provider", "start"),
)
sa.Table(
    "asked_without_answer",
    tables,
    sa.Column("asset_pair", sa.String, primary_key=True),
    sa.Column("timeframe", sa.String, primary_key=True),
    sa.Column("provider", sa.String, primary_key=True),
    sa.Column("start", sa.BigInteger, primary_key=True),
    sa.Column("end", sa.BigInteger, nullable=False),
    sa.Column("times", sa.Integer, nullable=False),
)
sa.Table(
    "file_runs",
    tables,
    sa.Column("lake", sa.String, primary_key=True),
    sa.Column("path", sa.String, primary_key=True),
    sa.Column("provider", sa.String, primary_key=True),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("runs", sa.LargeBinary, nullable=False),
)
