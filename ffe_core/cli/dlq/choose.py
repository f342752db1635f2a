"""Choice of the dead letters a verb is about: batches and records by id, and what filters choose of them."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ffe_core.cli import output
from ffe_core.cli.common import run_service
from ffe_core.cli.dlq.arguments import FILTERS, is_count
from ffe_core.errors import InputError
from ffe_core.settings import Settings
from ffe_core.storage.dead_letters.file import PENDING
from ffe_core.storage.dead_letters.opening import queue_of
from ffe_core.storage.dead_letters.queue import DeadLetterQueue, Selection
from ffe_core.storage.dead_letters.search import Wanted

if TYPE_CHECKING:
    from ffe_core.operations.dead_letters.service import DeadLetters
    from ffe_core.operations.runs.service import RunService

_MANY_FILES = 100


def opened_queue() -> DeadLetterQueue:
    """The dead letters of the data directory, their index up to date."""
    queue = queue_of(Settings.load())
    queue.refresh(_tell_progress)
    return queue


@contextmanager
def opened() -> Iterator[tuple[RunService, DeadLetters]]:
    """The verbs on dead letters and the run service behind them; files that cannot be read are warned of."""
    from ffe_core.operations.dead_letters.service import DeadLetters

    with run_service(Settings.load()) as service:
        dead_letters = DeadLetters(service)
        dead_letters.queue.refresh(_tell_progress)
        warn_of_quarantined(dead_letters.queue)
        yield service, dead_letters


def warn_of_quarantined(queue: DeadLetterQueue) -> None:
    """Warn of every file that cannot be read as a dead letter."""
    for item in queue.quarantined():
        output.warn(f"quarantined: {item.name}: {item.reason}")


def _tell_progress(done: int, total: int) -> None:
    if total > _MANY_FILES:
        output.tell(f"read {done:,} of {total:,} dead letter files")


def wanted(arguments: argparse.Namespace, queue: DeadLetterQueue, status: str = "") -> Wanted:
    """The filters given; records of `status` if no other is asked for. InputError for a pair that cannot be one."""
    given = {name: getattr(arguments, f"wanted_{name}") for name in FILTERS}
    pair = given.pop("pair")
    if pair:
        queue.names_of(pair)
    return Wanted(**{**given, "status": given["status"] or status}, asset_pair=pair)


def selection(arguments: argparse.Namespace, queue: DeadLetterQueue, status: str) -> dict[str, tuple[int, ...]]:
    """The frozen list that ids and filters come to: records of this status."""
    filters = wanted(arguments, queue, status)
    if not arguments.ids and set(filters.given) == {"status"} and not arguments.wanted_status:
        raise InputError("records: name batches by their id, or choose some with a filter; `dlq list` shows them")
    matching = queue.select(filters) if set(filters.given) - {"status"} or not arguments.ids else None
    if not arguments.ids:
        return matching or {}
    named = _named(arguments.ids, queue)
    chosen = {}
    for batch_id, numbers in named.items():
        records = queue.read(batch_id).records
        among = None if matching is None else set(matching.get(batch_id, ()))
        wanted_numbers = [number for number in numbers if records[number].status == status]
        chosen[batch_id] = tuple(number for number in wanted_numbers if among is None or number in among)
    return {batch_id: numbers for batch_id, numbers in chosen.items() if numbers}


def pending_of_series(arguments: argparse.Namespace, dead_letters: DeadLetters) -> Selection:
    """Pending records of a series; what filters choose besides is left out and told, what is named is refused later."""
    chosen = selection(arguments, dead_letters.queue, PENDING)
    if arguments.ids:
        return chosen
    kept = dead_letters.belonging(chosen)
    if left := sum(map(len, chosen.values())) - sum(map(len, kept.values())):
        output.warn(f"left out {left:,} whose context names no series")
    return kept


def _named(ids: Sequence[str], queue: DeadLetterQueue) -> dict[str, list[int]]:
    """Batch id -> numbers, of ids such as ID (every record) and ID#3. InputError for one that there is not."""
    named: dict[str, list[int]] = {}
    for text in ids:
        batch_id, number = _parsed(text, queue)
        records = queue.read(batch_id).records
        if number is not None and number >= len(records):
            raise InputError(f"record: {batch_id} has no record {number}; they count from 0 to {len(records) - 1}")
        named.setdefault(batch_id, []).extend([number] if number is not None else range(len(records)))
    return {batch_id: list(dict.fromkeys(numbers)) for batch_id, numbers in named.items()}


def _parsed(text: str, queue: DeadLetterQueue) -> tuple[str, int | None]:
    batch_id, mark, number = text.rpartition("#")
    return (batch_id, int(number)) if mark and is_count(number) else (text, None)
