"""Verdict on a trial: compares what there is with what must be there, and counts it in one table."""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

from tests.reliability.trials import BOUND, Outcome

EXITS = (0, 1, 2, 130)
"""The documented exit statuses."""
KINDS = {
    "lost": "rows or dead letters are missing",
    "doubled": "rows or dead letters are there more often than once",
    "wrong": "there are other values, marks or sums",
    "stale": "watermarks.json is behind the log",
    "unnamed": "the audit does not name an act",
    "litter": "temporary files stay",
    "hung": "a verb did not end in time",
    "traceback": "a verb ended with a traceback",
    "panic": "a library said that it panicked",
    "exit": "an undocumented status, no cause in words, no JSON, too much memory",
}
"""What can be wrong after a trial: a column of the table each."""
_CRASHES = {
    "traceback": re.compile(r"Traceback \(most recent|Fatal Python error"),
    "panic": re.compile(r"panicked at|terminate called"),
}
_TOLD = 250
_FRAME = re.compile(r'File "[^"]*?(ffe_core/[^"]+)", line (\d+),? in (\w+)')


@dataclass(frozen=True)
class Fault:
    """One thing that was wrong: its kind, what was tried, and what was seen."""

    kind: str
    tried: str
    seen: str


@dataclass
class Line:
    """A row of the table: how often one kind of trial was made, what was wrong, and how long it took."""

    tried: int = 0
    seconds: float = 0.0
    wrong: Counter[str] = field(default_factory=Counter)


class Tally:
    """Counts trials of every kind, from several threads."""

    def __init__(self, say: Callable[[str], None] = lambda text: None) -> None:
        """`say` is told of every few hundred trials."""
        self._say = say
        self.lines: dict[str, Line] = {}
        self.faults: list[Fault] = []
        self.notes: list[str] = []
        self._lock = threading.Lock()

    def add(self, kind: str, tried: int = 1, faults: list[Fault] | None = None) -> None:
        """Count trials of a kind, and what was wrong in them."""
        with self._lock:
            line = self.lines.setdefault(kind, Line())
            if line.tried // _TOLD < (line.tried + tried) // _TOLD:
                self._say(f"{kind}: {line.tried + tried:,}")
            line.tried += tried
            line.wrong.update(fault.kind for fault in faults or ())
            self.faults += faults or []

    def note(self, text: str) -> None:
        """Something to say below the table, such as why a kind was left out."""
        with self._lock:
            self.notes.append(text)

    @contextmanager
    def timed(self, kind: str) -> Iterator[None]:
        """Count how long a kind took as a whole."""
        began = time.monotonic()
        try:
            yield
        finally:
            with self._lock:
                self.lines.setdefault(kind, Line()).seconds += time.monotonic() - began

    def table(self) -> str:
        """All counts as a Markdown table."""
        heads = ("what was tried", "times", *KINDS, "seconds")
        rows = [
            (kind, f"{line.tried:,}", *(str(line.wrong[name]) for name in KINDS), f"{line.seconds:.0f}")
            for kind, line in self.lines.items()
        ]
        widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
        lines = [_row(heads, widths), _row(["-" * width for width in widths], widths)]
        return "\n".join([*lines, *(_row(row, widths) for row in rows)])

    def found(self, most: int = 60) -> str:
        """What was wrong, alike things once with how often and the first of them, the most frequent first."""
        alike: dict[tuple[str, ...], list[Fault]] = {}
        for fault in self.faults:
            verb, seen = fault.tried.partition(":")[0], _without_numbers(fault.seen)
            alike.setdefault((fault.kind, *((seen,) if fault.kind == "traceback" else (verb, seen[:60]))), []).append(
                fault
            )
        often = sorted(alike.values(), key=len, reverse=True)[:most]
        return "\n".join(f"{len(one)} x {one[0].kind}: {one[0].tried}\n    {one[0].seen[:700]}" for one in often)


def _row(cells: Any, widths: list[int]) -> str:
    return "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) + " |"


def _without_numbers(text: str) -> str:
    return re.sub(r"/\S+|[0-9a-f]{8}[-0-9a-f]*|\d+", "N", text)


def of_ending(
    tried: str, outcome: Outcome, *, may_be_killed: bool = False, exits: Sequence[int] = EXITS
) -> list[Fault]:
    """How a verb ended: in time, with a documented status, without a traceback."""
    if outcome.status is None:
        return [
            Fault("hung", tried, f"there after {outcome.seconds:.0f} s (bound {BOUND:.0f} s) at {_frames(outcome.err)}")
        ]
    if may_be_killed and outcome.was_killed:
        return []
    faults = [Fault(kind, tried, _last_words(outcome)) for kind, told in _CRASHES.items() if told.search(outcome.err)]
    if outcome.status not in exits:
        faults.append(Fault("exit", tried, f"status {outcome.status}: {_last_words(outcome)}"))
    return faults


def _last_words(outcome: Outcome) -> str:
    """Where in the product it came from, and the last line that was said."""
    lines = [line for line in (outcome.err or outcome.out).splitlines() if line.strip()]
    panic = next((f"{line} {then}" for line, then in pairwise(lines) if "panicked at" in line), "")
    return f"{panic} {_frames(outcome.err, 2)}: {lines[-1][-400:] if lines else 'nothing was said'}".strip()


def _frames(text: str, most: int = 8) -> str:
    found = [":".join(frame) for frame in _FRAME.findall(text)]
    return " < ".join(dict.fromkeys(reversed(found[-most:]))) or "no frame of the product"


def of_state(tried: str, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[Fault]:
    """How a data directory differs from the one it should be."""
    if "unreadable" in found:
        return [Fault("lost", tried, f"the state cannot be read: {found['unreadable']}")]
    faults = of_rows(tried, found["rows"], wanted["rows"], exact=wanted.get("exact", False))
    faults += _of_lists(tried, "dead letters", found["letters"], wanted["letters"])
    if found["marks"] != wanted["marks"]:
        faults.append(Fault("wrong", tried, f"marks {found['marks']} instead of {wanted['marks']}"))
    for name, columns in _KEPT.items():
        faults += _of_lists(tried, name, _columns(found[name], columns), _columns(wanted[name], columns))
    if found["ledger"] not in ("ok", "none"):
        faults.append(Fault("wrong", tried, f"the ledger: {found['ledger']}"))
    if found["litter"]:
        faults.append(Fault("litter", tried, f"{len(found['litter'])} files, such as {found['litter'][0]}"))
    return faults + of_copy(tried, found) + of_sums(tried, found) + of_audit(tried, found, wanted)


_KEPT = {
    "holes": ("asset_pair", "timeframe", "provider", "start", "end", "candles", "reason"),
    "schedules": ("name", "provider", "pairs", "trigger", "mode", "paused_reason", "deleted_by"),
}


def _columns(rows: list[dict[str, Any]], names: tuple[str, ...]) -> list[list[Any]]:
    return [[row.get(name) for name in names] for row in rows]


def of_rows(tried: str, found: list[Any], wanted: list[Any], *, exact: bool) -> list[Fault]:
    """Stored versions, whenever they were extracted unless `exact`: none missing, more often or with other values."""
    compared = slice(None) if exact else slice(-1)
    ours, theirs = (Counter(str(row[compared]) for row in rows) for rows in (found, wanted))
    missing, more = theirs - ours, ours - theirs
    known = {str(row[:4]) for row in wanted}
    doubled = [row for row in more if row in theirs]
    wrong = [row for row in more if row not in theirs]
    bars = {str(row[:4]) for row in found}
    lost = [str(row[:-1]) for row in wanted if str(row[:4]) not in bars]
    faults = [Fault("lost", tried, f"{len(lost)} rows, such as {lost[0]}")] if lost else []
    if doubled:
        faults.append(Fault("doubled", tried, f"{len(doubled)} rows, such as {doubled[0]}"))
    if wrong or (missing and not lost):
        faults.append(Fault("wrong", tried, f"{wrong[:2]} instead of {list(missing)[:2]}; {len(known)} bars wanted"))
    return faults


def _of_lists(tried: str, name: str, found: list[Any], wanted: list[Any]) -> list[Fault]:
    ours, theirs = (Counter(map(str, rows)) for rows in (found, wanted))
    missing, more = list((theirs - ours).elements()), list((ours - theirs).elements())
    if missing:
        return [Fault("lost", tried, f"{name}: {len(missing)}, such as {missing[0]}; instead {more[:1]}")]
    return [Fault("doubled", tried, f"{name}: {len(more)}, such as {more[0]}")] if more else []


def of_truth(
    tried: str, found: Mapping[str, Any], pair: str, good: Mapping[int, Any], broken: Sequence[Any]
) -> list[Fault]:
    """The current view of a pair holds every good candle with the market's values, and each broken record is kept."""
    if "unreadable" in found:
        return [Fault("lost", tried, f"the state cannot be read: {found['unreadable']}")]
    rows = sorted((row for row in found["rows"] if row[0] == pair), key=lambda row: row[-1])
    now = {row[3]: tuple(row[4]) for row in rows}
    lost = [at for at in good if at not in now]
    wrong = [at for at, values in good.items() if at in now and now[at] != values]
    kept = [record[0] for record in found["letters"]]
    unkept = [record for record in broken if record not in kept]
    faults = [Fault("lost", tried, f"{pair}: {len(lost)} candles, such as {lost[0]}")] if lost else []
    if wrong:
        faults.append(Fault("wrong", tried, f"{pair}: {now[wrong[0]]} instead of {good[wrong[0]]} at {wrong[0]}"))
    if unkept:
        faults.append(Fault("lost", tried, f"{pair}: {len(unkept)} dead letters, such as {unkept[0]}"))
    return faults


def of_copy(tried: str, found: Mapping[str, Any]) -> list[Fault]:
    """The readable copy of the watermarks says what the lake's log says."""
    copy = found["copy"] if isinstance(found["copy"], dict) else {}
    said = {key: _epoch(batch.get("watermark")) for key, batch in copy.items() if isinstance(batch, dict)}
    log = {key: marks[0] for key, marks in found["marks"].items()}
    stale = {key: (said.get(key), mark) for key, mark in log.items() if said.get(key) != mark}
    return [Fault("stale", tried, f"watermarks.json is behind the log: {stale}")] if stale else []


def _epoch(text: str | None) -> int | None:
    return None if text is None else int(datetime.fromisoformat(text).astimezone(UTC).timestamp())


def of_sums(tried: str, found: Mapping[str, Any]) -> list[Fault]:
    """received = stored + dead lettered + repeats, in every series of every run that ended well."""
    ended = [row for row in found["runs"] if row["state"] in ("complete", "finished with gaps")]
    bad = [row for row in ended if row["received"] != row["records"] + row["failed_records"] + row["repeats"]]
    return [Fault("wrong", tried, f"does not add up: {dict(bad[0])}")] if bad else []


def of_audit(tried: str, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[Fault]:
    """Every act that the audit names undisturbed is named, and every dead letter that an act named there."""
    named = " ".join(str(row["details"]) for row in found["audit"])
    acts = {(row["verb"], row["target"]) for row in wanted["audit"]}
    # The number of what was to be made is known only when it is made: until then its act has another target.
    begun = {row["verb"] for row in found["audit"] if row.get("outcome") == "begun"}
    missing = {act for act in acts - {(row["verb"], row["target"]) for row in found["audit"]} if act[0] not in begun}
    ids = {
        name
        for row in wanted["audit"]
        for name in re.findall(r"\d{4}-\d\d-\d\dT[-\d.+]*_[-0-9a-f]{36}", row["details"])
    }
    unnamed = sorted(map(str, missing)) + sorted(name for name in ids if name not in named)
    return [Fault("unnamed", tried, f"{len(unnamed)} without a name in the audit: {unnamed[:2]}")] if unnamed else []
