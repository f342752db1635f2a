"""`watermarks rewind`, `forget` and `undo`: marks moved by hand, each with a reason."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ffe_core.cli import interruption, output
from ffe_core.cli.common import actor, run_service
from ffe_core.cli.output import print_json, print_table
from ffe_core.cli.watermarks import iso, named, spelled
from ffe_core.errors import FFEError, InputError
from ffe_core.ingestion.multi_asset_batch_ingester import every_series
from ffe_core.instruments.matching import meant
from ffe_core.operations.watermarks import WatermarkVerbs
from ffe_core.series import Series
from ffe_core.settings import Settings
from ffe_core.storage.state.audit import Audit


def rewind(arguments: argparse.Namespace) -> int:
    """Move watermarks back, or with --dry-run say what it would cost."""
    if arguments.dry_run:
        return _each(arguments, lambda verbs, series: _previewed(verbs, series, arguments.to))

    def one(verbs: WatermarkVerbs, series: Series) -> dict[str, Any]:
        cost = _previewed(verbs, series, arguments.to)
        verbs.rewind(series, arguments.to, actor(), arguments.reason)
        return cost

    return _each(arguments, one)


def forget(arguments: argparse.Namespace) -> int:
    """Forget how far series were read."""

    def one(verbs: WatermarkVerbs, series: Series) -> dict[str, Any]:
        return named(series) | spelled(verbs.forget(series, actor(), arguments.reason))

    return _each(arguments, one)


def undo(arguments: argparse.Namespace) -> int:
    """Put marks back as they were before the last move."""

    def one(verbs: WatermarkVerbs, series: Series) -> dict[str, Any]:
        return named(series) | spelled(verbs.undo(series, actor(), arguments.reason))

    return _each(arguments, one)


def _previewed(verbs: WatermarkVerbs, series: Series, to: str) -> dict[str, Any]:
    found = verbs.preview(series, to)
    return {
        **named(series),
        "before": iso(found.before.watermark),
        "watermark": iso(found.after.watermark),
        "bars": found.bars,
        "stored": found.stored,
        "requests": found.requests,
        "minutes": round(found.seconds / 60, 2),
    }


def _each(arguments: argparse.Namespace, one: Callable[[WatermarkVerbs, Series], dict[str, Any]]) -> int:
    """Do it for every series; one that is refused stops no other, and decides the exit status."""
    every_series(arguments.pairs, arguments.timeframes, arguments.provider)  # refuses a bad name before any work
    rows, refused = [], list[FFEError | InputError]()
    with _verbs() as verbs:
        pairs = [meant(pair, verbs.pairs(arguments.provider)) for pair in arguments.pairs]
        for series in every_series(pairs, arguments.timeframes, arguments.provider):
            try:
                rows.append(one(verbs, series))
            except (FFEError, InputError) as error:
                refused.append(error)
            if interruption.came():
                break
    status = max((output.USAGE if isinstance(error, InputError) else output.FAILED for error in refused), default=0)
    if refused and not rows:
        return output.fail("\n".join(map(str, refused)), status, refused[0].code)
    for one_error in refused:
        output.warn(str(one_error))
    if arguments.json:
        print_json(rows)
    elif rows:
        print_table([name.replace("_", " ") for name in rows[0]], [[_cell(v) for v in row.values()] for row in rows])
    return status


@contextmanager
def _verbs() -> Iterator[WatermarkVerbs]:
    with run_service(Settings.load()) as service:
        yield WatermarkVerbs(service, Audit(service.database))


def _cell(value: Any) -> str:
    return "-" if value is None else f"{value:,}" if isinstance(value, int) else str(value)
