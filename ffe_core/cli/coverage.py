"""`coverage`: what should be there, what is, and what explains the rest."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any

from ffe_core import times
from ffe_core.cli import interruption, output
from ffe_core.cli.common import actor, names, state
from ffe_core.cli.output import print_json, print_table
from ffe_core.cli.parser import VERBS, add_json, later
from ffe_core.completeness import COUNTS
from ffe_core.counts import many
from ffe_core.errors import InputError
from ffe_core.ingestion.hour_grid import learn_from_stored
from ffe_core.ingestion.multi_asset_batch_ingester import every_series
from ffe_core.insight.coverage import Coverage, Gap, SeriesCoverage, largest_gaps
from ffe_core.insight.former_grid import FormerGrid
from ffe_core.instruments.matching import matching_names, meant
from ffe_core.operations.gaps import GapVerbs
from ffe_core.providers import PROVIDERS, check_source
from ffe_core.series import Series
from ffe_core.settings import Settings
from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager
from ffe_core.storage.state.acknowledged_gaps import REASONS
from ffe_core.storage.state.audit import Audit
from ffe_core.storage.stores import Stores
from ffe_core.timeframes import TIMEFRAMES, seconds

_SHOWN_GAPS = 20


def register(verbs: Any) -> None:
    """Add the verb to the parser."""
    parser = verbs.add_parser(
        "coverage",
        help=VERBS["coverage"],
        description="What should be there by each market's calendar, what is, and what is missing.",
    )
    _filters(parser)
    parser.set_defaults(run=run)
    acts = parser.add_subparsers(metavar="count|mark|unmark", parser_class=type(parser))
    does = "count all that is stored of each series in a run, on the workers where there are any"
    count = acts.add_parser("count", help=does, description=f"{does.capitalize()}; every console knows it then.")
    _which(count, default=argparse.SUPPRESS)
    add_json(count)
    count.set_defaults(run=later("coverage_count", "count"))
    mark = acts.add_parser("mark", help="explain missing bars", description="Explain bars that are missing now.")
    _filters(mark, default=argparse.SUPPRESS)
    mark.add_argument("--reason", required=True, metavar="REASON", help=", ".join(REASONS))
    mark.add_argument("--note", default="", metavar="TEXT", help="what explains it, required for 'other'")
    mark.add_argument(
        "--asked-twice", action="store_true", help="only what the provider was asked for twice without an answer"
    )
    mark.set_defaults(run=_to_its_end(_mark))
    unmark = acts.add_parser("unmark", help="take marks back", description="Take the marks of some series back.")
    _filters(unmark, default=argparse.SUPPRESS)
    unmark.add_argument("--reason", default="", metavar="TEXT", help="why, for the record")
    unmark.set_defaults(run=_to_its_end(_unmark))


def _filters(parser: argparse.ArgumentParser, **default: Any) -> None:
    """A verb below this one takes the same filters; `default` keeps those given before its name."""
    _which(parser, **default)
    parser.add_argument("--start", metavar="TIME", help="a UTC date, or a time with a zone", **default)
    parser.add_argument("--end", metavar="TIME", help="a UTC date (included) or a time (excluded)", **default)
    add_json(parser)


def _which(parser: argparse.ArgumentParser, **default: Any) -> None:
    parser.add_argument("--provider", metavar="NAME", help=", ".join(PROVIDERS), **default)
    parser.add_argument("--pairs", type=names, metavar="A,B", help="for example BTCUSD,ETHUSD", **default)
    parser.add_argument("--timeframes", type=names, metavar="A,B", help=", ".join(TIMEFRAMES), **default)


def _to_its_end(act: Callable[[argparse.Namespace], int]) -> Callable[[argparse.Namespace], int]:
    """The act, which a signal does not cut off."""

    def finished(arguments: argparse.Namespace) -> int:
        with interruption.finishing():
            return act(arguments)

    return finished


def run(arguments: argparse.Namespace) -> int:
    """Print a row a series; 2 if a calendar was asked beyond what it knows."""
    looked = _Looked(arguments)
    found = looked.coverage.of(looked.series, looked.start, looked.end)
    outages = {gap[:5] for gap in largest_gaps(found, most=2**31) if gap.in_outage}
    if arguments.json:
        print_json([_document(one, outages) for one in found])
    else:
        _show(found, outages, bool(looked.known))
    return 2 if any(one.trouble for one in found) else 0


def _mark(arguments: argparse.Namespace) -> int:
    looked = _Looked(arguments)
    verbs = looked.gap_verbs()
    if arguments.asked_twice:
        done = verbs.mark_asked_twice(looked.series, arguments.reason, actor(), *_note(arguments))
    else:
        if not arguments.pairs or not arguments.timeframes or not arguments.provider:
            raise InputError("series: name --provider, --pairs and --timeframes of what is to be marked")
        asked = looked.every_series(arguments)
        done = verbs.mark_each(
            [(series, looked.start, looked.end) for series in asked], arguments.reason, actor(), arguments.note
        )
    for line in done.left_out:
        output.warn(line)
    if arguments.json:
        print_json({"holes": done.gaps, "candles": done.candles, "ids": list(done.ids)})
    else:
        print(f"marked {many(done.gaps, 'gap')}, {many(done.candles, 'candle')}")
    return 0


def _note(arguments: argparse.Namespace) -> tuple[str, ...]:
    return (arguments.note,) if arguments.note else ()


def _unmark(arguments: argparse.Namespace) -> int:
    looked = _Looked(arguments)
    start, end = looked.start, looked.end
    ids = [
        state.gap.id
        for state in looked.gap_verbs().states(looked.series)
        if (end is None or state.gap.start < end) and (start is None or state.gap.end > start)
    ]
    if not ids:
        raise InputError("range: no gap is marked there; see the coverage for what is")
    removed = looked.gap_verbs().unmark(ids, actor(), arguments.reason)
    if arguments.json:
        print_json({"holes": removed})
    else:
        print(f"took {many(removed, 'mark')} back")
    return 0


class _Looked:
    """What the filters choose: series, range, and where to look."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        settings = Settings.load()
        self._stores = stores = Stores(settings, DeltaLakeManager.of(settings), state(settings))
        self.coverage = Coverage(stores, stores.range_cache)
        self.start = None if arguments.start is None else times.parse_instant(arguments.start, "start")
        self.end = None if arguments.end is None else times.parse_instant(arguments.end, "end", end=True)
        if self.start is not None and self.end is not None and self.end <= self.start:
            raise InputError(f"end: {arguments.end} is not after start {arguments.start}; give a range")
        for item in stores.queue.quarantined():
            output.warn(f"quarantined: {item.name}: {item.reason}")
        self.known = self.coverage.series()
        self.series = chosen(arguments, self.known)
        learn_from_stored(self.series, settings.calendars.market_of, stores.instruments, stores.lake)

    def every_series(self, arguments: argparse.Namespace) -> list[Series]:
        """The series that are named in full, as they are stored."""
        of_provider = [series.asset_pair for series in self.known if series.provider == arguments.provider]
        pairs = [meant(pair, of_provider) for pair in arguments.pairs]
        return every_series(pairs, arguments.timeframes, arguments.provider)

    def gap_verbs(self) -> GapVerbs:
        return GapVerbs(self.coverage, self._stores.acknowledged, Audit(self._stores.database))


def chosen(arguments: argparse.Namespace, known: Sequence[Series]) -> list[Series]:
    """The known series that the filters let through; one named in full over a range need not be known."""
    if arguments.provider is not None:
        check_source(arguments.provider)
    stored = [series.asset_pair for series in known if arguments.provider in (None, series.provider)]
    meant_by = {pair: matching_names(pair, stored) for pair in arguments.pairs or ()}
    pairs = {name for found in meant_by.values() for name in found}
    for timeframe in arguments.timeframes or ():
        seconds(timeframe)
    chosen = {
        series
        for series in known
        if (arguments.provider in (None, series.provider))
        and (not meant_by or series.asset_pair in pairs)
        and (not arguments.timeframes or series.timeframe in arguments.timeframes)
    }
    if arguments.provider and meant_by and arguments.timeframes and arguments.start and arguments.end:
        named = [name for pair, found in meant_by.items() for name in found or (pair,)]
        chosen |= set(every_series(named, arguments.timeframes, arguments.provider))
    return sorted(chosen)


def _document(one: SeriesCoverage, outages: set[Any]) -> dict[str, Any]:
    row: dict[str, Any] = {
        "asset_pair": one.series.asset_pair,
        "timeframe": one.series.timeframe,
        "provider": one.series.provider,
        "start": times.iso(one.start),
        "end": times.iso(one.end),
        **({"hour_grid": one.hour_grid} if one.hour_grid else {}),
        **({"former_grid": _former(one.former_grid)} if one.former_grid else {}),
        **({"notes": list(one.notes)} if one.notes else {}),
        **(one.counts.counts() if one.account else dict.fromkeys(COUNTS)),
        "gaps": [_gap(gap, outages) for gap in one.gaps()],
    }
    return row | ({"error": one.trouble} if one.trouble else {})


def _former(found: FormerGrid) -> dict[str, Any]:
    return {
        "hour_grid": found.hour_grid,
        "bars": found.bars,
        "start": times.iso(found.start),
        "end": times.iso(found.end - found.series.step),
        "missing": found.missing,
        "command": found.command,
    }


def _gap(gap: Gap, outages: set[Any]) -> dict[str, Any]:
    return {
        "start": times.iso(gap.start),
        "end": times.iso(gap.end - gap.series.step),
        "candles": gap.candles,
        "kind": gap.kind,
        "venue_outage": gap[:5] in outages,
    }


def _show(found: Sequence[SeriesCoverage], outages: set[Any], any_known: bool) -> None:
    if not found:
        print(
            "no series matches these filters; without them every series is listed"
            if any_known
            else "no series yet: start with python -m ffe_core backfill --help"
        )
        return
    header = ["pair", "timeframe", "provider", "start", "end", *(name.replace("_", " ") for name in COUNTS)]
    print_table(header, [_cells(one) for one in found])
    for one in found:
        if one.trouble:
            print(f"\n{one.series}: {one.trouble}")
        elif one.hour_grid:
            print(f"\n{one.series}: bars open {one.hour_grid}")
        if one.former_grid:
            print(f"\n{one.series}: {one.former_grid.said}")
            print(f"    {one.former_grid.command}" if one.former_grid.missing else "")
        for note in one.notes:
            print(f"\n{one.series}: {note}")
    gaps = largest_gaps(found, _SHOWN_GAPS)
    if gaps:
        print(f"\nThe largest gaps of {sum(len(one.gaps(['unexplained'])) for one in found):,} without a reason:")
        rows = [
            [
                gap.series.asset_pair,
                gap.series.timeframe,
                gap.series.provider,
                times.iso(gap.start),
                times.iso(gap.end - gap.series.step),
                f"{gap.candles:,}",
                "venue outage" if gap.in_outage else "",
            ]
            for gap in gaps
        ]
        print_table(["pair", "timeframe", "provider", "first", "last", "candles", ""], rows)


def _cells(one: SeriesCoverage) -> list[str]:
    counts = one.counts.counts()
    names_ = [
        one.series.asset_pair,
        one.series.timeframe,
        one.series.provider,
        times.iso(one.start),
        times.iso(one.end),
    ]
    return [*names_, *(f"{counts[name]:,}" if one.account else "-" for name in COUNTS)]
