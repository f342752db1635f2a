"""`dlq discard`, `dlq restore` and `dlq purge`: set records aside, take them back, delete for good what has ended."""

from __future__ import annotations

import argparse

from ffe_core.cli.common import actor
from ffe_core.cli.dlq import choose
from ffe_core.cli.output import print_json
from ffe_core.counts import many
from ffe_core.storage.dead_letters.file import DISCARDED, PENDING


def purge(arguments: argparse.Namespace) -> int:
    """Delete for good the batches in which nothing is pending."""
    with choose.opened() as (_, dead_letters):
        rows = dead_letters.purgeable(arguments.days, choose.wanted(arguments, dead_letters.queue))
        gone = [row.id for row in rows]
        if not arguments.dry_run:
            gone = dead_letters.purge(gone, arguments.days, actor(), arguments.why)
    records = sum(row.records for row in rows if row.id in gone)
    if arguments.json:
        print_json({"purged": len(gone), "records": records, "entries": gone, "dry_run": arguments.dry_run})
    else:
        would = "would be " if arguments.dry_run else ""
        print(f"{many(len(gone), 'batch', 'batches')} with {many(records, 'record')} {would}deleted for good")
    return 0


def discard(arguments: argparse.Namespace) -> int:
    """Mark pending records as not wanted."""
    return _mark(arguments, PENDING, "discarded")


def restore(arguments: argparse.Namespace) -> int:
    """Make discarded records pending again."""
    return _mark(arguments, DISCARDED, "restored")


def _mark(arguments: argparse.Namespace, status: str, done: str) -> int:
    with choose.opened() as (_, dead_letters):
        selection = choose.selection(arguments, dead_letters.queue, status)
        if arguments.dry_run:
            marked = sum(map(len, selection.values()))
        elif done == "discarded":
            marked = dead_letters.discard(selection, actor(), arguments.why)
        else:
            marked = dead_letters.restore(selection, actor())
    if arguments.json:
        print_json({done: marked, "entries": list(selection)})
    else:
        print(f"{marked:,} {'would be ' if arguments.dry_run else ''}{done}")
    return 0
