"""Revisions of the state database, one file each in `versions/`, applied in the order of their numbers.

A new one: copy the newest file to the next number, give it that number as `revision` and the one before as
`down_revision`, and change the tables where they are declared to match; the tests say where the two differ. Prefer
`op.add_column` of a column that may be null or has a constant default: it touches no row, and a program of the release
before can go on writing. What was released is never edited.
"""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent
VERSIONS = [FOLDER / "versions"]
"""Where revisions lie; tests add a folder of theirs."""
VERSION_TABLE = "alembic_version"


def revisions() -> list[str]:
    """The numbers of all revisions, oldest first: read from the names of the files, which spares loading Alembic."""
    return sorted(file.name.partition("_")[0] for folder in VERSIONS for file in folder.glob("[0-9]*_*.py"))
