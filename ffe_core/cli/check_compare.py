"""`check compare`: what differs between two series, how much, and what only one of them has."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from ffe_core import times
from ffe_core.checks.compare import Comparison, Held
from ffe_core.cli.check import chosen_series
from ffe_core.cli.common import run_service
from ffe_core.cli.output import print_json, print_table
from ffe_core.counts import many
from ffe_core.errors import InputError
from ffe_core.operations.checks.service import Checks
from ffe_core.series import Series
from ffe_core.settings import Settings
from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager

_SHOWN = 5


def compare(arguments: argparse.Namespace) -> int:
    """Print the comparison; 1 if a bar differs, as `diff` does."""
    at = times.parse_instant(arguments.as_known_at, "as_known_at") if arguments.as_known_at else None
    with run_service(Settings.load()) as service:
        one, other = (_one(service.lake, text) for text in arguments.series)
        found = Checks(service).compare(one, other, at)
    if arguments.json:
        print_json(_document(found))
    else:
        for line in _lines(found):
            print(line)
        if found.different:
            print_table(["column", "bars", "mean", "largest", "at", "here", "there"], list(_rows(found)))
    return int(bool(found.different))


def _one(lake: DeltaLakeManager, text: str) -> Series:
    """The stored series that a text names. InputError if it names several."""
    found = chosen_series(lake, [text])
    if len(found) > 1:
        raise InputError(f"{text!r} may be {', '.join(one.key for one in found[:6])}; name one", field="series")
    return found[0]


def _lines(found: Comparison) -> Iterator[str]:
    finer = f" put together from {found.other.timeframe}" if found.other.step < found.series.step else ""
    yield f"here:  {found.series.key}, {_held(found.here)}"
    yield f"there: {found.other.key}{finer}, {_held(found.there)}"
    if not found.compared and not found.partly:
        yield "no bar in common: nothing can be said of whether they agree"
        return
    alike = "none differs" if not found.different else f"{found.different:,} differ"
    yield f"{many(found.compared, 'bar')} compared: {alike} by more than half a tick, volumes by a millionth"
    if not (found.here.with_volume and found.there.with_volume):
        yield "volumes are not compared, as one of them has none"
    if found.partly:
        same = found.partly - found.partly_different
        yield (
            f"{many(found.partly, 'bar')} more with finer bars missing: {same:,} come to the same without them, so that"
            f" nothing was traded in those; {found.partly_different:,} do not"
        )
    if found.only_here or found.only_there:
        yield f"only here {many(found.only_here, 'bar')}, only there {many(found.only_there, 'bar')}"
    if found.different:
        shown = ", ".join(times.iso(at) for at in found.examples[:_SHOWN])
        yield f"the first that differ: {shown}"


def _held(held: Held) -> str:
    if held.first is None or held.last is None:
        return "no bar"
    return f"{many(held.bars, 'bar')}, {times.iso(held.first)} to {times.iso(held.last)}"


def _rows(found: Comparison) -> Iterator[list[str]]:
    for name, one in found.columns.items():
        at = "" if one.at is None else times.iso(one.at)
        values = [f"{value:.10g}" for value in (one.mean, one.largest)]
        sides = [f"{value:.10g}" for value in (one.here, one.there)]
        yield [name, f"{one.differing:,}", *(["", "", "", "", ""] if one.at is None else [*values, at, *sides])]


def _document(found: Comparison) -> dict[str, Any]:
    counts = ("compared", "different", "partly", "partly_different", "only_here", "only_there")
    columns = {
        name: {**asdict(one), "mean": one.mean, "at": None if one.at is None else times.iso(one.at)}
        for name, one in found.columns.items()
    }
    return {
        "series": found.series.key,
        "other": found.other.key,
        "here": _side(found.here),
        "there": _side(found.there),
        **{name: getattr(found, name) for name in counts},
        "columns": columns,
        "examples": [times.iso(at) for at in found.examples],
    }


def _side(held: Held) -> dict[str, Any]:
    ends = {"first": held.first, "last": held.last}
    return {**asdict(held), **{name: None if at is None else times.iso(at) for name, at in ends.items()}}
