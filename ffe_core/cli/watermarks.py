"""`watermarks`: how far every series has been read, and how that is moved by hand."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ffe_core import times
from ffe_core.cli.common import actor, names, print_json, print_table, run_service
from ffe_core.errors import FFEError, InputError
from ffe_core.ingestion.multi_asset_batch_ingester import every_series
from ffe_core.insight.freshness import lag
from ffe_core.operations.watermarks import WatermarkVerbs
from ffe_core.providers import PROVIDERS
from ffe_core.series import Series, Watermarks
from ffe_core.settings import Settings
from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager
from ffe_core.storage.state.audit import Audit
from ffe_core.timeframes import TIMEFRAMES


def register(verbs: Any) -> None:
    """Add the verb to the parser."""
    parser = verbs.add_parser(
        "watermarks", help="how far every series has been read", description="How far every series has been read."
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.set_defaults(run=run)
    moves = parser.add_subparsers(metavar="rewind|forget|undo", parser_class=type(parser))
    rewind = _move(moves, "rewind", "move watermarks back, so that the next resume reads again", _rewind)
    rewind.add_argument("--to", required=True, metavar="TIME", help="open of the bar to be the last one read")
    rewind.add_argument("--dry-run", action="store_true", help="say what it would cost, and stop")
    _move(moves, "forget", "forget how far series were read; their rows stay", _forget)
    _move(moves, "undo", "put marks back as they were before the last rewind or forget", _undo)


def _move(moves: Any, name: str, does: str, run_it: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = moves.add_parser(name, help=does, description=f"{does.capitalize()}.")
    parser.add_argument("--provider", required=True, metavar="NAME", help=", ".join(PROVIDERS))
    parser.add_argument("--pairs", required=True, type=names, metavar="A,B", help="for example BTCUSD,ETHUSD")
    parser.add_argument("--timeframes", required=True, type=names, metavar="A,B", help=", ".join(TIMEFRAMES))
    parser.add_argument(
        "--reason", required=name != "undo", default="undone", metavar="TEXT", help="why, for the record"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.set_defaults(run=run_it)
    return parser


def run(arguments: argparse.Namespace) -> int:
    """Print a row a series."""
    settings = Settings.load()
    marks = DeltaLakeManager(settings.lake_uri).all_marks(list(PROVIDERS))
    rows = [_row(series, mark, settings) for series, mark in sorted(marks.items())]
    if arguments.json:
        print_json(rows)
        return 0
    if not rows:
        print("no series yet: start with python -m ffe_core backfill --help")
        return 0
    header = ["pair", "timeframe", "provider", "oldest", "watermark", "lag"]
    print_table(
        header,
        [
            [r["asset_pair"], r["timeframe"], r["provider"], r["oldest"] or "-", r["watermark"] or "-", _span(r["lag"])]
            for r in rows
        ],
    )
    return 0


def _rewind(arguments: argparse.Namespace) -> int:
    if arguments.dry_run:
        return _each(arguments, lambda verbs, series: _previewed(verbs, series, arguments.to))

    def one(verbs: WatermarkVerbs, series: Series) -> dict[str, Any]:
        cost = _previewed(verbs, series, arguments.to)
        verbs.rewind(series, arguments.to, actor(), arguments.reason)
        return cost

    return _each(arguments, one)


def _forget(arguments: argparse.Namespace) -> int:
    def one(verbs: WatermarkVerbs, series: Series) -> dict[str, Any]:
        return _named(series) | _spelled(verbs.forget(series, actor(), arguments.reason))

    return _each(arguments, one)


def _undo(arguments: argparse.Namespace) -> int:
    def one(verbs: WatermarkVerbs, series: Series) -> dict[str, Any]:
        return _named(series) | _spelled(verbs.undo(series, actor(), arguments.reason))

    return _each(arguments, one)


def _previewed(verbs: WatermarkVerbs, series: Series, to: str) -> dict[str, Any]:
    found = verbs.preview(series, to)
    return {
        **_named(series),
        "before": _iso(found.before.watermark),
        "watermark": _iso(found.after.watermark),
        "bars": found.bars,
        "stored": found.stored,
        "requests": found.requests,
        "minutes": round(found.seconds / 60, 2),
    }


def _each(arguments: argparse.Namespace, one: Callable[[WatermarkVerbs, Series], dict[str, Any]]) -> int:
    """Do it for every series; one that is refused stops no other, and decides the exit status."""
    wanted = every_series(arguments.pairs, arguments.timeframes, arguments.provider)
    rows, status = [], 0
    with _verbs() as verbs:
        for series in wanted:
            try:
                rows.append(one(verbs, series))
            except (FFEError, InputError) as error:
                sys.stderr.write(f"{error}\n")
                status = max(status, 2 if isinstance(error, InputError) else 1)
    if arguments.json:
        print_json(rows)
    elif rows:
        print_table([name.replace("_", " ") for name in rows[0]], [[_cell(v) for v in row.values()] for row in rows])
    return status


@contextmanager
def _verbs() -> Iterator[WatermarkVerbs]:
    with run_service(Settings.load()) as service:
        yield WatermarkVerbs(service, Audit(service.database))


def _row(series: Series, marks: Watermarks, settings: Settings) -> dict[str, Any]:
    return {**_named(series), **_spelled(marks), "lag": lag(series, marks, settings)}


def _named(series: Series) -> dict[str, Any]:
    return {"asset_pair": series.asset_pair, "timeframe": series.timeframe, "provider": series.provider}


def _spelled(marks: Watermarks) -> dict[str, Any]:
    return {"oldest": _iso(marks.low), "watermark": _iso(marks.watermark)}


def _iso(epoch: int | None) -> str | None:
    return None if epoch is None else times.iso(epoch)


def _cell(value: Any) -> str:
    return "-" if value is None else f"{value:,}" if isinstance(value, int) else str(value)


def _span(seconds: int | None) -> str:
    if seconds is None:
        return "-"
    if seconds == 0:
        return "up to date"
    if seconds < 3600:
        return f"{seconds // 60} min"
    return f"{seconds / 3600:,.1f} h" if seconds < 172_800 else f"{seconds / 86_400:,.1f} d"
