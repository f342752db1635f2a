"""`instruments`: what providers trade, and under which name it is stored."""

from __future__ import annotations

import argparse
import time
from dataclasses import asdict
from typing import Any

from ffe_core import times
from ffe_core.calendars.hour_grid import GRIDS, SESSION, in_words
from ffe_core.cli.common import actor, state
from ffe_core.cli.output import print_json, print_table, warn
from ffe_core.cli.parser import VERBS, add_json
from ffe_core.errors import CredentialsMissing, FFEError, InputError
from ffe_core.instruments.model import Instrument
from ffe_core.operations.instruments.search import InstrumentSearch
from ffe_core.operations.instruments.service import Instruments
from ffe_core.providers import PROVIDERS, provider_class
from ffe_core.series import Series
from ffe_core.settings import Settings
from ffe_core.storage.state.audit import Audit
from ffe_core.storage.state.instruments import CatalogueCopy
from ffe_core.storage.watermark_store import WatermarkStore

_DAY = 86_400
_OF_FOUND = ("region", "quote", "hours")
"""Columns that only what was found beside a catalogue has."""
_COLUMNS = ("provider", "symbol", "stored as", "kind", "title", "listed", "delisted", "status", "stored")


def register(verbs: Any) -> None:
    """Add the verb to the parser."""
    parser = verbs.add_parser(
        "instruments",
        help=VERBS["instruments"],
        description="Find instruments in the catalogues of the providers, as they were read last.",
    )
    parser.add_argument("text", nargs="*", metavar="TEXT", help="any part of symbol or name")
    parser.add_argument("--provider", metavar="NAME", help=", ".join(PROVIDERS))
    parser.add_argument(
        "--refresh",
        action="store_true",
        help="read the catalogue anew first (of every provider if none is named); with TEXT, alpha_vantage searches for"
        " what it does not list, too",
    )
    parser.add_argument(
        "--accept", metavar="PAIR", help="a listing day was only corrected: what is stored is the one of now"
    )
    parser.add_argument(
        "--grid",
        choices=(*GRIDS, SESSION),
        help="accept where in the hour the hourly bars of the share TEXT open: 'session' counts from the market's open",
    )
    parser.add_argument("--limit", type=int, default=50, metavar="N", help="at most so many (default 50)")
    add_json(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Exit status: 1 if nothing was found."""
    if arguments.provider is not None:
        provider_class(arguments.provider)
    if not 1 <= arguments.limit <= 100_000:
        raise InputError("give 1 to 100000", field="limit")
    settings = Settings.load()
    database = state(settings)
    try:
        marks = WatermarkStore(settings.data_dir / "watermarks")
        instruments = Instruments(settings, database, marks.has_pair)
        if arguments.accept:
            return _accept(instruments, Audit(database), arguments)
        if arguments.grid:
            return _accept_grid(instruments, Audit(database), arguments)
        search, text = InstrumentSearch(instruments, Audit(database)), " ".join(arguments.text)
        failed = arguments.refresh and not _refresh(instruments, Audit(database), arguments.provider, text)
        found = search.search(text, arguments.provider, arguments.limit)
        if arguments.refresh and _is_unknown(text, found, arguments.provider):
            search.ask(arguments.provider, text, actor())
            found = search.search(text, arguments.provider, arguments.limit)
        _show(found, instruments, marks, arguments)
    finally:
        database.close()
    return int(failed or not found)


def _is_unknown(text: str, found: list[Instrument], provider: str | None) -> bool:
    """Whether a provider is to be asked for a text: it can be, and nothing that is kept is called just that."""
    if provider is None or not text or not provider_class(provider).can_be_searched:
        return False
    return all(text.upper() not in (one.symbol, one.name) for one in found)


def _refresh(instruments: Instruments, audit: Audit, provider: str | None, text: str) -> bool:
    """Read the catalogue of one provider, or of all that can be asked; whether none failed.

    One that was read today is new enough where a text is asked for beyond it: that costs a request too.
    """
    if provider is not None:
        if text and provider_class(provider).can_be_searched and instruments.catalogues.copy_of(provider).age < _DAY:
            return True
        with audit.act(actor(), "read catalogue", provider):
            instruments.catalogues.refresh(provider)
        return True
    failed = False
    for name in PROVIDERS:
        try:
            with audit.act(actor(), "read catalogue", name):
                instruments.catalogues.refresh(name)
        except CredentialsMissing:
            continue  # nobody uses it
        except FFEError as error:
            failed = True
            warn(f"{name}: {error}")
    return not failed


def _accept(instruments: Instruments, audit: Audit, arguments: argparse.Namespace) -> int:
    if arguments.provider is None:
        raise InputError("name the provider of the pair too", field="provider")
    with audit.act(actor(), "accept listing", f"{arguments.provider}/{arguments.accept}"):
        accepted = instruments.accept_listing(arguments.provider, arguments.accept)
    if arguments.json:
        print_json(_document(accepted, True, instruments))
    else:
        print(f"{accepted.name} at {accepted.provider} is the instrument listed on {accepted.listed}")
    return 0


def _accept_grid(instruments: Instruments, audit: Audit, arguments: argparse.Namespace) -> int:
    if arguments.provider is None or len(arguments.text) != 1:
        raise InputError("name one pair and its provider too", field="grid")
    pair, grid = arguments.text[0], arguments.grid
    with audit.act(actor(), "accept grid", Series.of(pair, "1h", arguments.provider).key, grid=grid):
        series, offset, before = instruments.accept_grid(arguments.provider, pair, grid)
    if arguments.json:
        named = None if before is None else in_words(before)
        print_json(
            {"asset_pair": series.asset_pair, "provider": series.provider, "hour_grid": in_words(offset)}
            | {"before": named}
        )
    else:
        was = "" if before in (None, offset) else f"; before {in_words(before)}"
        print(f"hourly bars of {series.asset_pair} from {series.provider} open {in_words(offset)}{was}")
        if was:
            one = f"--provider {series.provider} --pairs {series.asset_pair} --timeframes 1h"
            print(f"bars stored before count as extra from now on; what to fetch again says: ffe coverage {one}")
    return 0


def _show(
    found: list[Instrument], instruments: Instruments, marks: WatermarkStore, arguments: argparse.Namespace
) -> None:
    rows = [_document(one, marks.has_pair(one.provider, one.name), instruments) for one in found]
    copies = [
        instruments.catalogues.copy_of(name) for name in ([arguments.provider] if arguments.provider else PROVIDERS)
    ]
    if arguments.json:
        print_json({"instruments": rows, "catalogues": [_copy_document(copy) for copy in copies]})
        return
    shown = [
        {**row, "stored as": row["name"], "stored": "yes" if row["stored"] else "", "hourly bars": row["hour_grid"]}
        for row in rows
    ]
    columns = [*_COLUMNS, *(["hourly bars"] if any(row["hour_grid"] for row in rows) else [])]
    columns += _OF_FOUND if any(row["region"] for row in rows) else ()
    print_table(columns, [[str(row[name] or "") for name in columns] for row in shown])
    for copy in copies:
        print(_age(copy.provider, copy.read_at, copy.error))


def _document(one: Instrument, is_stored: bool, instruments: Instruments) -> dict[str, Any]:
    offset = instruments.grid_of(one.provider, one.name) if is_stored else None
    grid = None if offset is None else in_words(offset)
    return {**asdict(one), "same_as": list(one.same_as), "stored": is_stored, "hour_grid": grid}


def _copy_document(copy: CatalogueCopy) -> dict[str, Any]:
    read, tried = (None if at is None else times.iso(int(at)) for at in (copy.read_at, copy.tried_at))
    return {"provider": copy.provider, "read_at": read, "tried_at": tried, "error": copy.error}


def _age(provider: str, read_at: float | None, error: str | None) -> str:
    if read_at is None:
        told = f"{provider}: no catalogue yet; read it with --refresh"
    else:
        told = f"{provider}: catalogue of {times.iso(int(read_at))}, {(time.time() - read_at) / 86_400:.1f} days old"
    return f"{told} (the last try failed: {error})" if error else told
