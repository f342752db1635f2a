"""Export service: bars of some series in the files of another tool, in a folder, each whole or not at all."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ffe_core.errors import InputError
from ffe_core.exports.adjusted import write_label
from ffe_core.exports.arrow_files import arrow, freqtrade, parquet
from ffe_core.exports.bars import SeriesBars
from ffe_core.exports.csv_files import backtrader, vectorbt, zipline
from ffe_core.exports.folder import staged
from ffe_core.exports.lean import lean
from ffe_core.exports.nautilus import nautilus
from ffe_core.file_sources import PREFIX
from ffe_core.insight.units import NumberFormat
from ffe_core.reading.asked import Asked
from ffe_core.reading.calendars import CalendarOf
from ffe_core.series import Series

Writer = Callable[[Path, SeriesBars, str], int]
_MARKET = re.compile(r"[a-z][a-z0-9_-]{0,39}", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Form:
    """One form: what writes a series' files below a folder, and which timeframes it has room for (() for any)."""

    about: str
    write: Writer
    timeframes: tuple[str, ...] = ()
    takes_adjusted: bool = True
    """Whether its tool takes adjusted prices: LEAN adjusts raw ones by factor files of its own."""


FORMS: Mapping[str, Form] = {
    "freqtrade": Form("freqtrade's feather files, BTC_USDT-1h.feather", freqtrade),
    "lean": Form("LEAN's data folder: zips of CSV", lean, ("1m", "1h", "1d"), takes_adjusted=False),
    "nautilus": Form("a Nautilus catalog of bars, stamped at their close", nautilus),
    "vectorbt": Form("CSV for vectorbt and pandas: Open time, Open, High, Low, Close, Volume", vectorbt),
    "backtrader": Form("CSV as backtrader's GenericCSVData takes it by default", backtrader),
    "zipline": Form("zipline's csvdir bundle", zipline, ("1m", "1d")),
    "arrow": Form("Arrow files with every column", arrow),
    "parquet": Form("Parquet with every column, a file a year", parquet),
}
"""The forms by name."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What became of one series."""

    series: Series
    timeframe: str
    rows: int


def export_to(
    folder: Path,
    form: str,
    question: Asked,
    calendar_of: CalendarOf,
    format_of: Callable[[Series], NumberFormat],
    *,
    market: str = "",
    replace: bool = False,
) -> list[Exported]:
    """Write the bars that a question means into a folder, all files or none; returns what each series has come to.

    `market` is LEAN's market and Nautilus' venue, by the provider's name where it is not said; `replace` writes over
    files that are there. Beside files of adjusted bars lies one that says by what. InputError for a form there is not,
    a timeframe it has no room for, adjusted bars where its tool adjusts by itself, a series without bars in the range,
    and files that are there already; StorageError for what cannot be read or written.
    """
    chosen = form_named(form)
    _check_room(form, chosen, question)
    with staged(folder, replace=replace) as stage:
        return [
            _exported(stage, chosen, _bars_of(question, one, calendar_of, format_of), market_of(one, market))
            for one in question.series
        ]


def _bars_of(
    question: Asked, one: Series, calendar_of: CalendarOf, format_of: Callable[[Series], NumberFormat]
) -> SeriesBars:
    known = question.known_at
    moment = None if known is None else datetime.fromtimestamp(0, UTC) + timedelta(microseconds=known)
    span = question.start, question.end
    adjusted = question.adjust, question.steps.get(one)
    return SeriesBars(question.snapshot, one, *span, moment, question.size, calendar_of, format_of(one), *adjusted)


def _exported(stage: Path, form: Form, bars: SeriesBars, market: str) -> Exported:
    if next(bars.tables(), None) is None:
        raise InputError(f"{bars.series} has no bars in that range; choose another, or leave it out", field="range")
    rows = form.write(stage, bars, market)
    write_label(stage, bars)
    return Exported(bars.series, bars.timeframe, rows)


def form_named(name: str) -> Form:
    """A form by its name. InputError, listing them, for another."""
    if name not in FORMS:
        raise InputError(f"{name!r} is unknown; use one of {', '.join(FORMS)}", field="form")
    return FORMS[name]


def market_of(series: Series, said: str = "") -> str:
    """The market of a series: what was said, the exchange that its source is named by, or usa for shares."""
    named = said or ("usa" if series.provider == "alpha_vantage" else series.provider.removeprefix(PREFIX))
    if not _MARKET.fullmatch(named):
        raise InputError(f"{named[:60]!r} cannot be a market; use a name such as binance", field="market")
    return named


def _check_room(name: str, form: Form, question: Asked) -> None:
    wanted = question.size.name if question.size else question.series[0].timeframe
    if form.timeframes and wanted not in form.timeframes:
        raise InputError(f"{name} has no room for {wanted}; it has {', '.join(form.timeframes)}", field="timeframe")
    if question.adjust is not None and not form.takes_adjusted:
        raise InputError(
            f"the tool of {name} takes raw prices and adjusts them by itself; export without an adjustment, or in"
            " another form",
            field="adjust",
        )
