"""Findings of checks: what was found of stored bars, whether it is open, accepted with a reason, or gone.

A finding is found again by its kind, its series and its place in time. Accepting holds for the bars as they are: one
that changes, comes or goes opens the finding again.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import sqlalchemy as sa

from ffe_core.errors import InputError
from ffe_core.series import Series
from ffe_core.storage.files import strict
from ffe_core.storage.rows import columns_of, portions, read_rows
from ffe_core.storage.state.database import ID, LARGEST_ID, Database, metadata

OPEN, ACCEPTED, GONE = "open", "accepted", "gone"
FINDING_STATES = (OPEN, ACCEPTED, GONE)
_Place = tuple[int, int, int]
"""[start, end) in epoch seconds, and how many bars in it."""
_TWO = 2

findings = sa.Table(
    "findings",
    metadata,
    sa.Column("id", ID, primary_key=True),
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("severity", sa.String, nullable=False),
    sa.Column("asset_pair", sa.String, nullable=False),
    sa.Column("timeframe", sa.String, nullable=False),
    sa.Column("provider", sa.String, nullable=False),
    sa.Column("other", sa.String, nullable=False),
    sa.Column("start", sa.BigInteger, nullable=False),
    sa.Column("end", sa.BigInteger, nullable=False),
    sa.Column("bars", sa.BigInteger, nullable=False),
    sa.Column("size", sa.Float, nullable=False),
    sa.Column("evidence", sa.JSON, nullable=False),
    sa.Column("fingerprint", sa.String, nullable=False),
    sa.Column("state", sa.String, nullable=False),
    sa.Column("first_at", sa.Float, nullable=False),
    sa.Column("last_at", sa.Float, nullable=False),
    sa.Column("accepted", sa.String),
    sa.Column("actor", sa.String),
    sa.Column("reason", sa.String),
    sa.Column("decided_at", sa.Float),
    sa.Index("findings_by_series", "asset_pair", "timeframe", "provider", "kind"),
    sa.Index("findings_by_state", "state"),
)
checked_series = sa.Table(
    "checked_series",
    metadata,
    *(sa.Column(name, sa.String, primary_key=True) for name in ("asset_pair", "timeframe", "provider")),
    sa.Column("at", sa.Float, nullable=False),
    sa.Column("bars", sa.BigInteger, nullable=False),
    sa.Column("start", sa.BigInteger, nullable=False),
    sa.Column("end", sa.BigInteger, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found of a series; times in epoch seconds, [start, end)."""

    kind: str
    severity: str
    series: Series
    other: Series | None
    start: int
    end: int
    bars: int
    size: float
    evidence: Mapping[str, Any]
    fingerprint: str
    """Changes when a value of one of its bars changes, or one comes or goes."""


@dataclass(slots=True)
class Checked:
    """What came of the checks of one series: its bars, from when to when (epoch seconds), and the findings."""

    series: Series
    bars: int = 0
    start: int = 0
    end: int = 0
    findings: list[Finding] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    """Kinds that could not be told, and why: what is on record of them stays as it is."""


@dataclass(frozen=True, slots=True)
class FindingRow:
    """A finding on record; times in epoch seconds. `accepted` is the fingerprint that was accepted, by whom and why."""

    id: int
    kind: str
    severity: str
    asset_pair: str
    timeframe: str
    provider: str
    other: str
    start: int
    end: int
    bars: int
    size: float
    evidence: Mapping[str, Any]
    fingerprint: str
    state: str
    first_at: float
    last_at: float
    accepted: str | None
    actor: str | None
    reason: str | None
    decided_at: float | None

    @property
    def series(self) -> Series:
        """The series it is about."""
        return Series(self.asset_pair, self.timeframe, self.provider)

    @property
    def other_series(self) -> Series | None:
        """The series it was found against, if there is one."""
        return Series(*self.other.split("/", 2)) if self.other else None

    @property
    def bars_changed(self) -> bool:
        """Whether it was accepted, and is open again as its bars are others now."""
        return self.state == OPEN and self.accepted is not None


@dataclass(frozen=True, slots=True)
class SeriesScore:
    """How a series stands since it was checked last for all that counts (`at`, epoch seconds), with `bars` then."""

    series: Series
    at: float
    bars: int
    open: int
    """Open findings that are no mere notices; what it and the only other source disagree in among them."""
    faulty: int
    """Bars in them, each once; see `_held`."""

    @property
    def score(self) -> float:
        """The share of bars in no open finding, notices aside; 1.0 for a series without bars."""
        return 1 - self.faulty / self.bars if self.bars else 1.0


class FindingStore:
    """Reads and writes findings."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(
        self, done: Checked, kinds: Collection[str] | None = None, at: float | None = None, *, is_whole: bool = True
    ) -> dict[str, int]:
        """Take in what all checks found of a series, or those of some kinds; how many are new, open again, and gone.

        Unless it `is_whole`, which is that every kind was looked for that counts, the series gets no score by it.
        """
        moment = time.time() if at is None else at
        with self._database.write() as connection:
            known = [row for row in self._known(connection, done.series, kinds) if row.kind not in done.failed]
            counts = {"new": 0, "again": 0, "gone": 0}
            for found in done.findings:
                before = _same(known, found)
                if before is not None:
                    known.remove(before)
                counts["new"] += before is None
                counts["again"] += before is not None and _is_again(before, found)
                _write(connection, before, found, moment)
            left = [row.id for row in known if row.state != GONE]
            for some in portions(left):
                connection.execute(findings.update().where(findings.c.id.in_(some)).values(state=GONE, last_at=moment))
            if is_whole:
                _note_checked(connection, done, moment)
        return counts | {"gone": len(left)}

    def let_go(self, stored: Collection[Series]) -> int:
        """Let findings and scores of series go that are not stored any more; how many findings."""
        with self._database.write() as connection:
            gone = {id_: one for id_, one in self._not_gone(connection) if one not in stored}
            for some in portions(list(gone)):
                values = {"state": GONE, "last_at": time.time()}
                connection.execute(findings.update().where(findings.c.id.in_(some)).values(**values))
            for series in set(gone.values()):
                connection.execute(checked_series.delete().where(*_of(checked_series, series)))
        return len(gone)

    def decide(self, ids: Sequence[int], state: str, actor: str, reason: str) -> list[FindingRow]:
        """Accept findings as their bars are now, or open them again; those changed. InputError for one not known."""
        rows = self.get(ids)
        if missing := set(ids) - {row.id for row in rows}:
            raise InputError(f"there is no finding {min(missing)}; `ffe check list` has them", field="finding")
        changed = [row for row in rows if row.state not in (state, GONE)]
        with self._database.write() as connection:
            for row in changed:
                values: dict[str, Any] = {"state": state, "accepted": row.fingerprint if state == ACCEPTED else None}
                values |= {"actor": actor, "reason": reason, "decided_at": time.time()}
                connection.execute(findings.update().where(findings.c.id == row.id).values(**values))
        return changed

    def get(self, ids: Sequence[int]) -> list[FindingRow]:
        """The findings of these numbers; those that there are not are left out."""
        known = [one for one in ids if 0 < one <= LARGEST_ID]  # a database refuses to compare with a larger one
        return [row for some in portions(known) for row in self._select(findings.c.id.in_(some))]

    def find(
        self,
        *,
        series: Series | None = None,
        kinds: Collection[str] | None = None,
        states: Collection[str] | None = None,
        severities: Collection[str] | None = None,
    ) -> list[FindingRow]:
        """The findings that are all of this, by series and time."""
        wanted: list[sa.ColumnElement[bool]] = [] if series is None else _of(findings, series)
        for name, values in (("kind", kinds), ("state", states), ("severity", severities)):
            wanted += [] if values is None else [findings.c[name].in_(list(values))]
        return self._select(*wanted)

    def kinds(self) -> list[str]:
        """The kinds of all findings on record."""
        with self._database.read() as connection:
            return list(connection.scalars(sa.select(findings.c.kind).distinct().order_by(findings.c.kind)))

    def count_open(self) -> dict[str, int]:
        """How many findings are open, by severity."""
        query = sa.select(findings.c.severity, sa.func.count()).where(findings.c.state == OPEN)
        with self._database.read() as connection:
            return {name: int(count) for name, count in connection.execute(query.group_by(findings.c.severity))}

    def scores(self, notices: str) -> dict[Series, SeriesScore]:
        """How every series stands that was looked at whole; `notices` is the severity that does not count.

        What two sources of a timeframe disagree in counts for both where there are just those two: nobody can tell
        which of them is right.
        """
        names = ("asset_pair", "timeframe", "provider")
        query = sa.select(*(findings.c[name] for name in (*names, "other", "start", "end", "bars")))
        query = query.where(findings.c.state == OPEN, findings.c.severity != notices)
        with self._database.read() as connection:
            rows = connection.execute(sa.select(*(checked_series.c[name] for name in (*names, "at", "bars")))).all()
            found = [(Series(*row[:3]), row[3], tuple(row[4:])) for row in connection.execute(query)]
        places: dict[Series, list[_Place]] = {Series(*row[:3]): [] for row in rows}
        sources = Counter((one.asset_pair, one.timeframe) for one in places)
        for series, key, place in found:
            other = Series(*key.split("/", 2)) if key else series
            only_two = other.timeframe == series.timeframe and sources[other.asset_pair, other.timeframe] == _TWO
            for one in {series, other} if only_two else {series}:
                if one in places:
                    places[one].append(place)
        return {
            (one := Series(*of)): SeriesScore(one, at, bars, len(places[one]), min(bars, _held(places[one])))
            for *of, at, bars in rows
        }

    def _not_gone(self, connection: sa.Connection) -> list[tuple[int, Series]]:
        columns = [findings.c[name] for name in ("id", "asset_pair", "timeframe", "provider")]
        rows = connection.execute(sa.select(*columns).where(findings.c.state != GONE))
        return [(id_, Series(pair, timeframe, provider)) for id_, pair, timeframe, provider in rows]

    def _known(self, connection: sa.Connection, series: Series, kinds: Collection[str] | None) -> list[FindingRow]:
        wanted = [*_of(findings, series), *([] if kinds is None else [findings.c.kind.in_(list(kinds))])]
        query = sa.select(*columns_of(findings, FindingRow)).where(*wanted).order_by(findings.c.start, findings.c.id)
        return read_rows(connection, FindingRow, query)

    def _select(self, *wanted: sa.ColumnElement[bool]) -> list[FindingRow]:
        order = [findings.c[name] for name in ("asset_pair", "timeframe", "provider", "start", "kind", "id")]
        query = sa.select(*columns_of(findings, FindingRow)).where(*wanted).order_by(*order)
        with self._database.read() as connection:
            return read_rows(connection, FindingRow, query)


def _held(places: Sequence[_Place]) -> int:
    """How many bars some findings hold, each once.

    Which bars of its range a finding holds is not kept, only how many: they are taken as spread evenly over it. Where
    findings overlap, the one counts that holds the most there. So it is exact where they do not overlap or hold every
    bar, and otherwise never fewer than any of them holds, nor more than all together.
    """
    edges = sorted({edge for start, end, _ in places for edge in (start, end)})
    place_of = {edge: place for place, edge in enumerate(edges)}
    densest = np.zeros(max(0, len(edges) - 1))
    for start, end, bars in places:
        there = densest[place_of[start] : place_of[end]]
        np.maximum(there, bars / (end - start), out=there)
    return round(float(densest @ np.diff(edges))) if places else 0


def _same(known: Iterable[FindingRow], found: Finding) -> FindingRow | None:
    """The finding on record that this one is: of the same kind and sides, at the same place."""
    other = found.other.key if found.other else ""
    alike = [row for row in known if row.kind == found.kind and row.other == other]
    here = [row for row in alike if row.start < found.end and found.start < row.end]
    return min(here, key=lambda row: (row.state == GONE, abs(row.start - found.start)), default=None)


def _is_again(before: FindingRow, found: Finding) -> bool:
    return before.state != OPEN and before.accepted != found.fingerprint


def _write(connection: sa.Connection, before: FindingRow | None, found: Finding, at: float) -> None:
    names = ("kind", "severity", "start", "end", "bars", "size", "fingerprint")
    values: dict[str, Any] = {name: getattr(found, name) for name in names}
    values |= {"evidence": strict(dict(found.evidence)), "last_at": at}
    if before is None:
        one = found.series
        values |= {"asset_pair": one.asset_pair, "timeframe": one.timeframe, "provider": one.provider}
        values |= {"other": found.other.key if found.other else "", "state": OPEN, "first_at": at}
        connection.execute(findings.insert().values(**values))
        return
    values["state"] = ACCEPTED if before.accepted == found.fingerprint else OPEN
    connection.execute(findings.update().where(findings.c.id == before.id).values(**values))


def _note_checked(connection: sa.Connection, done: Checked, at: float) -> None:
    connection.execute(checked_series.delete().where(*_of(checked_series, done.series)))
    one = done.series
    values = {"asset_pair": one.asset_pair, "timeframe": one.timeframe, "provider": one.provider, "at": at}
    values |= {"bars": done.bars, "start": done.start, "end": done.end}
    connection.execute(checked_series.insert().values(**values))


def _of(table: sa.Table, series: Series) -> list[sa.ColumnElement[bool]]:
    return [table.c[name] == getattr(series, name) for name in ("asset_pair", "timeframe", "provider")]
