"""SQL over the lake: one read-only query, closed to everything but the lake and bounded in time, rows and memory.

The query runs in a DuckDB of its own in memory, which may touch no file, no network and no extension; the candles come
in as Arrow from this program (see `relations`). So there is nothing that a query could read beside them, or change.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from ffe_core.errors import InputError, QueryStopped, StorageError
from ffe_core.insight.bars import Moment, moment_micros
from ffe_core.reading.frames import package
from ffe_core.reading.relations import name_views
from ffe_core.storage.closed_duckdb import closed_connection, lock, stopped_after
from ffe_core.storage.lake import faults
from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager

_BATCH_ROWS = 10_000
_WHAT_THERE_IS = re.compile(r"(?is)\s*(?:show\s+(?P<all>all\s+)?tables|(?:describe|desc)(?=\s*;?\s*$))\s*;?\s*$")


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a query may take."""

    seconds: float = 60.0
    rows: int = 10_000
    memory_mb: int = 1024

    def __post_init__(self) -> None:
        """InputError for what is no bound."""
        limits = {"seconds": (0.001, 86_400), "rows": (1, 100_000_000), "memory_mb": (64, 1_048_576)}
        for name, (least, most) in limits.items():
            given = getattr(self, name)
            if not (math.isfinite(given) and least <= given <= most):
                raise InputError(f"{given} is out of bounds; give {least:g} to {most:g}", field=name)


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What a query came to."""

    table: pa.Table
    """At most as many rows as were allowed."""
    is_cut: bool
    """Whether there were more."""


def query(sql: str, lake: DeltaLakeManager, as_known_at: Moment | None = None, bounds: Bounds | None = None) -> Answer:
    """Answer one SELECT over the views of `relations.name_views`, with times in UTC.

    InputError for what is no single SELECT, cannot be understood or reaches beyond the lake; QueryStopped where a bound
    was met (of rows, the answer is cut instead); StorageError if a table cannot be read; PackageMissing without DuckDB.
    """
    bounds = bounds or Bounds()
    duckdb = package("duckdb")
    with closed_connection(bounds.memory_mb) as connection:
        views = name_views(connection, lake, moment_micros(as_known_at))
        lock(connection)
        with _in_words(duckdb, bounds, views, lake.storage_path):
            _require_select(duckdb, sql)
            with stopped_after(connection, bounds.seconds):
                return _answer(connection.sql(_without_inner_names(sql, views)), bounds.rows)


def _without_inner_names(sql: str, views: list[str]) -> str:
    """The question; one for the tables there are is of the views, not of what these read from."""
    asked = _WHAT_THERE_IS.match(sql)
    if asked is None:
        return sql
    names = ", ".join(f"'{name}'" for name in views)
    return f"SELECT * FROM (SHOW{' ALL' * bool(asked['all'])} TABLES) WHERE name IN ({names}) ORDER BY name"


def _require_select(duckdb: Any, sql: str) -> None:
    statements = duckdb.extract_statements(sql)
    kinds = duckdb.StatementType
    if len(statements) != 1 or statements[0].type not in (kinds.SELECT, kinds.EXPLAIN):
        raise InputError("only one SELECT can be asked; nothing here changes anything", field="sql")


def _answer(relation: Any, most: int) -> Answer:
    reader = relation.to_arrow_reader(min(most + 1, _BATCH_ROWS))
    found, rows = [], 0
    for batch in reader:
        found.append(batch)
        rows += batch.num_rows
        if rows > most:
            break
    table = pa.Table.from_batches(found, reader.schema)
    return Answer(table.slice(0, most), rows > most)


@contextmanager
def _in_words(duckdb: Any, bounds: Bounds, views: list[str], place: str) -> Iterator[None]:
    """One sentence with the next step for whatever DuckDB raises."""
    try:
        yield
    except duckdb.InterruptException as error:
        raise QueryStopped(
            f"the query took longer than {bounds.seconds:g} s; name pairs and a range of timestamp, or allow more time"
        ) from error
    except (duckdb.OutOfMemoryException, MemoryError) as error:
        raise QueryStopped(
            f"the query needs more than {bounds.memory_mb:,} MiB; name pairs and a range of timestamp, or allow more"
        ) from error
    except duckdb.PermissionException as error:
        raise InputError(
            f"a query reads the lake only, no files and no network; there is {', '.join(views)}", field="sql"
        ) from error
    except (duckdb.ProgrammingError, duckdb.DataError, duckdb.NotSupportedError) as error:
        told = faults.sentence("the query cannot be answered", place, error)
        raise InputError(f"{told}; there is {', '.join(views)}", field="sql") from error
    except (duckdb.Error, pa.ArrowException, OSError) as error:
        raise StorageError(faults.sentence("the query failed", place, error)) from error
