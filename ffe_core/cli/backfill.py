"""`backfill`: bring candles of some pairs and timeframes into the lake."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from ffe_core import times
from ffe_core.cli.common import actor, follow, names, run_service, status_of, tidy_after
from ffe_core.cli.output import print_json, print_table, warn
from ffe_core.cli.parser import VERBS, add_json
from ffe_core.counts import many
from ffe_core.operations.instruments.resolved import names_of
from ffe_core.operations.instruments.service import Instruments
from ffe_core.operations.runs.backfill import BackfillRequest
from ffe_core.operations.runs.preview import Preview, preview
from ffe_core.operations.runs.service import RunService
from ffe_core.providers import PROVIDERS
from ffe_core.settings import Settings
from ffe_core.storage.state import runs as run_states
from ffe_core.storage.state.runs import RunSeries
from ffe_core.timeframes import TIMEFRAMES

_MOST_NAMED = 8
"""Series whose dead letters are named one by one."""
_BAR = 30


def register(verbs: Any) -> None:
    """Add the verb to the parser."""
    parser = verbs.add_parser(
        "backfill", help=VERBS["backfill"], description="Bring candles into the lake, whole and once."
    )
    parser.add_argument("--provider", required=True, metavar="NAME", help=", ".join(PROVIDERS))
    parser.add_argument("--pairs", required=True, type=names, metavar="A,B", help="for example BTCUSD,ETHUSD")
    parser.add_argument("--timeframes", required=True, type=names, metavar="A,B", help=", ".join(TIMEFRAMES))
    parser.add_argument("--start", required=True, metavar="TIME", help="a UTC date, a time with a zone, or: beginning")
    parser.add_argument("--end", required=True, metavar="TIME", help="a UTC date (included) or a time (excluded)")
    parser.add_argument("--mode", default="resume", metavar="MODE", help="resume (default), gaps or refetch")
    parser.add_argument(
        "--same-book", action="store_true", help="store an order book under its other name too (BTC-USD and BTC-USDC)"
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would be fetched, and stop")
    add_json(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Exit status of a backfill: 1 if a series failed."""
    settings = Settings.load()
    asked = arguments.timeframes, arguments.start, arguments.end, arguments.mode
    BackfillRequest.of(arguments.provider, arguments.pairs, *asked)  # what is wrong by itself, before any work
    with run_service(settings) as service:
        instruments = Instruments(settings, service.database, service.stores.watermarks.has_pair)
        pairs = instruments.resolve(arguments.provider, arguments.pairs, allow_same_book=arguments.same_book)
        for note in filter(None, (one.note for one in pairs)):
            warn(note)
        request = BackfillRequest.of(arguments.provider, names_of(pairs), *asked)
        if arguments.dry_run:
            return _show_preview(request, service, arguments.json)
        instruments.bind(arguments.provider, pairs)
        run_id = service.start(request, actor(), "command line", lease_wait=settings.lease_wait_seconds)
        results = follow(service, run_id, Progress())
        tidy_after(service, run_id)
    document = {
        "total_records": sum(result["records"] for result in results),
        "total_failed": sum(result["failed_records"] for result in results),
        "results": results,
    }
    if arguments.json:
        print_json(document)
    else:
        _show(results)
        show_dead_letters(results, run_id)
    return status_of(results)


class Progress:
    """Says on stderr how far the series of a run are: a bar on a terminal, a line for each that ends elsewhere."""

    def __init__(self) -> None:
        self._told: set[int] = set()
        self._is_drawn = False

    def __call__(self, rows: Sequence[RunSeries]) -> None:
        """Say what is new."""
        is_over = all(row.state not in run_states.ACTIVE for row in rows)
        if sys.stderr.isatty():
            _draw(rows)
            self._is_drawn = True
        else:
            self._tell(rows)
        if self._is_drawn and is_over:
            sys.stderr.write("\n")
            self._is_drawn = False

    def _tell(self, rows: Sequence[RunSeries]) -> None:
        for row in rows:
            if row.state not in run_states.ACTIVE and row.number not in self._told:
                self._told.add(row.number)
                name = f"{row.asset_pair} {row.timeframe}"
                sys.stderr.write(f"{name}: {row.state}, {many(row.records, 'candle')}\n")


def _draw(rows: Sequence[RunSeries]) -> None:
    done, planned = sum(row.pages_done for row in rows), sum(row.pages_planned for row in rows)
    ended = sum(row.state in run_states.CAME_TO_AN_END for row in rows)
    share = ended / len(rows) if not planned else min(1.0, done / planned)
    candles = sum(row.records for row in rows)
    bar = "#" * round(share * _BAR)
    line = f"{bar:<{_BAR}} {share:4.0%}  {ended}/{len(rows)} series  {many(candles, 'candle')}"
    sys.stderr.write(f"\r{line:<78}")
    sys.stderr.flush()


def _show(results: list[dict[str, Any]]) -> None:
    header = ["pair", "timeframe", "status", "new", "dead", "expected", "stored", "unexplained", "watermark"]
    names_ = ["asset_pair", "timeframe", "status", "records", "failed_records", "expected", "stored", "unexplained"]
    results = [{**one, "failed_records": dead_letters_of(one)} for one in results]
    print_table(header, [[*(_cell(r[name]) for name in names_), _cell(r["watermark"])] for r in results])
    for result in results:
        for notice in result.get("notices", []):
            print(f"\n{result['asset_pair']} {result['timeframe']}: {notice}")
        if "error" in result:
            print(f"\n{result['error']}")
        if "not_covered" in result:
            first, last = result["not_covered"]
            print(
                f"\n{result['asset_pair']} {result['timeframe']}: {result['provider']} does not reach {first} to {last}"
            )


def dead_letters_of(result: dict[str, Any]) -> int:
    """How many records were kept as dead letters: what broke a rule, and what a later record of its bar replaced."""
    return int(result["failed_records"]) + int(result.get("superseded", 0))


def show_dead_letters(results: list[dict[str, Any]], run_id: int) -> None:
    """What was kept as dead letters, by series, the most first, and where to look."""
    kept = [(dead_letters_of(result), f"{result['asset_pair']} {result['timeframe']}") for result in results]
    kept = sorted(((count, name) for count, name in kept if count), key=lambda one: (-one[0], one[1]))
    if kept:
        named = ", ".join(f"{count:,} of {name}" for count, name in kept[:_MOST_NAMED])
        rest = kept[_MOST_NAMED:]
        more = f" and {sum(count for count, _ in rest):,} of {len(rest):,} other series" if rest else ""
        print(f"\nkept as dead letters: {named}{more}. To see why: ffe dlq list --run {run_id}")


def _show_preview(request: BackfillRequest, service: RunService, as_json: bool) -> int:
    found = preview(request, service)
    rows = [
        {
            "asset_pair": item.series.asset_pair,
            "timeframe": item.series.timeframe,
            "provider": item.series.provider,
            "start": times.iso(item.start),
            "end": times.iso(item.end),
            "expected": item.expected,
            "stored": item.stored,
            "to_fetch": item.to_fetch,
            "requests": item.requests,
            "skipped": item.skipped,
            "first_bar_requests": item.first_bar_requests,
            "notes": list(item.notes),
        }
        for item in found.series
    ]
    if as_json:
        searches = {"first_bar_requests": found.first_bar_requests}
        print_json({"series": rows, "requests": found.requests, **searches, "seconds": found.seconds})
        return 0
    columns = ["asset_pair", "timeframe", "start", "end", "expected", "stored", "to_fetch", "requests", "skipped"]
    print_table([name.replace("_", " ") for name in columns], [[_cell(row[name]) for name in columns] for row in rows])
    for item in found.series:
        for said in item.notes:
            print(f"\n{item.series.asset_pair} {item.series.timeframe}: {said}")
    print(f"\n{_cost(found)} at the rate of {request.provider}")
    return 0


def _cost(found: Preview) -> str:
    if not found.first_bar_requests:
        return f"{many(found.requests, 'request')}, at least {found.seconds:,.0f} s"
    return (
        f"at most {many(found.requests, 'request')}, of them {found.first_bar_requests:,} to find where series begin,"
        f" {found.seconds:,.0f} s"
    )


def _cell(value: Any) -> str:
    return "-" if value is None else f"{value:,}" if isinstance(value, int) else str(value)
