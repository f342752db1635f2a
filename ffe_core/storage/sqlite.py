"""SQLite file names for SQLAlchemy."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa


def sqlite_url(file: Path) -> sa.URL:
    """The address of exactly this file.

    Pasted into a text, a `?` of its name would begin parameters and leave another file; absolute, no name of a folder
    reads as a `file:` address.
    """
    return sa.URL.create("sqlite", database=str(file.absolute()))
