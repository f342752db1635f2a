"""Runs in the database: each run, its series with their counts, and its log lines."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import sqlalchemy as sa

from ffe_core.redaction import redact
from ffe_core.series import Series
from ffe_core.storage.rows import columns_of, portions, read_rows
from ffe_core.storage.state.database import ID, Database, metadata

QUEUED, RUNNING, CANCELLING = "queued", "running", "cancelling"
COMPLETE, GAPS, FAILED = "complete", "finished with gaps", "failed"
CANCELLED, INTERRUPTED = "cancelled", "interrupted"
ACTIVE = (QUEUED, RUNNING, CANCELLING)
STATES = (*ACTIVE, CANCELLED, INTERRUPTED, COMPLETE, GAPS, FAILED)
"""The literal names of the states of runs and of their series."""
CAME_TO_AN_END = (COMPLETE, GAPS, FAILED)
"""States of what has been worked through; what was interrupted or cancelled has not."""

UPKEEP = "upkeep"
"""The kind of a run that works on tables and not on series: its rows name a table each."""
CHECK = "check"
"""The kind of a run that checks what is stored: its rows name a pair each, with all its series."""
COVERAGE = "coverage"
"""The kind of a run that counts what is stored: its rows name a series each."""
OF_STORED = (UPKEEP, CHECK, COVERAGE)
"""Kinds of runs that are about what is stored: they have no range and bring no candles."""
IMPORT = "import"
"""The kind of a run that imports files."""
CONTINUED = ("backfill", IMPORT)
"""The kinds of runs that go on from the marks when they were stopped; any other is started again."""
TOLD = ("backfill", "refetch", IMPORT)
"""The kinds of runs whose counts are of what came; what was replayed is known record by record."""
COUNTING = "counting"
"""The phase of a series that looks how whole it is; of one that has ended, that what was stored is still to be counted,
as whoever worked on it did not live to tell."""
PROCESS_ENDED = "process_ended"
"""The error code of a run whose process is gone."""

runs = sa.Table(
    "runs",
    metadata,
    sa.Column("id", ID, primary_key=True),
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("state", sa.String, nullable=False, index=True),
    sa.Column("provider", sa.String, nullable=False),
    sa.Column("mode", sa.String, nullable=False),
    sa.Column("start", sa.BigInteger, nullable=False),
    sa.Column("end", sa.BigInteger, nullable=False),
    sa.Column("actor", sa.String, nullable=False),
    sa.Column("source", sa.String, nullable=False),
    sa.Column("parent_id", ID),
    sa.Column("owner", sa.String, nullable=False),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("started_at", sa.Float),
    sa.Column("ended_at", sa.Float),
    sa.Column("error", sa.String),
    sa.Column("parameters", sa.JSON, nullable=False),
    sa.Column("error_code", sa.String),
)
run_series = sa.Table(
    "run_series",
    metadata,
    sa.Column("run_id", sa.ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("asset_pair", sa.String, nullable=False),
    sa.Column("timeframe", sa.String, nullable=False),
    sa.Column("provider", sa.String, nullable=False),
    sa.Column("state", sa.String, nullable=False),
    sa.Column("phase", sa.String),
    sa.Column("start", sa.BigInteger),
    sa.Column("end", sa.BigInteger),
    sa.Column("pages_done", sa.Integer, nullable=False, server_default="0"),
    sa.Column("pages_planned", sa.Integer, nullable=False, server_default="0"),
    sa.Column("received", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("records", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("failed_records", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("repeats", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("restated", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("requests", sa.Integer, nullable=False, server_default="0"),
    sa.Column("retries", sa.Integer, nullable=False, server_default="0"),
    sa.Column("expected", sa.BigInteger),
    sa.Column("stored", sa.BigInteger),
    sa.Column("dead_lettered", sa.BigInteger),
    sa.Column("marked", sa.BigInteger),
    sa.Column("unexplained", sa.BigInteger),
    sa.Column("watermark", sa.BigInteger),
    sa.Column("started_at", sa.Float),
    sa.Column("ended_at", sa.Float),
    sa.Column("error", sa.String),
    sa.Column("next_step", sa.String),
    sa.Column("result", sa.JSON),
    sa.Column("error_code", sa.String),
    sa.Column("next_step_code", sa.String),
    sa.Column("machine", sa.String),
    sa.Index("run_series_by_series", "asset_pair", "timeframe", "provider"),
)
run_log = sa.Table(
    "run_log",
    metadata,
    sa.Column("id", ID, primary_key=True),
    sa.Column("run_id", sa.ForeignKey("runs.id", ondelete="CASCADE"), nullable=False, index=True),
    sa.Column("at", sa.Float, nullable=False),
    sa.Column("level", sa.String, nullable=False),
    sa.Column("text", sa.String, nullable=False),
)


@dataclass(frozen=True, slots=True)
class NewRun:
    """A run about to be written down; [start, end) in epoch seconds."""

    kind: str
    provider: str
    mode: str
    start: int
    end: int
    series: Sequence[Series]
    actor: str
    source: str
    owner: str
    parent_id: int | None = None
    parameters: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """A run; [start, end) and times in epoch seconds. `error_code` is the kind of `error`, None where it is not known,
    as in a run of release 0.1.0."""

    id: int
    kind: str
    state: str
    provider: str
    mode: str
    start: int
    end: int
    actor: str
    source: str
    parent_id: int | None
    owner: str
    created_at: float
    started_at: float | None
    ended_at: float | None
    error: str | None
    error_code: str | None
    parameters: Mapping[str, Any]

    @property
    def is_active(self) -> bool:
        """Whether it has not ended."""
        return self.state in ACTIVE

    @property
    def has_range(self) -> bool:
        """Whether it is about a range: what is stored has none, an import knows its own once a series is read."""
        return self.kind not in OF_STORED and not (self.kind == IMPORT and self.start == 0)


@dataclass(frozen=True, slots=True)
class RunSummary(Run):
    """A run with sums over its series; `progress` is their mean, 0 to 1. None without series, or where none counts."""

    series_total: int | None
    pairs_total: int | None
    series_done: int | None
    series_failed: int | None
    records_total: int | None
    restated_total: int | None
    failed_total: int | None
    unexplained_total: int | None
    progress: float | None


@dataclass(frozen=True, slots=True)
class RunSeries:
    """One series of a run; times in epoch seconds, `watermark` the open of the last stored bar.

    What to do next is `next_step_code`; `next_step` is the sentence that release 0.1.0 stored instead. `machine` is the
    worker that it runs or ran on, None for the process that owns the run.
    """

    run_id: int
    number: int
    asset_pair: str
    timeframe: str
    provider: str
    state: str
    phase: str | None
    start: int | None
    end: int | None
    pages_done: int
    pages_planned: int
    received: int
    records: int
    failed_records: int
    repeats: int
    restated: int
    requests: int
    retries: int
    expected: int | None
    stored: int | None
    dead_lettered: int | None
    marked: int | None
    unexplained: int | None
    watermark: int | None
    started_at: float | None
    ended_at: float | None
    error: str | None
    error_code: str | None
    next_step: str | None
    next_step_code: str | None
    machine: str | None
    result: Mapping[str, Any] | None

    @property
    def series(self) -> Series:
        """Which series it is."""
        return Series(self.asset_pair, self.timeframe, self.provider)

    @property
    def is_active(self) -> bool:
        """Whether it has not ended."""
        return self.state in ACTIVE

    @property
    def is_uncounted(self) -> bool:
        """Whether it has ended, and what it stored is still to be counted."""
        return self.phase == COUNTING and not self.is_active

    @property
    def dead_letters(self) -> int:
        """Records that were kept as dead letters: those that broke a rule, and, as its result tells, those that a later
        one of their bar replaced."""
        return self.failed_records + int((self.result or {}).get("superseded") or 0)


@dataclass(frozen=True, slots=True)
class LastRun(RunSeries):
    """A series in the newest run that had it, with that run's kind and when it was asked for."""

    kind: str
    created_at: float


class SeriesState(NamedTuple):
    """What became of a series in a run."""

    run_id: int
    series: Series
    state: str


class RunSums(NamedTuple):
    """What the series of a run come to; as in `RunSummary`."""

    series_total: int
    pairs_total: int
    series_done: int
    series_failed: int
    records_total: int
    restated_total: int
    failed_total: int
    unexplained_total: int | None
    progress: float


class RunCounts(NamedTuple):
    """What one run brought, and when it was asked for, epoch seconds."""

    created_at: float
    new: int
    failed_records: int


@dataclass(frozen=True, slots=True)
class RunLine:
    """One line of a run's log; `at` in epoch seconds."""

    id: int
    run_id: int
    at: float
    level: str
    text: str


class RunStore:
    """Reads and writes runs."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._last_of_ended: tuple[object, dict[Series, LastRun]] = None, {}  # and which runs had ended then
        self._pairs: tuple[object, list[str]] = None, []  # and which runs there were then
        self._sums_of_ended: dict[tuple[int, float], RunSums | None] = {}  # by number and when it was asked for

    def add(self, run: NewRun) -> int:
        """Write a queued run with its queued series; returns its id."""
        values = {
            name: getattr(run, name)
            for name in ("kind", "provider", "mode", "start", "end", "actor", "source", "owner", "parent_id")
        }
        with self._database.write() as connection:
            inserted = connection.execute(
                runs.insert().values(
                    **values, state=QUEUED, created_at=time.time(), parameters=dict(run.parameters or {})
                )
            )
            run_id = int(inserted.inserted_primary_key[0])  # type: ignore[index]
            connection.execute(
                run_series.insert(),
                [
                    {
                        "run_id": run_id,
                        "number": number,
                        "asset_pair": series.asset_pair,
                        "timeframe": series.timeframe,
                        "provider": series.provider,
                        "state": QUEUED,
                    }
                    for number, series in enumerate(run.series)
                ],
            )
        return run_id

    def update(self, run_id: int, **values: Any) -> None:
        """Change columns of a run."""
        with self._database.write() as connection:
            connection.execute(runs.update().where(runs.c.id == run_id).values(**values))

    def move(self, run_id: int, from_states: Sequence[str], **values: Any) -> bool:
        """Change columns of a run if it is in one of these states now; whether it was."""
        found = (runs.c.id == run_id) & runs.c.state.in_(from_states)
        with self._database.write() as connection:
            return connection.execute(runs.update().where(found).values(**values)).rowcount > 0

    def update_series(self, run_id: int, changes: Mapping[int, Mapping[str, Any]]) -> None:
        """Change columns of some of a run's series, by their number, in one transaction."""
        alike: dict[tuple[str, ...], list[dict[str, Any]]] = {}
        for number, values in changes.items():
            alike.setdefault(tuple(sorted(values)), []).append({**values, "of_run": run_id, "of_number": number})
        mine = (run_series.c.run_id == sa.bindparam("of_run")) & (run_series.c.number == sa.bindparam("of_number"))
        with self._database.write() as connection:
            for names, rows in alike.items():
                if names:
                    change = run_series.update().where(mine).values({name: sa.bindparam(name) for name in names})
                    connection.execute(change, rows)

    def log(self, run_id: int, level: str, text: str) -> None:
        """Add a line to a run's log, free of secrets."""
        self.add_lines(run_id, [(time.time(), level, text)])

    def add_lines(self, run_id: int, lines: Sequence[tuple[float, str, str]]) -> None:
        """Add lines (epoch seconds, level, text) to a run's log, free of secrets."""
        if lines:
            rows = [{"run_id": run_id, "at": at, "level": level, "text": redact(text)} for at, level, text in lines]
            with self._database.write() as connection:
                connection.execute(run_log.insert(), rows)

    def get(self, run_id: int) -> Run | None:
        """One run; None if there is none of this id."""
        with self._database.read() as connection:
            found = read_rows(connection, Run, sa.select(*columns_of(runs, Run)).where(runs.c.id == run_id))
        return found[0] if found else None

    def states(self, run_ids: Sequence[int]) -> dict[int, str]:
        """The state of each of these runs that there is."""
        found: dict[int, str] = {}
        with self._database.read() as connection:
            for some in portions(run_ids):
                rows = connection.execute(sa.select(runs.c.id, runs.c.state).where(runs.c.id.in_(some)))
                found.update({row.id: row.state for row in rows})
        return found

    def series(self, run_id: int, *, with_results: bool = True) -> list[RunSeries]:
        """The series of a run, in the order asked; who follows a run does without the results, which may be large."""
        columns = columns_of(run_series, RunSeries)
        if not with_results:
            columns = [sa.null().label("result") if one is run_series.c.result else one for one in columns]
        query = sa.select(*columns).where(run_series.c.run_id == run_id)
        with self._database.read() as connection:
            return read_rows(connection, RunSeries, query.order_by(run_series.c.number))

    def taken_up(self, run_id: int) -> dict[Series, int]:
        """The series of a run that later runs went on with or tried again, each with the newest of those runs."""
        columns = (run_series.c.asset_pair, run_series.c.timeframe, run_series.c.provider, run_series.c.run_id)
        query = sa.select(*columns).join(runs, runs.c.id == run_series.c.run_id).where(runs.c.parent_id == run_id)
        with self._database.read() as connection:
            return {Series(*names): by for *names, by in connection.execute(query.order_by(runs.c.id))}

    def lines(self, run_id: int, most: int = 200) -> list[RunLine]:
        """The newest lines of a run's log, oldest first."""
        query = sa.select(run_log).where(run_log.c.run_id == run_id).order_by(run_log.c.id.desc()).limit(most)
        with self._database.read() as connection:
            return read_rows(connection, RunLine, query)[::-1]

    def pairs(self) -> list[str]:
        """Every stored name that a run was about, not to be changed."""
        with self._database.read() as connection:
            there, (known, found) = connection.execute(_ALL_RUNS).one(), self._pairs
            if there != known:
                found = list(connection.scalars(sa.select(run_series.c.asset_pair).distinct()))
                self._pairs = there, found
        return found

    def find(
        self,
        *,
        states: Sequence[str] = (),
        kinds: Sequence[str] = (),
        provider: str | None = None,
        asset_pairs: Sequence[str] = (),
        source: str | None = None,
        since: float | None = None,
        until: float | None = None,
        limit: int = 50,
        offset: int = 0,
    ) -> tuple[list[RunSummary], int]:
        """One page of runs, newest first, and how many match; each with sums over its series. A source of "schedule"
        is any of them."""
        wanted: list[sa.ColumnElement[bool]] = [runs.c.state.in_(states)] if states else []
        wanted += [runs.c.kind.in_(kinds)] if kinds else []
        wanted += [runs.c.provider == provider] if provider else []
        if source:
            of_any = runs.c.source.startswith(f"{source}:", autoescape=True)
            wanted.append((runs.c.source == source) | of_any)
        wanted += [runs.c.created_at >= since] if since is not None else []
        wanted += [runs.c.created_at < until] if until is not None else []
        if asset_pairs:
            of_one = run_series.c.asset_pair.in_(list(asset_pairs))
            wanted.append(runs.c.id.in_(sa.select(run_series.c.run_id).where(of_one)))
        page = sa.select(*columns_of(runs, Run)).where(*wanted).order_by(runs.c.id.desc()).limit(limit).offset(offset)
        with self._database.read() as connection:
            total = connection.scalar(sa.select(sa.func.count()).select_from(runs).where(*wanted)) or 0
            shown = connection.execute(page).mappings().all() if total else []
            # Only of the runs shown: what every other run came to may be a million rows.
            sums = self._sums(connection, shown)
        none = dict.fromkeys(RunSums._fields)
        return [
            RunSummary(**run, **(none if one is None else one._asdict())) for run, one in zip(shown, sums, strict=True)
        ], total

    def count_active(self) -> int:
        """How many runs have not ended."""
        with self._database.read() as connection:
            return connection.scalar(sa.select(sa.func.count()).select_from(runs).where(_IS_ACTIVE)) or 0

    def _sums(self, connection: sa.Connection, some: Sequence[sa.RowMapping]) -> list[RunSums | None]:
        """What the series of each of some runs come to, None without any; of a run that has ended, and
        whose series are all counted, it stays the same."""
        keys = [(run["id"], run["created_at"]) for run in some]
        known = {key: self._sums_of_ended[key] for key in keys if key in self._sums_of_ended}
        found: dict[int, RunSums] = {}
        counting: set[int] = set()
        for numbers in portions([key[0] for key in keys if key not in known]):
            query = _sums().add_columns(_UNCOUNTED).where(run_series.c.run_id.in_(numbers))
            for number, *sums, uncounted in connection.execute(query):
                found[number] = RunSums(*sums)
                counting |= {number} if uncounted else set()
        if len(self._sums_of_ended) > _MOST_SUMS:
            self._sums_of_ended.clear()
        ended = [key for key, run in zip(keys, some, strict=True) if key not in known and run["state"] not in ACTIVE]
        self._sums_of_ended.update({key: found.get(key[0]) for key in ended if key[0] not in counting})
        return [known[key] if key in known else found.get(key[0]) for key in keys]

    def series_states(self, run_ids: Sequence[int], most: int = 5_000) -> list[SeriesState]:
        """What became of each series in these runs, those of the newest run first; `most` of them."""
        row = run_series.c
        query = (
            sa.select(row.run_id, row.asset_pair, row.timeframe, row.provider, row.state)
            .where(row.run_id.in_(run_ids))
            .order_by(row.run_id.desc(), row.number)
            .limit(most)
        )
        with self._database.read() as connection:
            return [SeriesState(run, Series(*series), state) for run, *series, state in connection.execute(query)]

    def counts_since(self, since: float, most: int = 2_000) -> list[RunCounts]:
        """What each run with series since an instant brought, of the newest `most` runs."""
        columns = (runs.c.id, runs.c.created_at, runs.c.state)
        query = sa.select(*columns).where(runs.c.created_at >= since).order_by(runs.c.id.desc()).limit(most)
        with self._database.read() as connection:
            found = connection.execute(query).mappings().all()
            sums = self._sums(connection, found)
        return [
            RunCounts(run["created_at"], one.records_total - one.restated_total, one.failed_total)
            for run, one in zip(found, sums, strict=True)
            if one is not None
        ]

    def first_pairs(self, run_ids: Sequence[int], most: int) -> dict[int, list[str]]:
        """The pairs of the first series of some runs, each once: those of up to `most` series."""
        query = (
            sa.select(run_series.c.run_id, run_series.c.asset_pair)
            .where(run_series.c.run_id.in_(run_ids), run_series.c.number < most)
            .order_by(run_series.c.run_id, run_series.c.number)
        )
        found: dict[int, dict[str, None]] = {}
        with self._database.read() as connection:
            for run_id, pair in connection.execute(query):
                found.setdefault(run_id, {})[pair] = None
        return {run_id: list(pairs) for run_id, pairs in found.items()}

    def working_on(self, series: Sequence[Series]) -> dict[Series, int]:
        """Those of the series that an active run fetches and has not ended, with the run's number."""
        active = run_series.c.state.in_(ACTIVE) & runs.c.state.in_(ACTIVE) & runs.c.kind.not_in(OF_STORED)
        columns = (run_series.c.asset_pair, run_series.c.timeframe, run_series.c.provider, run_series.c.run_id)
        query = sa.select(*columns).join(runs, runs.c.id == run_series.c.run_id).where(active).order_by(runs.c.id)
        with self._database.read() as connection:
            held = {Series(*names): run_id for *names, run_id in connection.execute(query)}
        return {item: held[item] for item in series if item in held}

    def owners_of_active(self) -> set[str]:
        """The processes that active runs belong to."""
        query = sa.select(runs.c.owner).where(runs.c.state.in_(ACTIVE)).distinct()
        with self._database.read() as connection:
            return set(connection.scalars(query))

    def asked_to_stop(self, owner: str) -> list[int]:
        """The runs of a process that somebody, maybe elsewhere, has asked to be cancelled."""
        query = sa.select(runs.c.id).where(runs.c.owner == owner, runs.c.state == CANCELLING)
        with self._database.read() as connection:
            return list(connection.scalars(query))

    def active_of(self, owners: Sequence[str]) -> list[int]:
        """The active runs of some processes."""
        query = sa.select(runs.c.id).where(runs.c.owner.in_(owners), runs.c.state.in_(ACTIVE)).order_by(runs.c.id)
        with self._database.read() as connection:
            return list(connection.scalars(query))

    def last_of_series(self) -> Mapping[Series, LastRun]:
        """For every series, its row in the newest run that had it, with the run's `kind` and `created_at`; not to be
        changed, and the very same mapping as long as no run is active, ends or is pruned."""
        with self._database.read() as connection:
            ended, (known, found) = connection.execute(_ENDED_RUNS).one(), self._last_of_ended
            if ended != known:
                found = {row.series: row for row in read_rows(connection, LastRun, _last_of_series(~_IS_ACTIVE))}
                self._last_of_ended = ended, found
            active = {row.series: row for row in read_rows(connection, LastRun, _last_of_series(_IS_ACTIVE))}
        if not active:
            return found
        return found | {one: row for one, row in active.items() if one not in found or found[one].run_id < row.run_id}

    def last_upkeep(self) -> dict[str, RunSeries]:
        """For every table, its row in the newest upkeep run that came to an end with it, by timeframe."""
        ended = (runs.c.kind == UPKEEP) & (run_series.c.state == COMPLETE)
        joined = sa.select(sa.func.max(run_series.c.run_id).label("run_id"), run_series.c.timeframe)
        newest = joined.join(runs, runs.c.id == run_series.c.run_id).where(ended).group_by(run_series.c.timeframe)
        found = newest.subquery()
        same = (run_series.c.run_id == found.c.run_id) & (run_series.c.timeframe == found.c.timeframe)
        query = sa.select(*columns_of(run_series, RunSeries)).join(found, same)
        with self._database.read() as connection:
            return {row.timeframe: row for row in read_rows(connection, RunSeries, query)}

    def active(self, kind: str) -> list[int]:
        """The active runs of a kind."""
        query = sa.select(runs.c.id).where(runs.c.kind == kind, runs.c.state.in_(ACTIVE)).order_by(runs.c.id)
        with self._database.read() as connection:
            return list(connection.scalars(query))

    def last_begun(self, kind: str, parameter: str) -> float | None:
        """When a run of a kind with this parameter true was begun last, epoch seconds; None if never."""
        wanted = (runs.c.kind == kind) & runs.c.parameters[parameter].as_boolean().is_(True)
        with self._database.read() as connection:
            last: float | None = connection.scalar(sa.select(sa.func.max(runs.c.created_at)).where(wanted))
        return last

    def requests_since(self, provider: str, since: float) -> int:
        """Requests made of a provider by runs that started after `since`: what is known of a daily quota's use."""
        query = (
            sa.select(sa.func.coalesce(sa.func.sum(run_series.c.requests), 0))
            .join(runs, runs.c.id == run_series.c.run_id)
            .where(run_series.c.provider == provider, runs.c.created_at >= since)
        )
        with self._database.read() as connection:
            return int(connection.scalar(query) or 0)

    def interrupt(self, run_id: int, reason: str) -> None:
        """End a run whose process is gone: it and its unfinished series read "interrupted", and what is stored of those
        is to be counted."""
        now = time.time()
        with self._database.write() as connection:
            unfinished = (run_series.c.run_id == run_id) & run_series.c.state.in_(ACTIVE)
            kind = connection.scalar(sa.select(runs.c.kind).where(runs.c.id == run_id))
            phase = COUNTING if kind in TOLD else None
            connection.execute(
                run_series.update().where(unfinished).values(state=INTERRUPTED, ended_at=now, phase=phase)
            )
            connection.execute(
                runs.update()
                .where(runs.c.id == run_id, runs.c.state.in_(ACTIVE))
                .values(state=INTERRUPTED, ended_at=now, error=reason, error_code=PROCESS_ENDED)
            )

    def uncounted(self, since: float) -> list[Run]:
        """The runs that have ended since an instant with series of which it is still to be counted what is stored."""
        with_some = sa.select(run_series.c.run_id).where(run_series.c.run_id == runs.c.id, _IS_UNCOUNTED).exists()
        ended = runs.c.state.in_((CANCELLED, INTERRUPTED, FAILED)) & (runs.c.ended_at >= since)
        query = sa.select(*columns_of(runs, Run)).where(ended, with_some).order_by(runs.c.id)
        with self._database.read() as connection:
            return read_rows(connection, Run, query)

    def uncounted_series(self, run_id: int) -> list[RunSeries]:
        """Those series of a run that has ended."""
        return [row for row in self.series(run_id, with_results=False) if row.is_uncounted]

    def counted(self, run_id: int, counts: Mapping[int, Mapping[str, Any]]) -> None:
        """Write what was counted of series of a run that has ended, as columns by their number."""
        self.update_series(run_id, {number: {**columns, "phase": None} for number, columns in counts.items()})

    def begun_after(self, run: Run) -> dict[Series, float]:
        """When (epoch seconds) another run was made of each series of a run, the first after its end."""
        mine, other = run_series.alias(), run_series.alias()
        names = ("asset_pair", "timeframe", "provider")
        same = sa.and_(other.c.run_id > mine.c.run_id, *(other.c[name] == mine.c[name] for name in names))
        query = (
            sa.select(*(mine.c[name] for name in names), sa.func.min(runs.c.created_at))
            .join(other, same)
            .join(runs, runs.c.id == other.c.run_id)
            .where(mine.c.run_id == run.id, runs.c.kind.not_in(OF_STORED), runs.c.created_at >= (run.ended_at or 0.0))
            .group_by(*(mine.c[name] for name in names))
        )
        with self._database.read() as connection:
            return {Series(*found): at for *found, at in connection.execute(query)}


def _sums() -> sa.Select[Any]:
    def count(*states: str) -> sa.ColumnElement[int]:
        return sa.func.sum(sa.case((run_series.c.state.in_(states), 1), else_=0))

    # A series that has not planned its pages yet has got nowhere, however far the others are.
    part = sa.cast(run_series.c.pages_done, sa.Float) / sa.func.nullif(run_series.c.pages_planned, 0)
    progress = sa.case((run_series.c.state.in_((COMPLETE, GAPS)), 1.0), else_=sa.func.coalesce(part, 0.0))
    return sa.select(
        run_series.c.run_id,
        sa.func.count().label("series_total"),
        sa.func.count(run_series.c.asset_pair.distinct()).label("pairs_total"),
        (sa.func.count() - count(*ACTIVE)).label("series_done"),
        count(FAILED).label("series_failed"),
        sa.func.sum(run_series.c.records).label("records_total"),
        sa.func.sum(run_series.c.restated).label("restated_total"),
        sa.func.sum(run_series.c.failed_records).label("failed_total"),
        sa.func.sum(run_series.c.unexplained).label("unexplained_total"),
        sa.func.avg(progress).label("progress"),
    ).group_by(run_series.c.run_id)


_MOST_SUMS = 5_000
_IS_ACTIVE = runs.c.state.in_(ACTIVE)
_IS_UNCOUNTED = (run_series.c.phase == COUNTING) & run_series.c.state.not_in(ACTIVE)
_UNCOUNTED = sa.func.sum(sa.case((_IS_UNCOUNTED, 1), else_=0))
_ALL_RUNS = sa.select(sa.func.count(), sa.func.max(runs.c.id), sa.func.max(runs.c.created_at))
"""What changes whenever a run is added or pruned; its series are its own from then on."""
_ENDED_RUNS = sa.select(sa.func.count(), sa.func.max(runs.c.id), sa.func.max(runs.c.ended_at)).where(~_IS_ACTIVE)
"""What changes whenever a run ends or is pruned; of the rows of an ended run nothing does but counts and a phase."""


def _last_of_series(of_runs: sa.ColumnElement[bool]) -> sa.Select[Any]:
    """Every series' row in the newest of some runs that had it."""
    names = [run_series.c[name] for name in ("asset_pair", "timeframe", "provider")]
    wanted = of_runs & runs.c.kind.not_in(OF_STORED)
    newest = (
        sa.select(sa.func.max(run_series.c.run_id).label("run_id"), *names)
        .join(runs, runs.c.id == run_series.c.run_id)
        .where(wanted)
        .group_by(*names)
        .subquery()
    )
    same = sa.and_(*(run_series.c[column.name] == column for column in newest.c))
    query = sa.select(*columns_of(run_series, RunSeries), runs.c.kind, runs.c.created_at)
    return query.join(newest, same).join(runs, runs.c.id == run_series.c.run_id)
