"""Lazy scans of candles: a polars LazyFrame or a DuckDB relation that reads what a query needs, when it is run."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa

from ffe_core.candles import SCHEMA
from ffe_core.errors import InputError
from ffe_core.insight.aggregate import UTC
from ffe_core.insight.bars import Moment, ranges_of
from ffe_core.insight.resample import COUNTS
from ffe_core.reading.asked import Asked, Lake, adjusted, asked, lake_of
from ffe_core.reading.frames import package, polars_frame
from ffe_core.reading.load import ADJUSTMENT, NAMES, REASONS, joined, names_of, rows_of, table_of
from ffe_core.reading.relations import bars_and_versions, unused_name
from ffe_core.settings import Settings
from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager
from ffe_core.storage.lake.snapshot import MICROS
from ffe_core.times import Instant

_TOOLS = ("polars", "duckdb")
_COUNTS = {"sources": pa.int64(), "expected": pa.int64(), "is_complete": pa.bool_(), REASONS: pa.string()}
_OWN = {**_COUNTS, ADJUSTMENT: NAMES}
"""Columns that no stored bar has."""


def scan_candles(
    pairs: str | Iterable[str],
    timeframe: str,
    start: Instant | None = None,
    end: Instant | None = None,
    provider: str | None = None,
    as_known_at: Moment | str | None = None,
    columns: Sequence[str] | None = None,
    resample: str | None = None,
    as_: str = "polars",
    *,
    zone: str = UTC,
    adjust: str | None = None,
    lake: Lake | None = None,
    config: Mapping[str, Any] | Settings | None = None,
    connection: Any = None,
) -> Any:
    """Scan the bars that `load_candles` would read with the same arguments, without reading them yet.

    Returns a polars.LazyFrame, whose every `collect` reads the lake as it is then, a share at a time and only the
    columns that the query uses; or for `as_` "duckdb" a relation (of `connection` if given), which sees the lake as it
    is now and opens the files that may hold the pairs and times of the query. Resampled bars are made a pair at a time,
    for DuckDB at once, as adjusted ones are. Errors as for `load_candles`, and PackageMissing.
    """
    if as_ not in _TOOLS:
        raise InputError(f"{as_!r} is unknown; use one of {', '.join(_TOOLS)}", field="as_")
    package(as_)
    settings = Settings.load(config)
    place = lake_of(lake, config)
    question = asked(place, pairs, timeframe, start, end, provider, as_known_at, resample, zone, adjust, settings)
    names = names_of(question, columns)
    scan = _Scan(place, question, names, settings, lake is None)
    return _relation(scan, connection) if as_ == "duckdb" else _lazy_frame(scan)


@dataclass(frozen=True, slots=True, eq=False)
class _Scan:
    """A question that is answered whenever a query is run."""

    lake: DeltaLakeManager
    question: Asked
    names: Sequence[str]
    """Columns beside timestamp and pair."""
    settings: Settings
    is_own_lake: bool

    def empty(self) -> pa.Table:
        """The answer without its rows."""
        fields = [(name, _OWN.get(name) or SCHEMA.field(name).type) for name in ("timestamp", *self.names)]
        nothing = pa.schema(fields).empty_table()
        return joined(self.question.series[:1], [nothing], self.names)

    def shares(self, used: Collection[str]) -> Iterator[pa.Table]:
        """The answer now, of the columns used, pair by pair and of stored bars a few partitions at a time."""
        names = [name for name in self.names if name in used]
        snapshot = self.lake.snapshot(self.question.series[0].table) or self.question.snapshot
        for series in self.question.series:
            one = replace(self.question, snapshot=snapshot, series=(series,))
            one = adjusted(one, one.adjust, self.settings)
            for start, end in self._spans(one):
                share = replace(one, start=start, end=end)
                rows = rows_of(share, names, self.settings, is_own_lake=self.is_own_lake)
                yield joined(share.series, rows, names)

    def _spans(self, one: Asked) -> Iterable[tuple[int, int]]:
        if one.size is not None:
            return [(one.start, one.end)]
        return ranges_of(one.snapshot.files(one.series[0]), one.start, one.end)


def _lazy_frame(scan: _Scan) -> Any:
    from polars.io.plugins import register_io_source

    empty = polars_frame(scan.empty())

    def read(columns: list[str] | None, predicate: Any, n_rows: int | None, batch_size: int | None) -> Iterator[Any]:
        used = set(empty.columns if columns is None else columns)
        used |= set() if predicate is None else set(predicate.meta.root_names())
        left = n_rows
        for share in chain(scan.shares(used), [None]):
            found: Any = empty if share is None else polars_frame(share)
            found = found if predicate is None else found.filter(predicate)
            found = found if columns is None else found.select(columns)
            yield found if left is None else found.head(left)
            left = None if left is None else max(0, left - len(found))
            if left == 0:
                return

    return register_io_source(read, schema=empty.schema)


def _relation(scan: _Scan, connection: Any) -> Any:
    own = package("duckdb").connect() if connection is None else connection
    if connection is None:
        own.execute("SET TimeZone = 'UTC'")
    question, name = scan.question, unused_name()
    if question.size is not None or question.adjust is not None:
        columns = [one for one in scan.names if one not in (*COUNTS, ADJUSTMENT)]
        own.register(name, table_of(question, columns, scan.settings, is_own_lake=scan.is_own_lake))
        return own.table(name)
    pairs = [one.asset_pair for one in question.series]
    files = question.snapshot.all_files().between(question.start, question.end)
    chosen = files.where(np.isin(files.pairs.astype(str), pairs))
    bars, _ = bars_and_versions(own, question.snapshot, chosen, question.known_at, name)
    columns = list(dict.fromkeys(("timestamp", "asset_pair", *scan.names)))
    wanted = " OR ".join(_is_of(one.asset_pair, one.provider) for one in question.series)
    first, last = (f"make_timestamptz({at * MICROS})" for at in (question.start, question.end))
    return own.sql(
        f"SELECT {', '.join(columns)} FROM ({bars}) WHERE ({wanted}) AND timestamp >= {first} AND timestamp < {last}"
    )


def _is_of(pair: str, provider: str) -> str:
    return f"(asset_pair = {_text(pair)} AND source_provider = {_text(provider)})"


def _text(value: str) -> str:
    quoted = value.replace("'", "''")
    return f"'{quoted}'"
