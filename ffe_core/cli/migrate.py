"""`migrate`: copy a data directory to the place that the settings name: another folder, an object store, a server."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ffe_core.cli.output import OK, print_json, print_table, tell
from ffe_core.cli.parser import VERBS, add_json

if TYPE_CHECKING:
    from ffe_core.operations.migration.service import Report


def register(verbs: Any) -> None:
    """Add the verb to the parser."""
    parser = verbs.add_parser(
        "migrate",
        help=VERBS["migrate"],
        description="Copy lake, dead letters, state and what people wrote from a data directory to the place that"
        " FFE_LAKE_URI, FFE_STORE__*, FFE_DATABASE_URL and FFE_DATA_DIR name, and compare both. The source is not"
        " changed. Killed at any moment, the same command goes on where it was.",
    )
    parser.add_argument("--from", dest="source", required=True, metavar="DIR", help="the data directory to copy")
    parser.add_argument(
        "--from-lake", metavar="PLACE", help="its lake, folder or address; default the folder lake in it"
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would be copied, and stop")
    add_json(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Copy, or say what would be copied."""
    from ffe_core.cli.common import actor
    from ffe_core.operations.migration.service import Migration
    from ffe_core.settings import Settings

    migration = Migration(
        Settings.load(), arguments.source, arguments.from_lake, actor=actor(), tell=lambda text: tell(text)
    )
    report = migration.preview() if arguments.dry_run else migration.run()
    if arguments.json:
        print_json({"dry_run": arguments.dry_run, **asdict(report)})
    elif report.was_finished:
        print(
            f"{report.source} was copied to its end at {report.finished_at}, and nothing was done now: what was written"
            " there since is not in the new place"
        )
    else:
        _show(report, is_preview=arguments.dry_run)
    return OK


def _show(report: Report, *, is_preview: bool) -> None:
    from ffe_core.cli.storage import size
    from ffe_core.counts import many

    print(f"{report.source} {'would be' if is_preview else 'is'} copied to")
    print(f"  lake {report.lake}{_stays(report.tables)}")
    print(f"  database {report.database}{_stays(report.state)}")
    print(f"  data directory {report.data_dir}{_stays(report.files)}\n")
    if report.tables is not None:
        print_table(
            ["table", "files", "size", "rows", "hash"],
            [[one.table, f"{one.files:,}", size(one.bytes), f"{one.rows:,}", one.hash or "-"] for one in report.tables],
        )
        print()
    if (letters := report.dead_letters) is not None:
        hashed = f", SHA-256 {letters.hash}" if letters.hash else ""
        print(f"dead letters: {many(letters.files, 'file')}, {size(letters.bytes)}{hashed}\n")
    if report.state is not None:
        print_table(
            ["state", "rows", "hash"], [[one.table, f"{one.rows:,}", one.hash] for one in report.state if one.rows]
        )
        print()
    if report.files:
        print(f"files: {', '.join(report.files)}")
    for name, what in report.left_behind.items():
        print(f"not copied: {name} ({what})")
    if report.not_copied:
        print(f"made anew there: {', '.join(f'{name} ({what})' for name, what in report.not_copied.items())}")
    if not is_preview:
        print(f"\n{_next(report)}")


def _stays(part: object) -> str:
    return " (stays)" if part is None else ""


def _next(report: Report) -> str:
    return (
        f"Both hold the same. Start consoles and commands with the settings of this command from now on"
        f" (FFE_LAKE_URI={report.lake}, FFE_DATA_DIR={report.data_dir}, FFE_DATABASE_URL and FFE_STORE__* as they are"
        f" set), and none with the old ones: {report.source} is as it was, and may be deleted once you trust the copy"
    )
