"""Fuzz trials: command lines, answers and folder names that nobody meant.

Whatever is typed or sent, a verb ends with a documented status and without a traceback, and what it writes lies within
its data directory.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from tests.fake_exchanges import Answer
from tests.fake_exchanges import Fault as Script
from tests.reliability.trials import Place, Trials, in_threads
from tests.reliability.venues import IMPATIENT, VENUES, Venue
from tests.reliability.verbs import Bases, batches
from tests.reliability.verdict import Fault, Tally, of_ending, of_sums

_TIMES: tuple[str, ...] = (
    "2024-01-10",
    "2024-02-30",
    "0001-01-01",
    "9999-12-31",
    "now",
    "2024-01-10T00:00:00",
    "2024-01-10T00:00:00Z",
)
_TIMES += ("2024-01-10T00:00:00+99:00", "1e9", "-1", "٢٠٢٤-٠١-١٠", "2024-01-10T25:00:00Z", "")
_ODD: tuple[str, ...] = (
    "",
    " ",
    "-",
    "--",
    "0",
    "-1",
    "1e400",
    "NaN",
    "9" * 400,
    "ü",
    "\u202e",
    "'",
    '"',
    "%s",
    "{}",
    "../..",
    "a" * 5_000,
)
_ODD += ("\n", "\t", "NULL", "; drop table runs", "[bold]", "🕯", "٣", "a,b,,c", "=", "x=y=z")
_OPTIONS: dict[str, Sequence[str]] = {
    "--provider": ("simulated", "coinbase", "nobody", *_ODD),
    "--pairs": ("BTCUSD", "BTC/USD,btc-usd", "EURUSD", "NOPEUSD", *_ODD),
    "--timeframes": ("1h", "1m", "1d,4h", "2h", *_ODD),
    "--start": _TIMES,
    "--end": _TIMES,
    "--to": _TIMES,
    "--mode": ("resume", "gaps", "refetch", *_ODD),
    "--reason": ("tried", "venue outage", *_ODD),
    "--days": ("0", "1", *_ODD),
    "--record": ("0", "1", "99", *_ODD),
    "--set": ("high=1", "high", "volume=null", 'x={"a":1}', *_ODD),
    "--scale": ("high=2", "high=0", "high=1e400", *_ODD),
    "--value": ("{}", "[]", '{"date":1}', "[" * 2_000, *_ODD),
    "--name": ("daily", "new", *_ODD),
    "--cron": ("0 3 * * mon", "* * * * *", "0 0 31 2 *", "61 * * * *", *_ODD),
    "--every": ("5", "0", *_ODD),
    "--since": ("30d", "2024-01-10", "0d", "999999999d", *_ODD),
    "--zone": ("UTC", "Europe/Berlin", "Mars", "../etc", *_ODD),
    "--limit": ("0", "1", *_ODD),
    "--status": ("pending", "gone", *_ODD),
    "--text": ("2024", *_ODD),
    "--json": (),
    "--dry-run": (),
}
_VERBS = {
    ("backfill",): "--provider --pairs --timeframes --start --end --mode --json --dry-run",
    ("watermarks",): "--json",
    ("watermarks", "rewind"): "--provider --pairs --timeframes --to --reason --json --dry-run",
    ("watermarks", "forget"): "--provider --pairs --timeframes --reason --json",
    ("watermarks", "undo"): "--provider --pairs --timeframes --json",
    ("coverage",): "--provider --pairs --timeframes --start --end --json",
    ("coverage", "mark"): "--provider --pairs --timeframes --start --end --reason --json",
    ("coverage", "unmark"): "--provider --pairs --timeframes --start --end --reason --json",
    ("dlq", "list"): "--limit --status --text --json",
    ("dlq", "show", "ID"): "--json",
    ("dlq", "mend", "ID"): "--record --set --scale --value --json --dry-run",
    ("dlq", "replay", "ID"): "--status --text --json --dry-run",
    ("dlq", "discard", "ID"): "--reason --status --json --dry-run",
    ("dlq", "restore", "ID"): "--status --json --dry-run",
    ("dlq", "purge"): "--days --reason --json --dry-run",
    ("schedules", "list"): "--json",
    ("schedules", "add"): "--name --provider --pairs --timeframes --cron --every --since --zone --json",
    ("schedules", "pause", "daily"): "--reason --json",
    ("schedules", "run", "daily"): "--json",
    ("schedules", "remove", "daily"): "--json",
}
_MISSING = 0.05
_SENSIBLE = 0.7
NAMES = (
    *("with spaces", " padded", "ünï 数据", "a'b\"c", "new\nline", "a" * 200, "-dash", "comma,", "semi;colon"),
    *("per%20cent", "100%", "what?x=1", "hash#tag", "[brackets]*", "back\\slash", "a:b", "file:", "{curly}"),
    *("~", "~root", "$HOME", "a;b&c|d"),
)
"""Names of a data directory."""


def run(trials: Trials, bases: Bases, tally: Tally, count: int, chance: random.Random) -> None:
    """So many command lines, half as many answers, and every folder name."""
    lines = [command_line(chance, batches(bases.paths["scheduled"])) for _ in range(count)]
    _each("command lines", tally, lambda line: _typed(trials, bases, line), lines)
    answers = [(chance.choice(VENUES), chance.randrange(2**32)) for _ in range(count // 2)]
    _each("mangled answers", tally, lambda sent: _sent(trials, *sent), answers)
    _each("folder names", tally, lambda name: folder(trials, name), NAMES)


def _each(kind: str, tally: Tally, one: Callable[[Any], list[Fault]], several: Sequence[Any]) -> None:
    with tally.timed(kind), ThreadPoolExecutor(in_threads()) as pool:
        for faults in pool.map(one, several):
            tally.add(kind, 1, faults)


def command_line(chance: random.Random, ids: Sequence[str]) -> tuple[str, ...]:
    """A verb with options that are mostly sensible."""
    verb, options = chance.choice(list(_VERBS.items()))
    words = [_id(chance, ids) if word == "ID" else word for word in verb]
    for option in options.split():
        values = _OPTIONS[option]
        if chance.random() < _MISSING or (not values and chance.random() < 0.5):
            continue
        words.append(option)
        if values:
            words.append(chance.choice(values[:2]) if chance.random() < _SENSIBLE else chance.choice(values))
    return tuple(word.replace("\0", "") for word in words)


def _id(chance: random.Random, ids: Sequence[str]) -> str:
    return chance.choice((ids[0], f"{ids[0]}#0", f"{ids[0]}#999", f"../dlq/{ids[0]}", *_ODD[:6]))


def _typed(trials: Trials, bases: Bases, line: tuple[str, ...]) -> list[Fault]:
    shown = " ".join(word if len(word) < 60 else f"{word[:20]}…" for word in line)
    with trials.place(bases.paths["scheduled"]) as place:
        # Providers are asked nowhere: a port that nobody listens on.
        outcome = trials.verb(place, *line, env={"FFE_COINBASE__BASE_URL": "http://127.0.0.1:9"}, bound=90)
        return of_ending(f"{' '.join(line[:2])}: {shown}", outcome) + _of_document(
            line, shown, outcome.status, outcome.out
        )


def _of_document(line: Sequence[str], shown: str, status: int | None, out: str) -> list[Fault]:
    if "--json" not in line or status != 0:
        return []
    try:
        json.loads(out)
    except ValueError:
        return [Fault("exit", f"{' '.join(line[:2])}: {shown}", f"exit 0 without JSON: {out[-200:]}")]
    return []


def _sent(trials: Trials, venue: Venue, seed: int) -> list[Fault]:
    """Every answer mangled: the verb ends well, and what it says of its records adds up."""
    chance = random.Random(seed)
    with venue.running() as exchange, trials.place() as place:
        exchange.fault(Script("mangled", lambda _exchange, _seen, answer: _mangled(answer, chance)), times=None)
        outcome = trials.verb(place, *venue.arguments(), env={**venue.env(exchange), **IMPATIENT})
        tried, found = f"{venue.provider}: answers mangled with seed {seed}", trials.state(place)
        return of_ending(tried, outcome) + (of_sums(tried, found) if "runs" in found else [])


def _mangled(answer: Answer, chance: random.Random) -> Answer:
    try:
        document = json.loads(answer.body)
    except ValueError:
        return answer
    for _ in range(chance.randrange(1, 30)):
        _mangle(document, chance)
    return replace(answer, body=json.dumps(document).encode())


def _mangle(document: Any, chance: random.Random) -> None:
    """Put something odd somewhere into it."""
    at = document
    while isinstance(at, dict | list) and at:
        key = chance.choice(list(at)) if isinstance(at, dict) else chance.randrange(len(at))
        if not isinstance(at[key], dict | list) or chance.random() < 0.1:
            at[key] = chance.choice(list(_values(at[key])))
            return
        at = at[key]


def _values(was: Any) -> Iterator[Any]:
    yield from (
        None,
        True,
        "",
        [],
        {},
        -1,
        0,
        1e308,
        float("nan"),
        float("inf"),
        10**400,
        "9" * 400,
        "-0",
        "1e400",
        [[[]]],
    )
    yield from ("2024-01-10T00:00:00Z", "1970-01-01", "٣٫٥", "\ud800", "\0", f"{was}0", f"-{was}", [was], {"a": was})


def folder(trials: Trials, name: str) -> list[Fault]:
    """A data directory of this name works, or is refused; nothing lies beside it."""
    tried = f"folder name: {name!r}"
    with trials.place() as outer:
        home = outer.folder / "home"
        home.mkdir()
        place = Place(outer.folder)
        place.data = home / name
        series = ("--provider", "simulated", "--pairs", "BTCUSD", "--timeframes", "1h")
        line = ("backfill", *series, "--start", "2024-01-10", "--end", "2024-01-12", "--json")
        outcomes = [trials.verb(place, *line), trials.verb(place, "coverage", "--json")]
        faults = [fault for outcome in outcomes for fault in of_ending(tried, outcome)]
        beside = [path.name for path in home.iterdir() if path.name != name]
        if beside:
            faults.append(Fault("wrong", tried, f"files beside it: {beside}"))
        if [outcome.status for outcome in outcomes] not in ([0, 0], [2, 2]):
            faults.append(Fault("exit", tried, f"{[outcome.status for outcome in outcomes]}: {outcomes[0].err[-300:]}"))
        if outcomes[0].status == 0:
            held = len(trials.state(place).get("rows", []))
            faults += [] if held else [Fault("lost", tried, "said to be stored, and is not there")]
        return faults
