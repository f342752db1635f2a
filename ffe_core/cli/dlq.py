"""`dlq`: look at dead letters, edit them, replay them, ask for them again, discard, restore and purge them.

Records count from 0. `ID` names an entry, `ID#3` one of its records. Where a verb takes several, filters choose instead
of, or among, the entries named; what they choose is a frozen list before anything starts.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from ffe_core.cli.common import actor, print_table, run_service
from ffe_core.errors import InputError
from ffe_core.operations.dead_letters.edits import (
    Fix,
    drop_volume,
    in_words,
    parse_record,
    parse_value,
    scale,
    set_fields,
    swap_high_low,
)
from ffe_core.operations.dead_letters.replay_check import ReplayCheck
from ffe_core.operations.dead_letters.service import DeadLetters, Edit, described, readable
from ffe_core.operations.runs.service import RunService
from ffe_core.pairs import normalize_pair
from ffe_core.settings import Settings
from ffe_core.storage.dead_letters.file import DISCARDED, PENDING, REPLAYED, SUPERSEDED
from ffe_core.storage.dead_letters.index import FAILED_AGAIN
from ffe_core.storage.dead_letters.queue import DeadLetterQueue, Selection
from ffe_core.storage.dead_letters.search import DeadLetterBatchRow, Wanted
from ffe_core.storage.files import strict_json
from ffe_core.storage.state import runs as run_states

_POLL_SECONDS = 0.2
_SHOWN = 100
_FILTERS = {
    "reason": "a reason code, for example high_below_low",
    "pair": "for example BTCUSD",
    "timeframe": "for example 1h",
    "provider": "for example coinbase",
    "run": "the number of the run that kept them",
    "day": "the UTC day on which they were kept, for example 2024-01-31",
    "status": "pending, new, failed again, replayed, superseded by stored, discarded or partly replayed",
    "text": "what a record contains",
}


def register(verbs: Any) -> None:
    """Add the verb and its own verbs to the parser."""
    parser = verbs.add_parser(
        "dlq", help="dead letters: look, edit, replay, discard", description=__doc__.partition("\n")[0]
    )
    own = parser.add_subparsers(dest="dlq_verb", required=True, metavar="VERB", parser_class=type(parser))
    listing = _add(own, "list", _list, "entries that hold a matching record, the newest first")
    listing.add_argument("--limit", type=_count, metavar="N", help="at most so many entries")
    listing.add_argument("--offset", type=_count, default=0, metavar="N", help="leave out so many of the newest")
    _add_filters(listing)
    showing = _add(own, "show", _show, "one entry: each record as received, its reasons and what was done")
    showing.add_argument("id", metavar="ID")
    _add_mending(_add(own, "mend", _mend, "save a new revision of records; what was received stays"))
    replaying = _several(own, "replay", _replay, "store pending records that pass, each exactly once")
    replaying.add_argument(
        "--restate", action="store_true", help="on a collision append, instead of keeping the stored"
    )
    replaying.add_argument("--dry-run", action="store_true", help="say what would become of them, and stop")
    asking = _several(own, "refetch", _refetch, "ask the provider again for just the bars of pending records")
    asking.add_argument("--dry-run", action="store_true", help="say how many it would be, and stop")
    discarding = _several(own, "discard", _discard, "mark pending records as not wanted; restore takes it back")
    discarding.add_argument("--reason", dest="why", required=True, metavar="TEXT", help="why")
    discarding.add_argument("--dry-run", action="store_true", help="say how many it would be, and stop")
    restoring = _several(own, "restore", _restore, "make discarded records pending again")
    restoring.add_argument("--dry-run", action="store_true", help="say how many it would be, and stop")
    purging = _add(own, "purge", _purge, "delete for good the entries in which nothing is pending")
    purging.add_argument("--days", type=_count, required=True, metavar="N", help="only what nobody touched for so long")
    purging.add_argument("--reason", dest="why", required=True, metavar="TEXT", help="why, for the audit")
    purging.add_argument("--dry-run", action="store_true", help="say how many it would be, and stop")
    _add_filters(purging, ("--code",))


def _add(own: Any, name: str, run: Any, words: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = own.add_parser(name, help=words, description=f"{words[0].upper()}{words[1:]}.")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.set_defaults(run=run)
    return parser


def _several(own: Any, name: str, run: Any, words: str) -> argparse.ArgumentParser:
    parser = _add(own, name, run, words)
    parser.add_argument("ids", nargs="*", metavar="ID", help="an entry, or one record of it as ID#N")
    # `--reason` of `discard` says why; there the filter has only its other name.
    _add_filters(parser, ("--code",) if run is _discard else ("--reason", "--code"))
    return parser


def _add_filters(parser: argparse.ArgumentParser, reason: Sequence[str] = ("--reason", "--code")) -> None:
    for name, words in _FILTERS.items():
        flags = reason if name == "reason" else (f"--{name}",)
        parser.add_argument(*flags, dest=f"wanted_{name}", default="", metavar="TEXT", help=words)


def _add_mending(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID")
    parser.add_argument("--record", type=_count, action="append", metavar="N", help="which; give it again for several")
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE", help="a JSON value, or plain text")
    parser.add_argument("--scale", action="append", default=[], metavar="FIELD=FACTOR", help="multiply a field")
    parser.add_argument("--swap-high-low", action="store_true", help="exchange high and low")
    parser.add_argument("--drop-volume", action="store_true", help="store it without a volume")
    parser.add_argument("--value", metavar="JSON", help="the whole record")
    parser.add_argument("--revision", type=_count, metavar="N", help="refuse if this is not the latest revision")
    parser.add_argument("--why", default="", metavar="TEXT", help="kept with the revision")
    parser.add_argument("--dry-run", action="store_true", help="say what a replay would make of it, and save nothing")


def _count(text: str) -> int:
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 on")
    return int(text)


# -- verbs


def _list(arguments: argparse.Namespace) -> int:
    queue = _queue()
    rows = queue.entries(_wanted(arguments), arguments.limit, arguments.offset)
    if arguments.json:
        _print_json([_as_dict(row) for row in rows])
        return 0
    if not rows:
        print("no dead letters match")
    else:
        header = ["id", "kept", "pair", "timeframe", "provider", "records", "pending", "status"]
        print_table(header, [[_plain(_as_dict(row)[name]) for name in _COLUMNS] for row in rows])
    for item in queue.quarantined():
        sys.stderr.write(f"quarantined: {_plain(item.name)}: {_plain(item.reason)}\n")
    return 0


def _show(arguments: argparse.Namespace) -> int:
    queue = _queue()
    entry = queue.read(arguments.id)
    row = _as_dict(queue.rows([arguments.id])[0])
    letters = [described(entry, letter) for letter in entry.letters]
    if arguments.json:
        _print_json({**row, "records": [_record(letter) for letter in letters]})
        return 0
    print(f"{row['id']}\nkept {row['timestamp']} because: {_plain(entry.error)}\ncontext {entry.context!a}")
    for letter in letters[:_SHOWN]:
        _print_letter(letter)
    if len(letters) > _SHOWN:
        print(f"... and {len(letters) - _SHOWN:,} more; --json shows all")
    return 0


def _mend(arguments: argparse.Namespace) -> int:
    if not arguments.record:
        raise InputError("record: say which, for example --record 0")
    with _dead_letters() as (_, dead_letters):
        edits = _edits(arguments, dead_letters)
        checks = _evaluated(dead_letters, {arguments.id: tuple(arguments.record)}, edits)
        if not arguments.dry_run:
            dead_letters.mend(edits, actor(), arguments.why)
        entry = dead_letters.queue.read(arguments.id)
    outcome = {check.number: check for check in checks}
    document = {
        "id": arguments.id,
        "mended": 0 if arguments.dry_run else len(edits),
        "records": [
            {
                "record": edit.number,
                "revision": entry.letters[edit.number].revision,
                "value": edit.value,
                **(_check(outcome[edit.number]) if edit.number in outcome else {}),
            }
            for edit in edits
        ],
    }
    if arguments.json:
        _print_json(document)
    else:
        for check in checks:
            print(_in_words(check))
    return 0


def _replay(arguments: argparse.Namespace) -> int:
    with _dead_letters() as (service, dead_letters):
        selection = _belonging(arguments, dead_letters)
        if arguments.dry_run:
            return _foresee(arguments, dead_letters, selection)
        document: dict[str, Any] = {"replayed": 0, "failed": 0, "collided": 0}
        failed = False
        if selection:
            wait = service.settings.lease_wait_seconds
            options = {"restate": arguments.restate, "lease_wait": wait}
            run_id = dead_letters.replay(selection, actor(), "command line", **options)
            results = _follow(service, run_id)
            failed = any(result.get("status") == "error" for result in results)
            names = {"replayed": "records", "failed": "failed_records", "collided": "collided"}
            document = {name: sum(result.get(key, 0) for result in results) for name, key in names.items()}
            document |= {"run": run_id, "results": results}
    if arguments.json:
        _print_json(document)
    else:
        print(f"{document['replayed']:,} replayed, {document['failed']:,} failed, {document['collided']:,} collided")
    return int(failed)


def _refetch(arguments: argparse.Namespace) -> int:
    with _dead_letters() as (service, dead_letters):
        selection = _belonging(arguments, dead_letters)
        asked = sum(map(len, selection.values()))
        document: dict[str, Any] = {"records": asked, "superseded": 0, "pending": asked}
        failed = False
        if selection and not arguments.dry_run:
            wait = service.settings.lease_wait_seconds
            run_id = dead_letters.refetch(selection, actor(), "command line", lease_wait=wait)
            results = _follow(service, run_id)
            failed = any(result.get("status") == "error" for result in results)
            pending = _still_pending(dead_letters.queue, selection)
            document |= {"superseded": asked - pending, "pending": pending, "run": run_id, "results": results}
    if arguments.json:
        _print_json(document)
    elif arguments.dry_run:
        print(f"{asked:,} would be asked for")
    else:
        print(f"{asked:,} asked for, {document['superseded']:,} are stored now, {document['pending']:,} still pending")
    return int(failed)


def _purge(arguments: argparse.Namespace) -> int:
    with _dead_letters() as (_, dead_letters):
        rows = dead_letters.purgeable(arguments.days, _wanted(arguments))
        gone = [row.id for row in rows]
        if not arguments.dry_run:
            gone = dead_letters.purge(gone, arguments.days, actor(), arguments.why)
    records = sum(row.records for row in rows if row.id in gone)
    if arguments.json:
        _print_json({"purged": len(gone), "records": records, "entries": gone, "dry_run": arguments.dry_run})
    else:
        would = "would be " if arguments.dry_run else ""
        print(f"{len(gone):,} entries with {records:,} records {would}deleted for good")
    return 0


def _discard(arguments: argparse.Namespace) -> int:
    return _mark(arguments, PENDING, "discarded")


def _restore(arguments: argparse.Namespace) -> int:
    return _mark(arguments, DISCARDED, "restored")


# -- what they share


def _mark(arguments: argparse.Namespace, status: str, done: str) -> int:
    with _dead_letters() as (_, dead_letters):
        selection = _selection(arguments, dead_letters.queue, status)
        if arguments.dry_run:
            marked = sum(map(len, selection.values()))
        elif done == "discarded":
            marked = dead_letters.discard(selection, actor(), arguments.why)
        else:
            marked = dead_letters.restore(selection, actor())
    if arguments.json:
        _print_json({done: marked, "entries": list(selection)})
    else:
        print(f"{marked:,} {'would be ' if arguments.dry_run else ''}{done}")
    return 0


def _still_pending(queue: DeadLetterQueue, selection: Selection) -> int:
    return sum(
        queue.read(entry_id).letters[number].status == PENDING
        for entry_id, numbers in selection.items()
        for number in numbers
    )


def _queue() -> DeadLetterQueue:
    queue = DeadLetterQueue(Settings.load().data_dir / "dlq")
    queue.refresh(_tell_progress)
    return queue


@contextmanager
def _dead_letters() -> Iterator[tuple[RunService, DeadLetters]]:
    with run_service(Settings.load()) as service:
        dead_letters = DeadLetters(service)
        dead_letters.queue.refresh(_tell_progress)
        yield service, dead_letters


def _tell_progress(done: int, total: int) -> None:
    if total > _SHOWN:
        sys.stderr.write(f"read {done:,} of {total:,} dead letter files\n")


def _wanted(arguments: argparse.Namespace, status: str = "") -> Wanted:
    given = {name: getattr(arguments, f"wanted_{name}") for name in _FILTERS}
    pair = given.pop("pair")
    return Wanted(**{**given, "status": given["status"] or status}, asset_pair=normalize_pair(pair) if pair else "")


def _selection(arguments: argparse.Namespace, queue: DeadLetterQueue, status: str) -> dict[str, tuple[int, ...]]:
    """The frozen list that ids and filters come to: records of this status."""
    wanted = _wanted(arguments, status)
    if not arguments.ids and set(wanted.given) == {"status"} and not arguments.wanted_status:
        raise InputError("records: name entries by their id, or choose some with a filter; `dlq list` shows them")
    matching = queue.select(wanted) if set(wanted.given) - {"status"} or not arguments.ids else None
    if not arguments.ids:
        return matching or {}
    named = _named(arguments.ids, queue)
    chosen = {}
    for entry_id, numbers in named.items():
        letters = queue.read(entry_id).letters
        among = None if matching is None else set(matching.get(entry_id, ()))
        wanted_numbers = [number for number in numbers if letters[number].status == status]
        chosen[entry_id] = tuple(number for number in wanted_numbers if among is None or number in among)
    return {entry_id: numbers for entry_id, numbers in chosen.items() if numbers}


def _belonging(arguments: argparse.Namespace, dead_letters: DeadLetters) -> Selection:
    """Pending records of a series; what filters choose besides is left out and told, what is named is refused later."""
    selection = _selection(arguments, dead_letters.queue, PENDING)
    if arguments.ids:
        return selection
    kept = dead_letters.belonging(selection)
    if left := sum(map(len, selection.values())) - sum(map(len, kept.values())):
        sys.stderr.write(f"left out {left:,} whose context names no series\n")
    return kept


def _named(ids: Sequence[str], queue: DeadLetterQueue) -> dict[str, list[int]]:
    """Entry id -> numbers, of ids such as ID (every record) and ID#3. InputError for one that there is not."""
    named: dict[str, list[int]] = {}
    for text in ids:
        entry_id, number = _parsed(text, queue)
        letters = queue.read(entry_id).letters
        if number is not None and number >= len(letters):
            raise InputError(f"record: {entry_id} has no record {number}; they count from 0 to {len(letters) - 1}")
        named.setdefault(entry_id, []).extend([number] if number is not None else range(len(letters)))
    return {entry_id: list(dict.fromkeys(numbers)) for entry_id, numbers in named.items()}


def _parsed(text: str, queue: DeadLetterQueue) -> tuple[str, int | None]:
    entry_id, mark, number = text.rpartition("#")
    return (entry_id, int(number)) if mark and number.isdigit() else (text, None)


def _edits(arguments: argparse.Namespace, dead_letters: DeadLetters) -> list[Edit]:
    selection = {arguments.id: tuple(arguments.record)}
    fixes: list[Fix] = []
    if arguments.value is not None:
        whole = parse_record(arguments.value)
        letters = dead_letters.queue.read(arguments.id).letters
        numbers = [number for number in arguments.record if number < len(letters)]
        edits = [Edit(arguments.id, number, letters[number].revision, whole) for number in numbers]
        if len(numbers) < len(arguments.record):
            dead_letters.edits(selection, [])
    else:
        fixes += [swap_high_low] if arguments.swap_high_low else []
        fixes += [scale(_pairs(arguments.scale, "--scale open=0.01"))] if arguments.scale else []
        fixes += [drop_volume] if arguments.drop_volume else []
        given = _pairs(arguments.set, "--set high=43000.5")
        fixes += [set_fields({name: parse_value(text) for name, text in given.items()})] if given else []
        if not fixes:
            raise InputError("mend: say how, for example --set high=43000.5, --swap-high-low or --value '{...}'")
        edits = dead_letters.edits(selection, fixes)
    if arguments.revision is None:
        return edits
    return [Edit(edit.entry_id, edit.number, arguments.revision, edit.value) for edit in edits]


def _pairs(texts: Sequence[str], example: str) -> dict[str, str]:
    for text in texts:
        if "=" not in text:
            raise InputError(f"mend: {text!r} names no value; write it like {example}")
    return dict(text.split("=", 1) for text in texts)


def _evaluated(dead_letters: DeadLetters, selection: Selection, edits: Sequence[Edit]) -> list[ReplayCheck]:
    """The preview, where the entry belongs to a series."""
    (row,) = dead_letters.queue.rows(list(selection))
    return list(dead_letters.preview(selection, edits)) if row.series else []


def _foresee(arguments: argparse.Namespace, dead_letters: DeadLetters, selection: Selection) -> int:
    checks = list(dead_letters.preview(selection)) if selection else []
    tally = Counter(check.outcome for check in checks)
    lands = tally["passes"] + tally["landed"] + (tally["collides"] if arguments.restate else 0)
    document = {
        "replayed": lands,
        "failed": tally["fails"],
        "collided": len(checks) - lands - tally["fails"],
        "dry_run": True,
        "records": [{"id": check.entry_id, "record": check.number, **_check(check)} for check in checks],
    }
    if arguments.json:
        _print_json(document)
        return 0
    for check in checks[:_SHOWN]:
        print(_in_words(check))
    print(f"{lands:,} would be replayed, {tally['fails']:,} would fail, {document['collided']:,} would collide")
    return 0


def _follow(service: RunService, run_id: int) -> list[dict[str, Any]]:
    """Wait for the end of a run; the results of its series."""
    told = 0
    while True:
        run, rows = service.runs.get(run_id), service.runs.series(run_id)
        evaluated = sum(row["received"] for row in rows)
        if evaluated != told:
            told = evaluated
            sys.stderr.write(f"run {run_id}: {evaluated:,} evaluated, {sum(row['records'] for row in rows):,} stored\n")
        if run is None or run["state"] not in run_states.ACTIVE:
            break
        time.sleep(_POLL_SECONDS)
    for row in rows:
        if row["error"]:
            sys.stderr.write(f"{row['error']}\n")
    return [dict(row["result"] or {"status": "error", "error": row["error"]}) for row in rows]


_COLUMNS = ("id", "timestamp", "asset_pair", "timeframe", "provider", "records", "pending", "status")


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


def _record(letter: dict[str, Any]) -> dict[str, Any]:
    names = ("record", "bar", "status", "reasons", "in_words", "attempts", "revision", "raw", "value", "history")
    return {name: letter[name] for name in names}


def _print_letter(letter: dict[str, Any]) -> None:
    tries = f", {letter['attempts']} attempts" if letter["attempts"] else ""
    print(f"\n#{letter['record']} {letter['status']}{tries}, revision {letter['revision']}, bar {letter['bar'] or '-'}")
    print(f"  received  {json.dumps(letter['raw'])}")
    if letter["revision"]:
        print(f"  edited    {json.dumps(letter['value'])}")
    for words in letter["in_words"]:
        print(f"  because   {_plain(words)}")
    for step in letter["history"]:
        why = f": {step['why']}" if step.get("why") else ""
        print(f"  {_plain(step['at'])} {step['verb']} by {_plain(step['by'])}, {step['outcome']}{_plain(why)}")


def _print_json(document: Any) -> None:
    """One strict JSON document on stdout, in ASCII: what was received may hold what a terminal obeys."""
    print(strict_json(readable(document), indent=2))


def _plain(text: Any) -> str:
    """Text that a terminal shows and does not obey."""
    return ascii(str(text))[1:-1]


def _check(check: ReplayCheck) -> dict[str, Any]:
    return {
        "outcome": check.outcome,
        "reasons": list(check.reasons),
        "in_words": [in_words(code) for code in check.reasons],
        "candle": check.candle,
        "stored": check.stored,
    }


def _in_words(check: ReplayCheck) -> str:
    name = check.dead_letter_id
    match check.outcome:
        case "passes":
            return f"{name}: would be stored"
        case "landed":
            return f"{name}: is stored already, by an earlier replay"
        case "identical":
            return f"{name}: the same candle is stored already, or comes twice in this list"
        case "collides":
            return f"{name}: collides with the stored candle {check.stored}; edited {check.candle}"
        case _:
            return f"{name}: still fails, because {'; '.join(in_words(code) for code in check.reasons)}"
