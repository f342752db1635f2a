"""`export`: write stored candles in the files of another tool."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ffe_core.cli.common import names
from ffe_core.cli.output import print_json, print_table, warn
from ffe_core.cli.parser import VERBS, add_json
from ffe_core.counts import many
from ffe_core.errors import InputError
from ffe_core.exports.service import FORMS, Exported, export_to
from ffe_core.insight.units import Catalogue, NumberFormats
from ffe_core.instruments.model import Instrument
from ffe_core.reading.asked import asked
from ffe_core.reading.calendars import calendars
from ffe_core.settings import Settings
from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager

_FORMS = "forms"


def register(verbs: Any) -> None:
    """Add the verb to the parser."""
    parser = verbs.add_parser(
        "export",
        help=VERBS["export"],
        description="Write stored candles in the files of another tool, all of them or none.",
        epilog="`export forms` lists the forms there are.",
    )
    parser.add_argument("folder", metavar="FOLDER", help="where the files go; none that is there is written over")
    parser.add_argument("--as", dest="form", metavar="FORM", help=", ".join(FORMS))
    parser.add_argument("--pairs", type=names, metavar="A,B", help="for example BTCUSD,ETHUSD")
    parser.add_argument(
        "--timeframe", metavar="SIZE", help="as stored, or derived: 3m, 10m, 30m, 2h, 6h, 8h, 12h, 1w, 1mo"
    )
    parser.add_argument("--from-timeframe", metavar="SIZE", help="the stored one that a derived one is made of")
    parser.add_argument("--provider", metavar="NAME", help="where a pair is stored from several")
    parser.add_argument("--start", metavar="TIME", help="a UTC date, or a time with a zone; the first bar if not said")
    parser.add_argument("--end", metavar="TIME", help="a UTC date (included) or a time (excluded); the last bar")
    parser.add_argument("--known-at", metavar="TIME", help="bars as they were known then; a time with a zone")
    parser.add_argument("--adjust", metavar="splits|all", help="adjust for splits on record, or dividends too")
    parser.add_argument("--market", default="", metavar="NAME", help="LEAN's market, Nautilus' venue")
    parser.add_argument("--replace", action="store_true", help="write over files that are there")
    add_json(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print a line a series."""
    if arguments.folder == _FORMS and arguments.form is None:
        return _show_forms(arguments.json)
    for name, given in (("as", arguments.form), ("pairs", arguments.pairs), ("timeframe", arguments.timeframe)):
        if not given:
            raise InputError(f"--{name} is missing; see export --help", field=name)
    settings = Settings.load()
    folder, done = Path(arguments.folder).expanduser(), _export(arguments, settings)
    if any(one.series.provider == "simulated" for one in done):
        warn("these are simulated candles, which the files of most tools have no room to say")
    if arguments.json:
        print_json(
            {
                "folder": str(folder.absolute()),
                "form": arguments.form,
                "adjust": arguments.adjust,
                "series": [_row(one) for one in done],
            }
        )
        return 0
    print_table(
        ["pair", "timeframe", "source", "bars"],
        [[one.series.asset_pair, one.timeframe, one.series.provider, f"{one.rows:,}"] for one in done],
    )
    how = f", adjusted for {arguments.adjust}: ADJUSTED-*.txt says by what" if arguments.adjust else ""
    print(f"\n{many(sum(one.rows for one in done), 'bar')} in {folder}{how}")
    return 0


def _export(arguments: argparse.Namespace, settings: Settings) -> list[Exported]:
    lake = DeltaLakeManager.of(settings)
    derived = arguments.from_timeframe is not None
    question = asked(
        lake,
        arguments.pairs,
        arguments.from_timeframe if derived else arguments.timeframe,
        arguments.start,
        arguments.end,
        arguments.provider,
        arguments.known_at,
        arguments.timeframe if derived else None,
        adjust=arguments.adjust,
        config=settings,
    )
    formats = NumberFormats(_NoCatalogue(), lake)
    with calendars(settings, is_own_lake=True) as calendar_of:
        return export_to(
            Path(arguments.folder).expanduser(),
            arguments.form,
            question,
            calendar_of,
            formats.of,
            market=arguments.market,
            replace=arguments.replace,
        )


class _NoCatalogue(Catalogue):
    """Without the state database: decimals are those that the stored prices need."""

    def get(self, provider: str, name: str) -> Instrument | None:
        return None


def _row(one: Exported) -> dict[str, Any]:
    series = one.series
    return {
        "asset_pair": series.asset_pair, "timeframe": one.timeframe, "provider": series.provider, "bars": one.rows,
    }  # fmt: skip


def _show_forms(as_json: bool) -> int:
    if as_json:
        print_json([{"name": name, "about": form.about, "timeframes": form.timeframes} for name, form in FORMS.items()])
    else:
        print_table(
            ["form", "what it is", "timeframes"],
            [[name, form.about, ", ".join(form.timeframes) or "any"] for name, form in FORMS.items()],
        )
    return 0
