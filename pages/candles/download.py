"""Download of a whole range: written to a temporary file in bounded memory, and streamed from there."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from ffe_core import times
from ffe_core.errors import FFEError, InputError
from ffe_core.insight.coverage import calendar_of
from ffe_core.insight.export import export
from ffe_core.instruments.matching import meant
from ffe_core.operations.console import shared
from ffe_core.redaction import redact
from ffe_core.series import Series

_KINDS = {"parquet": "application/vnd.apache.parquet", "csv": "text/csv", "sheet": "application/json"}
_MICROS = 1_000_000
_LONGEST_ECHO, _LONGEST_VALUE = 40, 200
_PARAMETERS = ("series", "start", "end", "format", "known")
MOST_SERIES = 200


class _Once(FileResponse):
    """A file that is gone once it was sent, or could not be: a background task runs only if all goes well."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            Path(self.path).unlink(missing_ok=True)


async def download(request: Request) -> Response:
    """`/export?series=PAIR/TIMEFRAME/PROVIDER&start=&end=&format=parquet|csv|sheet[&known=microseconds]`.

    `series` may be given several times; start and end are epoch seconds. 400 for what cannot be, with the reason.
    """
    try:
        path, kind, name = await anyio.to_thread.run_sync(lambda: _written(request))
    except (InputError, ValueError) as error:
        return PlainTextResponse(redact(str(error)), status_code=400)
    except FFEError as error:
        return PlainTextResponse(redact(str(error)), status_code=503)
    return _Once(path, media_type=kind, filename=name)


def _written(request: Request) -> tuple[Path, str, str]:
    query = _checked(request.query_params)
    format_ = query.get("format", "parquet")
    if format_ not in _KINDS:
        raise InputError(f"{format_[:_LONGEST_ECHO]!r} is unknown; use one of {', '.join(_KINDS)}", field="format")
    there = shared().coverage.series()
    series = [_stored(there, *_three(key)) for key in query.getlist("series")]
    start, end = _whole(query.get("start"), "start"), _whole(query.get("end"), "end")
    known = _whole(query["known"], "known", _MICROS) if "known" in query else None
    descriptor, name = tempfile.mkstemp(prefix="ffe-export-")
    os.close(descriptor)
    path = Path(name)
    try:
        _write(path, series, start, end, known, format_)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    ending = "data-sheet.json" if format_ == "sheet" else format_
    return path, _KINDS[format_], f"{'_'.join(one.key.replace('/', '-') for one in series)[:120]}.{ending}"


def _write(path: Path, series: list[Series], start: int, end: int, known: int | None, format_: str) -> None:
    console = shared()
    moment = None if known is None else _moment(known)
    data: dict[str, Any] = {}
    with tempfile.TemporaryFile() if format_ == "sheet" else path.open("wb") as target:
        data = export(
            console.lake,
            console.queue,
            lambda one: calendar_of(one, console.settings),
            series,
            start,
            end,
            target,
            moment,
            "csv" if format_ == "csv" else "parquet",
            format_of=console.formats.of,
            marked_of=lambda one: [(int(a), int(b)) for a, b in console.acknowledged.ranges(one, start, end)],
        )
    if format_ == "sheet":
        path.write_text(json.dumps(data, indent=2), encoding="utf-8")


def _moment(micros: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)


def _checked(query: QueryParams) -> QueryParams:
    """The parameters, if each is one that is known, is given once (`series`: up to MOST_SERIES times) and is short."""
    for name in query:
        if name not in _PARAMETERS:
            raise InputError(f"{name[:_LONGEST_ECHO]!r} is no parameter; use {', '.join(_PARAMETERS)}")
        given, most = query.getlist(name), MOST_SERIES if name == "series" else 1
        if len(given) > most:
            raise InputError(f"given {len(given):,} times; {most} at most can be", field=name)
        if max(map(len, given)) > _LONGEST_VALUE:
            raise InputError(f"a value is longer than {_LONGEST_VALUE} characters", field=name)
    return query


def _stored(there: Sequence[Series], pair: str, timeframe: str, provider: str) -> Series:
    """The series under its stored name, however its pair is written."""
    alike = [one.asset_pair for one in there if (one.timeframe, one.provider) == (timeframe, provider)]
    name = meant(pair, alike)
    return Series(name, timeframe, provider) if name in alike else Series.of(pair, timeframe, provider)


def _three(key: str) -> tuple[str, str, str]:
    pair, *rest = key.rsplit("/", 2)
    if len(rest) != 2:
        raise InputError(f"{key[:_LONGEST_ECHO]!r} names none; write it like BTCUSD/1h/coinbase", field="series")
    return pair, rest[0], rest[1]


def _whole(text: str | None, field: str, a_second: int = 1) -> int:
    """A time since 1970 as a whole number, so many of them `a_second`. InputError naming the field."""
    try:
        found = int(text or "")
        times.parse_instant(found // a_second)
    except ValueError:
        shown = (text or "")[:_LONGEST_ECHO]
        unit = "seconds" if a_second == 1 else "microseconds"
        raise InputError(
            f"{shown!r} is no time of the years 1 to 9999; give whole {unit} since 1970", field=field
        ) from None
    return found
