"""What the verbs share: lists of names, the service, and how a result is printed."""

from __future__ import annotations

import argparse
import getpass
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ffe_core.operations.runs.service import RunService
from ffe_core.settings import Settings
from ffe_core.storage.files import strict_json
from ffe_core.storage.state.database import Database
from ffe_core.storage.state.opening import open_state, state_notice


def names(text: str) -> list[str]:
    """A comma-separated list."""
    found = [name.strip() for name in text.split(",") if name.strip()]
    if not found:
        raise argparse.ArgumentTypeError("give at least one name, for example BTCUSD,ETHUSD")
    return found


def actor() -> str:
    """Who is at the command line."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def state(settings: Settings) -> Database:
    """The state database; that it had to be made anew beside a lake goes to stderr."""
    database = open_state(settings)
    if database.is_new and (told := state_notice(database, settings)):
        sys.stderr.write(f"warning: {told}\n")
    return database


@contextmanager
def run_service(settings: Settings) -> Iterator[RunService]:
    """The run service of this process; runs that still go on at the end are interrupted."""
    database = state(settings)
    service = RunService(settings, database)
    try:
        yield service
    finally:
        service.close()
        database.close()


def print_json(document: Any) -> None:
    """One strict JSON document on stdout."""
    print(json.dumps(json.loads(strict_json(document)), indent=2, ensure_ascii=False))


def print_table(header: list[str], rows: list[list[str]]) -> None:
    """Columns aligned for reading; numbers to the right."""
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    for row in [header, *rows]:
        cells = [
            cell.rjust(width) if _is_number(cell) else cell.ljust(width)
            for cell, width in zip(row, widths, strict=True)
        ]
        print("  ".join(cells).rstrip())


def _is_number(cell: str) -> bool:
    return cell.replace(",", "").replace("-", "").isdigit()
