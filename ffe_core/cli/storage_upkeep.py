"""`storage compact` and `storage vacuum`: upkeep by hand, or with --dry-run what it would do."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from ffe_core.candles import table_name
from ffe_core.cli.common import actor, follow, run_service, status_of
from ffe_core.cli.output import print_json, print_table
from ffe_core.cli.storage import NO_TABLE, count_cell, next_row, show_old, size
from ffe_core.insight.storage import storage
from ffe_core.operations.runs.service import RunService
from ffe_core.operations.upkeep.history import NAME
from ffe_core.operations.upkeep.service import Upkeep
from ffe_core.operations.upkeep.tables import COMPACT, HISTORY, VACUUM
from ffe_core.operations.upkeep.words import in_words
from ffe_core.settings import Settings
from ffe_core.storage.state.runs import RunSeries
from ffe_core.upkeep_settings import checked_file_hours

_COMPACT_NEXT = ("files_to_merge", "files_spared", "bytes_to_rewrite", "log_entries_to_delete")
_VACUUM_NEXT = ("unused_files", "unused_bytes")


def compact(arguments: argparse.Namespace) -> int:
    """Compact tables and tidy their logs."""
    return _do(arguments, (COMPACT,), None, _COMPACT_NEXT)


def vacuum(arguments: argparse.Namespace) -> int:
    """Delete unused files, and history that is older than the settings keep it."""
    hours = arguments.retention_hours
    if hours is not None:
        checked_file_hours(hours, "--retention-hours")
    steps = (VACUUM,) if arguments.timeframes else (VACUUM, HISTORY)
    return _do(arguments, steps, hours, _VACUUM_NEXT)


def _do(arguments: argparse.Namespace, steps: Sequence[str], hours: int | None, shown: Sequence[str]) -> int:
    with run_service(Settings.load()) as service:
        upkeep = Upkeep(service)
        rows = upkeep.rows(steps, arguments.timeframes)
        if arguments.dry_run:
            return _preview(arguments, service, hours, {row.timeframe for row in rows}, steps, shown)
        if not rows:
            return _nothing(arguments)
        run_id = upkeep.start(actor(), "command line", steps=steps, timeframes=arguments.timeframes, file_hours=hours)
        results = [_named(result) for result in follow(service, run_id, _tell_nothing)]
    if arguments.json:
        print_json({"run": run_id, "tables": results})
    else:
        _show(results)
    return status_of(results)


def _tell_nothing(rows: Sequence[RunSeries]) -> None:
    """It is over in moments, and its page shows more."""


def _nothing(arguments: argparse.Namespace) -> int:
    if arguments.json:
        print_json({"run": None, "tables": []})
    else:
        print(NO_TABLE)
    return 0


def _named(result: dict[str, Any]) -> dict[str, Any]:
    """The result of a row by its table, also where a failure left it named as a series."""
    of_series = {name: result.get(name) for name in ("asset_pair", "timeframe", "provider")}
    table = result.get("table") or (table_name(str(of_series["timeframe"])) if of_series["timeframe"] else NAME)
    return {"table": table, **{name: value for name, value in result.items() if name not in of_series}}


def _preview(
    arguments: argparse.Namespace,
    service: RunService,
    hours: int | None,
    wanted: set[str],
    steps: Sequence[str],
    shown: Sequence[str],
) -> int:
    settings = service.settings
    if hours is not None:
        kept = settings.upkeep.model_copy(update={"file_retention_hours": hours})
        settings = settings.model_copy(update={"upkeep": kept})
    found = storage(service.lake, service.database, settings)
    rows: list[dict[str, Any]] = []
    for one in found.tables:
        if one.timeframe in wanted:
            won = next_row(one)
            rows.append({"table": one.table, **{name: won[name] for name in shown}})
    if arguments.json:
        history = {"old": found.history.old} if HISTORY in steps else {}
        print_json({"tables": rows, **history, "bytes_left": found.left})
        return 0
    header = ["table", *(name.replace("_", " ") for name in shown)]
    print_table(header, [[row["table"], *(_cell(name, row[name]) for name in shown)] for row in rows])
    if HISTORY in steps:
        show_old(found.history)
    return 0


def _show(results: Sequence[dict[str, Any]]) -> None:
    for result in results:
        print(f"{result['table']}: {result['error'] if 'error' in result else in_words(result)}")


def _cell(name: str, value: Any) -> str:
    return size(value) if "bytes" in name else count_cell(value)
