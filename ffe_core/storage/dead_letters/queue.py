"""Dead letter queue: one JSON file a batch of records that are no candles, whole as received, each once.

A file holds `timestamp`, `error`, `context`, the raw `records` and, beside them in the same order, `reasons`; and
`format_version`, the version of this form. It is written before the commit of its batch, under a name made of its
content, so a re-run finds it instead of doubling it.
What is done about the records afterwards is added to the file as its `history`.
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa

from ffe_core.counts import many
from ffe_core.errors import InputError, StorageError
from ffe_core.series import Series
from ffe_core.storage.dead_letters import search
from ffe_core.storage.dead_letters.file import VERSION, DeadLetterBatch, NotADeadLetter
from ffe_core.storage.dead_letters.index import (
    Answer,
    DeadLetterIndex,
    Kept,
    Progress,
    batch_id,
    fingerprint,
    quarantined,
    series_key,
)
from ffe_core.storage.dead_letters.keeping import BatchFiles, ChangedMeanwhile, Decided, LocalFiles
from ffe_core.storage.dead_letters.search import DeadLetterBatchRow, Group, Page, Wanted
from ffe_core.storage.files import cause_of, strict_json, why
from ffe_core.storage.sqlite_faults import Fault, fault_of

log = logging.getLogger(__name__)
_TRIES = 20
"""How often a change is decided again where other machines came first."""

Selection = Mapping[str, Sequence[int]]
"""Entry id -> numbers of its records."""


@dataclass(frozen=True, slots=True)
class Saved:
    """What became of a batch: the batch that holds its new records, and how many there were."""

    batch_id: str | None
    saved: int
    repeats: int
    """Records that a dead letter of the same series already holds."""
    places: tuple[int, ...] = ()
    """Which of the given records were saved."""


@dataclass(frozen=True, slots=True)
class Quarantined:
    """Something in the folder that is not a dead letter; it stays where it is."""

    name: str
    reason: str


class DeadLetterQueue:
    """Dead letters of one place; safe to use from several threads and processes at once."""

    def __init__(self, storage_path: str | Path | BatchFiles = "data/dlq") -> None:
        """`storage_path` is a local folder, or what else keeps the batches (`opening.queue_of`)."""
        self._files: BatchFiles = (
            LocalFiles(Path(storage_path)) if isinstance(storage_path, str | Path) else storage_path
        )
        self._lock = self._files.lock
        self._index = DeadLetterIndex(self._files)

    @property
    def storage_path(self) -> Path:
        """The local folder of the batches, or what lies in one of them: their index."""
        return self._files.index_file.parent

    def save(
        self,
        records: Sequence[Any],
        error: str,
        context: Mapping[str, Any],
        reasons: Sequence[Sequence[str]] | None = None,
    ) -> Saved:
        """Keep failed records as received; a record that the series already has here is counted as a repeat.

        `reasons` names the reason codes of each record, in the same order. Raises StorageError if nothing could be
        written: the batch must then not be committed.
        """
        series = series_key(context)
        with self._guarded("written to"), self._lock:
            fresh = self._fresh(series, [fingerprint(record) for record in records])
            batch_id = self._write(series, fresh, records, error, context, reasons) if fresh else None
        return Saved(batch_id, len(fresh), len(records) - len(fresh), tuple(fresh.values()))

    def open_times(self, series: Series, start: int, end: int) -> np.ndarray:
        """Opens in [start, end) of a series' pending and discarded records: sorted unique int64 epoch seconds."""
        return self._ask(lambda index: index.open_times(series.key, start, end))

    def open_times_by_series(self, start: int, end: int) -> dict[str, np.ndarray]:
        """Open times of every series that has any in [start, end), by `Series.key`: one look at the folder for all."""
        return self._ask(lambda index: index.open_times_by_series(start, end))

    def kept_by(self, run: str, since: float) -> dict[str, Kept]:
        """What a run has kept since an instant (epoch seconds) of each series, by `Series.key`."""
        return self._ask(lambda index: index.kept_by(run, since))

    # -- looking

    def refresh(self, progress: Progress = lambda done, total: None) -> None:
        """Take in what changed in the folder; every other look does it too, without telling of its progress."""
        with self._guarded("read"):
            self._index.refresh(progress, is_reader=True)

    def find(self, wanted: Wanted | None = None, limit: int = 50, offset: int = 0) -> Page:
        """A page of matching records, those of the newest batch first."""
        wanted = wanted or Wanted()
        return self._ask(lambda index: search.find(index, wanted, self._reader(wanted), limit, offset))

    def count(self, wanted: Wanted | None = None) -> int:
        """How many records match; a text to search for is left out of account."""
        return self._ask(lambda index: search.count(index, wanted or Wanted()))

    def batches(
        self, wanted: Wanted | None = None, limit: int | None = None, offset: int = 0
    ) -> list[DeadLetterBatchRow]:
        """Batches that hold a matching record, the newest first."""
        wanted = wanted or Wanted()
        return self._ask(lambda index: search.batch_rows(index, wanted, self._reader(wanted), limit, offset))

    def groups(self, dimension: str, wanted: Wanted | None = None, most: int = 50) -> list[Group]:
        """Matching records counted by reason, asset_pair, timeframe, provider, run or day, the largest groups first.

        A text to search for is left out of account.
        """
        return self._ask(lambda index: search.group(index, dimension, wanted or Wanted(), most))

    def largest(
        self, dimensions: Sequence[str], wanted: Wanted | None = None, most: int = 50
    ) -> dict[str, dict[str, int]]:
        """How many matching records each of the largest groups has, by dimension and by value."""
        return self._ask(lambda index: search.largest(index, dimensions, wanted or Wanted(), most))

    def names_of(self, pair: str) -> tuple[str, ...]:
        """The stored names that a typed pair means among the dead letters; InputError for what cannot be a name."""
        return self._ask(lambda index: search.names_of(index, pair))

    def rows(self, batch_ids: Sequence[str]) -> list[DeadLetterBatchRow]:
        """These batches as a list shows them, in this order. InputError names one that there is not."""
        found = self._ask(lambda index: search.rows_of(index, batch_ids))
        missing = set(batch_ids) - {row.id for row in found}
        if missing:
            raise InputError(
                f"there is no dead letter {min(missing)!r}; `dlq list` shows which there are", field="entry"
            )
        return found

    def span(self, selection: Selection) -> tuple[int, int] | None:
        """First and last bar open among these records, epoch seconds; None if no time can be read."""
        return self._ask(lambda index: search.span(index, selection))

    def opens(self, selection: Selection) -> dict[str, dict[int, int]]:
        """Batch id -> number -> bar open of those records of a list whose time can be read."""
        return self._ask(lambda index: search.opens_of(index, selection))

    def pending(self, selection: Selection) -> dict[str, tuple[int, ...]]:
        """The records of a list that are pending now: others may have replayed or discarded some since it was made."""
        return self._ask(lambda index: search.pending_of(index, selection))

    def select(self, wanted: Wanted | None = None) -> dict[str, tuple[int, ...]]:
        """Every matching record, as a list that does not change any more: batch id -> numbers, the oldest first."""
        wanted = wanted or Wanted()
        return self._ask(lambda index: dict(search.select(index, wanted, self._reader(wanted))))

    def quarantined(self) -> list[Quarantined]:
        """What in the folder is not a dead letter, and why; by name."""
        return self._ask(_quarantined)

    def read(self, batch_id: str) -> DeadLetterBatch:
        """One batch with all its records. InputError if there is none of this id."""
        try:
            return self._files.read(self._checked(batch_id))
        except NotADeadLetter as reason:
            raise InputError(f"{batch_id!r} is not a dead letter: {reason}", field="entry") from reason

    # -- changing

    def change(self, batch_ids: Sequence[str], decide: Callable[[dict[str, DeadLetterBatch]], Decided]) -> None:
        """Add steps to the history of some batches, while nobody else changes any.

        `decide` gets the batches as they are now and returns the steps for each; what it raises, nothing is changed.
        In an object store another machine may come first with one of them: then it is asked again for those that are
        not written yet.
        """
        with self._guarded("written to"), self._lock:
            left = list(dict.fromkeys(batch_ids))
            for tries_left in reversed(range(_TRIES)):
                try:
                    self._change(left, decide)
                    break
                except ChangedMeanwhile:
                    if not tries_left:
                        raise

    def _change(self, left: list[str], decide: Callable[[dict[str, DeadLetterBatch]], Decided]) -> None:
        """Decide about batches and write it; those that are written are no more `left`."""
        batches = {batch_id: self.read(batch_id) for batch_id in left}
        decided = decide(batches)
        written = []
        try:
            for batch_id, steps in decided.items():
                if steps:
                    self._files.add(batches[batch_id], steps)
                    written.append(batch_id)
                left.remove(batch_id)
        finally:
            self._index.take_in(written)

    def remove(self, batch_ids: Sequence[str], may_go: Callable[[DeadLetterBatch], bool]) -> list[str]:
        """Delete the files of those batches that, as they are now, may go; returns their ids."""
        gone: list[str] = []
        with self._guarded("written to"), self._lock:
            try:
                for batch_id in batch_ids:
                    if may_go(self.read(batch_id)):
                        self._files.remove(batch_id)
                        gone.append(batch_id)
            finally:
                self._index.take_in(gone)
        return gone

    # -- inside

    def _checked(self, batch_id: str) -> str:
        """The id; InputError for one that there is not, or that cannot be one of this place."""
        name = f"{batch_id}.json"
        plain = isinstance(batch_id, str) and "\0" not in name and Path(name).name == name and name[0] != "."
        if plain and self._files.has(batch_id):
            return batch_id
        raise InputError(f"there is no dead letter {batch_id!r}; `dlq list` shows which there are", field="entry")

    def _reader(self, wanted: Wanted) -> Callable[[str], DeadLetterBatch]:
        """Reads batches; one that cannot hold the text wanted comes back without its records."""

        def read(batch_id: str) -> DeadLetterBatch:
            if wanted.text and not search.may_hold(self._files.text(self._checked(batch_id)), wanted.text):
                return DeadLetterBatch(batch_id, 0.0, "", {}, [])
            return self.read(batch_id)

        return read

    def _fresh(self, series: str, prints: Sequence[bytes]) -> dict[bytes, int]:
        """Fingerprint -> place of each record that is not kept yet, the first of equal ones."""
        known = self._index.ask(lambda index: index.known(series, prints)) if prints else set()
        places: dict[bytes, int] = {}
        for place, print_ in enumerate(prints):
            if print_ not in known:
                places.setdefault(print_, place)
        return places

    def _write(
        self,
        series: str,
        fresh: Mapping[bytes, int],
        records: Sequence[Any],
        error: str,
        context: Mapping[str, Any],
        reasons: Sequence[Sequence[str]] | None,
    ) -> str:
        stamp = datetime.now(UTC).isoformat(timespec="microseconds")
        made = f"{stamp.replace(':', '-')}_{batch_id(series, fresh)}"
        places = list(fresh.values())
        content = {
            "format_version": VERSION,
            "timestamp": stamp,
            "error": error,
            "context": dict(context),
            "records": [records[place] for place in places],
            "reasons": [list(reasons[place]) if reasons else [] for place in places],
        }
        self._files.create(made, strict_json(content, indent=1) + "\n")
        self._index.take_in([made])
        log.warning("kept %s that broke a rule as dead letter %s", many(len(places), "record"), made)
        return made

    def _ask(self, question: Callable[[DeadLetterIndex], Answer]) -> Answer:
        with self._guarded("read"):
            return self._index.ask(question, is_reader=True)

    @contextmanager
    def _guarded(self, done: str) -> Iterator[None]:
        try:
            yield
        except (OSError, sa.exc.SQLAlchemyError) as failure:
            cause = why(failure) if isinstance(failure, OSError) else self._why_not_indexed(failure)
            raise StorageError(f"dead letters cannot be {done} {self._files.place}: {cause}") from failure

    def _why_not_indexed(self, error: sa.exc.SQLAlchemyError) -> object:
        full = fault_of(error, self._files.index_file) == Fault.DISK_FULL
        return cause_of(errno.ENOSPC) if full else getattr(error, "orig", None) or error


def _quarantined(index: DeadLetterIndex) -> list[Quarantined]:
    query = sa.select(quarantined.c.name, quarantined.c.reason).order_by(quarantined.c.name)
    found = index.once("quarantined", lambda connection: [Quarantined(*row) for row in connection.execute(query)])
    return [*found]
