"""`sql`: one read-only query over the lake, or a DuckDB file of views over it."""

from __future__ import annotations

import argparse
import csv
import sys
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

from ffe_core import times
from ffe_core.cli import output
from ffe_core.cli.output import OK, print_json, print_table
from ffe_core.cli.parser import VERBS, add_json
from ffe_core.counts import many
from ffe_core.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

    from ffe_core.reading.sql import Answer
    from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager

_EXAMPLE = 'ffe sql "SELECT asset_pair, max(close) FROM candles_1d GROUP BY ALL"'
_ROWS, _SECONDS, _MEMORY_MB = 1000, 60.0, 1024


def register(verbs: Any) -> None:
    """Add the verb to the parser."""
    parser = verbs.add_parser(
        "sql",
        help=VERBS["sql"],
        description="One SELECT over the lake: candles_1h and the like (each bar once, as it is known now or was at a"
        " moment), versions_1h (every stored version), both over all timeframes (candles, versions), and series. It"
        " reads nothing but the lake and changes nothing. Without a query: the views and their columns.",
        epilog=f"For example: {_EXAMPLE}",
    )
    parser.add_argument("query", nargs="?", metavar="SELECT", help="in DuckDB's SQL; times are UTC")
    parser.add_argument("--as-known-at", metavar="TIME", help="the bars as they were known then, a time with a zone")
    parser.add_argument("--max-rows", type=int, default=_ROWS, metavar="N", help=f"print so many at most ({_ROWS:,})")
    parser.add_argument(
        "--seconds", type=float, default=_SECONDS, metavar="N", help=f"stop after so long ({_SECONDS:g})"
    )
    parser.add_argument(
        "--memory-mb", type=int, default=_MEMORY_MB, metavar="N", help=f"take so much memory at most ({_MEMORY_MB:,})"
    )
    parser.add_argument("--csv", action="store_true", help="print CSV")
    parser.add_argument("--views", metavar="FILE", help="write a DuckDB file of views over the lake as it is now")
    add_json(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the answer, or write the views."""
    from ffe_core.settings import Settings
    from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager

    lake = DeltaLakeManager.of(Settings.load())
    if arguments.views is not None:
        return _write_views(arguments, lake)
    from ffe_core.reading.sql import Bounds, query

    bounds = Bounds(arguments.seconds, arguments.max_rows, arguments.memory_mb)
    known_at = arguments.as_known_at and times.parse_moment(arguments.as_known_at, "--as-known-at")
    _bound_process(arguments.memory_mb)
    answer = query((arguments.query or "").strip() or _COLUMNS, lake, known_at or None, bounds)
    if answer.is_cut:
        output.warn(f"there are more than {many(arguments.max_rows, 'row')}; allow more with --max-rows")
    _show(answer, arguments)
    return OK


def _bound_process(memory_mb: int) -> None:
    """Let this process have no more memory than that beside what it has now: DuckDB does not count single long texts.

    The spare is for what is read of files meanwhile. Where there is no such limit, DuckDB's own is all there is.
    """
    import resource

    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            pages = int(file.read().split()[5])
        limit = pages * resource.getpagesize() + (memory_mb << 20) + _SPARE
        _, most = resource.getrlimit(resource.RLIMIT_DATA)
        if most == resource.RLIM_INFINITY or limit < most:
            resource.setrlimit(resource.RLIMIT_DATA, (limit, most))
    except (OSError, ValueError, AttributeError):
        return


_SPARE = 1 << 30
_COLUMNS = (
    "SELECT table_name AS view, string_agg(column_name, ', ' ORDER BY column_index) AS columns FROM duckdb_columns()"
    " WHERE NOT internal AND NOT starts_with(table_name, 'files_') GROUP BY 1 ORDER BY 1"
)


def _write_views(arguments: argparse.Namespace, lake: DeltaLakeManager) -> int:
    from ffe_core.reading.views_file import write_views

    if arguments.query is not None:
        raise InputError("give a query or --views, not both", field="--views")
    names = write_views(arguments.views, lake)
    if arguments.json:
        print_json({"file": arguments.views, "views": names})
    else:
        print(f"{arguments.views}: {', '.join(names)}, as the lake is now; write it again after the next backfill")
    return OK


def _show(answer: Answer, arguments: argparse.Namespace) -> None:
    names = answer.table.column_names
    cells = [_cells(name, column) for name, column in zip(names, answer.table.columns, strict=True)]
    rows = [list(row) for row in zip(*cells, strict=True)]
    if arguments.json:
        types = [str(field.type) for field in answer.table.schema]
        columns = [{"name": name, "type": kind} for name, kind in zip(names, types, strict=True)]
        print_json({"columns": columns, "rows": _plain(rows), "is_cut": answer.is_cut})
    elif arguments.csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerows([names, *_plain(rows)])
    else:
        print_table(names, [[_text(cell) for cell in row] for row in rows])
        output.tell(many(len(rows), "row"))


def _cells(name: str, column: pa.ChunkedArray) -> list[Any]:
    """The values of a column. InputError for times that Python has none for, such as 'infinity'."""
    try:
        return list(column.to_pylist())
    except (OverflowError, ValueError) as error:
        raise InputError(
            f"column {name!r} holds a time outside the years 1 to 9999; leave it out, or write it as text with"
            " CAST(... AS VARCHAR)",
            field="sql",
        ) from error


def _plain(value: Any) -> Any:
    """What JSON can say: times as ISO 8601, what has no form of its own as text."""
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, Decimal | UUID | timedelta):
        return str(value)
    return value.hex() if isinstance(value, bytes) else value


def _text(value: Any) -> str:
    shown = _plain(value)
    text = "" if shown is None else str(shown)
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text)
