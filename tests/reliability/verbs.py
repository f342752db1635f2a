"""Verbs that write: list their commands, the data directories they begin with, and the states they come to.

A `Verb` begins with a copy of a named data directory, made once by other verbs. Run to its end, killed or not, it comes
to one state, its `reference`: that of one undisturbed run, which is itself compared with the truth of the market.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.reliability.shim import Arm, Call
from tests.reliability.trials import Outcome, Place, Trials, expect
from tests.reliability.truth import truth
from tests.reliability.verdict import of_rows, of_truth

PAIR, OTHER, TIMEFRAME, PROVIDER = "BTCUSD", "ETHUSD", "1h", "simulated"
START, END = "2024-01-10", "2024-02-20"
EARLIER, LATER = "2024-01-02", "2024-03-01"
_HOLE = ("2024-02-03", "2024-02-05")
_SERIES = ("--provider", PROVIDER, "--pairs", PAIR, "--timeframes", TIMEFRAME)
_BOTH = ("--provider", PROVIDER, "--pairs", f"{PAIR},{OTHER}", "--timeframes", TIMEFRAME)
_RANGE = ("--start", START, "--end", END)
_HOURS = range(1_704_844_800, 1_704_844_800 + 120 * 3600, 3600)
_RESTATED = {"FFE_SIMULATED__SEED": "1"}
_WHOLE = {"FFE_SIMULATED__BROKEN_RECORDS": "0"}


@dataclass(frozen=True)
class Verb:
    """A verb on the data directory `base`; `arguments` may hang on what lies there."""

    name: str
    base: str
    arguments: Callable[[Path], tuple[str, ...]]
    env: Mapping[str, str] = field(default_factory=dict)
    truths: tuple[tuple[str, str, str, int], ...] = ()
    """Pair, start, end and seed of what the market must be found to be afterwards."""
    keeps_rows: bool = False
    """Whether the rows must be those of before, down to when each version was extracted."""


def _plain(*arguments: str) -> Callable[[Path], tuple[str, ...]]:
    return lambda _: arguments


def batches(data: Path) -> list[str]:
    """The ids of the dead letters of a data directory, the oldest first."""
    return sorted(path.stem for path in (data / "dlq").glob("*.json"))


def _on_entries(*before: str, after: tuple[str, ...] = ()) -> Callable[[Path], tuple[str, ...]]:
    return lambda data: (*before, *batches(data), *after)


def _mend(data: Path) -> tuple[str, ...]:
    return ("dlq", "mend", batches(data)[0], "--record", "0", "--record", "1", "--set", "volume=1", "--why", "tried")


def _truths(start: str, end: str) -> tuple[tuple[str, str, str, int], ...]:
    return tuple((pair, start, end, 0) for pair in (PAIR, OTHER))


def _import(data: Path) -> tuple[str, ...]:
    """Import a file that lies beside the data directory: some days of hours, two of them broken."""
    file = data.parent / "candles.csv"
    lines = [f"{at},{100 + at % 7},{110 + at % 5},{90 + at % 3},{105 + at % 4},{at % 11}" for at in _HOURS]
    lines[40] = lines[40].replace(",110", ",10").replace(",11", ",1")
    lines[41] = f"{_HOURS[41]},one,2,3,4,5"
    file.write_text("\n".join(["time,open,high,low,close,volume", *lines, ""]), "ascii")
    return ("import", str(file), "--as", f"files:mine/{PAIR}/{TIMEFRAME}", "--stamp", "open", "--json")


VERBS = (
    Verb("import", "stored", _import),
    Verb("backfill", "empty", _plain("backfill", *_BOTH, *_RANGE, "--json"), truths=_truths(START, END)),
    Verb(
        "backfill on",
        "stored",
        _plain("backfill", *_BOTH, "--start", EARLIER, "--end", LATER, "--json"),
        truths=_truths(EARLIER, LATER),
    ),
    Verb(
        "backfill gaps",
        "holey",
        _plain("backfill", *_SERIES, *_RANGE, "--mode", "gaps", "--json"),
        truths=_truths(START, END),
    ),
    Verb(
        "backfill refetch",
        "stored",
        _plain("backfill", *_SERIES, *_RANGE, "--mode", "refetch"),
        _RESTATED,
        ((PAIR, START, END, 1), (OTHER, START, END, 0)),
    ),
    Verb("dlq mend", "stored", _mend),
    Verb("dlq replay", "mended", _plain("dlq", "replay", "--status", "pending", "--json")),
    Verb("dlq refetch", "stored", _plain("dlq", "refetch", "--status", "pending"), _WHOLE),
    Verb("dlq discard", "stored", _on_entries("dlq", "discard", "--reason", "tried")),
    Verb("dlq restore", "discarded", _on_entries("dlq", "restore")),
    Verb("dlq purge", "discarded", _plain("dlq", "purge", "--days", "0", "--reason", "tried")),
    Verb(
        "watermarks rewind",
        "stored",
        _plain("watermarks", "rewind", *_SERIES, "--to", "2024-01-20T00:00:00Z", "--reason", "tried"),
    ),
    Verb("watermarks forget", "stored", _plain("watermarks", "forget", *_SERIES, "--reason", "tried")),
    Verb("watermarks undo", "rewound", _plain("watermarks", "undo", *_SERIES)),
    Verb("coverage mark", "holey", _plain("coverage", "mark", *_SERIES, *_RANGE, "--reason", "venue outage")),
    Verb("coverage unmark", "marked", _plain("coverage", "unmark", *_SERIES)),
    Verb(
        "schedules add",
        "stored",
        _plain("schedules", "add", "--name", "new", *_SERIES, "--every", "60", "--since", START),
    ),
    Verb("schedules pause", "scheduled", _plain("schedules", "pause", "daily", "--reason", "tried")),
    Verb("schedules resume", "paused", _plain("schedules", "resume", "daily")),
    Verb("schedules run", "scheduled", _plain("schedules", "run", "daily")),
    Verb("schedules remove", "scheduled", _plain("schedules", "remove", "daily")),
    Verb("storage compact", "grown", _plain("storage", "compact", "--json"), keeps_rows=True),
    Verb("storage vacuum", "replaced", _plain("storage", "vacuum", "--json"), keeps_rows=True),
    Verb(
        "backfill and upkeep",
        "grown",
        _plain("backfill", *_BOTH, "--start", EARLIER, "--end", LATER, "--json"),
        {"FFE_UPKEEP__SMALL_FILES": "2"},
    ),
)
"""Every verb that writes. What is run again after a kill is the same command."""

NEXT = ("backfill", *_SERIES, *_RANGE)
"""What is done next by somebody else."""
LOOKS = (
    ("watermarks", "--json"),
    ("coverage", "--json"),
    ("dlq", "list", "--json"),
    ("schedules", "list", "--json"),
    ("storage", "--json"),
    ("storage", "compact", "--dry-run", "--json"),
    ("backfill", *_SERIES, "--start", START, "--end", LATER, "--dry-run", "--json"),
)
"""Verbs that only look."""


class Bases:
    """The data directories that verbs begin with, made once, and what each verb comes to undisturbed."""

    def __init__(self, trials: Trials) -> None:
        self._trials = trials
        self.paths: dict[str, Path] = {}
        self._references: dict[str, tuple[dict[str, Any], list[Call]]] = {}
        self._made("empty", None, lambda place: place.data.mkdir())
        self._made("stored", "empty", lambda place: self._do(place, "backfill", *_BOTH, *_RANGE))
        self._made("holey", "stored", self._dig)
        self._made("mended", "stored", self._mend_all)
        self._made("discarded", "stored", lambda place: self._do(place, *by_name("dlq discard").arguments(place.data)))
        self._made("rewound", "stored", lambda place: self._verb(place, "watermarks rewind"))
        self._made("marked", "holey", lambda place: self._verb(place, "coverage mark"))
        self._made("scheduled", "stored", self._schedule)
        self._made("grown", "stored", self._grow)
        self._made("replaced", "grown", self._replace)
        self._made("paused", "scheduled", lambda place: self._verb(place, "schedules pause"))
        self._check_sight("marked", "rows", "letters", "runs", "audit", "holes")
        self._check_sight("scheduled", "schedules")

    def reference(self, verb: Verb) -> dict[str, Any]:
        """The state that the verb comes to undisturbed."""
        return self._undisturbed(verb)[0]

    def calls(self, verb: Verb) -> list[Call]:
        """The storage calls of an undisturbed run."""
        return self._undisturbed(verb)[1]

    def _undisturbed(self, verb: Verb) -> tuple[dict[str, Any], list[Call]]:
        if verb.name not in self._references:
            with self._trials.place(self.paths[verb.base]) as place:
                self._verb(place, verb.name, place.arm())
                found, calls = self._trials.state(place), place.calls()
            found["exact"] = verb.keeps_rows
            self._references[verb.name] = found, calls
            if verb.keeps_rows:
                faults = of_rows(verb.name, found["rows"], self._rows_of(verb.base), exact=True)
                assert not faults, f"undisturbed it is wrong already: {faults}"
            for pair, start, end, seed in verb.truths:
                told = truth(pair, TIMEFRAME, start, end, seed)
                faults = of_truth(verb.name, found, pair, told.good, list(told.broken.values()))
                assert not faults, f"undisturbed it is wrong already: {faults}"
        return self._references[verb.name]

    def _rows_of(self, base: str) -> Any:
        with self._trials.place(self.paths[base]) as place:
            return self._trials.state(place)["rows"]

    def _check_sight(self, base: str, *names: str) -> None:
        """What is there is seen: a table under a new name would otherwise be compared as nothing with nothing."""
        with self._trials.place(self.paths[base]) as place:
            found = self._trials.state(place)
        unseen = [name for name in names if not found.get(name)]
        assert not unseen, f"state.py sees no {', '.join(unseen)} in {base}: {found.get('unreadable', '')}"

    def _made(self, name: str, source: str | None, make: Callable[[Place], object]) -> None:
        with self._trials.place(self.paths[source] if source else None) as place:
            make(place)
            kept = self._trials.keep()
            place.data.rename(kept.data)
            self.paths[name] = kept.data

    def _do(self, place: Place, *arguments: str) -> Outcome:
        return expect(self._trials.verb(place, *arguments))

    def _verb(self, place: Place, name: str, arm: Arm | None = None) -> Outcome:
        verb = by_name(name)
        return expect(self._trials.verb(place, *verb.arguments(place.data), env=verb.env, arm=arm))

    def _dig(self, place: Place) -> None:
        """Bars that go missing by another hand, so that there is a gap to fill or to mark."""
        dug = self._trials.function(place, "tests.reliability.verbs:dig", str(place.data))
        expect(dug)

    def _grow(self, place: Place) -> None:
        """More files, and bars that were restated."""
        self._do(place, "backfill", *_BOTH, "--start", START, "--end", "2024-02-22")
        refetch = ("backfill", *_SERIES, "--start", "2024-01-15", "--end", "2024-01-20", "--mode", "refetch")
        expect(self._trials.verb(place, *refetch, env=_RESTATED))

    def _replace(self, place: Place) -> None:
        """Files that compaction has replaced so long ago that they may go."""
        expect(self._trials.function(place, "tests.reliability.verbs:replace_long_ago", str(place.data)))

    def _schedule(self, place: Place) -> None:
        series = ("--provider", PROVIDER, "--pairs", "SOLUSD", "--timeframes", "1d")
        self._do(place, "schedules", "add", "--name", "daily", *series, "--cron", "0 3 * * mon", "--since", START)

    def _mend_all(self, place: Place) -> None:
        """The first two records of every entry, mended to what the market says; some pass, some still fail."""
        for batch_id in batches(place.data):
            held = json.loads((place.data / "dlq" / f"{batch_id}.json").read_text())
            for number, record in enumerate(held["records"][:2]):
                whole = {**record, **_good(held["context"]["asset_pair"], record["date"])}
                mend = ("dlq", "mend", batch_id, "--record", str(number), "--value", json.dumps(whole))
                self._do(place, *mend)


def by_name(name: str) -> Verb:
    """The verb of this name."""
    return next(verb for verb in VERBS if verb.name == name)


def dig(data: str) -> None:
    """Delete the bars of some days from the lake, as another tool would."""
    from deltalake import DeltaTable

    first, last = (f"'{day}T00:00:00Z'" for day in _HOLE)
    table = DeltaTable(f"{data}/lake/raw_market_data_{TIMEFRAME}")
    table.delete(f"asset_pair = '{PAIR}' AND timestamp >= {first} AND timestamp < {last}")


def replace_long_ago(data: str) -> None:
    """Compact the lake as if it were yesterday."""
    from unittest import mock

    from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager
    from ffe_core.storage.lake.upkeep import compaction, plan

    lake, table, yesterday = DeltaLakeManager(f"{data}/lake"), f"raw_market_data_{TIMEFRAME}", time.time() - 86_400
    snapshot = lake.snapshot(table)
    assert snapshot is not None
    with mock.patch("ffe_core.storage.lake.upkeep.compaction.time.time", return_value=yesterday):
        done = compaction.compact(lake.table_uri(table), None, plan.plan_of(snapshot, table).merges)
    assert done.files_before


def _good(pair: str, date: str) -> dict[str, str]:
    """A candle that passes, at this bar."""
    held = truth(pair, TIMEFRAME, START, END)
    price = str(next(iter(held.good.values()))[0])
    return {"date": date, "open": price, "high": price, "low": price, "close": price, "volume": "1"}
