"""`watermarks`: how far every series has been read."""

from __future__ import annotations

import argparse
from typing import Any

from ffe_core import times
from ffe_core.calendars import calendar_for
from ffe_core.cli.common import print_json, print_table
from ffe_core.providers import PROVIDERS
from ffe_core.series import Marks, Series
from ffe_core.settings import Settings
from ffe_core.storage.delta_lake_manager import DeltaLakeManager


def register(verbs: Any) -> None:
    """Add the verb to the parser."""
    parser = verbs.add_parser(
        "watermarks", help="how far every series has been read", description="How far every series has been read."
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.set_defaults(run=run)


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


def _row(series: Series, marks: Marks, settings: Settings) -> dict[str, Any]:
    return {
        "asset_pair": series.asset_pair,
        "timeframe": series.timeframe,
        "provider": series.provider,
        "oldest": None if marks.low is None else times.iso(marks.low),
        "watermark": None if marks.watermark is None else times.iso(marks.watermark),
        "lag": _lag(series, marks, settings),
    }


def _lag(series: Series, marks: Marks, settings: Settings) -> int | None:
    """Market-open seconds from the close of the bar at the watermark; 0 until the next bar is due."""
    if marks.watermark is None:
        return None
    calendars = settings.calendars
    calendar = calendar_for(series.provider, series.asset_pair, calendars.overrides, calendars.fx_holidays)
    closed = marks.watermark + series.step
    due = times.now() - settings.close_grace_seconds - series.step + 1
    if calendar.expected_count(series.timeframe, closed, max(closed, due)) == 0:
        return 0
    return calendar.open_seconds(closed, times.now())


def _span(seconds: int | None) -> str:
    if seconds is None:
        return "-"
    if seconds < 3600:
        return f"{seconds // 60} min"
    return f"{seconds / 3600:,.1f} h" if seconds < 172_800 else f"{seconds / 86_400:,.1f} d"
