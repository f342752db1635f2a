"""Export of a range: one Parquet or CSV file, with a data sheet that says what is in it.

Rows are written as they are read, a few partitions at a time, so memory grows neither with the range nor with the
number of series. The data sheet is counted in the same pass, from the same version of each table.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal, Protocol, get_args
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ffe_core import times
from ffe_core.adjustments.factors import Steps
from ffe_core.calendars import MarketCalendar
from ffe_core.candles import SCHEMA as STORED
from ffe_core.candles import VALUES
from ffe_core.errors import InputError, StorageError
from ffe_core.insight.adjusted import Adjustment
from ffe_core.insight.bars import LINEAGE, Moment, moment_micros, pieces
from ffe_core.insight.gaps import Seen
from ffe_core.insight.stored import covered, require_stored
from ffe_core.insight.units import NumberFormat, unit_text, volume_unit
from ffe_core.series import Series
from ffe_core.storage.dead_letters.queue import DeadLetterQueue
from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager
from ffe_core.storage.lake.snapshot import Ints, Snapshot, epochs, micros

Format = Literal["parquet", "csv"]
Target = str | Path | IO[bytes]

SCHEMA = pa.schema(
    [
        STORED.field("timestamp"),
        STORED.field("asset_pair"),
        pa.field("timeframe", pa.string()),
        *(STORED.field(name) for name in (*VALUES, *LINEAGE)),
    ]
)
"""Columns of an export: a bar, whose it is, and where it comes from."""
ADJUSTED_SCHEMA = SCHEMA.append(pa.field("adjustment", pa.string()))
"""Adjusted bars say in each row what for."""


class _Writer(Protocol):
    def write(self, table: pa.Table, prices: NumberFormat) -> None: ...


@dataclass(slots=True)
class _Counted:
    """What went out of one series."""

    seen: Seen
    dead: Ints
    steps: Steps | None = None
    """What its bars are adjusted by."""
    rows: int = 0
    first: int | None = None
    last: int | None = None
    restated: int = 0
    restated_since: int = 0
    is_mock: bool = False


def export(
    lake: DeltaLakeManager,
    queue: DeadLetterQueue,
    calendar_of: Callable[[Series], MarketCalendar],
    series: Sequence[Series],
    start: int,
    end: int,
    target: Target,
    as_known_at: Moment | None = None,
    format: str = "parquet",
    *,
    marked_of: Callable[[Series], Sequence[tuple[int, int]]] = lambda series: (),
    format_of: Callable[[Series], NumberFormat] = lambda series: NumberFormat(),
    adjustment: Adjustment | None = None,
) -> dict[str, Any]:
    """Write the latest version of every bar that opens in [start, end) (epoch seconds); return the data sheet.

    One series after another, each by time, columns as in `SCHEMA`, or in `ADJUSTED_SCHEMA` with an adjustment, by which
    the data sheet says what bars were multiplied by. A path is replaced only once the file is whole; a
    file object is written to as rows come. CSV has ISO 8601 times, and prices with the decimals that `format_of` says,
    which read back as the same floats. The data sheet is a dict ready for JSON. InputError for an unknown format or
    series and as `adjusted.steps_of`, StorageError if something cannot be read.
    """
    if format not in get_args(Format):
        raise InputError(f"{format!r} is unknown; use one of {', '.join(get_args(Format))}", field="format")
    if not series:
        raise InputError("choose at least one series to export", field="series")
    snapshots = {one: require_stored(lake, one) for one in series}
    moment, counted = moment_micros(as_known_at), {}
    for one, snapshot in snapshots.items():
        seen = Seen(one, calendar_of(one), covered(snapshot, one), marked_of(one))
        steps = None if adjustment is None else adjustment.steps(snapshot, one, start, moment)
        counted[one] = _Counted(seen, queue.open_times(one, start, end), steps)
    schema = SCHEMA if adjustment is None else ADJUSTED_SCHEMA
    with _opened(target) as file, _writer(file, format, schema) as writer:
        for one, snapshot in snapshots.items():
            _write(writer, format_of(one), snapshot, counted[one], (start, end), as_known_at, adjustment)
    found = _sheet(snapshots, counted, start, end, as_known_at, format)
    return found if adjustment is None else found | {"columns": schema.names, "adjustment": adjustment.name}


def _write(
    writer: _Writer,
    prices: NumberFormat,
    snapshot: Snapshot,
    counted: _Counted,
    span: tuple[int, int],
    as_known_at: Moment | None,
    adjustment: Adjustment | None,
) -> None:
    series = counted.seen.series
    for piece in pieces(snapshot, series, *span, as_known_at, (*VALUES, "asset_pair", *LINEAGE)):
        open_times = epochs(piece.bars["timestamp"])
        counted.seen.add(open_times, piece.later)
        counted.restated_since += len(piece.restated_since)
        if len(open_times):
            _count(counted, piece.bars, open_times)
            writer.write(_rows(piece.bars, series, counted.steps, adjustment), prices)


def _count(counted: _Counted, bars: pa.Table, open_times: np.ndarray) -> None:
    counted.rows += len(open_times)
    counted.first = int(open_times[0]) if counted.first is None else counted.first
    counted.last = int(open_times[-1])
    counted.restated += int((bars["versions"].to_numpy() > 1).sum())
    counted.is_mock = counted.is_mock or bool(bars["is_mock"].to_numpy(zero_copy_only=False).any())


def _rows(bars: pa.Table, series: Series, steps: Steps | None, adjustment: Adjustment | None) -> pa.Table:
    rows = bars.append_column("timeframe", pa.repeat(series.timeframe, bars.num_rows)).select(SCHEMA.names)
    if adjustment is None or steps is None:
        return rows
    return steps.adjusted(rows).append_column("adjustment", pa.repeat(adjustment.name, rows.num_rows))


@contextmanager
def _opened(target: Target) -> Iterator[IO[bytes]]:
    """The file to write to; a path gets its name when all is written."""
    if not isinstance(target, str | Path):
        yield target
        return
    path = Path(target)
    temporary = path.with_name(f".{path.name}.{uuid4().hex[:8]}.tmp")
    try:
        with temporary.open("wb") as file:
            yield file
        os.replace(temporary, path)
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error}") from error
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def _writer(file: IO[bytes], format: str, schema: pa.Schema) -> Iterator[_Writer]:
    if format == "parquet":
        # It brings along file systems of every cloud, which a server that exports nothing has no use for.
        import pyarrow.parquet as pq

        with pq.ParquetWriter(file, schema, compression="zstd") as writer:
            yield _ParquetWriter(writer)
    else:
        yield _CsvWriter(file, schema.names)


class _ParquetWriter:
    def __init__(self, writer: Any) -> None:
        self._writer = writer

    def write(self, table: pa.Table, prices: NumberFormat) -> None:
        self._writer.write_table(table)


class _CsvWriter:
    """Writes times as ISO 8601, which CSV readers everywhere take for what they are, and prices with their decimals."""

    def __init__(self, file: IO[bytes], names: Sequence[str]) -> None:
        self._file, self._names = file, names
        file.write(",".join(f'"{name}"' for name in names).encode() + b"\n")

    def write(self, table: pa.Table, prices: NumberFormat) -> None:
        """Write rows with these columns."""
        texts = [_texts(name, table[name], prices) for name in self._names]
        lines = pc.binary_join_element_wise(*texts, ",").to_pylist()
        self._file.write("\n".join([*lines, ""]).encode())


def _texts(name: str, column: pa.ChunkedArray, prices: NumberFormat) -> pa.Array:
    if name in VALUES:
        return (NumberFormat() if name == "volume" else prices).plain(column.to_numpy())
    if name == "timestamp":
        return _quoted(_iso(epochs(column).astype("datetime64[s]")))
    if name == "_extracted_at":
        return _quoted(_iso(micros(column).astype("datetime64[us]")))
    column = column.combine_chunks()
    return pc.cast(column, pa.string()) if pa.types.is_boolean(column.type) else _quoted(column)


def _iso(moments: np.ndarray) -> pa.Array:
    return pa.array(np.datetime_as_string(moments, timezone="UTC"), pa.string())


def _quoted(texts: pa.Array) -> pa.Array:
    """Text in quotes, and nothing where there is none."""
    inner = pc.replace_substring(pc.cast(texts, pa.string()), '"', '""')
    return pc.fill_null(pc.binary_join_element_wise('"', inner, '"', ""), "")


def _sheet(
    snapshots: dict[Series, Snapshot],
    counted: dict[Series, _Counted],
    start: int,
    end: int,
    as_known_at: Moment | None,
    format: str,
) -> dict[str, Any]:
    moment = moment_micros(as_known_at)
    return {
        "start": times.iso(start),
        "end": times.iso(end),
        "as_known_at": None
        if moment is None
        else str(np.datetime_as_string(np.datetime64(moment, "us"), timezone="UTC")),
        "exported_at": times.iso(times.now()),
        "format": format,
        "rows": sum(one.rows for one in counted.values()),
        "columns": SCHEMA.names,
        "series": [_described(one, snapshots[series], start, end) for series, one in counted.items()],
    }


def _described(counted: _Counted, snapshot: Snapshot, start: int, end: int) -> dict[str, Any]:
    series, calendar = counted.seen.series, counted.seen.calendar
    missing = counted.seen.missing(start, end, counted.dead)
    more = {} if counted.steps is None else {"adjusted_by": [_step(*row) for row in counted.steps.rows()]}
    return {
        "asset_pair": series.asset_pair,
        "timeframe": series.timeframe,
        "source_provider": series.provider,
        "is_mock": counted.is_mock,
        "volume_unit": unit_text(volume_unit(series)),
        "rows": counted.rows,
        "first": None if counted.first is None else times.iso(counted.first),
        "last": None if counted.last is None else times.iso(counted.last),
        "table": series.table,
        "table_version": snapshot.version,
        "calendar": calendar.name,
        "coverage": missing.counts(),
        "gaps": [
            {"start": times.iso(gap.start), "end": times.iso(gap.end), "candles": gap.candles, "kind": gap.kind}
            for gap in missing.gaps()
        ],
        "restated": counted.restated,
        "restated_since": counted.restated_since,
        **more,
    }


def _step(day: int, new: float, old: float, money: float) -> dict[str, Any]:
    """What bars before an ex-day were multiplied by."""
    return {"before": times.utc(day).date().isoformat(), "prices": old / new * money, "volumes": new / old}
