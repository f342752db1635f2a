"""Imported files in the database: what each brought to a series, and the ingestion id that its rows bear."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from ffe_core.series import Series
from ffe_core.storage.rows import columns_of, read_rows
from ffe_core.storage.state.database import ID, Database, metadata

imported_files = sa.Table(
    "imported_files",
    metadata,
    sa.Column("id", ID, primary_key=True),
    sa.Column("sha256", sa.String, nullable=False),
    sa.Column("name", sa.String, nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    *(sa.Column(name, sa.String, nullable=False) for name in ("asset_pair", "timeframe", "provider")),
    sa.Column("ingestion_id", sa.String, nullable=False),
    sa.Column("reading", sa.String, nullable=False),
    sa.Column("run_id", ID),
    sa.Column("first", sa.BigInteger),
    sa.Column("last", sa.BigInteger),
    *(
        sa.Column(n, sa.BigInteger, nullable=False)
        for n in ("received", "stored", "restated", "dead_lettered", "repeats")
    ),
    sa.Column("at", sa.Float, nullable=False),
    sa.Index("imported_files_by_series", "asset_pair", "timeframe", "provider", "ingestion_id"),
)


@dataclass(frozen=True, slots=True)
class ImportedFile:
    """One file of one import of one series; `first` and `last` are opens, `at` epoch seconds.

    `received = stored + dead_lettered + repeats`; `stored` holds the `restated`. `reading` is the profile, as TOML.
    """

    sha256: str
    name: str
    size: int
    asset_pair: str
    timeframe: str
    provider: str
    ingestion_id: str
    reading: str
    run_id: int | None
    first: int | None
    last: int | None
    received: int
    stored: int
    restated: int
    dead_lettered: int
    repeats: int
    at: float


class ImportedFiles:
    """Reads and writes what files brought."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, files: Sequence[ImportedFile]) -> None:
        """Write down files whose rows are committed."""
        if files:
            names = ImportedFile.__slots__
            with self._database.write() as connection:
                connection.execute(
                    imported_files.insert(), [{name: getattr(file, name) for name in names} for file in files]
                )

    def newest(self, series: Series) -> dict[str, ImportedFile]:
        """The newest import of each file of a series, by its ingestion id."""
        query = sa.select(*columns_of(imported_files, ImportedFile)).where(*_of(series)).order_by(imported_files.c.id)
        with self._database.read() as connection:
            return {file.ingestion_id: file for file in read_rows(connection, ImportedFile, query)}

    def of(self, series: Series) -> list[ImportedFile]:
        """Every import of a file of a series, the newest first."""
        query = sa.select(*columns_of(imported_files, ImportedFile)).where(*_of(series))
        with self._database.read() as connection:
            return read_rows(connection, ImportedFile, query.order_by(imported_files.c.id.desc()))

    def recent(self, most: int) -> list[ImportedFile]:
        """The last imports of files, of any series, the newest first."""
        query = sa.select(*columns_of(imported_files, ImportedFile)).order_by(imported_files.c.id.desc()).limit(most)
        with self._database.read() as connection:
            return read_rows(connection, ImportedFile, query)


def _of(series: Series) -> list[sa.ColumnElement[bool]]:
    return [imported_files.c[name] == getattr(series, name) for name in ("asset_pair", "timeframe", "provider")]
