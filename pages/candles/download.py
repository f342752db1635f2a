"""Download of a whole range: written to a temporary file in bounded memory, and streamed from there."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import anyio
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from ffe_core import times
from ffe_core.adjustments.actions import Actions
from ffe_core.errors import FFEError, InputError
from ffe_core.insight.adjusted import Adjustment, adjustment_of
from ffe_core.insight.coverage import calendar_of
from ffe_core.insight.export import export
from ffe_core.operations.console import shared
from ffe_core.redaction import redact
from ffe_core.series import Series
from pages.candles.query import LONGEST_ECHO, MICROS, checked, moment, series_named, whole
from pages.candles.tool_files import write_zip

_KINDS = {"parquet": "application/vnd.apache.parquet", "csv": "text/csv", "sheet": "application/json"}
MOST_SERIES = 200
_PARAMETERS = {"series": MOST_SERIES, "start": 1, "end": 1, "format": 1, "known": 1, "form": 1, "size": 1, "adjust": 1}
"""What the address may hold, and how often."""


class _Once(FileResponse):
    """A file that is gone once it was sent, or could not be: a background task runs only if all goes well."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            Path(self.path).unlink(missing_ok=True)


async def download(request: Request) -> Response:
    """`/export?series=PAIR/TIMEFRAME/PROVIDER&start=&end=&format=parquet|csv|sheet[&known=microseconds]`.

    `adjust=splits|all` gives adjusted bars, which the name of the file says too;
    `form=freqtrade` (or another tool's) in the place of `format` gives a zip of its files, `size=2h` derived bars in
    them. `series` may be given several times; start and end are epoch seconds. 400 for what cannot be, with the reason.
    """
    try:
        path, kind, name = await anyio.to_thread.run_sync(lambda: _written(request))
    except (InputError, ValueError) as error:
        return PlainTextResponse(redact(str(error)), status_code=400)
    except FFEError as error:
        return PlainTextResponse(redact(str(error)), status_code=503)
    return _Once(path, media_type=kind, filename=name)


def _written(request: Request) -> tuple[Path, str, str]:
    query = checked(request.query_params, _PARAMETERS)
    format_ = query.get("format", "parquet")
    if format_ not in _KINDS:
        raise InputError(f"{format_[:LONGEST_ECHO]!r} is unknown; use one of {', '.join(_KINDS)}", field="format")
    there = shared().coverage.series()
    series = [series_named(there, key) for key in query.getlist("series")]
    start, end = whole(query.get("start"), "start"), whole(query.get("end"), "end")
    known = whole(query["known"], "known", MICROS) if "known" in query else None
    descriptor, name = tempfile.mkstemp(prefix="ffe-export-")
    os.close(descriptor)
    path = Path(name)
    form = query.get("form", "")
    adjustment = adjustment_of(Actions(shared().settings.data_dir), query.get("adjust"))
    try:
        if form:
            write_zip(path, form, series, (start, end), known, query.get("size", ""), query.get("adjust"))
        else:
            _write(path, series, start, end, known, format_, adjustment)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    keys = "_".join(one.key.replace("/", "-") for one in series)[:120]
    names = ".".join([keys, *file_labels((start, end), adjustment, known)])
    if form:
        return path, "application/zip", f"{names}.{form}.zip"
    return path, _KINDS[format_], f"{names}.{'data-sheet.json' if format_ == 'sheet' else format_}"


def file_labels(range_: tuple[int, int], adjustment: Adjustment | None, known: int | None) -> list[str]:
    """What the name of a file says beside its series: the range [start, end) of its bars in epoch seconds, as one would
    type it; that they are adjusted; that they are as known at a moment, in epoch microseconds."""
    adjusted = [] if adjustment is None else [f"adjusted-{adjustment.name}"]
    as_known = [] if known is None else [f"known-{times.utc(known // MICROS):%Y-%m-%dT%H%M%SZ}"]
    return [_range_label(*range_), *adjusted, *as_known]


def _range_label(start: int, end: int) -> str:
    """Days with the last one included, or times, as a part of a file's name."""
    texts = times.range_texts(start, end)
    stamps = (f"{text.replace(' ', 'T').replace(':', '')}Z" if " " in text else text for text in texts)
    return "_".join(dict.fromkeys(stamps))


def _write(
    path: Path,
    series: list[Series],
    start: int,
    end: int,
    known: int | None,
    format_: str,
    adjustment: Adjustment | None,
) -> None:
    console = shared()
    known_at = None if known is None else moment(known)
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
            known_at,
            "csv" if format_ == "csv" else "parquet",
            format_of=console.formats.of,
            marked_of=lambda one: [(int(a), int(b)) for a, b in console.acknowledged.ranges(one, start, end)],
            adjustment=adjustment,
        )
    if format_ == "sheet":
        del data["format"]  # it stands beside a file of either
        path.write_text(json.dumps(data, indent=2), encoding="utf-8")
