"""`watermarks`: how far every series has been read, and how that is moved by hand."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ffe_core import times
from ffe_core.cli.common import names
from ffe_core.cli.output import print_json, print_table, warn
from ffe_core.cli.parser import VERBS, add_json, later
from ffe_core.errors import StorageError
from ffe_core.providers import PROVIDERS
from ffe_core.timeframes import TIMEFRAMES

if TYPE_CHECKING:
    from ffe_core.series import Series, Watermarks
    from ffe_core.settings import Settings


def register(verbs: Any) -> None:
    """Add the verb to the parser."""
    text = VERBS["watermarks"]
    parser = verbs.add_parser("watermarks", help=text, description=f"{text.capitalize()}.")
    add_json(parser)
    parser.set_defaults(run=run)
    moves = parser.add_subparsers(metavar="rewind|forget|undo", parser_class=type(parser))
    rewind = _move(moves, "rewind", "move watermarks back, so that the next resume reads again")
    rewind.add_argument("--to", required=True, metavar="TIME", help="open of the bar to be the last one read")
    rewind.add_argument("--dry-run", action="store_true", help="say what it would cost, and stop")
    _move(moves, "forget", "forget how far series were read; their rows stay")
    _move(moves, "undo", "put marks back as they were before the last rewind or forget")


def _move(moves: Any, name: str, does: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = moves.add_parser(name, help=does, description=f"{does.capitalize()}.")
    parser.add_argument("--provider", required=True, metavar="NAME", help=", ".join(PROVIDERS))
    parser.add_argument("--pairs", required=True, type=names, metavar="A,B", help="for example BTCUSD,ETHUSD")
    parser.add_argument("--timeframes", required=True, type=names, metavar="A,B", help=", ".join(TIMEFRAMES))
    parser.add_argument(
        "--reason", required=name != "undo", default="undone", metavar="TEXT", help="why, for the record"
    )
    add_json(parser)
    parser.set_defaults(run=later("watermark_moves", name))
    return parser


def run(arguments: argparse.Namespace) -> int:
    """Print a row a series."""
    from ffe_core.settings import Settings
    from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager

    settings = Settings.load()
    marks = DeltaLakeManager.of(settings).all_marks(list(PROVIDERS))
    _learn_ends(settings, marks)
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


def _learn_ends(settings: Settings, marks: Iterable[Series]) -> None:
    """Let what was delisted be up to date with its last bar; told where that cannot be read."""
    from ffe_core.storage.state.ended_listings import DATABASE_FILE, ended_listings

    if settings.database:
        _learn_from_server(settings)
        return
    try:
        ended = ended_listings(settings.data_dir / DATABASE_FILE, {(one.provider, one.asset_pair) for one in marks})
    except StorageError as error:
        warn(str(error))
        return
    settings.calendars.learn_from(lambda provider, pair: ended.get((provider, pair), {}))


def _learn_from_server(settings: Settings) -> None:
    """The same of a state that a server keeps; the libraries that ask it take their time to load."""
    from ffe_core.cli.common import state

    try:
        state(settings)
    except StorageError as error:
        warn(str(error))


def _row(series: Series, marks: Watermarks, settings: Settings) -> dict[str, Any]:
    from ffe_core.insight.lag import lag

    return {**named(series), **spelled(marks), "lag": lag(series, marks, settings)}


def named(series: Series) -> dict[str, Any]:
    """The columns that name a series."""
    return {"asset_pair": series.asset_pair, "timeframe": series.timeframe, "provider": series.provider}


def spelled(marks: Watermarks) -> dict[str, Any]:
    """The columns that hold its marks."""
    return {"oldest": iso(marks.low), "watermark": iso(marks.watermark)}


def iso(epoch: int | None) -> str | None:
    """An instant as ISO 8601 text, None for none."""
    return None if epoch is None else times.iso(epoch)


def _span(seconds: int | None) -> str:
    if seconds is None:
        return "-"
    if seconds == 0:
        return "up to date"
    if seconds < 3600:
        return f"{seconds // 60} min"
    return f"{seconds / 3600:,.1f} h" if seconds < 172_800 else f"{seconds / 86_400:,.1f} d"
