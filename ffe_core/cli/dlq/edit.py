"""`dlq edit`: save a new revision of records; what was received stays."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from ffe_core.cli.common import actor
from ffe_core.cli.dlq import choose, outcomes
from ffe_core.cli.output import print_json
from ffe_core.errors import InputError
from ffe_core.operations.dead_letters.edits import (
    Fix,
    drop_volume,
    parse_record,
    parse_value,
    scale,
    set_fields,
    swap_high_low,
)
from ffe_core.operations.dead_letters.replay_check import ReplayCheck
from ffe_core.operations.dead_letters.service import DeadLetters, Edit
from ffe_core.storage.dead_letters.index import readable
from ffe_core.storage.dead_letters.queue import Selection


def edit(arguments: argparse.Namespace) -> int:
    """Save a new revision of records, or with --dry-run say what a replay would make of it."""
    if not arguments.record:
        raise InputError("record: say which, for example --record 0")
    with choose.opened() as (_, dead_letters):
        edits = _edits(arguments, dead_letters)
        checks = _evaluated(dead_letters, {arguments.id: tuple(arguments.record)}, edits)
        if not arguments.dry_run:
            dead_letters.edit(edits, actor(), arguments.why)
        batch = dead_letters.queue.read(arguments.id)
    outcome = {check.number: check for check in checks}
    saved = 0 if arguments.dry_run else len(edits)
    document = {
        "id": arguments.id,
        "edited": saved,
        "mended": saved,  # its name before
        "records": [
            {
                "record": one.number,
                "revision": batch.records[one.number].revision,
                "value": one.value,
                **(outcomes.as_row(outcome[one.number]) if one.number in outcome else {}),
            }
            for one in edits
        ],
    }
    if arguments.json:
        print_json(readable(document))
    else:
        for check in checks:
            print(outcomes.as_text(check))
    return 0


def _edits(arguments: argparse.Namespace, dead_letters: DeadLetters) -> list[Edit]:
    selection = {arguments.id: tuple(arguments.record)}
    fixes: list[Fix] = []
    if arguments.value is not None:
        whole = parse_record(arguments.value)
        records = dead_letters.queue.read(arguments.id).records
        numbers = [number for number in arguments.record if number < len(records)]
        edits = [Edit(arguments.id, number, records[number].revision, whole) for number in numbers]
        if len(numbers) < len(arguments.record):
            dead_letters.edits(selection, [])
    else:
        fixes += [swap_high_low] if arguments.swap_high_low else []
        fixes += [scale(_pairs(arguments.scale, "--scale open=0.01"))] if arguments.scale else []
        fixes += [drop_volume] if arguments.drop_volume else []
        given = _pairs(arguments.set, "--set high=43000.5")
        fixes += [set_fields({name: parse_value(text) for name, text in given.items()})] if given else []
        if not fixes:
            raise InputError("edit: say how, for example --set high=43000.5, --swap-high-low or --value '{...}'")
        edits = dead_letters.edits(selection, fixes)
    if arguments.revision is None:
        return edits
    return [Edit(one.batch_id, one.number, arguments.revision, one.value) for one in edits]


def _pairs(texts: Sequence[str], example: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in texts:
        name, mark, value = text.partition("=")
        if not mark:
            raise InputError(f"edit: {text!r} names no value; write it like {example}")
        if name in found:
            raise InputError(f"edit: {name!r} is given twice; say which of {found[name]} and {value} it is")
        found[name] = value
    return found


def _evaluated(dead_letters: DeadLetters, selection: Selection, edits: Sequence[Edit]) -> list[ReplayCheck]:
    """The preview, where the batch belongs to a series."""
    (row,) = dead_letters.queue.rows(list(selection))
    return list(dead_letters.preview(selection, edits)) if row.series else []
