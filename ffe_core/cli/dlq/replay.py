"""`dlq replay` and `dlq refetch`: store pending records that pass, or ask the provider for their bars again."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from typing import Any

from ffe_core.cli import output
from ffe_core.cli.common import actor, follow, status_of
from ffe_core.cli.dlq import choose, outcomes
from ffe_core.cli.output import print_json
from ffe_core.operations.dead_letters.service import DeadLetters
from ffe_core.operations.runs.service import RunService
from ffe_core.storage.dead_letters.file import PENDING
from ffe_core.storage.dead_letters.index import readable
from ffe_core.storage.dead_letters.queue import DeadLetterQueue, Selection
from ffe_core.storage.state.runs import RunSeries

_SHOWN = 100


def replay(arguments: argparse.Namespace) -> int:
    """Exit status of a replay: 1 if a series failed. A record that fails again is an answer, not a failure."""
    with choose.opened() as (service, dead_letters):
        selection = choose.pending_of_series(arguments, dead_letters)
        if arguments.dry_run:
            return _foresee(arguments, dead_letters, selection)
        document: dict[str, Any] = {"replayed": 0, "failed": 0, "collided": 0}
        status = 0
        if selection:
            wait = service.settings.lease_wait_seconds
            options = {"restate": arguments.restate, "lease_wait": wait}
            run_id = dead_letters.replay(selection, actor(), "command line", **options)
            results = _followed(service, run_id)
            status = int(any(result["status"] == "error" for result in results))
            names = {"replayed": "records", "failed": "failed_records", "collided": "collided"}
            document = {name: sum(result.get(key, 0) for result in results) for name, key in names.items()}
            document |= {"run": run_id, "results": results}
    if arguments.json:
        print_json(readable(document))
    else:
        print(f"{document['replayed']:,} replayed, {document['failed']:,} failed, {document['collided']:,} collided")
    return status


def refetch(arguments: argparse.Namespace) -> int:
    """Exit status of asking again: 1 if a series failed or nothing of it passed."""
    with choose.opened() as (service, dead_letters):
        selection = choose.pending_of_series(arguments, dead_letters)
        asked = sum(map(len, selection.values()))
        document: dict[str, Any] = {"records": asked, "superseded": 0, "pending": asked}
        status = 0
        if selection and not arguments.dry_run:
            wait = service.settings.lease_wait_seconds
            run_id = dead_letters.refetch(selection, actor(), "command line", lease_wait=wait)
            results = _followed(service, run_id)
            status = status_of(results)
            pending = _still_pending(dead_letters.queue, selection)
            document |= {"superseded": asked - pending, "pending": pending, "run": run_id, "results": results}
    if arguments.json:
        print_json(readable(document))
    elif arguments.dry_run:
        print(f"{asked:,} would be asked for")
    else:
        print(f"{asked:,} asked for, {document['superseded']:,} are stored now, {document['pending']:,} still pending")
    return status


def _still_pending(queue: DeadLetterQueue, selection: Selection) -> int:
    return sum(
        queue.read(batch_id).records[number].status == PENDING
        for batch_id, numbers in selection.items()
        for number in numbers
    )


def _foresee(arguments: argparse.Namespace, dead_letters: DeadLetters, selection: Selection) -> int:
    checks = list(dead_letters.preview(selection)) if selection else []
    tally = Counter(check.outcome for check in checks)
    lands = tally["passes"] + tally["landed"] + (tally["collides"] if arguments.restate else 0)
    document = {
        "replayed": lands,
        "failed": tally["fails"],
        "collided": len(checks) - lands - tally["fails"],
        "dry_run": True,
        "records": [{"id": one.batch_id, "record": one.number, **outcomes.as_row(one)} for one in checks],
    }
    if arguments.json:
        print_json(readable(document))
        return 0
    for check in checks[:_SHOWN]:
        print(outcomes.as_text(check))
    print(f"{lands:,} would be replayed, {tally['fails']:,} would fail, {document['collided']:,} would collide")
    return 0


class _Progress:
    """Says on stderr how far a run is, and at its end why a series failed."""

    def __init__(self, run_id: int) -> None:
        self._run_id = run_id
        self._told = 0

    def __call__(self, rows: Sequence[RunSeries]) -> None:
        """Say what is new."""
        evaluated = sum(row.received for row in rows)
        if evaluated != self._told:
            self._told = evaluated
            stored = sum(row.records for row in rows)
            output.tell(f"run {self._run_id}: {evaluated:,} evaluated, {stored:,} stored")


def _followed(service: RunService, run_id: int) -> list[dict[str, Any]]:
    results = follow(service, run_id, _Progress(run_id))
    for result in results:
        if result.get("error"):
            output.tell(str(result["error"]))
    return results
