"""Closed DuckDB: a database of its own in memory that reaches no file, no network and no extension.

What is to be seen in it is registered as Arrow, so an expression of a user's can read that and nothing else, and change
nothing. https://duckdb.org/docs/stable/operations_manual/securing_duckdb/overview
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from ffe_core.errors import PackageMissing

CLOSED = {
    "enable_external_access": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "python_enable_replacements": "false",
    "temp_directory": "",
}
"""No files and no network, no variables of this program as tables, and nothing spilled to a disk."""


def duckdb() -> Any:
    """The package. PackageMissing, with how to install it, if it is not there."""
    try:
        return import_module("duckdb")
    except ImportError as error:
        raise PackageMissing("duckdb") from error


@contextmanager
def closed_connection(memory_mb: int, threads: int | None = None) -> Iterator[Any]:
    """A connection with so much memory, times in UTC, whose settings can be changed until they are locked.

    `threads` at most; as many as there are cores without. PackageMissing without DuckDB.
    """
    config = {**CLOSED, "memory_limit": f"{memory_mb}MiB"} | ({"threads": str(threads)} if threads else {})
    connection = duckdb().connect(config=config)
    try:
        connection.execute("SET TimeZone = 'UTC'")
        yield connection
    finally:
        connection.close()


def lock(connection: Any) -> None:
    """Let nothing that follows change a setting of the connection."""
    connection.execute("SET lock_configuration = true")


@contextmanager
def stopped_after(connection: Any, seconds: float) -> Iterator[None]:
    """Interrupt what a connection does after so many seconds: it raises InterruptException."""
    timer = threading.Timer(seconds, connection.interrupt)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
