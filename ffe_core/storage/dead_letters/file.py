"""Dead letter file format: records as received, and what was done about each of them since.

A file is a JSON object with `timestamp`, `error`, `context`, `records` and, from this package, `reasons` (a list of
codes for each record). `history` is added by what people do: one step each, with `verb`, `at` and `by`, never changed
afterwards. The state of a record is what its steps add up to; the text of everything else stays as it was.
`format_version` is the version of this form: release 0.1.0 and other tools write none, a newer one is left alone.

    mend      why, values {number: value}          a new revision of each; revision 0 is the record as received
    replay    run, stored {number: revision}, kept [number], failed {number: [code]}
    refetch   run, kept [number]                   the provider was asked again and the bar is stored
    discard   why, records [number]
    restore   records [number]
"""

from __future__ import annotations

import json
import re
import stat
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ffe_core.errors import InputError, NewerFormatError
from ffe_core.series import Series
from ffe_core.storage.files import check_version, strict_json
from ffe_core.validation import validate

PENDING, REPLAYED, SUPERSEDED, DISCARDED = "pending", "replayed", "superseded by stored", "discarded"
PARTLY_REPLAYED = "partly replayed"
VERSION = 1
"""Of files as this release writes them. Raise it when the release before could not understand what is written now, and
the index's with it."""
Step = dict[str, Any]

_SPACE = re.compile(r"[ \t\n\r]*")
_STAMP = re.compile(r"(\d{4}-\d\d-\d\dT\d\d)[-:](\d\d)[-:](\d\d(?:\.\d+)?)(?:(Z)|([+-]\d\d)[-:]?(\d\d))?", re.ASCII)
_SURROGATE = re.compile("[\ud800-\udfff]")
_PROVIDER = re.compile(r"(files:)?[a-z][a-z0-9_-]{0,39}", re.ASCII)
_MOST_REASONS, _LONGEST_REASON = 20, 80


class NotADeadLetter(ValueError):
    """The file cannot be read as a dead letter; the text says why."""


@dataclass(slots=True)
class DeadLetterRecord:
    """One record of a batch, and where it stands."""

    number: int
    raw: Any
    """As received; never changed."""
    value: Any
    """The latest revision, or the one that was stored."""
    reasons: list[str]
    """Codes it was kept for, or for which the last attempt failed."""
    status: str = PENDING
    revision: int = 0
    attempts: int = 0

    @property
    def failed_again(self) -> bool:
        """Still pending although it was replayed."""
        return self.status == PENDING and self.attempts > 0


@dataclass(slots=True)
class DeadLetterBatch:
    """One dead letter file."""

    id: str
    saved_at: float
    """Epoch seconds."""
    error: str
    context: dict[str, Any]
    records: list[DeadLetterRecord]
    history: list[Step] = field(default_factory=list)
    additions: int = 0
    """How often it was added to in an object store, where each is an object of its own."""

    @property
    def series(self) -> Series | None:
        """The series its records belong to; None if the context does not name one."""
        return series_of(self.context)

    @property
    def status(self) -> str:
        """pending, partly replayed, replayed or discarded."""
        return batch_status(Counter(record.status for record in self.records))

    @property
    def touched_at(self) -> float:
        """When the last step was taken, or the batch saved; epoch seconds."""
        return instant(self.history[-1]["at"]) or self.saved_at if self.history else self.saved_at


def batch_status(counts: Mapping[str, int]) -> str:
    """What the states of its records, counted, make a batch."""
    already_replayed = counts.get(REPLAYED, 0) + counts.get(SUPERSEDED, 0)
    if counts.get(PENDING, 0):
        return PARTLY_REPLAYED if already_replayed else PENDING
    return REPLAYED if already_replayed else DISCARDED


def series_of(context: Mapping[str, Any]) -> Series | None:
    """The series that a context names, under its stored names; None if it cannot be one."""
    pair, timeframe, provider = (context.get(name) for name in ("asset_pair", "timeframe", "provider"))
    if not (isinstance(provider, str) and _PROVIDER.fullmatch(provider)):
        return None
    try:
        return Series.of(pair, timeframe, provider)  # type: ignore[arg-type]
    except InputError:
        return None


def instant(text: Any) -> float | None:
    """Epoch seconds of an ISO time, also with `-` for `:` as in file names; UTC without a zone. None if unreadable."""
    found = _STAMP.match(text) if isinstance(text, str) else None
    if found is None:
        return None
    hour, minute, second, _, zone, zone_minutes = found.groups()
    try:
        stamp = datetime.fromisoformat(f"{hour}:{minute}:{second}{f'{zone}:{zone_minutes}' if zone else '+00:00'}")
        return stamp.timestamp()
    except (ValueError, OverflowError):
        return None


def read_batch(path: Path) -> DeadLetterBatch:
    """Read a file; NotADeadLetter with the reason if it is none."""
    return batch_of(path.stem, read_text(path), lambda: path.stat().st_mtime, str(path))


def batch_of(batch_id: str, text: str, modified: Callable[[], float], place: str) -> DeadLetterBatch:
    """The batch that a text is; NotADeadLetter with the reason if it is none.

    `modified` tells when it was written, epoch seconds, where the text does not; `place` names it in messages.
    """
    return _batch(batch_id, _members(text), modified, place)


def with_steps(path: Path, steps: Sequence[Step]) -> str:
    """The text of a file with steps added to its history, everything else as it is."""
    return text_with_steps(read_text(path), steps)


def text_with_steps(text: str, steps: Sequence[Step]) -> str:
    """The text of a batch with steps added to its history, everything else as it is.

    Bytes that are no UTF-8 become the escapes that read the same.
    """
    text = _SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    members = _members(text)
    done = members["history"].value if "history" in members else []
    history = strict_json([*done, *steps])
    if "history" in members:
        spot = members["history"]
        return text[: spot.start] + history + text[spot.end :]
    end = max(member.end for member in members.values())
    return f'{text[:end]},\n "history": {history}{text[end:]}'


@dataclass(frozen=True, slots=True)
class _Member:
    value: Any
    start: int
    end: int


def read_text(path: Path) -> str:
    """The whole text; bytes that are no UTF-8 are carried along as they are."""
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            raise NotADeadLetter("it is not a regular file")
        return decoded(path.read_bytes())
    except (OSError, MemoryError) as error:
        raise NotADeadLetter(f"it cannot be read: {error}") from error


def decoded(content: bytes) -> str:
    """The text of a file's bytes; those that are no UTF-8 are carried along as they are."""
    return content.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")


def _members(text: str) -> dict[str, _Member]:
    """The members of the one object that the text must be, each with where its value stands."""
    try:
        return dict(_each_member(text))
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise NotADeadLetter(f"it is not whole JSON: {error.msg.lower()} at {place}") from error
    except RecursionError:
        raise NotADeadLetter("it is nested too deep to be read") from None
    except (ValueError, MemoryError) as error:
        raise NotADeadLetter(f"it cannot be read: {error}") from error


def _each_member(text: str) -> Iterator[tuple[str, _Member]]:
    decode = json.JSONDecoder().raw_decode
    at = _expect(text, 0, "{")
    if text[at : at + 1] != "}":
        while True:
            name, at = decode(text, at)
            if not isinstance(name, str):
                raise json.JSONDecodeError("expecting a name", text, at)
            start = _expect(text, at, ":")
            value, at = decode(text, start)
            yield name, _Member(value, start, at)
            at = _skip(text, at)
            if text[at : at + 1] != ",":
                break
            at = _skip(text, at + 1)
    end = _expect(text, at, "}")
    if end != len(text):
        raise json.JSONDecodeError("there is something after its end", text, end)


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _expect(text: str, at: int, character: str) -> int:
    at = _skip(text, at)
    if text[at : at + 1] != character:
        raise json.JSONDecodeError(f"expecting {character!r}", text, at)
    return _skip(text, at + 1)


def _batch(batch_id: str, members: Mapping[str, _Member], modified: Callable[[], float], place: str) -> DeadLetterBatch:
    content = {name: member.value for name, member in members.items()}
    _check_version(place, content.get("format_version"))
    records, context = content.get("records"), content.get("context")
    if not isinstance(records, list) or not isinstance(context, dict):
        raise NotADeadLetter("it lacks `records`, a list, and `context`, an object")
    if not records:
        raise NotADeadLetter("it holds no records")
    saved_at = instant(content.get("timestamp"))
    saved_at = instant(batch_id) if saved_at is None else saved_at
    batch = DeadLetterBatch(
        id=batch_id,
        saved_at=modified() if saved_at is None else saved_at,
        error=str(content.get("error", "")),
        context=context,
        records=_records(records, content.get("reasons"), context),
    )
    _take_steps(batch, content.get("history", []))
    return batch


def _check_version(place: str, found: Any) -> None:
    try:
        check_version(place, found, VERSION)
    except (NewerFormatError, ValueError) as error:
        raise NotADeadLetter(str(error)) from error


def _records(records: list[Any], given: Any, context: dict[str, Any]) -> list[DeadLetterRecord]:
    well_formed = isinstance(given, list) and len(given) == len(records) and all(isinstance(r, list) for r in given)
    reasons = given if well_formed and any(given) else _found_reasons(records, series_of(context))
    return [DeadLetterRecord(n, record, record, _codes(reasons[n])) for n, record in enumerate(records)]


def _codes(reasons: list[Any]) -> list[str]:
    return [str(code)[:_LONGEST_REASON] for code in reasons[:_MOST_REASONS]]


def _found_reasons(records: list[Any], series: Series | None) -> list[list[str]]:
    """The reasons our rules find, for a file that names none."""
    reasons: list[list[str]] = [[] for _ in records]
    for failure in validate(records, series.grid if series else 1).failures:
        reasons[failure.index] = failure.reasons
    return reasons


def _take_steps(batch: DeadLetterBatch, history: Any) -> None:
    if not isinstance(history, list):
        raise NotADeadLetter("its history is not a list of steps")
    for place, step in enumerate(history):
        try:
            instant_ = instant(step["at"])
            if instant_ is None:
                raise ValueError("at")
            _STEPS[step["verb"]](batch.records, step)
        except (KeyError, TypeError, ValueError, IndexError, AttributeError):
            raise NotADeadLetter(f"step {place} of its history cannot be understood") from None
    batch.history = history


def _mend(records: list[DeadLetterRecord], step: Step) -> None:
    for number, value in step["values"].items():
        record = _at(records, number)
        record.value, record.revision = value, record.revision + 1


def _replay(records: list[DeadLetterRecord], step: Step) -> None:
    for number in step["stored"]:
        _at(records, number).status = REPLAYED
    for number in step["kept"]:
        _at(records, number).status = SUPERSEDED
    for number, codes in step["failed"].items():
        _at(records, number).reasons = _codes(list(codes))
    for number in (*step["stored"], *step["kept"], *step["failed"]):
        _at(records, number).attempts += 1


def _refetch(records: list[DeadLetterRecord], step: Step) -> None:
    for number in step["kept"]:
        _at(records, number).status = SUPERSEDED


def _discard(records: list[DeadLetterRecord], step: Step) -> None:
    for number in step["records"]:
        _at(records, number).status = DISCARDED


def _restore(records: list[DeadLetterRecord], step: Step) -> None:
    for number in step["records"]:
        _at(records, number).status = PENDING


def _at(records: list[DeadLetterRecord], number: Any) -> DeadLetterRecord:
    place = int(number)
    if place < 0:
        raise IndexError(place)
    return records[place]


_STEPS: dict[str, Callable[[list[DeadLetterRecord], Step], None]] = {
    "mend": _mend,
    "replay": _replay,
    "refetch": _refetch,
    "discard": _discard,
    "restore": _restore,
}


def step(verb: str, by: str, **details: Any) -> Step:
    """A step of a history, taken now."""
    return {"verb": verb, "at": datetime.now(UTC).isoformat(timespec="microseconds"), "by": by, **details}


def steps_of(batch: DeadLetterBatch, number: int) -> list[Step]:
    """The steps that touched one record, in order, each with only what concerns it."""
    return [found for step_ in batch.history if (found := _concerning(step_, number)) is not None]


def _concerning(step_: Step, number: int) -> Step | None:
    about = {name: step_[name] for name in ("verb", "at", "by", "why", "run") if step_.get(name)}
    key = str(number)
    if key in step_.get("values", {}):
        return {**about, "outcome": "a new revision", "value": step_["values"][key]}
    if key in step_.get("stored", {}):
        return {**about, "outcome": "stored"}
    if key in step_.get("failed", {}):
        return {**about, "outcome": "still failed", "reasons": step_["failed"][key]}
    if number in step_.get("kept", []):
        return {**about, "outcome": "the stored candle was kept"}
    return {**about, "outcome": step_["verb"] + "ed"} if number in step_.get("records", []) else None
