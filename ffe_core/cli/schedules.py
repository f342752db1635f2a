"""`schedules`: what runs by itself, and when."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from ffe_core import times
from ffe_core.cli.backfill import Progress
from ffe_core.cli.common import actor, follow, names, run_service, status_of, tidy_after
from ffe_core.cli.output import print_json, print_table, warn
from ffe_core.cli.parser import VERBS, add_json
from ffe_core.errors import InputError
from ffe_core.operations.instruments.service import Instruments
from ffe_core.operations.runs.service import RunService
from ffe_core.operations.schedules.due import CATCH_UPS, OVERLAPS
from ffe_core.operations.schedules.requests import Plans
from ffe_core.operations.schedules.runs import ScheduledRuns
from ffe_core.operations.schedules.service import Draft, Schedules
from ffe_core.settings import Settings
from ffe_core.storage.state import runs as run_states
from ffe_core.storage.state.audit import Audit
from ffe_core.storage.state.schedules import Schedule, ScheduleStore, Tick
from ffe_core.storage.state.watchlists import Watchlists

_DEFAULTS = Draft("")


def register(verbs: Any) -> None:
    """Add the verb and its own verbs to the parser."""
    parser = verbs.add_parser(
        "schedules", help=VERBS["schedules"], description="Runs that start by themselves in the console."
    )
    own = parser.add_subparsers(dest="schedules_verb", required=True, metavar="VERB")
    _verb(own, "list", _list, "every schedule, its state and when it is due next", named=False)
    _add_arguments(_verb(own, "add", _add, "a new schedule", named=False))
    _verb(own, "pause", _pause, "let a schedule rest").add_argument("--reason", required=True, metavar="TEXT")
    _verb(own, "resume", _resume, "let a paused schedule fire again")
    _verb(own, "run", _run, "run a schedule now, here, and wait for its end")
    _verb(own, "remove", _remove, "take a schedule away; its runs and all data stay")


def _verb(own: Any, name: str, run: Any, text: str, *, named: bool = True) -> Any:
    parser = own.add_parser(name, help=text, description=text.capitalize() + ".")
    if named:
        parser.add_argument("schedule", metavar="NAME", help="name or number of the schedule")
    add_json(parser)
    parser.set_defaults(run=run)
    return parser


def _add_arguments(parser: Any) -> None:
    parser.add_argument("--name", required=True, metavar="TEXT")
    what = parser.add_argument_group("what to fetch: a watchlist, or a provider with pairs and timeframes")
    what.add_argument("--watchlist", metavar="NAME")
    what.add_argument("--provider", default="", metavar="NAME")
    what.add_argument("--pairs", type=names, default=[], metavar="A,B")
    what.add_argument("--timeframes", type=names, default=[], metavar="A,B")
    what.add_argument(
        "--same-book", action="store_true", help="fetch an order book under its other name too (BTC-USD and BTC-USDC)"
    )
    what.add_argument("--mode", default=_DEFAULTS.mode, help="resume (default), gaps or refetch")
    what.add_argument(
        "--since",
        default=_DEFAULTS.since,
        help="where it begins: a date, days back like 30d (default), or: beginning, wherever each series begins",
    )
    when = parser.add_mutually_exclusive_group(required=True)
    when.add_argument("--cron", metavar="FIELDS", help="in UTC, weekdays by name: '30 2 * * mon-fri'")
    when.add_argument("--every", metavar="MINUTES", help="every so many minutes")
    when.add_argument("--bar-close", action="store_true", help="shortly after each bar closes")
    parser.add_argument("--zone", default=_DEFAULTS.zone, help="time zone to show times in (default UTC)")
    parser.add_argument("--overlap", default=_DEFAULTS.overlap, help=" or ".join(OVERLAPS))
    parser.add_argument("--catch-up", default=_DEFAULTS.catch_up, help=", ".join(CATCH_UPS))
    parser.add_argument("--pause-after", type=int, default=_DEFAULTS.pause_after, metavar="N", help="failures in a row")
    parser.add_argument("--wait-in-line", action="store_true", help="share the turns of long backfills")


@contextmanager
def _schedules() -> Iterator[tuple[Schedules, RunService]]:
    settings = Settings.load()
    with run_service(settings) as service:
        plans = Plans(settings, Watchlists(service.database))
        runs = ScheduledRuns(service, service.database)
        instruments = Instruments(settings, service.database, service.stores.watermarks.has_pair)
        yield (
            Schedules(
                ScheduleStore(service.database),
                plans,
                runs,
                Audit(service.database),
                instruments=instruments,
                asks=True,
            ),
            service,
        )


def _list(arguments: argparse.Namespace) -> int:
    with _schedules() as (schedules, _):
        every = schedules.store.all()
        last = schedules.store.last_ticks([one.id for one in every], 1)
        rows = [_row(one, next(iter(last[one.id]), None)) for one in every]
    if arguments.json:
        print_json(rows)
    elif not rows:
        print("no schedule yet: start with python -m ffe_core schedules add --help")
    else:
        header = ["id", "name", "state", "trigger", "next due", "shown in", "last outcome"]
        print_table(header, [_cells(row) for row in rows])
    return 0


def _row(schedule: Schedule, last: Tick | None) -> dict[str, Any]:
    due = None if schedule.paused or schedule.next_due is None else times.iso(schedule.next_due)
    found = asdict(schedule)
    for name in ("accounted_until", "paused_at", "created_at", "next_due"):
        del found[name]
    return {
        **found,
        "state": "paused" if schedule.paused else "active",
        "next_due": due,
        "last_outcome": None if last is None else last.run_state or last.outcome,
        "last_due": None if last is None else times.iso(last.due),
    }


def _cells(row: dict[str, Any]) -> list[str]:
    state = f"paused by {row['paused_by']}: {row['paused_reason']}" if row["state"] == "paused" else "active"
    local = "-" if row["next_due"] is None else _local(row["next_due"], row["zone"])
    return [
        str(row["id"]),
        row["name"],
        state,
        row["trigger"],
        row["next_due"] or "-",
        local,
        row["last_outcome"] or "-",
    ]


def _local(text: str, zone: str) -> str:
    return f"{datetime.fromisoformat(text).astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M %Z}"


def _add(arguments: argparse.Namespace) -> int:
    if arguments.watchlist and (arguments.provider or arguments.pairs or arguments.timeframes):
        raise InputError("watchlist: give a watchlist, or a provider with pairs and timeframes, not both")
    every = f"every {arguments.every}" if arguments.every else "bar close"
    draft = Draft(
        arguments.name,
        arguments.provider,
        tuple(arguments.pairs),
        tuple(arguments.timeframes),
        arguments.watchlist,
        trigger=f"cron {arguments.cron}" if arguments.cron else every,
        mode=arguments.mode,
        since=arguments.since,
        zone=arguments.zone,
        overlap=arguments.overlap,
        catch_up=arguments.catch_up,
        priority=not arguments.wait_in_line,
        pause_after=arguments.pause_after,
        same_book=arguments.same_book,
    )
    with _schedules() as (schedules, _):
        created = schedules.create(draft, actor())
        for note in filter(None, (one.note for one in schedules.resolve(draft))):
            warn(note)
        notes = schedules.notes(draft)
    return _tell(arguments, created, f"added {created.name}", notes)


def _pause(arguments: argparse.Namespace) -> int:
    with _schedules() as (schedules, _):
        paused = schedules.pause(schedules.named(arguments.schedule).id, arguments.reason, actor())
    return _tell(arguments, paused, f"paused {paused.name}")


def _resume(arguments: argparse.Namespace) -> int:
    with _schedules() as (schedules, _):
        resumed = schedules.resume(schedules.named(arguments.schedule).id, actor())
    return _tell(arguments, resumed, f"resumed {resumed.name}")


def _remove(arguments: argparse.Namespace) -> int:
    with _schedules() as (schedules, _):
        schedule = schedules.named(arguments.schedule)
        schedules.delete(schedule.id, actor())
    return _tell(arguments, schedule, f"removed {schedule.name}; its runs and all data stay")


def _run(arguments: argparse.Namespace) -> int:
    with _schedules() as (schedules, service):
        schedule = schedules.named(arguments.schedule)
        run_id = schedules.run_now(schedule.id, actor())
        results = follow(service, run_id, Progress())
        tidy_after(service, run_id)
        run = service.runs.get(run_id)
    state = run.state if run else run_states.FAILED
    if arguments.json:
        print_json({"schedule": schedule.name, "run": run_id, "state": state, "results": results})
    else:
        print(f"{schedule.name}: run {run_id} {state}")
    return int(state not in (run_states.COMPLETE, run_states.GAPS)) or status_of(results)


def _tell(arguments: argparse.Namespace, schedule: Schedule, text: str, notes: tuple[str, ...] = ()) -> int:
    if arguments.json:
        print_json({**_row(schedule, None), "notes": list(notes)})
        return 0
    due = "" if schedule.paused or schedule.next_due is None else f"; next due {times.iso(schedule.next_due)}"
    print(text if text.startswith("removed") else text + due)
    for note in notes:
        print(f"note: {note}")
    return 0
