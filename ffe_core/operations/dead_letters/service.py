"""Dead letter service: edit, preview, replay, ask again, discard, restore, purge, export.

Every verb works on a frozen list of records, never on a filter that could mean something else a moment later, and names
who does it. Console and command line call the same verbs.
"""

from __future__ import annotations

import csv
import io
import re
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from ffe_core import times
from ffe_core.counts import many
from ffe_core.errors import FFEError, InputError
from ffe_core.file_sources import is_file_source
from ffe_core.ingestion.hour_grid import hour_grid_of
from ffe_core.operations.dead_letters.edits import Fix, apply, check_edit, in_words
from ffe_core.operations.dead_letters.refetch import Refetch, bars_of
from ffe_core.operations.dead_letters.replay import CHUNK_RECORDS, Replay, ReplayRequest, closed
from ffe_core.operations.dead_letters.replay_check import (
    ReplayCheck,
    Replayed,
    already_replayed,
    compared_with,
    dead_letter_id,
    evaluate,
)
from ffe_core.operations.runs.service import RunService
from ffe_core.providers import provider_class
from ffe_core.rules.sift import rules_of
from ffe_core.series import Series
from ffe_core.storage.dead_letters.file import (
    DISCARDED,
    PENDING,
    REPLAYED,
    DeadLetterBatch,
    DeadLetterRecord,
    Step,
    step,
    steps_of,
)
from ffe_core.storage.dead_letters.index import readable
from ffe_core.storage.dead_letters.queue import Selection
from ffe_core.storage.dead_letters.search import DeadLetterBatchRow, Wanted
from ffe_core.storage.files import strict, strict_json
from ffe_core.storage.state.audit import Act, Audit, required_reason
from ffe_core.storage.state.runs import NewRun
from ffe_core.validation import UNREADABLE, read_open_times

_ENTRIES_AT_ONCE = 100
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?", re.ASCII)
_starting = threading.Lock()
COLUMNS = ("entry", "record", "asset_pair", "timeframe", "provider", "run", "saved_at", "status", "reasons", "attempts")
_FIELDS = ("date", "open", "high", "low", "close", "volume")


@dataclass(frozen=True, slots=True)
class Edit:
    """A new value for a record, made from one of its revisions."""

    batch_id: str
    number: int
    revision: int
    """The revision it was made from; 0 is the record as received."""
    value: Any


@dataclass(frozen=True, slots=True)
class Askable:
    """What of a list its providers can be asked for again."""

    selection: Selection
    bars: int
    of_files: int
    """Records of imported files, which nobody can be asked for."""
    timeless: int
    """Records whose time cannot be read, so that they say no bar."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """An edit made from a revision that is not the latest any more."""

    edit: Edit
    theirs: Any
    revision: int
    by: str
    at: str


class StaleEdit(FFEError):
    """Somebody else saved first; nothing was saved. `conflicts` holds both versions of each record concerned."""

    def __init__(self, conflicts: Sequence[Conflict]) -> None:
        first = conflicts[0]
        more = f" and {len(conflicts) - 1} more" if len(conflicts) > 1 else ""
        super().__init__(
            f"record {first.edit.number} of {first.edit.batch_id}{more} was edited meanwhile by {first.by} at"
            f" {first.at} (revision {first.revision}, yours was made from {first.edit.revision}); look at theirs,"
            " then edit again"
        )
        self.conflicts = tuple(conflicts)


class DeadLetters:
    """The verbs. Reading is the queue's."""

    def __init__(self, runs: RunService) -> None:
        self._runs = runs
        self._audit = Audit(runs.database)
        self.queue = runs.stores.queue

    # -- editing

    def edit(self, edits: Sequence[Edit], actor: str, why: str = "") -> None:
        """Save new revisions, all or none.

        FieldError says at the field what cannot be read, InputError what is not pending, StaleEdit who was faster.
        """
        by_batch: dict[str, list[Edit]] = {}
        for edit in edits:
            by_batch.setdefault(edit.batch_id, []).append(edit)

        def decide(batches: dict[str, DeadLetterBatch]) -> dict[str, list[Step]]:
            conflicts = [c for id_, batch in batches.items() for edit in by_batch[id_] if (c := _conflict(batch, edit))]
            if conflicts:
                raise StaleEdit(conflicts)
            return {id_: self._edited(batch, by_batch[id_], actor, why) for id_, batch in batches.items()}

        with self._named(actor, "edit dead letters", by_batch, why):
            self.queue.change(list(by_batch), decide)

    def edits(self, selection: Selection, fixes: Sequence[Fix]) -> list[Edit]:
        """One fix for many: the edits it comes to, from the latest revisions; InputError names what it does not fit."""
        edits = []
        for batch_id, record in self._records(selection):
            try:
                value = apply(fixes, record.value)
            except InputError as error:
                raise InputError(f"{dead_letter_id(batch_id, record.number)}: {error.problem}") from None
            edits.append(Edit(batch_id, record.number, record.revision, value))
        return edits

    # -- looking ahead

    def preview(self, selection: Selection, edits: Sequence[Edit] = ()) -> Iterator[ReplayCheck]:
        """What a replay would make of each pending record now, `edits` taken as if they were saved.

        InputError for a batch that names no series.
        """
        edited = {(edit.batch_id, edit.number): edit.value for edit in edits}
        for series, chosen in self._by_series(selection).items():
            ids = [dead_letter_id(batch_id, number) for batch_id, numbers in chosen.items() for number in numbers]
            already = already_replayed(self._runs.lake, series, ids)
            records = (
                (batch_id, replace(record, value=edited.get((batch_id, record.number), record.value)))
                for batch_id, record in self._records(chosen)
            )
            yield from self._evaluated(series, records, already)

    # -- runs

    def replay(
        self,
        selection: Selection,
        actor: str,
        source: str = "console",
        *,
        restate: bool = False,
        reason: str = "",
        lease_wait: float = 0.0,
    ) -> int:
        """Start a replay of these records; returns the run's number. What is not pending any more is left alone.

        `restate` appends where another candle is stored, instead of keeping that one. SeriesHeld if a run works on one
        of the series and `lease_wait` is 0; with a wait in seconds the replay queues after it.
        """
        selections = self._by_series(selection)
        request = ReplayRequest(selections, actor, restate, reason, lease_wait)
        run = self._new_run("replay", selections, actor, source, {"restate": restate, "reason": reason})
        return self._start(run, lease_wait, lambda run_id: Replay(self._runs, run_id, request).work())

    def askable(self, selection: Selection) -> Askable:
        """What of a list can be asked for again, and how much cannot, by why."""
        opens = self.queue.opens(selection)
        found: dict[str, tuple[int, ...]] = {}
        bars: dict[Series, list[int]] = {}
        of_files = timeless = 0
        for row in self.queue.rows(list(selection)):
            numbers = selection[row.id]
            if row.series is None:
                continue
            if is_file_source(row.series.provider):
                of_files += len(numbers)
                continue
            named = tuple(number for number in numbers if number in opens.get(row.id, {}))
            timeless += len(numbers) - len(named)
            if named:
                found[row.id] = named
                bars.setdefault(row.series, []).extend(opens[row.id][number] for number in named)
        return Askable(found, sum(len(bars_of(*one)) for one in bars.items()), of_files, timeless)

    def refetch(
        self,
        selection: Selection,
        actor: str,
        source: str = "console",
        *,
        reason: str = "",
        lease_wait: float = 0.0,
    ) -> int:
        """Ask the provider again for just the bars of these records; returns the run's number.

        InputError for missing credentials or an unknown provider; SeriesHeld as for a replay.
        """
        selections = self._by_series(selection)
        for series in selections:
            provider_class(series.provider)(config=self._runs.settings)
        run = self._new_run("refetch", selections, actor, source, {"reason": reason})
        return self._start(
            run,
            lease_wait,
            lambda run_id: Refetch(self._runs, run_id, selections, actor, reason, lease_wait).work(),
        )

    # -- marks

    def discard(self, selection: Selection, actor: str, reason: str) -> int:
        """Mark pending records as discarded; returns how many there were. `restore` takes it back."""
        why = required_reason(reason, "a test record of the provider")
        with self._named(actor, "discard dead letters", selection, why) as act:
            discarded = self._mark(selection, PENDING, "discard", actor, why=why)
            act.note(records=discarded)
        return discarded

    def restore(self, selection: Selection, actor: str) -> int:
        """Make discarded records pending again; returns how many there were."""
        with self._named(actor, "restore dead letters", selection) as act:
            restored = self._mark(selection, DISCARDED, "restore", actor)
            act.note(records=restored)
        return restored

    # -- purging

    def purgeable(self, days: float, wanted: Wanted | None = None) -> list[DeadLetterBatchRow]:
        """Entries untouched for so many days with nothing pending in them."""
        before = _days_ago(days)
        return [row for row in self.queue.batches(wanted) if row.status in _ENDED and row.touched_at < before]

    def purge(self, batch_ids: Sequence[str], days: float, actor: str, reason: str) -> list[str]:
        """Delete these batches for good, those that may still go; returns their ids. An audit row names them first."""
        why, before = required_reason(reason, "older than anyone needs"), _days_ago(days)
        rows = [row for row in self.queue.rows(batch_ids) if row.status in _ENDED and row.touched_at < before]
        records = {row.id: row.records for row in rows}
        named = {"untouched_days": days, "entries": list(records)}
        with self._audit.act(actor, "purge dead letters", _how_many(records), why, **named) as act:
            gone = self.queue.remove(list(records), lambda batch: batch.status in _ENDED and batch.touched_at < before)
            act.target = _how_many({batch_id: records[batch_id] for batch_id in gone})
            act.note(entries=gone)
        return gone

    # -- export

    def rows(self, selection: Selection) -> Iterator[dict[str, Any]]:
        """The records with all that is known of them, as plain values."""
        for batch_id, numbers in selection.items():
            batch = self.queue.read(batch_id)
            for record in _chosen(batch, numbers):
                yield described(batch, record)

    def export_json(self, selection: Selection) -> str:
        """The records as one strict JSON list."""
        return strict_json(list(self.rows(selection)), indent=1)

    def export_csv(self, selection: Selection) -> str:
        """The records as CSV; a cell that a spreadsheet would take for a formula begins with an apostrophe."""
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow([*COLUMNS, *_FIELDS, "received"])
        for row in self.rows(selection):
            value = row["value"] if isinstance(row["value"], dict) else {}
            cells = [row[name] for name in COLUMNS] + [value.get(name) for name in _FIELDS] + [strict_json(row["raw"])]
            writer.writerow([_cell(cell) for cell in cells])
        return text.getvalue()

    # -- inside

    def _named(
        self, actor: str, verb: str, selection: Collection[str], reason: str = ""
    ) -> AbstractContextManager[Act]:
        target = f"{len(selection):,} {'batch' if len(selection) == 1 else 'batches'}"
        return self._audit.act(actor, verb, target, reason, entries=list(selection))

    def _edited(self, batch: DeadLetterBatch, edits: Sequence[Edit], actor: str, why: str) -> list[Step]:
        series = batch.series
        grid, closed_before = (series.grid, self._closed(series)) if series else (1, times.now())
        values = {}
        for edit in edits:
            record = _record(batch, edit.number)
            where = dead_letter_id(batch.id, edit.number)
            if record.status != PENDING:
                raise InputError(f"{where}: it is {record.status}; only a pending record can be edited")
            check_edit(where, record.value, edit.value, grid, closed_before)
            if strict(edit.value) != strict(record.value):
                values[str(edit.number)] = edit.value
        return [step("mend", actor, why=why, values=values)] if values else []

    def _evaluated(
        self, series: Series, records: Iterator[tuple[str, DeadLetterRecord]], already: dict[str, Replayed]
    ) -> Iterator[ReplayCheck]:
        """As a replay would go: so many at a time, each later one against what the earlier ones would have stored."""
        landing: dict[int, dict[str, float]] = {}
        hours = hour_grid_of(series, self._runs.stores)
        rules = rules_of(self._runs.settings.data_dir, series)
        while chunk := list(islice(records, CHUNK_RECORDS)):
            checks = evaluate(self._runs.lake, series, chunk, self._closed(series), already, hours, rules)
            yield from (
                compared_with(check, landing[check.open])
                if check.outcome == "passes" and check.open in landing
                else check
                for check in checks
            )
            passing = (check for check in checks if check.outcome == "passes")
            landing = {v.open: v.candle for v in passing if v.open is not None and v.candle is not None} | landing

    def _closed(self, series: Series) -> int:
        return closed(series, self._runs.settings.close_grace_seconds)

    def _records(self, selection: Selection) -> Iterator[tuple[str, DeadLetterRecord]]:
        for batch_id, numbers in selection.items():
            batch = self.queue.read(batch_id)
            yield from ((batch_id, record) for record in _chosen(batch, numbers))

    def belonging(self, selection: Selection) -> Selection:
        """The part of a list whose batches say which series they are of: only that can be replayed or fetched."""
        return {row.id: selection[row.id] for row in self.queue.rows(list(selection)) if row.series is not None}

    def _by_series(self, selection: Selection) -> dict[Series, dict[str, tuple[int, ...]]]:
        """The list split by series; InputError for a batch without one, or a record that there is not."""
        if not any(selection.values()):
            raise InputError("the list is empty; choose at least one record", field="records")
        found: dict[Series, dict[str, tuple[int, ...]]] = {}
        for row in self.queue.rows(list(selection)):
            if row.series is None:
                raise InputError(
                    f"{row.id}: its context names no pair, timeframe and provider that could be a series, so its"
                    " records belong nowhere; leave it out, or discard it"
                )
            numbers = tuple(dict.fromkeys(selection[row.id]))
            _check_numbers(row.id, numbers, row.records)
            found.setdefault(row.series, {})[row.id] = numbers
        return found

    def _new_run(
        self,
        kind: str,
        selections: Mapping[Series, Selection],
        actor: str,
        source: str,
        parameters: Mapping[str, Any],
    ) -> NewRun:
        chosen = {batch_id: numbers for selection in selections.values() for batch_id, numbers in selection.items()}
        step_ = max(series.step for series in selections)
        first, last = self.queue.span(chosen) or (times.now(), times.now() - step_)
        providers = {series.provider for series in selections}
        frozen = {batch_id: _as_ranges(numbers) for batch_id, numbers in chosen.items()}
        return NewRun(
            kind,
            providers.pop() if len(providers) == 1 else "several",
            kind,
            first,
            last + step_,
            list(selections),
            actor,
            source,
            "",
            parameters={**parameters, "records": frozen},
        )

    def _start(self, run: NewRun, lease_wait: float, job: Callable[[int], Any]) -> int:
        with _starting:
            if not lease_wait:
                self._runs.check_free(run.series)
            return self._runs.submit(run, job)

    def _mark(self, selection: Selection, status: str, verb: str, actor: str, **details: Any) -> int:
        marked = 0

        def decide(batches: dict[str, DeadLetterBatch]) -> dict[str, list[Step]]:
            nonlocal marked
            steps = {}
            for batch_id, batch in batches.items():
                numbers = [item.number for item in _chosen(batch, selection[batch_id]) if item.status == status]
                steps[batch_id] = [step(verb, actor, **details, records=numbers)] if numbers else []
                marked += len(numbers)
            return steps

        ids = list(selection)
        for at in range(0, len(ids), _ENTRIES_AT_ONCE):
            self.queue.change(ids[at : at + _ENTRIES_AT_ONCE], decide)
        return marked


_ENDED = (REPLAYED, DISCARDED)


def described(batch: DeadLetterBatch, record: DeadLetterRecord) -> dict[str, Any]:
    """All that is known of one record, as plain values that any encoding holds."""
    context = batch.context
    open_ = int(read_open_times([record.value])[0])
    row = {
        "entry": batch.id,
        "record": record.number,
        "asset_pair": context.get("asset_pair"),
        "timeframe": context.get("timeframe"),
        "provider": context.get("provider"),
        "run": context.get("run_id"),
        "saved_at": datetime.fromtimestamp(batch.saved_at, UTC).isoformat(),
        "error": batch.error,
        "bar": None if open_ == UNREADABLE else times.iso(open_),
        "status": record.status,
        "reasons": record.reasons,
        "in_words": [in_words(code) for code in record.reasons],
        "attempts": record.attempts,
        "revision": record.revision,
        "raw": record.raw,
        "value": record.value,
        "history": steps_of(batch, record.number),
    }
    clean: dict[str, Any] = readable(row)
    return clean


def _conflict(batch: DeadLetterBatch, edit: Edit) -> Conflict | None:
    record = _record(batch, edit.number)
    if record.revision == edit.revision:
        return None
    mends = [found for found in steps_of(batch, edit.number) if found["verb"] == "mend"]
    last = mends[-1] if mends else {"by": "nobody", "at": "-"}
    return Conflict(edit, record.value, record.revision, str(last["by"]), str(last["at"]))


def _record(batch: DeadLetterBatch, number: int) -> DeadLetterRecord:
    _check_numbers(batch.id, (number,), len(batch.records))
    return batch.records[number]


def _chosen(batch: DeadLetterBatch, numbers: Sequence[int]) -> list[DeadLetterRecord]:
    _check_numbers(batch.id, numbers, len(batch.records))
    return [batch.records[number] for number in dict.fromkeys(numbers)]


def _check_numbers(batch_id: str, numbers: Sequence[int], there: int) -> None:
    for number in numbers:
        if not 0 <= number < there:
            raise InputError(f"{batch_id} has no record {number}; they count from 0 to {there - 1}", field="record")


def _as_ranges(numbers: Sequence[int]) -> list[list[int]]:
    """Sorted numbers as [first, last] pairs: a frozen list of a million records stays small."""
    ranges: list[list[int]] = []
    for number in sorted(numbers):
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return ranges


def _how_many(records: Mapping[str, int]) -> str:
    return f"{many(len(records), 'batch', 'batches')}, {many(sum(records.values()), 'record')}"


def _days_ago(days: float) -> float:
    if not days >= 0:
        raise InputError(f"{days} is not an age; give a number such as 30", field="days")
    return datetime.now(UTC).timestamp() - days * times.DAY


def _cell(value: Any) -> str:
    text = " ".join(value) if isinstance(value, list) else "" if value is None else str(value)
    return f"'{text}" if text.startswith(_FORMULA) and not _NUMBER.fullmatch(text) else text
