"""`backfill`: bring candles of some pairs and timeframes into the lake."""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

from ffe_core import times
from ffe_core.cli.common import actor, names, print_json, print_table, run_service
from ffe_core.operations.runs.backfill import BackfillRequest
from ffe_core.operations.runs.preview import preview
from ffe_core.operations.runs.service import RunService
from ffe_core.providers import PROVIDERS
from ffe_core.settings import Settings
from ffe_core.storage.state import runs as run_states
from ffe_core.timeframes import TIMEFRAMES

_POLL_SECONDS = 0.2
_BAR = 30


def register(verbs: Any) -> None:
    """Add the verb to the parser."""
    parser = verbs.add_parser(
        "backfill", help="bring candles into the lake", description="Bring candles into the lake, whole and once."
    )
    parser.add_argument("--provider", required=True, metavar="NAME", help=", ".join(PROVIDERS))
    parser.add_argument("--pairs", required=True, type=names, metavar="A,B", help="for example BTCUSD,ETHUSD")
    parser.add_argument("--timeframes", required=True, type=names, metavar="A,B", help=", ".join(TIMEFRAMES))
    parser.add_argument("--start", required=True, metavar="TIME", help="a UTC date, or a time with a zone")
    parser.add_argument("--end", required=True, metavar="TIME", help="a UTC date (included) or a time (excluded)")
    parser.add_argument("--mode", default="resume", metavar="MODE", help="resume (default), gaps or refetch")
    parser.add_argument("--dry-run", action="store_true", help="say what would be fetched, and stop")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Exit status of a backfill: 1 if a series failed."""
    settings = Settings.load()
    request = BackfillRequest.of(
        arguments.provider, arguments.pairs, arguments.timeframes, arguments.start, arguments.end, arguments.mode
    )
    with run_service(settings) as service:
        if arguments.dry_run:
            return _show_preview(request, service, arguments.json)
        run_id = service.start(request, actor(), "command line", lease_wait=settings.lease_wait_seconds)
        follow(service, run_id)
        results = [row["result"] or _unfinished(row) for row in service.runs.series(run_id)]
    document = {
        "total_records": sum(result["records"] for result in results),
        "total_failed": sum(result["failed_records"] for result in results),
        "results": results,
    }
    if arguments.json:
        print_json(document)
    else:
        _show(results)
    return int(any(result["status"] == "error" for result in results))


def _unfinished(row: Any) -> dict[str, Any]:
    """The result of a series that a run which ended as a whole never came to report on."""
    kept = ("asset_pair", "timeframe", "provider", "records", "failed_records", "expected", "stored", "unexplained")
    why = row["error"] or f"the run was {row['state']} before the series ended; run the same command again"
    return {**{name: row[name] for name in kept}, "status": "error", "watermark": None, "error": why}


def follow(service: RunService, run_id: int) -> None:
    """Wait for the run's end: a bar on a terminal, a line for each series that ends elsewhere."""
    told: set[int] = set()
    while True:
        run, rows = service.runs.get(run_id), service.runs.series(run_id)
        if sys.stderr.isatty():
            _draw(rows)
        else:
            told |= _tell(rows, told)
        if run is None or run["state"] not in run_states.ACTIVE:
            break
        time.sleep(_POLL_SECONDS)
    if sys.stderr.isatty():
        sys.stderr.write("\n")


def _draw(rows: Any) -> None:
    done, planned = sum(row["pages_done"] for row in rows), sum(row["pages_planned"] for row in rows)
    ended = sum(row["state"] not in run_states.ACTIVE for row in rows)
    share = ended / len(rows) if not planned else min(1.0, done / planned)
    candles = sum(row["records"] for row in rows)
    bar = "#" * round(share * _BAR)
    line = f"{bar:<{_BAR}} {share:4.0%}  {ended}/{len(rows)} series  {candles:,} candles"
    sys.stderr.write(f"\r{line:<78}")
    sys.stderr.flush()


def _tell(rows: Any, told: set[int]) -> set[int]:
    ended = {row["number"] for row in rows if row["state"] not in run_states.ACTIVE} - told
    for row in rows:
        if row["number"] in ended:
            name = f"{row['asset_pair']} {row['timeframe']}"
            sys.stderr.write(f"{name}: {row['state']}, {row['records']:,} candles\n")
    return ended


def _show(results: list[dict[str, Any]]) -> None:
    header = ["pair", "timeframe", "status", "new", "dead", "expected", "stored", "unexplained", "watermark"]
    names_ = ["asset_pair", "timeframe", "status", "records", "failed_records", "expected", "stored", "unexplained"]
    print_table(header, [[*(_cell(r[name]) for name in names_), _cell(r["watermark"])] for r in results])
    for result in results:
        if "error" in result:
            print(f"\n{result['error']}")
        if "not_covered" in result:
            first, last = result["not_covered"]
            print(
                f"\n{result['asset_pair']} {result['timeframe']}: {result['provider']} does not reach {first} to {last}"
            )


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
        }
        for item in found.series
    ]
    if as_json:
        print_json({"series": rows, "requests": found.requests, "seconds": found.seconds})
        return 0
    columns = ["asset_pair", "timeframe", "start", "end", "expected", "stored", "to_fetch", "requests", "skipped"]
    print_table([name.replace("_", " ") for name in columns], [[_cell(row[name]) for name in columns] for row in rows])
    print(f"\n{found.requests:,} requests, at least {found.seconds:,.0f} s at the rate of {request.provider}")
    return 0


def _cell(value: Any) -> str:
    return "-" if value is None else f"{value:,}" if isinstance(value, int) else str(value)
