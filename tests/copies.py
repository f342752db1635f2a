"""Data directories with state and lake at servers: filled once a process, and copied there for each test."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from ffe_core.storage.state.database import DATABASE_FILE
from tests.object_store import Lakes
from tests.postgresql import States

STATES, LAKES = pytest.StashKey[States](), pytest.StashKey[Lakes]()
"""What of servers a test has in the place of its files."""


@dataclass(frozen=True)
class Filled:
    """One that is filled: its folder, its database, where its lake lies, and what the database calls that place."""

    folder: Path
    database: str
    lake: str
    named: str


def kept(data_dir: Path, folder: Path, states: States, lakes: Lakes) -> Filled:
    """Keep what a test has there, which nobody has open, for others of this process."""
    shutil.copytree(data_dir, folder)
    named = lakes.lake_address(data_dir / "lake")
    return Filled(folder, states.kept(data_dir / DATABASE_FILE), lakes.copied(named), named)


def lay(filled: Filled, data_dir: Path, states: States, lakes: Lakes) -> None:
    """Give a test a copy of it."""
    shutil.copytree(filled.folder, data_dir)
    lake = lakes.laid(data_dir / "lake", filled.lake)
    # A state knows its lake in a store by the address, and each table of it by its own.
    renamed = f"= replace({{0}}, '{filled.named}', '{lake}')"
    changes = (("places", "mark"), ("places", "place"), ("file_runs", "lake"))
    statements = [f"UPDATE {table} SET {column} {renamed.format(column)}" for table, column in changes]
    states.lay(data_dir / DATABASE_FILE, filled.database, statements)
