"""Dead letter search: pages of batches and of records, and counts by group, asked of the index.

A page walks the batches newest first and stops when it is full; counts of one filter are kept by the index. Only a
search in what was received reads files, newest first, as many as it takes to fill the page.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from itertools import groupby, islice
from operator import itemgetter
from typing import Any

import sqlalchemy as sa

from ffe_core.errors import InputError
from ffe_core.instruments.matching import matching_names
from ffe_core.series import Series
from ffe_core.storage.dead_letters import file as files
from ffe_core.storage.dead_letters.file import DeadLetterBatch
from ffe_core.storage.dead_letters.index import (
    ALL,
    BATCH_DIMENSIONS,
    DIMENSIONS,
    FAILED_AGAIN,
    NEW,
    NO_REASON,
    STATUSES,
    TOTAL,
    DeadLetterIndex,
    batches,
    cells,
    days,
    groups,
    records,
)
from ffe_core.storage.files import strict
from ffe_core.storage.rows import portions

TREND_DAYS = 30
_PLAIN = re.compile(r"[a-z0-9_.:-]+")
Read = Callable[[str], DeadLetterBatch]
"""Gives a batch by its id."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which records are asked for; an empty text asks for any."""

    reason: str = ""
    """A code, or the rule alone of `rule:field`; "none" for records that break no rule."""
    asset_pair: str = ""
    """As typed or as stored: see `instruments.matching`."""
    timeframe: str = ""
    provider: str = ""
    run: str = ""
    day: str = ""
    """The UTC day on which they were kept, for example 2024-01-31."""
    status: str = ""
    """pending, new, failed again, replayed, superseded by stored or discarded; partly replayed asks for batches."""
    text: str = ""
    """What a record contains, as received or edited, whatever the case of its letters."""
    batch: str = ""
    pairs: tuple[str, ...] = ()
    """The stored names that `asset_pair` came to, filled in by the search."""

    def __post_init__(self) -> None:
        if self.status and self.status not in (*STATUSES, files.PARTLY_REPLAYED):
            known = ", ".join((*STATUSES, files.PARTLY_REPLAYED))
            raise InputError(f"{self.status!r} is unknown; use one of {known}", field="status")

    @property
    def given(self) -> dict[str, str]:
        """The filters that are set."""
        names = (item.name for item in fields(self) if item.name != "pairs")
        return {name: value for name in names if (value := getattr(self, name))}

    @property
    def record_status(self) -> str:
        """The status of records to look for."""
        return ALL if self.status in ("", files.PARTLY_REPLAYED) else self.status


@dataclass(frozen=True, slots=True)
class Row:
    """One record as a list shows it."""

    batch_id: str
    number: int
    asset_pair: str
    timeframe: str
    provider: str
    run: str
    saved_at: float
    open: int | None
    """Bar open in epoch seconds, where the time can be read."""
    status: str
    reasons: tuple[str, ...]
    attempts: int
    revision: int
    value: Any


@dataclass(frozen=True, slots=True)
class Page:
    """Some of what matches; `total` is None where a search did not look to the end."""

    rows: list[Row]
    total: int | None
    more: bool


@dataclass(frozen=True, slots=True)
class DeadLetterBatchRow:
    """One batch as a list shows it, with its records counted by status."""

    id: str
    saved_at: float
    touched_at: float
    error: str
    context: dict[str, Any]
    status: str
    counts: dict[str, int]
    """How many records have each status; "all" for all of them."""
    matching: int

    @property
    def series(self) -> Series | None:
        """The series its records belong to; None if the context does not name one."""
        return files.series_of(self.context)

    @property
    def records(self) -> int:
        """How many there are in all."""
        return self.counts.get(ALL, 0)


@dataclass(frozen=True, slots=True)
class Group:
    """Records that share a reason, pair, timeframe, provider, run or day."""

    value: str
    count: int
    first_seen: float
    last_seen: float
    trend: tuple[int, ...]
    """How many were kept on each of the last 30 UTC days, today last."""


def names_of(index: DeadLetterIndex, pair: str) -> tuple[str, ...]:
    """The stored names that a typed pair means among the dead letters; InputError for what cannot be a name."""
    query = sa.select(groups.c.value).where(groups.c.dimension == "asset_pair", groups.c.status == ALL)
    with index.reading() as connection:
        return matching_names(pair, connection.scalars(query))


def _resolved(index: DeadLetterIndex, wanted: Wanted) -> Wanted:
    """The same with its pair as stored; one that no name fits stays, and matches nothing."""
    if not wanted.asset_pair or wanted.pairs:
        return wanted
    try:
        pairs = names_of(index, wanted.asset_pair) or (wanted.asset_pair,)
    except InputError:
        pairs = (wanted.asset_pair,)
    return replace(wanted, asset_pair=pairs[0], pairs=pairs)


def find(index: DeadLetterIndex, wanted: Wanted, read: Read, limit: int, offset: int) -> Page:
    """A page of records, the newest batch first."""
    wanted = _resolved(index, wanted)
    if wanted.text:
        return _searched_page(index, wanted, read, limit, offset)
    total = count(index, wanted)
    with index.reading() as connection:
        found = list(_window(connection, wanted, limit, offset))
    kept = {id_: read(id_) for id_ in dict.fromkeys(row.batch_id for row in found)}
    rows = [replace(row, value=kept[row.batch_id].records[row.number].value) for row in found]
    return Page(rows, total, offset + len(rows) < total)


def count(index: DeadLetterIndex, wanted: Wanted) -> int:
    """How many records match, a text aside."""
    wanted = _resolved(index, wanted)
    given = {name: value for name, value in wanted.given.items() if name not in ("status", "text")}
    if len(given) > 1 or len(wanted.pairs) > 1 or "batch" in given or wanted.status == files.PARTLY_REPLAYED:
        query = sa.select(sa.func.coalesce(sa.func.sum(cells.c["count"]), 0))
        with index.reading() as connection:
            return int(connection.scalar(_matching(query, wanted)) or 0)
    dimension, value = next(iter(given.items()), (TOTAL, ""))
    return index.in_group(dimension, value, wanted.record_status)


def batch_rows(
    index: DeadLetterIndex, wanted: Wanted, read: Read, limit: int | None, offset: int
) -> list[DeadLetterBatchRow]:
    """Batches with at least one matching record, the newest first."""
    wanted = _resolved(index, wanted)
    with index.reading() as connection:
        holding: Iterator[tuple[str, int]] = _batches(connection, wanted)
        if wanted.text:
            holding = ((id_, len(rows)) for id_, rows in _searched(connection, wanted, read))
        ids = dict(islice(holding, None if limit is None else offset + limit))
        chosen = list(ids)[offset:]
        return [row for some in portions(chosen) for row in _full(connection, some, ids)]


def rows_of(index: DeadLetterIndex, ids: Sequence[str]) -> list[DeadLetterBatchRow]:
    """The batches of these ids that there are, in this order."""
    with index.reading() as connection:
        return [row for some in portions(ids) for row in _full(connection, some, {})]


def span(index: DeadLetterIndex, selection: Mapping[str, Sequence[int]]) -> tuple[int, int] | None:
    """First and last bar open among some records."""
    edges: list[int] = []
    with index.reading() as connection:
        for id_, numbers in selection.items():
            for some in portions(numbers):
                query = (
                    sa.select(sa.func.min(records.c.open), sa.func.max(records.c.open))
                    .join(batches, batches.c.key == records.c.entry)
                    .where(batches.c.id == id_, records.c.number.in_(some))
                )
                edges += [edge for row in connection.execute(query) for edge in row if edge is not None]
    return (min(edges), max(edges)) if edges else None


def opens_of(index: DeadLetterIndex, selection: Mapping[str, Sequence[int]]) -> dict[str, dict[int, int]]:
    """Batch id -> number -> bar open of those records of a list whose time can be read."""
    found: dict[str, dict[int, int]] = {}
    with index.reading() as connection:
        for id_, numbers in selection.items():
            for some in portions(numbers):
                query = (
                    sa.select(records.c.number, records.c.open)
                    .join(batches, batches.c.key == records.c.entry)
                    .where(batches.c.id == id_, records.c.number.in_(some), records.c.open.is_not(None))
                )
                found.setdefault(id_, {}).update((number, open_) for number, open_ in connection.execute(query))
    return found


def pending_of(index: DeadLetterIndex, selection: Mapping[str, Sequence[int]]) -> dict[str, tuple[int, ...]]:
    """The part of a list that is pending now, in its order."""
    there: dict[str, set[int]] = {}
    with index.reading() as connection:
        for some in portions(list(selection)):
            query = (
                sa.select(batches.c.id, records.c.number)
                .join(batches, batches.c.key == records.c.entry)
                .where(batches.c.id.in_(some), records.c.status.in_((NEW, FAILED_AGAIN)))
            )
            for id_, number in connection.execute(query):
                there.setdefault(id_, set()).add(number)
    return {
        id_: tuple(number for number in numbers if number in there[id_])
        for id_, numbers in selection.items()
        if not there.get(id_, set()).isdisjoint(numbers)
    }


def group(index: DeadLetterIndex, dimension: str, wanted: Wanted, most: int = 50) -> list[Group]:
    """Records counted by reason, asset_pair, timeframe, provider, run or day, the largest groups first."""
    _require_dimension(dimension)
    wanted = _resolved(index, wanted)
    with index.reading() as connection:
        if _is_kept(wanted):
            return _kept_groups(connection, dimension, wanted.record_status, most)
        return _counted_groups(connection, dimension, wanted, most)


def largest(
    index: DeadLetterIndex, dimensions: Sequence[str], wanted: Wanted, most: int = 50
) -> dict[str, dict[str, int]]:
    """The counts of `group` alone, by dimension and value, the largest first: what a filter offers."""
    for one in dimensions:
        _require_dimension(one)
    if _is_kept(wanted):
        asked = {"status": wanted.record_status, "most": most}

        def ask(connection: sa.Connection) -> dict[str, dict[str, int]]:
            return {
                one: {row[0]: row[1] for row in connection.execute(_LARGEST, {**asked, "dimension": one})}
                for one in dimensions
            }

        return index.once(("largest", *dimensions, wanted.record_status, most), ask)
    return {one: {found.value: found.count for found in group(index, one, wanted, most)} for one in dimensions}


def _require_dimension(name: str) -> None:
    if name not in DIMENSIONS:
        raise InputError(f"{name!r} is unknown; use one of {', '.join(DIMENSIONS)}", field="group")


def _is_kept(wanted: Wanted) -> bool:
    """Whether the index keeps the counts of groups of what is wanted."""
    return set(wanted.given) <= {"status"} and wanted.status != files.PARTLY_REPLAYED


def select(index: DeadLetterIndex, wanted: Wanted, read: Read) -> Iterator[tuple[str, tuple[int, ...]]]:
    """The numbers of the matching records of each batch, the oldest batch first."""
    wanted = _resolved(index, wanted)
    with index.reading() as connection:
        if not wanted.text:
            rows = connection.execute(_all_numbers(wanted).execution_options(yield_per=10_000))
            for id_, found in groupby(rows, key=itemgetter(0)):
                yield id_, tuple(row[1] for row in found)
            return
        for id_, found_rows in _searched(connection, wanted, read, newest_first=False):
            yield id_, tuple(row.number for row in found_rows)


def _all_numbers(wanted: Wanted) -> sa.Select[Any]:
    query = _matching(sa.select(batches.c.id, records.c.number), wanted)
    return (
        query.join(records, records.c.entry == batches.c.key)
        .where(*_record_conditions(wanted))
        .order_by(batches.c.saved_at, batches.c.key, records.c.number)
    )


def _matching(query: sa.Select[Any], wanted: Wanted) -> sa.Select[Any]:
    """Narrow a query over batches and their cells to what is wanted."""
    return query.select_from(cells.join(batches, cells.c.entry == batches.c.key)).where(
        cells.c.reason == wanted.reason, cells.c.status == wanted.record_status, *_batch_conditions(wanted)
    )


def _batch_conditions(wanted: Wanted) -> list[sa.ColumnElement[bool]]:
    given = wanted.given
    if len(wanted.pairs) > 1:
        del given["asset_pair"]
    conditions = [batches.c[name] == given[name] for name in BATCH_DIMENSIONS if name in given]
    conditions += [batches.c.asset_pair.in_(wanted.pairs)] if len(wanted.pairs) > 1 else []
    conditions += [batches.c.id == wanted.batch] if wanted.batch else []
    conditions += [batches.c.status == wanted.status] if wanted.status == files.PARTLY_REPLAYED else []
    return conditions


def _batches(connection: sa.Connection, wanted: Wanted, *, newest_first: bool = True) -> Iterator[tuple[str, int]]:
    """Ids of batches that hold a match, and how many each holds (a text aside)."""
    by_batch = bool(_batch_conditions(wanted))
    # The order is that of the index the query walks, so that a page is full long before the end.
    order = (batches.c.saved_at, batches.c.key) if by_batch else (cells.c.saved_at, cells.c.entry)
    query = _matching(sa.select(batches.c.id, cells.c["count"]), wanted)
    query = query.order_by(*(column.desc() if newest_first else column for column in order))
    for row in connection.execute(query.execution_options(yield_per=100)):
        yield row[0], row[1]


def _window(connection: sa.Connection, wanted: Wanted, limit: int, offset: int) -> Iterator[Row]:
    """The records from `offset` on, batch by batch; batches before it are only counted."""
    skip = offset
    for id_, matching in _batches(connection, wanted):
        if skip >= matching:
            skip -= matching
            continue
        for row in _records(connection, id_, wanted, limit, skip):
            yield row
            limit -= 1
        if limit <= 0:
            return
        skip = 0


def _records(connection: sa.Connection, id_: str, wanted: Wanted, limit: int = -1, offset: int = 0) -> Iterator[Row]:
    query = (
        sa.select(records, batches.c.asset_pair, batches.c.timeframe, batches.c.provider)
        .add_columns(batches.c.run, batches.c.saved_at)
        .join(batches, batches.c.key == records.c.entry)
        .where(batches.c.id == id_, *_record_conditions(wanted))
        .order_by(records.c.number)
    )
    for row in connection.execute(query.limit(limit).offset(offset)):
        yield Row(
            id_,
            row.number,
            row.asset_pair,
            row.timeframe,
            row.provider,
            row.run,
            row.saved_at,
            row.open,
            files.PENDING if row.status in (NEW, FAILED_AGAIN) else row.status,
            tuple(json.loads(row.reasons)),
            row.attempts,
            row.revision,
            None,
        )


def _record_conditions(wanted: Wanted) -> list[sa.ColumnElement[bool]]:
    status = wanted.record_status
    which = (NEW, FAILED_AGAIN) if status == files.PENDING else (status,)
    conditions: list[sa.ColumnElement[bool]] = [] if status == ALL else [records.c.status.in_(which)]
    if wanted.reason == NO_REASON:
        conditions.append(records.c.reasons == "[]")
    elif wanted.reason:
        # As `json.dumps` wrote it; a rule alone also finds its fields.
        text = json.dumps(wanted.reason)
        conditions.append(
            sa.or_(*(sa.func.instr(records.c.reasons, part) > 0 for part in (text, text.removesuffix('"') + ":")))
        )
    return conditions


def _searched(
    connection: sa.Connection, wanted: Wanted, read: Read, *, newest_first: bool = True
) -> Iterator[tuple[str, list[Row]]]:
    """Batches that hold the text wanted, each with its matching records and their values.

    Every query is read to its end before a file is: one under way would keep dead letters from being saved.
    """
    for id_, _ in list(_batches(connection, wanted, newest_first=newest_first)):
        if rows := _found(connection, id_, wanted, read):
            yield id_, rows


def _found(connection: sa.Connection, id_: str, wanted: Wanted, read: Read) -> list[Row]:
    try:
        records = read(id_).records
    except (InputError, FileNotFoundError):
        return []  # removed since the search began
    if not records:
        return []
    needle = wanted.text.casefold()
    rows = []
    for row in list(_records(connection, id_, wanted)):
        record = records[row.number]
        if _contains(record.raw, needle) or (record.revision and _contains(record.value, needle)):
            rows.append(replace(row, value=record.value))
    return rows


def may_hold(file_text: str, text: str) -> bool:
    """Whether a file can hold a match, evaluated by its bare text; True where escapes could hide one."""
    needle = text.casefold()
    return not _PLAIN.fullmatch(needle) or needle in file_text.casefold()


def _contains(value: Any, needle: str) -> bool:
    return needle in json.dumps(strict(value), ensure_ascii=False).casefold()


def _searched_page(index: DeadLetterIndex, wanted: Wanted, read: Read, limit: int, offset: int) -> Page:
    rows: list[Row] = []
    with index.reading() as connection:
        for _, found in _searched(connection, wanted, read):
            rows += found
            if len(rows) > offset + limit:
                return Page(rows[offset : offset + limit], None, True)
    return Page(rows[offset:], len(rows), False)


def _full(connection: sa.Connection, ids: Sequence[str], matching: Mapping[str, int]) -> list[DeadLetterBatchRow]:
    found = connection.execute(sa.select(batches).where(batches.c.id.in_(ids))).all()
    keys = [row.key for row in found]
    counts: dict[int, dict[str, int]] = {key: {} for key in keys}
    columns = (cells.c.entry, cells.c.status, cells.c["count"])
    for key, status, number in connection.execute(
        sa.select(*columns).where(cells.c.entry.in_(keys), cells.c.reason == "")
    ):
        counts[key][status] = number
    rows = {
        row.id: DeadLetterBatchRow(
            row.id,
            row.saved_at,
            row.touched_at,
            row.error,
            json.loads(row.context),
            row.status,
            counts[row.key],
            matching.get(row.id, 0),
        )
        for row in found
    }
    return [rows[id_] for id_ in ids if id_ in rows]


def _kept_groups(connection: sa.Connection, dimension: str, status: str, most: int) -> list[Group]:
    found = connection.execute(_LARGEST, {"dimension": dimension, "status": status, "most": most}).all()
    last_days = _last_days()
    asked = {"dimension": dimension, "status": status, "most": most, "first": last_days[0]}
    trends: dict[str, dict[str, int]] = {}
    for value, day, number in connection.execute(_TRENDS, asked):
        trends.setdefault(value, {})[day] = number
    return [Group(*row, _trend(trends.get(row[0], {}), last_days)) for row in found]


_LARGEST = (
    sa.select(groups.c.value, groups.c["count"], groups.c.first_seen, groups.c.last_seen)
    .where(groups.c.dimension == sa.bindparam("dimension"), groups.c.status == sa.bindparam("status"))
    # A reason is counted by its rule; `rule:field` is kept for filters only.
    .where(sa.or_(groups.c.dimension != "reason", sa.func.instr(groups.c.value, ":") == 0))
    .order_by(groups.c["count"].desc(), groups.c.value)
    .limit(sa.bindparam("most"))
)
_TRENDS = sa.select(days.c.value, days.c.day, days.c["count"]).where(
    days.c.dimension == sa.bindparam("dimension"),
    days.c.status == sa.bindparam("status"),
    days.c.day >= sa.bindparam("first"),
    days.c.value.in_(sa.select(_LARGEST.subquery().c.value)),
)


def _counted_groups(connection: sa.Connection, dimension: str, wanted: Wanted, most: int) -> list[Group]:
    """The same counted here, where more than a status is asked for."""
    found: dict[str, tuple[int, float, float]] = {}
    trends: dict[str, dict[str, int]] = {}
    for value, day, number, first, last in connection.execute(_by_value_and_day(dimension, wanted)):
        known = found.get(value, (0, first, last))
        found[value] = (known[0] + number, min(known[1], first), max(known[2], last))
        trends.setdefault(value, {})[day] = number
    largest = sorted(found.items(), key=lambda item: (-item[1][0], item[0]))[:most]
    last_days = _last_days()
    return [Group(value, *counted, _trend(trends[value], last_days)) for value, counted in largest]


def _by_value_and_day(dimension: str, wanted: Wanted) -> sa.Select[Any]:
    value = cells.c.reason if dimension == "reason" else batches.c[dimension]
    query = (
        sa.select(
            value,
            batches.c.day,
            sa.func.sum(cells.c["count"]),
            sa.func.min(batches.c.saved_at),
            sa.func.max(batches.c.saved_at),
        )
        .select_from(batches.join(cells, cells.c.entry == batches.c.key))
        .where(cells.c.status == wanted.record_status, *_batch_conditions(wanted))
        .group_by(value, batches.c.day)
    )
    if dimension != "reason":
        return query.where(cells.c.reason == wanted.reason)
    if wanted.reason:
        return query.where(cells.c.reason == wanted.reason)
    return query.where(cells.c.reason != "", sa.func.instr(cells.c.reason, ":") == 0)


def _trend(by_day: Mapping[str, int], last_days: Sequence[str]) -> tuple[int, ...]:
    return tuple(by_day.get(day, 0) for day in last_days)


def _last_days() -> list[str]:
    today = datetime.now(UTC).date()
    return [(today - timedelta(days=ago)).isoformat() for ago in reversed(range(TREND_DAYS))]
