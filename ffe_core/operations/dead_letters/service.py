"""Dead letter service: edit, preview, replay, ask again, discard, restore, purge, export.

Every verb works on a frozen list of records, never on a filter that could mean something else a moment later, and names
who does it. Console and command line call the same verbs.
"""

from __future__ import annotations

import csv
import io
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from ffe_core import times
from ffe_core.errors import FFEError, InputError
from ffe_core.operations.dead_letters.edits import Fix, apply, check_edit, in_words
from ffe_core.operations.dead_letters.refetch import Refetch
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
_starting = threading.Lock()
COLUMNS = ("entry", "record", "asset_pair", "timeframe", "provider", "run", "saved_at", "status", "reasons", "attempts")
_FIELDS = ("date", "open", "high", "low", "close", "volume")


@dataclass(frozen=True, slots=True)
class Edit:
    """A new value for a record, made from one of its revisions."""

    entry_id: str
    number: int
    revision: int
    """The revision it was made from; 0 is the record as received."""
    value: Any


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
            f"record {first.edit.number} of {first.edit.entry_id}{more} was edited meanwhile by {first.by} at"
            f" {first.at} (revision {first.revision}, yours was made from {first.edit.revision}); look at theirs,"
            " then edit again"
        )
        self.conflicts = tuple(conflicts)


class DeadLetters:
    """The verbs. Reading is the queue's."""

    def __init__(self, runs: RunService) -> None:
        self._runs = runs
        self._audit = Audit(runs.database)
        self.queue = runs.ingester.dlq

    # -- editing

    def edit(self, edits: Sequence[Edit], actor: str, why: str = "") -> None:
        """Save new revisions, all or none.

        FieldError says at the field what cannot be read, InputError what is not pending, StaleEdit who was faster.
        """
        by_entry: dict[str, list[Edit]] = {}
        for edit in edits:
            by_entry.setdefault(edit.entry_id, []).append(edit)

        def decide(entries: dict[str, DeadLetterBatch]) -> dict[str, list[Step]]:
            conflicts = [c for id_, entry in entries.items() for edit in by_entry[id_] if (c := _conflict(entry, edit))]
            if conflicts:
                raise StaleEdit(conflicts)
            return {id_: self._edited(entry, by_entry[id_], actor, why) for id_, entry in entries.items()}

        with self._named(actor, "edit dead letters", by_entry, why):
            self.queue.change(list(by_entry), decide)

    def edits(self, selection: Selection, fixes: Sequence[Fix]) -> list[Edit]:
        """One fix for many: the edits it comes to, from the latest revisions; InputError names what it does not fit."""
        edits = []
        for entry_id, letter in self._letters(selection):
            try:
                value = apply(fixes, letter.value)
            except InputError as error:
                raise InputError(f"{dead_letter_id(entry_id, letter.number)}: {error}") from None
            edits.append(Edit(entry_id, letter.number, letter.revision, value))
        return edits

    # -- looking ahead

    def preview(self, selection: Selection, edits: Sequence[Edit] = ()) -> Iterator[ReplayCheck]:
        """What a replay would make of each pending record now, `edits` taken as if they were saved.

        InputError for an entry that names no series.
        """
        edited = {(edit.entry_id, edit.number): edit.value for edit in edits}
        for series, chosen in self._by_series(selection).items():
            ids = [dead_letter_id(entry_id, number) for entry_id, numbers in chosen.items() for number in numbers]
            already = already_replayed(self._runs.lake, series, ids)
            letters = (
                (entry_id, replace(letter, value=edited.get((entry_id, letter.number), letter.value)))
                for entry_id, letter in self._letters(chosen)
            )
            yield from self._evaluated(series, letters, already)

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
        why = required_reason(reason)
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
        return [row for row in self.queue.entries(wanted) if row.status in _ENDED and row.touched_at < before]

    def purge(self, entry_ids: Sequence[str], days: float, actor: str, reason: str) -> list[str]:
        """Delete these entries for good, those that may still go; returns their ids. An audit row names them first."""
        why, before = required_reason(reason), _days_ago(days)
        rows = [row for row in self.queue.rows(entry_ids) if row.status in _ENDED and row.touched_at < before]
        records = {row.id: row.records for row in rows}
        named = {"untouched_days": days, "entries": list(records)}
        with self._audit.act(actor, "purge dead letters", _how_many(records), why, **named) as act:
            gone = self.queue.remove(list(records), lambda entry: entry.status in _ENDED and entry.touched_at < before)
            act.target = _how_many({entry_id: records[entry_id] for entry_id in gone})
            act.note(entries=gone)
        return gone

    # -- export

    def rows(self, selection: Selection) -> Iterator[dict[str, Any]]:
        """The records with all that is known of them, as plain values."""
        for entry_id, numbers in selection.items():
            entry = self.queue.read(entry_id)
            for letter in _chosen(entry, numbers):
                yield described(entry, letter)

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
        target = f"{len(selection):,} {'entry' if len(selection) == 1 else 'entries'}"
        return self._audit.act(actor, verb, target, reason, entries=list(selection))

    def _edited(self, entry: DeadLetterBatch, edits: Sequence[Edit], actor: str, why: str) -> list[Step]:
        series = entry.series
        grid, closed_before = (series.grid, self._closed(series)) if series else (1, times.now())
        values = {}
        for edit in edits:
            letter = _letter(entry, edit.number)
            where = dead_letter_id(entry.id, edit.number)
            if letter.status != PENDING:
                raise InputError(f"{where}: it is {letter.status}; only a pending record can be edited")
            check_edit(where, letter.value, edit.value, grid, closed_before)
            if strict(edit.value) != strict(letter.value):
                values[str(edit.number)] = edit.value
        return [step("mend", actor, why=why, values=values)] if values else []

    def _evaluated(
        self, series: Series, letters: Iterator[tuple[str, DeadLetterRecord]], already: dict[str, Replayed]
    ) -> Iterator[ReplayCheck]:
        """As a replay would go: so many at a time, each later one against what the earlier ones would have stored."""
        landing: dict[int, dict[str, float]] = {}
        hours = self._runs.ingester.hour_grid(series)
        while chunk := list(islice(letters, CHUNK_RECORDS)):
            checks = evaluate(self._runs.lake, series, chunk, self._closed(series), already, hours)
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

    def _letters(self, selection: Selection) -> Iterator[tuple[str, DeadLetterRecord]]:
        for entry_id, numbers in selection.items():
            entry = self.queue.read(entry_id)
            yield from ((entry_id, letter) for letter in _chosen(entry, numbers))

    def belonging(self, selection: Selection) -> Selection:
        """The part of a list whose entries say which series they are of: only that can be replayed or fetched."""
        return {row.id: selection[row.id] for row in self.queue.rows(list(selection)) if row.series is not None}

    def _by_series(self, selection: Selection) -> dict[Series, dict[str, tuple[int, ...]]]:
        """The list split by series; InputError for an entry without one, or a record that there is not."""
        if not any(selection.values()):
            raise InputError("the list is empty; choose at least one", field="records")
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
        chosen = {entry_id: numbers for selection in selections.values() for entry_id, numbers in selection.items()}
        step_ = max(series.step for series in selections)
        first, last = self.queue.span(chosen) or (times.now(), times.now() - step_)
        providers = {series.provider for series in selections}
        frozen = {entry_id: _as_ranges(numbers) for entry_id, numbers in chosen.items()}
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

        def decide(entries: dict[str, DeadLetterBatch]) -> dict[str, list[Step]]:
            nonlocal marked
            steps = {}
            for entry_id, entry in entries.items():
                numbers = [item.number for item in _chosen(entry, selection[entry_id]) if item.status == status]
                steps[entry_id] = [step(verb, actor, **details, records=numbers)] if numbers else []
                marked += len(numbers)
            return steps

        ids = list(selection)
        for at in range(0, len(ids), _ENTRIES_AT_ONCE):
            self.queue.change(ids[at : at + _ENTRIES_AT_ONCE], decide)
        return marked


_ENDED = (REPLAYED, DISCARDED)


def described(entry: DeadLetterBatch, letter: DeadLetterRecord) -> dict[str, Any]:
    """All that is known of one record, as plain values that any encoding holds."""
    context = entry.context
    open_ = int(read_open_times([letter.value])[0])
    row = {
        "entry": entry.id,
        "record": letter.number,
        "asset_pair": context.get("asset_pair"),
        "timeframe": context.get("timeframe"),
        "provider": context.get("provider"),
        "run": context.get("run_id"),
        "saved_at": datetime.fromtimestamp(entry.saved_at, UTC).isoformat(),
        "error": entry.error,
        "bar": None if open_ == UNREADABLE else times.iso(open_),
        "status": letter.status,
        "reasons": letter.reasons,
        "in_words": [in_words(code) for code in letter.reasons],
        "attempts": letter.attempts,
        "revision": letter.revision,
        "raw": letter.raw,
        "value": letter.value,
        "history": steps_of(entry, letter.number),
    }
    clean: dict[str, Any] = readable(row)
    return clean


def _conflict(entry: DeadLetterBatch, edit: Edit) -> Conflict | None:
    letter = _letter(entry, edit.number)
    if letter.revision == edit.revision:
        return None
    mends = [found for found in steps_of(entry, edit.number) if found["verb"] == "mend"]
    last = mends[-1] if mends else {"by": "nobody", "at": "-"}
    return Conflict(edit, letter.value, letter.revision, str(last["by"]), str(last["at"]))


def _letter(entry: DeadLetterBatch, number: int) -> DeadLetterRecord:
    _check_numbers(entry.id, (number,), len(entry.letters))
    return entry.letters[number]


def _chosen(entry: DeadLetterBatch, numbers: Sequence[int]) -> list[DeadLetterRecord]:
    _check_numbers(entry.id, numbers, len(entry.letters))
    return [entry.letters[number] for number in dict.fromkeys(numbers)]


def _check_numbers(entry_id: str, numbers: Sequence[int], there: int) -> None:
    for number in numbers:
        if not 0 <= number < there:
            raise InputError(f"{entry_id} has no record {number}; they count from 0 to {there - 1}", field="record")


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
    return f"{len(records):,} entries, {sum(records.values()):,} records"


def _days_ago(days: float) -> float:
    if not days >= 0:
        raise InputError(f"{days} is not an age; give a number such as 30", field="days")
    return datetime.now(UTC).timestamp() - days * times.DAY


def _cell(value: Any) -> str:
    text = " ".join(value) if isinstance(value, list) else "" if value is None else str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text
