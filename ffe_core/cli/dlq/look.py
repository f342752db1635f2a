"""`dlq list` and `dlq show`: which dead letters there are, and one of them in full."""

from __future__ import annotations

import argparse
import json
from datetime import UTC, datetime
from typing import Any

from ffe_core.cli import output
from ffe_core.cli.dlq import choose
from ffe_core.cli.output import print_json, print_table
from ffe_core.storage.dead_letters.file import DISCARDED, PENDING, REPLAYED, SUPERSEDED
from ffe_core.storage.dead_letters.index import FAILED_AGAIN, readable
from ffe_core.storage.dead_letters.queue import DeadLetterQueue, Quarantined
from ffe_core.storage.dead_letters.search import DeadLetterBatchRow

_SHOWN = 100
_COLUMNS = ("id", "timestamp", "asset_pair", "timeframe", "provider", "records", "pending", "status")
_QUARANTINED = "quarantined"


def listing(arguments: argparse.Namespace) -> int:
    """Print a row a batch; files that cannot be read are rows too in JSON, and lines on stderr otherwise."""
    queue = choose.opened_queue()
    is_broken_wanted = arguments.wanted_status in ("", _QUARANTINED)
    rows = [] if arguments.wanted_status == _QUARANTINED else _batches(queue, arguments)
    broken = queue.quarantined() if is_broken_wanted else []
    for item in broken:
        output.tell(f"quarantined: {item.name}: {item.reason}")
    if arguments.json:
        print_json(readable([*map(_as_dict, rows), *map(_quarantined, broken)]))
        return 0
    if not rows:
        print("no dead letters match")
    else:
        header = ["id", "kept", "pair", "timeframe", "provider", "records", "pending", "status"]
        print_table(header, [[_plain(_as_dict(row)[name]) for name in _COLUMNS] for row in rows])
    return 0


def _batches(queue: DeadLetterQueue, arguments: argparse.Namespace) -> list[DeadLetterBatchRow]:
    return queue.batches(choose.wanted(arguments, queue), arguments.limit, arguments.offset)


def show(arguments: argparse.Namespace) -> int:
    """Print one batch with its records."""
    from ffe_core.operations.dead_letters.service import described

    queue = choose.opened_queue()
    choose.warn_of_quarantined(queue)
    batch = queue.read(arguments.id)
    row = _as_dict(queue.rows([arguments.id])[0])
    records = [described(batch, record) for record in batch.records]
    if arguments.json:
        print_json(readable({**row, "records": [_record(record) for record in records]}))
        return 0
    print(f"{row['id']}\nkept {row['timestamp']} because: {_plain(batch.error)}\ncontext {batch.context!a}")
    for record in records[:_SHOWN]:
        _print_record(record)
    if len(records) > _SHOWN:
        print(f"... and {len(records) - _SHOWN:,} more; --json shows all")
    return 0


def _as_dict(row: DeadLetterBatchRow) -> dict[str, Any]:
    context = row.context
    return {
        "id": row.id,
        "timestamp": datetime.fromtimestamp(row.saved_at, UTC).isoformat(),
        "error": row.error,
        "context": context,
        "asset_pair": row.series.asset_pair if row.series else context.get("asset_pair"),
        "timeframe": context.get("timeframe"),
        "provider": context.get("provider"),
        "records": row.records,
        "pending": row.counts.get(PENDING, 0),
        "failed_again": row.counts.get(FAILED_AGAIN, 0),
        "replayed": row.counts.get(REPLAYED, 0),
        "superseded": row.counts.get(SUPERSEDED, 0),
        "discarded": row.counts.get(DISCARDED, 0),
        "matching": row.matching,
        "status": row.status,
    }


def _quarantined(item: Quarantined) -> dict[str, Any]:
    """A file that is no dead letter, in the shape of an entry: nothing in it can be counted or replayed."""
    unknown = dict.fromkeys(("timestamp", "asset_pair", "timeframe", "provider"))
    counts = dict.fromkeys(("records", "pending", "failed_again", "replayed", "superseded", "discarded", "matching"), 0)
    return {"id": item.name, "error": item.reason, "context": {}, **unknown, **counts, "status": _QUARANTINED}


def _record(record: dict[str, Any]) -> dict[str, Any]:
    names = ("record", "bar", "status", "reasons", "in_words", "attempts", "revision", "raw", "value", "history")
    return {name: record[name] for name in names}


def _print_record(record: dict[str, Any]) -> None:
    tries = f", {record['attempts']} attempts" if record["attempts"] else ""
    print(f"\n#{record['record']} {record['status']}{tries}, revision {record['revision']}, bar {record['bar'] or '-'}")
    print(f"  received  {json.dumps(record['raw'])}")
    if record["revision"]:
        print(f"  edited    {json.dumps(record['value'])}")
    for words in record["in_words"]:
        print(f"  because   {_plain(words)}")
    for step in record["history"]:
        why = f": {step['why']}" if step.get("why") else ""
        print(f"  {_plain(step['at'])} {step['verb']} by {_plain(step['by'])}, {step['outcome']}{_plain(why)}")


def _plain(text: Any) -> str:
    """Text that a terminal shows and does not obey."""
    return ascii(str(text))[1:-1]
