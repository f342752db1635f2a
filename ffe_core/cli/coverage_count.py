"""`coverage count`: the coverage of all series as a run, on the workers where there are any."""

from __future__ import annotations

import argparse

from ffe_core.cli.common import actor, follow, run_service, status_of
from ffe_core.cli.coverage import chosen
from ffe_core.cli.output import print_json, print_table, warn
from ffe_core.completeness import COUNTS
from ffe_core.errors import InputError
from ffe_core.ingestion.hour_grid import learn_from_stored
from ffe_core.insight.stored import stored_series
from ffe_core.operations.coverage.service import CoverageRuns
from ffe_core.settings import Settings


def count(arguments: argparse.Namespace) -> int:
    """Count what is stored of each series, and print it; 1 if one could not be counted."""
    if arguments.start is not None or arguments.end is not None:
        raise InputError("count is of all that is stored; leave --start and --end away", field="start")
    with run_service(Settings.load()) as service:
        known = [one.series for one in stored_series(service.lake)]
        series = chosen(arguments, known)
        if known and not series:
            return _told(None, [], arguments.json)
        learn_from_stored(series, service.settings.calendars.market_of, service.stores.instruments, service.lake)
        run_id = CoverageRuns(service).start(actor(), "command line", series=series)
        results = follow(service, run_id, lambda rows: None)
    for result in results:
        if "error" in result:
            warn(result["error"])
    _told(run_id, results, arguments.json)
    return status_of(results)


def _told(run_id: int | None, results: list[dict[str, object]], as_json: bool) -> int:
    if as_json:
        print_json({"run": run_id, "series": results})
    elif not results:
        print("no series matches these filters; without them every series is counted")
    else:
        names = ("asset_pair", "timeframe", "provider")
        rows = [[*(str(one[name]) for name in names), *(_cell(one.get(name)) for name in COUNTS)] for one in results]
        print_table(["pair", "timeframe", "provider", *(name.replace("_", " ") for name in COUNTS)], rows)
    return 0


def _cell(count: object) -> str:
    return f"{count:,}" if isinstance(count, int) else "-"
