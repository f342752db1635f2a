"""Does every calendar expect exactly the bars that a market by the published figures has?

    python -m tests.calendars.table [--quick] [--series FOLDER]

One series for each of OANDA's instruments over 2015 to 2026 and for a future of each of Coinbase's calendars, made from
the tests' own tables, and one share of each of the exchanges against exchange_calendars with the corrections of the
tests' own table. "May be" are bars whose absence is no gap and whose presence is not extra. Days are taken twice for
OANDA: as an instrument's own list has them, and with those of its kind's default added. --series adds recorded candles,
parquet files named provider_SYMBOL_timeframe_*, or SYMBOL_timeframe_* for shares, and prints what they lack: real holes
are no fault of a calendar, a bar too many is.
"""

from __future__ import annotations

import argparse
import re
import sys
import warnings
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np

from ffe_core.calendars import MarketCalendar, calendar_for
from ffe_core.calendars.expected import ExpectedBars
from ffe_core.completeness import Completeness, account
from ffe_core.intervals import NONE, ranges_of, total
from ffe_core.timeframes import TIMEFRAMES, seconds
from ffe_core.times import DAY, parse_instant, utc
from tests.calendars import synthetic

FIRST, LAST = date(2015, 1, 1), date(2026, 12, 31)
QUICK_FIRST = date(2021, 9, 1)
"""The quick form holds both clock changes, the breaks' beginning, and Christmas on each kind of day."""
QUICK_TIMEFRAMES = ("1h", "1d")
SHARES = {
    "AAPL": "XNYS",
    "TSCO.LON": "XLON",
    "SAP.DEX": "XETR",
    "SAP.FRK": "XFRA",
    "SHOP.TRT": "XTSE",
    "AIR.PAR": "XPAR",
    "ASML.AMS": "XAMS",
    "RELIANCE.BSE": "XBOM",
    "600104.SHH": "XSHG",
    "0700.HKG": "XHKG",
    "PETR4.SAO": "BVMF",
    "VOLV-B.STO": "XSTO",
    "ENI.MIL": "XMIL",
    "BHP.AX": "XASX",
}
"""One share of each exchange that Alpha Vantage has a suffix for."""
NAMED = ("XTAI", "XKRX", "XJSE", "XBKK", "XIDX", "XKLS", "XIST")
"""Exchanges that only an override names."""
MOST_HOLES = 12
"""Holes shown of each recorded series."""
_RECORDED = re.compile(
    rf"(?:lean_)?(?:(?P<provider>oanda|coinbase)_)?(?P<symbol>[A-Z0-9]+(?:[_-][A-Z]{{3}})?)_(?P<timeframe>{'|'.join(TIMEFRAMES)})"
    r"_(?:.*(?P<days>days)|.*)"
)
"""Names of recorded series; one that ends in "days" has some days and nothing between them."""


class Line(NamedTuple):
    """What came out for one series at all timeframes; the first is the finest."""

    name: str
    calendar: str
    stored: int
    may_be: int
    unexplained: int
    extra: int


def oanda_lines(first: date, timeframes: Sequence[str]) -> Iterator[Line]:
    """One line for each instrument of the tests' table, and its two defaults."""
    days = synthetic.oanda_days()
    return (oanda_line(name, eras, days, first, timeframes) for name, eras in synthetic.oanda_eras().items())


def oanda_line(
    name: str,
    eras: list[synthetic.Era],
    days: dict[str, dict[date, synthetic.Segments]],
    first: date,
    timeframes: Sequence[str],
    last: date = LAST,
) -> Line:
    """The series of one instrument, made with its own days and with those of its default besides."""
    calendar = calendar_for("oanda", synthetic.DEFAULTS.get(name, name))
    worlds = [days.get(name, {}), synthetic.inherited(name, days)]
    made = [synthetic.open_times(eras, world, first - timedelta(1), last + timedelta(1)) for world in worlds]
    series = [(timeframe, synthetic.bars(opened, seconds(timeframe))) for opened in made for timeframe in timeframes]
    return _line(name, calendar, series, first, last)


def _line(name: str, calendar: MarketCalendar, series: Sequence[tuple[str, Any]], first: date, last: date) -> Line:
    start, end = _epoch(first), _epoch(last + timedelta(1))
    found = [counted(calendar, timeframe, opens, start, end) for timeframe, opens in series]
    unexplained, extra = (sum(getattr(one, kind) for one, _ in found) for kind in ("unexplained", "extra"))
    return Line(name, calendar.name, found[0][0].stored, found[0][1], unexplained, extra)


def counted(calendar: MarketCalendar, timeframe: str, held: Any, start: int, end: int) -> tuple[Completeness, int]:
    """What the product counts of the bars, given as runs, and how many of them may be."""
    step = seconds(timeframe)
    expected = ExpectedBars.of(calendar, timeframe, start, end)
    found = account(expected, start, end, held, np.empty(0, dtype=np.int64), NONE).completeness()
    return found, total(expected.optional) // step


def future_lines(first: date, timeframes: Sequence[str]) -> Iterator[Line]:
    """One line for a future of each of Coinbase's calendars; what no source settles may be there or not."""
    return (future_line(name, eras, first, timeframes) for name, eras in synthetic.eras("coinbase_weeks").items())


def future_line(name: str, eras: list[synthetic.Era], first: date, timeframes: Sequence[str]) -> Line:
    """The series of one future, which expires after the last day."""
    opened = synthetic.open_times(eras, {}, first - timedelta(1), LAST + timedelta(1))
    series = [(timeframe, synthetic.bars(opened, seconds(timeframe))) for timeframe in timeframes]
    return _line(name, calendar_for("coinbase", name), series, first, LAST)


def share_lines(first: date, timeframes: Sequence[str]) -> Iterator[Line]:
    """One share of each exchange with a suffix, then the exchanges that an override names."""
    names = [*SHARES, *(f"share of {code}" for code in NAMED)]
    return (share_line(name, first, timeframes) for name in names)


def share_line(name: str, first: date, timeframes: Sequence[str]) -> Line:
    """The series of one share."""
    code = SHARES.get(name) or name.rpartition(" ")[2]
    overrides = {} if name in SHARES else {f"alpha_vantage/{name}": code}
    calendar = calendar_for("alpha_vantage", name, overrides)
    sessions = _sessions(code, synthetic.exchange_days().get(code, {}), first)
    series = [(timeframe, _share_bars(sessions, seconds(timeframe))) for timeframe in timeframes]
    return _line(name, calendar, series, first, LAST)


Session = tuple[date, list[tuple[int, int]]]


def _sessions(code: str, days: dict[date, str], first: date) -> list[Session]:
    """What exchange_calendars says by itself, with the tests' corrections."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import exchange_calendars

        library = exchange_calendars.get_calendar(code, start=first.isoformat(), end=LAST.isoformat())
        schedule = library.schedule
    zone = ZoneInfo(str(library.tz))
    odd = {stamp.date() for stamps in (library.late_opens, library.early_closes) for stamp in stamps}
    found = {row.Index.date(): _hours(code, row, odd, zone) for row in schedule.itertuples()}
    for day, hours in days.items():
        if hours == "closed":
            found.pop(day, None)
        elif hours not in ("as usual", "unsettled") and day >= first:
            found[day] = [tuple(synthetic.at(day, minute, zone) for minute in synthetic.span(hours))]  # type: ignore[list-item]
    return sorted(found.items())


def _hours(code: str, row: Any, odd: set[date], zone: ZoneInfo) -> list[tuple[int, int]]:
    day, opens, closes = row.Index.date(), int(row.open.timestamp()), int(row.close.timestamp())
    if code == "XFRA":
        opens = synthetic.at(day, 8 * 60, zone)
        closes = closes if day in odd else synthetic.at(day, 20 * 60, zone)
    if code == "BVMF" and day >= date(2017, 11, 6):
        noon = synthetic.at(day, 720, synthetic.NEW_YORK) - synthetic.at(day, 720, ZoneInfo("UTC"))
        closes = synthetic.at(day, 17 * 60 if noon == 4 * 3600 else 18 * 60, zone)
    if row.break_start == row.break_start:
        return [(opens, int(row.break_start.timestamp())), (int(row.break_end.timestamp()), closes)]
    return [(opens, closes)]


def _share_bars(sessions: Sequence[Session], step: int) -> Any:
    if step == DAY:
        return ranges_of(np.array([_epoch(day) for day, _ in sessions], dtype=np.int64), step)
    pieces = [np.arange(start - start % min(step, 60), end, step) for _, hours in sessions for start, end in hours]
    return ranges_of(np.unique(np.concatenate(pieces)), step)


def recorded_lines(folder: Path) -> Iterator[Line]:
    """Series of candles as they were recorded, on the days that have any: what is unexplained are holes of theirs."""
    import pyarrow.parquet as parquet

    for file in sorted(folder.glob("*.parquet")):
        named = _RECORDED.fullmatch(file.stem)
        if named is not None:
            times = parquet.read_table(file, columns=["timestamp"])["timestamp"].cast("int64").to_numpy() // 1_000_000
            calendar = calendar_for(named["provider"] or "alpha_vantage", named["symbol"])
            yield _recorded(file.stem, calendar, named["timeframe"], np.unique(times), bool(named["days"]))


def _recorded(name: str, calendar: MarketCalendar, timeframe: str, opens: Any, by_day: bool) -> Line:
    step = seconds(timeframe)
    parts = np.split(opens, np.flatnonzero(np.diff(opens) > DAY) + 1) if by_day else [opens]
    spans = [(int(part[0]) - int(part[0]) % DAY if by_day else int(part[0]), int(part[-1]) + step) for part in parts]
    counts = [counted(calendar, timeframe, ranges_of(p, step), *span) for p, span in zip(parts, spans, strict=True)]
    for first, end in [hole for one, _ in counts for hole in one.missing][:MOST_HOLES]:
        print(f"    lacks {(end - first) // step:,} from {utc(first):%a %Y-%m-%d %H:%M}")
    stored, unexplained, extra = (
        sum(getattr(one, kind) for one, _ in counts) for kind in ("stored", "unexplained", "extra")
    )
    return Line(name, calendar.name, stored, sum(may_be for _, may_be in counts), unexplained, extra)


def _epoch(day: date) -> int:
    return parse_instant(day)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.calendars.table", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--quick", action="store_true", help="five years at 1h and 1d")
    parser.add_argument("--series", type=Path, help="a folder of recorded candles to add")
    options = parser.parse_args(arguments)
    first = QUICK_FIRST if options.quick else FIRST
    fine = QUICK_TIMEFRAMES if options.quick else ("1m", "5m", "1h", "4h", "1d")
    shares = QUICK_TIMEFRAMES[1:] if options.quick else ("1m", "5m", "1d")
    print(f"{first} to {LAST}; unexplained and extra of all timeframes together, the other counts of the first")
    lines = [*_printed(f"OANDA, {', '.join(fine)}", oanda_lines(first, fine))]
    lines += _printed(f"Futures of Coinbase, {', '.join(fine)}", future_lines(first, fine))
    lines += _printed(f"Shares, {', '.join(shares)}", share_lines(first, shares))
    recorded = _printed("Recorded", recorded_lines(options.series)) if options.series else []
    wrong = [line.name for line in lines if line.unexplained or line.extra]
    wrong += [line.name for line in recorded if line.extra]
    print(f"{len(lines)} series, {len(wrong)} with a bar unexplained or extra{': ' if wrong else ''}{', '.join(wrong)}")
    return bool(wrong)


def _printed(title: str, lines: Iterator[Line]) -> list[Line]:
    print(f"\n{title}\n{'series':<36}{'calendar':<34}{'stored':>10}{'may be':>9}{'unexplained':>13}{'extra':>7}")
    found = []
    for line in lines:
        found.append(line)
        print(
            f"{line.name:<36}{line.calendar:<34}{line.stored:>10,}{line.may_be:>9,}{line.unexplained:>13,}{line.extra:>7,}",
            flush=True,
        )
    return found


if __name__ == "__main__":
    sys.exit(main())
