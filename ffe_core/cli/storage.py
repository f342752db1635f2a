"""`storage`: how the lake is stored, what upkeep would do and win, and how it is done by hand."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ffe_core import times
from ffe_core.cli.common import names
from ffe_core.cli.output import OK, print_json, print_table
from ffe_core.cli.parser import VERBS, add_json, later
from ffe_core.timeframes import TIMEFRAMES

if TYPE_CHECKING:
    from ffe_core.insight.storage import History, SeriesStorage, Storage, TableStorage

NO_TABLE = "no table yet: start with python -m ffe_core backfill --help"


def register(verbs: Any) -> None:
    """Add the verb to the parser."""
    text = VERBS["storage"]
    parser = verbs.add_parser("storage", help=text, description=f"{text.capitalize()}.")
    add_json(parser)
    parser.set_defaults(run=run)
    acts = parser.add_subparsers(metavar="compact|vacuum", parser_class=type(parser))
    _act(acts, "compact", "make small files few, sorted by time, and tidy the log")
    vacuum = _act(acts, "vacuum", "delete unused files, and history by age")
    vacuum.add_argument(
        "--retention-hours", type=int, metavar="N", help="for this time, how long replaced files stay (1 or more)"
    )


def _act(acts: Any, name: str, does: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = acts.add_parser(name, help=does, description=f"{does.capitalize()}.")
    known = ", ".join(TIMEFRAMES)
    parser.add_argument("--timeframes", type=names, metavar="A,B", help=f"of these tables only: {known}")
    parser.add_argument("--dry-run", action="store_true", help="say what it would do, and stop")
    add_json(parser)
    parser.set_defaults(run=later("storage_upkeep", name))
    return parser


def run(arguments: argparse.Namespace) -> int:
    """Print a row a table and a row a series."""
    from ffe_core.cli.common import state
    from ffe_core.insight.storage import storage
    from ffe_core.settings import Settings
    from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager

    settings = Settings.load()
    database = state(settings)
    try:
        found = storage(DeltaLakeManager.of(settings), database, settings)
    finally:
        database.close()
    if arguments.json:
        print_json(document(found))
    elif not found.tables:
        print(NO_TABLE)
    else:
        _show(found)
    return OK


def document(found: Storage) -> dict[str, Any]:
    """Everything about the storage as plain values; bytes and counts are whole numbers, None where not known."""
    return {
        "tables": [table_row(one) for one in found.tables],
        "series": [asdict(one) for one in found.series],
        "database": {"bytes": found.history.bytes, "free_bytes": found.history.free_bytes, "old": found.history.old},
        "bytes_left": found.left,
    }


def table_row(one: TableStorage) -> dict[str, Any]:
    """A table as plain values."""
    return {
        "table": one.table,
        "timeframe": one.timeframe,
        "rows": one.plan.rows,
        "bytes": one.plan.bytes,
        "files": one.plan.files,
        "small_files": one.plan.small_files,
        "log_entries": one.log.entries,
        "commits_since_checkpoint": one.log.since_checkpoint,
        "last_upkeep": None if one.last_upkeep is None else times.iso(int(one.last_upkeep)),
        "next": next_row(one),
    }


def next_row(one: TableStorage) -> dict[str, Any]:
    """What the next upkeep would do to a table, and win."""
    return {
        "files_to_merge": one.plan.merged_files,
        "files_spared": one.plan.spared_files,
        "bytes_to_rewrite": one.plan.merged_bytes,
        "log_entries_to_delete": one.log.expired,
        "unused_files": len(one.unused.paths),
        "unused_bytes": one.unused.bytes,
    }


def size(count: int | None) -> str:
    """Bytes for people; a dash where they are not known."""
    from ffe_core.storage.lake.upkeep.disk import size_text

    return "-" if count is None else size_text(count)


def count_cell(count: int | None) -> str:
    """A count for people; a dash where it is not known."""
    return "-" if count is None else f"{count:,}"


def _show(found: Storage) -> None:
    header = ["table", "rows", "size", "files", "small", "since checkpoint", "last upkeep", "to spare", "to delete"]
    print_table(header, [_table_cells(one) for one in found.tables])
    print()
    print_table(
        ["pair", "timeframe", "provider", "rows", "size", "files", "small"],
        [_series_cells(one) for one in found.series],
    )
    print(f"\n{found.history.name}: {size(found.history.bytes)}, {size(found.history.free_bytes)} of it free")
    show_old(found.history)
    print(f"disk left: {size(found.left)}")


def show_old(history: History) -> None:
    """Print what of the history is older than the settings keep it, if anything is."""
    from ffe_core.operations.upkeep.words import counted

    if old := counted(history.old):
        print(f"older than the settings keep: {old}")


def _table_cells(one: TableStorage) -> list[str]:
    row = table_row(one)
    won = row["next"]
    counts = [count_cell(row[name]) for name in ("files", "small_files", "commits_since_checkpoint")]
    spared, unused = count_cell(won["files_spared"]), size(won["unused_bytes"])
    return [one.table, count_cell(row["rows"]), size(row["bytes"]), *counts, row["last_upkeep"] or "-", spared, unused]


def _series_cells(one: SeriesStorage) -> list[str]:
    named = [one.asset_pair, one.timeframe, one.provider]
    return [*named, count_cell(one.rows), size(one.bytes), count_cell(one.files), count_cell(one.small_files)]
