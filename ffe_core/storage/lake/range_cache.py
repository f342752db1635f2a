"""Range cache: the bars of each data file, by who wrote or read it first. A data file never changes, nor does this.

It counts only for a file that the table's log names at the very size it had when it was read, and can be deleted at any
time: it costs one reading of the lake.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np
import sqlalchemy as sa

from ffe_core.intervals import Times
from ffe_core.storage.lake.file_ranges import ByProvider, WrittenFile
from ffe_core.storage.rows import portions
from ffe_core.storage.state.database import Database, metadata

_table = sa.Table(
    "file_runs",
    metadata,
    sa.Column("lake", sa.String, primary_key=True),
    sa.Column("path", sa.String, primary_key=True),
    sa.Column("provider", sa.String, primary_key=True),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("runs", sa.LargeBinary, nullable=False),
)


class RangeCache:
    """Reads and writes what is remembered, in the database. Every verb raises StorageError when it cannot be used."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def remember(self, written: Sequence[WrittenFile]) -> None:
        """Remember what files hold that were written, so that nobody has to read them."""
        by_table: dict[str, list[WrittenFile]] = {}
        for file in written:
            by_table.setdefault(file.table_uri, []).append(file)
        for uri, files in by_table.items():
            self.save(uri, {file.path: file.size for file in files}, {file.path: file.held for file in files})

    def tidy(self, table_uri: str, live: Callable[[], Collection[str]]) -> None:
        """Forget the files of a table that are not `live` any more."""
        with self._database.read() as connection:
            known = set(connection.scalars(sa.select(_table.c.path).where(_table.c.lake == table_uri)))
        stale = known.difference(live())  # asked last: what is committed meanwhile stays
        if stale:
            with self._database.write() as connection:
                _forget(connection, table_uri, stale)

    def load(self, table_uri: str, sizes: Mapping[str, int]) -> dict[str, ByProvider]:
        """What is known of a table's files, given path -> bytes. What is remembered of others is forgotten."""
        found: dict[str, ByProvider] = {}
        stale: set[str] = set()
        with self._database.read() as connection:
            for row in connection.execute(sa.select(_table).where(_table.c.lake == table_uri)):
                if sizes.get(row.path) == row.size:
                    found.setdefault(row.path, {})[row.provider] = _ranges(row.runs)
                else:
                    stale.add(row.path)
        if stale:
            with self._database.write() as connection:
                _forget(connection, table_uri, stale)
        return found

    def find(self, table_uri: str, sizes: Mapping[str, int]) -> dict[str, ByProvider]:
        """What is known of some of a table's files, given path -> bytes."""
        found: dict[str, ByProvider] = {}
        with self._database.read() as connection:
            for some in portions(list(sizes)):
                of_these = (_table.c.lake == table_uri) & _table.c.path.in_(some)
                for row in connection.execute(sa.select(_table).where(of_these)):
                    if sizes[row.path] == row.size:
                        found.setdefault(row.path, {})[row.provider] = _ranges(row.runs)
        return found

    def save(self, table_uri: str, sizes: Mapping[str, int], found: Mapping[str, ByProvider]) -> None:
        """Remember what was read of some files."""
        rows = [
            {
                "lake": table_uri,
                "path": path,
                "provider": provider,
                "size": sizes[path],
                "runs": runs.astype("<i8").tobytes(),
            }
            for path, by_provider in found.items()
            for provider, runs in by_provider.items()
        ]
        if rows:
            with self._database.write() as connection:
                _forget(connection, table_uri, found)  # another process may have read the same files meanwhile
                connection.execute(_table.insert(), rows)


def _ranges(kept: bytes) -> Times:
    return np.frombuffer(kept, dtype="<i8").astype(np.int64).reshape(-1, 2)


def _forget(connection: sa.Connection, table_uri: str, paths: Collection[str]) -> None:
    here = (_table.c.lake == table_uri) & (_table.c.path == sa.bindparam("gone"))
    connection.execute(_table.delete().where(here), [{"gone": path} for path in paths])
