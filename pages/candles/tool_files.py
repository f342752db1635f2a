"""Files of other tools for download: written to a folder of their own, and sent as one zip."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

from ffe_core.errors import InputError
from ffe_core.exports.service import export_to
from ffe_core.insight.aggregate import size_named
from ffe_core.insight.coverage import calendar_of
from ffe_core.insight.stored import require_stored
from ffe_core.operations.console import shared
from ffe_core.reading.asked import Asked, adjusted
from ffe_core.series import Series


def write_zip(
    path: Path,
    form: str,
    series: Sequence[Series],
    span: tuple[int, int],
    known: int | None,
    size: str,
    adjust: str | None = None,
) -> None:
    """Write the files of a form, zipped; `known` in epoch microseconds, `size` a derived timeframe or "".

    InputError for what cannot be, such as series of several timeframes.
    """
    with tempfile.TemporaryDirectory(prefix="ffe-export-") as folder:
        place = Path(folder) / "files"
        console = shared()
        question = adjusted(_asked(series, span, known, size), adjust, console.settings)
        export_to(place, form, question, lambda one: calendar_of(one, console.settings), console.formats.of)
        with zipfile.ZipFile(path, "w") as archive:  # most files are packed already
            add = archive.write
            for file in sorted(place.rglob("*")):
                if file.is_file():
                    add(file, file.relative_to(place))


def _asked(series: Sequence[Series], span: tuple[int, int], known: int | None, size: str) -> Asked:
    start, end = span
    if not series:
        raise InputError("choose at least one series to export", field="series")
    if end <= start:
        raise InputError("the end is not after the start; give a range of some length", field="end")
    if len({one.timeframe for one in series}) > 1:
        raise InputError(
            "choose series of one timeframe; those of another go into a download of their own", field="series"
        )
    if len({one.asset_pair for one in series}) < len(series):
        raise InputError("a pair is there of two providers; download each by itself", field="series")
    snapshots = [require_stored(shared().lake, one) for one in series]
    derived = size_named(size, field="size") if size and size != series[0].timeframe else None
    return Asked(snapshots[0], tuple(series), start, end, known, derived)
