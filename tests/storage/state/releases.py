"""Where do tests get the data directory of an older release from? Unpacked from the fixtures, never made again.

And what tests of upgrades ask of it, and revisions that come after the newest.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import tarfile
from contextlib import closing
from importlib import import_module
from pathlib import Path
from typing import Any

FIXTURES = Path(__file__).parents[2] / "fixtures"
CHILDREN = {"run_series", "run_log", "fires"}
"""Tables whose rows refer to rows of another."""


def unpacked(folder: Path, release: str = "0.1.0") -> Path:
    """The data directory that a release left, in a folder of its own."""
    with tarfile.open(FIXTURES / f"release-{release}" / "data.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    return folder / "data"


def expected(release: str = "0.1.0") -> dict[str, Any]:
    """What that release itself said of it."""
    content: dict[str, Any] = json.loads((FIXTURES / f"release-{release}" / "expected.json").read_text("utf-8"))
    return content


def revision(folder: Path, before: str, *lines: str) -> str:
    """Write a revision that follows `before`; its number."""
    number = f"{int(before) + 1:04}"
    body = "\n".join(f"    {line}" for line in lines)
    head = f"import sqlalchemy as sa\nfrom alembic import op\nrevision, down_revision = {number!r}, {before!r}\n"
    (folder / f"{number}_for_a_test.py").write_text(f"{head}\n\ndef upgrade():\n{body}\n")
    return number


REMADE = (
    "for name in ('runs', 'schedules'):",
    "    with op.batch_alter_table(name, recreate='always') as table:",
    "        table.add_column(sa.Column('colour', sa.String, server_default='red', nullable=False))",
    "op.add_column('audit', sa.Column('second_reader', sa.String))",
    "op.execute(\"UPDATE runs SET colour = 'blue' WHERE id = 1\")",
    "op.create_table('added', sa.Column('id', sa.Integer, primary_key=True))",
)
"""Parents made anew, a column added, rows changed, a table made."""
ADDED = ("colour", "second_reader")
"""The columns that `REMADE` adds."""


def rows(file: Path) -> dict[str, list[dict[str, Any]]]:
    """Every row of every table that the fixture names, in the columns that the release had or a test adds."""
    tables = import_module("ffe_core.storage.state.migrations.versions.0001_release_0_1_0").tables
    with closing(sqlite3.connect(file)) as connection:
        connection.row_factory = sqlite3.Row
        return {
            table: [
                {name: row[name] for name in row.keys() if name in (*tables.tables[table].columns.keys(), *ADDED)}  # noqa: SIM118
                for row in connection.execute(f'SELECT * FROM "{table}"')
            ]
            for table in expected()["tables"]
        }


def version(file: Path) -> str | None:
    with closing(sqlite3.connect(file)) as connection:
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone():
            return None
        (found,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        return str(found)


def print_of(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
