"""What makes a new state database dear, and is the same for every test? Its tables: made by Alembic once a process."""

from __future__ import annotations

from functools import cache

import sqlalchemy as sa

from ffe_core.storage.state import migrations, upgrade

by_alembic = upgrade._run_revisions


def run_revisions(connection: sa.Connection, newest: str) -> None:
    """Make an empty SQLite file what all revisions make of it, without running them again; any other as ever."""
    if connection.dialect.name != "sqlite" or sa.inspect(connection).get_table_names():
        by_alembic(connection, newest)
        return
    for statement in _statements(tuple(migrations.revisions())):
        connection.exec_driver_sql(statement)


@cache
def _statements(revisions: tuple[str, ...]) -> list[str]:
    engine = sa.create_engine("sqlite://")
    try:
        with engine.connect() as connection, connection.begin():
            by_alembic(connection, revisions[-1])
            lines = list(connection.connection.driver_connection.iterdump())
    finally:
        engine.dispose()
    return [line for line in lines if line not in ("BEGIN TRANSACTION;", "COMMIT;")]
