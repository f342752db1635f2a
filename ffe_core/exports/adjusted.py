"""Label of adjusted files: what bars before each ex-day were multiplied by, in a text beside them."""

from __future__ import annotations

from pathlib import Path

from ffe_core import times
from ffe_core.adjustments.factors import WORDS
from ffe_core.exports.bars import SeriesBars


def write_label(folder: Path, bars: SeriesBars) -> None:
    """Write ADJUSTED-PAIR-1d.txt for bars that are adjusted, and nothing for raw ones."""
    if bars.adjust is None or bars.steps is None:
        return
    what = WORDS[bars.adjust]
    known = "" if bars.known_at is None else f" as known at {bars.known_at}"
    head = (
        f"{bars.series.asset_pair} {bars.timeframe} from {bars.series.provider}{known}: adjusted backward for {what}."
    )
    path = folder / f"ADJUSTED-{bars.series.asset_pair}-{bars.timeframe}.txt"
    path.write_text("\n".join([head, *_lines(bars), ""]), encoding="utf-8")


def _lines(bars: SeriesBars) -> list[str]:
    steps = bars.steps
    if steps is None or not len(steps.days):
        return ["None on record counts for these bars: prices and volumes are as they were traded."]
    return [
        f"Bars before {times.utc(day).date()}: prices * {old:g} / {new:g} * {money!r}, volumes * {new:g} / {old:g}"
        for day, new, old, money in steps.rows()
    ]
