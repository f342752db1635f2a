"""Current rows: the latest version of each bar of many series, data files read whole.

`Snapshot.rows` asks Arrow's dataset for one series; here a year of 8,760 bars costs a third of that, as a file that
lies in the range is read without a filter, and versions are looked at only where a bar is there twice.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ffe_core.candles import SCHEMA
from ffe_core.locations import local_folder
from ffe_core.series import Series
from ffe_core.storage.lake.comparison import latest
from ffe_core.storage.lake.many_files import decoded, scanned
from ffe_core.storage.lake.snapshot import MICROS, Files, Snapshot, instant, micros

_REMOTE_READERS = 16
"""Files of an object store that are waited for at a time."""


@dataclass(frozen=True, slots=True, eq=False)
class _Cluster:
    """Files of one series that share time with one another and with no other file."""

    series: Series
    files: Files


@dataclass(frozen=True, slots=True, eq=False)
class _Asked:
    """What is read of every cluster."""

    snapshot: Snapshot
    start: int
    end: int
    names: Sequence[str]
    known_at: int | None


def current_rows(
    snapshot: Snapshot,
    series: Sequence[Series],
    start: int,
    end: int,
    columns: Sequence[str],
    known_at: int | None = None,
) -> list[pa.Table]:
    """Of each series the stored bars that open in [start, end) (epoch seconds), one row each, by time.

    Columns: timestamp, then `columns`. `known_at` (epoch microseconds) leaves out what was stored later. DamagedTable
    if a data file cannot be read.
    """
    names = ["timestamp", *(name for name in columns if name != "timestamp")]
    asked = _Asked(snapshot, start, end, names, known_at)
    clusters = [cluster for one in series for cluster in _clusters(one, snapshot.files(one), start, end, known_at)]
    found: dict[Series, list[pa.Table]] = {one: [] for one in series}
    for cluster, rows in zip(clusters, _each(asked, clusters), strict=True):
        found[cluster.series].append(rows)
    empty = _typed(names).empty_table()
    return [pa.concat_tables(parts) if parts else empty for parts in (found[one] for one in series)]


def current_frame(
    snapshot: Snapshot,
    series: Sequence[Series],
    start: int,
    end: int,
    columns: Sequence[str],
    known_at: int | None = None,
) -> tuple[Any, list[int]] | None:
    """The rows of `current_rows` as one polars.DataFrame, series after series, and how many are of each.

    None where some of them have to be looked at: a bar may be there twice, or a file holds others too.
    """
    folder = local_folder(snapshot.uri)
    if folder is None:
        return None
    names = ["timestamp", *(name for name in columns if name != "timestamp")]
    asked = _Asked(snapshot, start, end, names, known_at)
    paths: list[str] = []
    rows: list[int] = []
    sizes: list[int] = []
    for one in series:
        files = snapshot.files(one)
        places = _wanted_wholly(asked, one, files)
        if places is None:
            return None
        of_one = [int(files.rows[place]) for place in places]
        paths += [files.paths[place] for place in places]
        rows += of_one
        sizes.append(sum(of_one))
    frame = scanned(folder, paths, rows, names)
    return None if frame is None or not _each_rises(frame, sizes) else (frame, sizes)


def _wanted_wholly(asked: _Asked, series: Series, files: Files) -> list[int] | None:
    """The places of the files of a series that matter, by time; None unless each is wanted whole and none shares time.

    The same could be told of `_clusters`, whose copies cost twice as much.
    """
    places = files.places(asked.start, asked.end)
    if asked.known_at is not None:
        places = places[files.oldest[places] <= asked.known_at]
    if len(places) > 1:
        places = places[np.argsort(files.first[places], kind="stable")]
        if (files.first[places[1:]] <= files.last[places[:-1]]).any():
            return None
    found: list[int] = places.tolist()
    return found if all(_is_whole(asked, series, files, place) for place in found) else None


def _each_rises(frame: Any, sizes: Sequence[int]) -> bool:
    """Whether the times of each series strictly rise."""
    seams = list(accumulate(sizes, initial=0))
    column, begin, last = frame["timestamp"], 0, 0
    # The whole column would be copied together.
    for chunk in column.get_chunks() if column.n_chunks() > 1 else (column,):
        at = chunk.to_numpy().view(np.int64)  # plain numbers compare twice as fast as times
        rises, end = at[1:] > at[:-1], begin + len(at)
        place, after = bisect_left(seams, begin), bisect_right(seams, begin)
        if inner := seams[after : bisect_left(seams, end)]:
            rises[np.array(inner) - begin - 1] = True
        if not rises.all() or (len(at) and at[0] <= last and place == after):
            return False
        begin, last = end, int(at[-1]) if len(at) else last
    return True


def _each(asked: _Asked, clusters: Sequence[_Cluster]) -> Iterator[pa.Table]:
    """Files of an object store side by side, of a local disk many at once or one by one: threads cost more there."""
    folder = local_folder(asked.snapshot.uri)
    if folder is None and len(clusters) > 1:
        with ThreadPoolExecutor(min(len(clusters), _REMOTE_READERS)) as pool:
            yield from pool.map(partial(_rows_of, asked), clusters)
        return
    ready = _decoded(asked, clusters, folder) if folder else {}
    for place, cluster in enumerate(clusters):
        yield _rows_of(asked, cluster, ready.get(place))


def _decoded(asked: _Asked, clusters: Sequence[_Cluster], folder: Path) -> dict[int, pa.Table]:
    """The rows of the files that hold nothing but what is wanted, by the place of their cluster."""
    whole = [place for place, cluster in enumerate(clusters) if _is_plain(asked, cluster)]
    paths = [clusters[place].files.paths[0] for place in whole]
    rows = [int(clusters[place].files.rows[0]) for place in whole]
    found = decoded(folder, paths, rows, asked.names)
    return {} if found is None else dict(zip(whole, found, strict=True))


def _clusters(series: Series, files: Files, start: int, end: int, known_at: int | None) -> list[_Cluster]:
    """The files that matter, by time, apart where none reaches into the next."""
    chosen = files.between(start, end)
    if known_at is not None:
        chosen = chosen.where(chosen.oldest <= known_at)
    if len(chosen) <= 1:
        return [_Cluster(series, chosen)] if len(chosen) else []
    chosen = chosen.where(np.argsort(chosen.first, kind="stable"))
    reach = np.maximum.accumulate(chosen.last)
    edges = [0, *(1 + np.flatnonzero(chosen.first[1:] > reach[:-1])).tolist(), len(chosen)]
    return [_Cluster(series, chosen.where(np.arange(*pair))) for pair in pairwise(edges)]


def _is_plain(asked: _Asked, cluster: _Cluster) -> bool:
    """Whether all rows of the cluster's one file are wanted, as far as the log tells."""
    return len(cluster.files) == 1 and _is_whole(asked, cluster.series, cluster.files, 0)


def _is_whole(asked: _Asked, series: Series, files: Files, place: int) -> bool:
    """Whether all rows of a file are wanted, as far as the log tells."""
    low, high = files.providers[place]
    return (
        bool(asked.start <= files.first[place] and files.last[place] < asked.end)
        and low == high == series.provider
        and _is_known(asked, files, place)
    )


def _is_known(asked: _Asked, files: Files, place: int) -> bool:
    """Whether everything of a file was known at the moment asked for."""
    return asked.known_at is None or bool(files.newest[place] <= asked.known_at)


def _rows_of(asked: _Asked, cluster: _Cluster, ready: pa.Table | None = None) -> pa.Table:
    series, files = cluster.series, cluster.files
    if len(files) == 1 and _is_known(asked, files, 0):
        rows = _file_rows(asked, series, files) if ready is None else ready
        if _is_rising(micros(rows["timestamp"])):
            return rows
    keys = [*asked.names, *(["_extracted_at"] if "_extracted_at" not in asked.names else [])]
    rows = asked.snapshot.rows(series, asked.start, asked.end, keys, files)
    if asked.known_at is not None:
        rows = rows.filter(pa.array(micros(rows["_extracted_at"]) <= asked.known_at))
    return latest(rows).select(asked.names)


def _file_rows(asked: _Asked, series: Series, files: Files) -> pa.Table:
    """The rows of one file that are of the series and the range, in the file's order."""
    [path], [providers], names = files.paths, files.providers, asked.names
    is_shared = (providers != series.provider).any()
    wanted = [*names, "source_provider"] if is_shared and "source_provider" not in names else list(names)
    is_inside = asked.start <= files.first[0] and files.last[0] < asked.end
    try:
        rows = _read(asked.snapshot, path, wanted, None if is_inside else (asked.start, asked.end))
    except (OSError, pa.ArrowException) as error:
        raise asked.snapshot.damaged(series, [path], wanted, error) from error
    if is_shared:
        import pyarrow.compute as pc

        rows = rows.filter(pc.equal(rows["source_provider"], series.provider)).select(names)
    return rows if is_inside else _cut(rows, asked.start, asked.end)


def _read(snapshot: Snapshot, path: str, names: Sequence[str], span: tuple[int, int] | None) -> pa.Table:
    """Columns of a file, without the row groups that lie outside the span as far as their statistics tell."""
    import pyarrow.parquet as pq

    with snapshot.filesystem.open_input_file(path) as source, pq.ParquetFile(source) as file:
        if span is None or file.num_row_groups == 1:
            rows = file.read(columns=list(names), use_threads=False)
        else:
            rows = file.read_row_groups(_groups(file, *span), columns=list(names), use_threads=False)
    return _fitted(rows, names)


def _groups(file: Any, start: int, end: int) -> list[int]:
    """The row groups of a file that may hold a bar that opens in [start, end)."""
    place = file.schema_arrow.get_field_index("timestamp")
    low, high = instant(start * MICROS).as_py(), instant(end * MICROS).as_py()
    found = []
    for number in range(file.num_row_groups):
        known = file.metadata.row_group(number).column(place).statistics
        if known is None or not known.has_min_max or (known.min < high and known.max >= low):
            found.append(number)
    return found


def _fitted(rows: pa.Table, names: Sequence[str]) -> pa.Table:
    """The rows in the declared types, as a dataset would give them: what another tool wrote may lack a column."""
    wanted = _typed(names)
    if rows.schema.equals(wanted):
        return rows
    columns = [
        rows[field.name].cast(field.type) if field.name in rows.column_names else pa.nulls(rows.num_rows, field.type)
        for field in wanted
    ]
    return pa.Table.from_arrays(columns, schema=wanted)


def _typed(names: Sequence[str]) -> pa.Schema:
    return pa.schema([SCHEMA.field(name) for name in names])


def _cut(rows: pa.Table, start: int, end: int) -> pa.Table:
    at = micros(rows["timestamp"])
    low, high = start * MICROS, end * MICROS
    if _is_rising(at):
        first, last = np.searchsorted(at, (low, high)).tolist()
        return rows.slice(first, last - first)
    return rows.filter(pa.array((at >= low) & (at < high)))


def _is_rising(at: np.ndarray) -> bool:
    """Whether times strictly rise: then no bar is there twice."""
    return bool((at[1:] > at[:-1]).all())
