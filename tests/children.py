"""What is a process that a test starts told of its state and lake, and what has it written into its state?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa

Variables = Callable[[Path], Mapping[str, str]]
_told: list[Variables] = []


def variables(data_dir: Path) -> dict[str, str]:
    """Of the environment of a process with this data directory; none in a test that has both in files."""
    return {name: value for one in _told for name, value in one(data_dir).items()}


@contextmanager
def told(one: Variables) -> Iterator[None]:
    """Have processes that are started in a block told these too."""
    _told.append(one)
    try:
        yield
    finally:
        _told.remove(one)


def rows(data_dir: Path, query: str) -> list[sa.Row[Any]]:
    """What its state answers, asked beside whoever writes it; nothing while it is still being made."""
    url = variables(data_dir).get("FFE_DATABASE_URL", f"sqlite:///file:{data_dir}/console.db?mode=ro&uri=true")
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    try:
        with engine.connect() as connection:
            return list(connection.execute(sa.text(query)).all())
    except sa.exc.OperationalError:
        return []
