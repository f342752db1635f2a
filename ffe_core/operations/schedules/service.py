"""Schedule service: create, edit, pause, resume, duplicate, delete, run now, fill what was missed.

Every verb names its actor. Changing a schedule first accounts for it up to now, so that no due instant is forgotten;
an edit that began from an older version is refused.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from ffe_core.errors import FFEError, InputError, sentence
from ffe_core.ingestion import plan
from ffe_core.operations.instruments.resolved import Resolved, names_of
from ffe_core.operations.instruments.service import Instruments
from ffe_core.operations.runs.backfill import BEGINNING, is_beginning
from ffe_core.operations.schedules.due import CATCH_UPS, OVERLAPS, final_ticks, parse_since
from ffe_core.operations.schedules.requests import Plans
from ffe_core.operations.schedules.runs import SCHEDULER, Runs
from ffe_core.operations.schedules.triggers import check_zone, next_dues
from ffe_core.providers import provider_class
from ffe_core.storage.state import runs as run_states
from ffe_core.storage.state import schedules as schedule_states
from ffe_core.storage.state.audit import Audit, required_reason
from ffe_core.storage.state.schedules import DueTicks, Schedule, ScheduleStore, Tick

_LONGEST = 60
MOST_FAILURES = 1_000
_TRIES = 5


@dataclass(frozen=True, slots=True)
class Draft:
    """What people fill in; texts as typed. Series come from the watchlist or from provider, pairs and timeframes.

    `since` is a date, a time with a zone, days back like "30d", or "beginning": wherever each series begins.
    `same_book` says that both names of an order book are meant; it is asked of whoever saves, and not kept.
    """

    name: str
    provider: str = ""
    pairs: tuple[str, ...] = ()
    timeframes: tuple[str, ...] = ()
    watchlist: str | None = None
    trigger: str = "bar close"
    mode: str = "resume"
    since: str = "30d"
    zone: str = "UTC"
    overlap: str = "skip"
    catch_up: str = "latest"
    priority: bool = True
    pause_after: int = 5
    same_book: bool = False

    @classmethod
    def of(cls, schedule: Schedule) -> Draft:
        """A schedule as it would be filled in."""
        kept = (column.name for column in fields(cls) if column.name != "same_book")
        return cls(**{name: getattr(schedule, name) for name in kept})


@dataclass(frozen=True, slots=True)
class Attention:
    """Something about schedules that needs a person; `kind` is failed, paused or missed; `at` in epoch seconds."""

    kind: str
    text: str
    at: float
    schedule_id: int
    run_id: int | None = None


class Schedules:
    """Reads and changes schedules. `wake` has the scheduler of this process, if it leads, look at once; `is_listed`
    says whether a provider's own list has a pair, None where there is no list; `instruments` say what a typed pair is
    (without them its form alone does), and with `asks` they may ask its provider first."""

    def __init__(
        self,
        store: ScheduleStore,
        plans: Plans,
        runs: Runs,
        audit: Audit,
        *,
        is_listed: Callable[[str, str], bool | None] = lambda provider, pair: None,
        instruments: Instruments | None = None,
        asks: bool = False,
        clock: Callable[[], float] = time.time,
        wake: Callable[[], None] = lambda: None,
    ) -> None:
        self.store, self.plans = store, plans
        self._runs, self._audit, self._is_listed = runs, audit, is_listed
        self._clock, self._wake, self._instruments, self._asks = clock, wake, instruments, asks

    # -- drafts

    def problems(self, draft: Draft, own_id: int | None = None) -> dict[str, str]:
        """What is wrong with a draft, by its field; empty if it can be saved."""
        found: dict[str, str] = {}
        draft = self._with_its_books(draft, own_id)
        for check in (self._check_series, _check_mode, self._check_since, _check_zone, _check_choices):
            _note_problem(found, check, draft)
        _note_problem(found, lambda one: self._check_name(one, own_id), draft)
        _note_problem(found, self._check_trigger, draft)
        return found

    def resolve(self, draft: Draft) -> list[Resolved]:
        """What the typed pairs of a draft come to; none where it has a watchlist, whose pairs were resolved when it was
        saved. InputError for one that cannot be asked for."""
        if self._instruments is None or draft.watchlist is not None or not draft.pairs:
            return []
        return self._instruments.resolve(
            draft.provider, draft.pairs, allow_same_book=draft.same_book, refresh=self._asks
        )

    def as_stored(self, draft: Draft) -> Draft:
        """The draft with its pairs under the names that they are stored by. InputError as `resolve`."""
        return _under_stored_names(draft, self.resolve(draft))

    def notes(self, draft: Draft) -> tuple[str, ...]:
        """What was translated, or may surprise, about the trigger of a draft. InputError if it cannot be read."""
        return self.plans.trigger(self.as_stored(draft)).notes

    def next_dues(self, draft: Draft | Schedule, count: int = 5) -> list[int]:
        """When it is due next, epoch seconds; a paused schedule as if it were resumed now."""
        after = int(self._clock())
        if isinstance(draft, Schedule):
            after = max(after, draft.accounted_until)
        else:
            draft = self.as_stored(draft)
        return next_dues(self.plans.trigger(draft), after, count)

    # -- verbs

    def create(self, draft: Draft, actor: str) -> Schedule:
        """A new schedule, due from now on. InputError for the first problem of the draft."""
        draft, values = self._checked(draft, None)
        now = int(self._clock())
        next_due = next(iter(next_dues(self.plans.trigger(draft), now)), None)
        with self._audit.act(actor, "create schedule", "a new schedule", name=values["name"]) as act:
            created = self.store.add(**values, accounted_until=now, next_due=next_due, actor=actor)
            act.target = created.source
        self._wake()
        return created

    def edit(self, schedule_id: int, draft: Draft, actor: str, version: int | None = None) -> Schedule:
        """Change a schedule. InputError for a problem of the draft, or if it was changed since `version` was read."""
        draft, values = self._checked(draft, schedule_id)

        def change(schedule: Schedule) -> bool:
            if version is not None and schedule.version != version:
                raise InputError(
                    f"{schedule.name} was changed by somebody else meanwhile; look at it again, then edit",
                    field="schedule",
                )
            same = all(getattr(schedule, name) == getattr(draft, name) for name in _TIMING)
            return self.store.change(schedule, None if same else self._closing(schedule, draft), **values, actor=actor)

        return self._changed(schedule_id, change, actor, "edit schedule")

    def pause(self, schedule_id: int, reason: str, actor: str) -> Schedule:
        """Let it rest, saying why. InputError without a reason, or if it rests already."""
        why = required_reason(reason, "maintenance until Monday")

        def change(schedule: Schedule) -> bool:
            if schedule.paused:
                raise InputError(f"{schedule.name} is paused already, by {schedule.paused_by}", field="schedule")
            return self.store.change(schedule, paused_at=self._clock(), paused_by=actor, paused_reason=why)

        return self._changed(schedule_id, change, actor, "pause schedule", why)

    def resume(self, schedule_id: int, actor: str) -> Schedule:
        """Let it fire again from now on; what was due meanwhile is on record as paused. InputError if it is active."""

        def change(schedule: Schedule) -> bool:
            if not schedule.paused:
                raise InputError(f"{schedule.name} is not paused", field="schedule")
            due_ticks = self._closing(schedule, schedule)
            return self.store.change(
                schedule, due_ticks, paused_at=None, paused_by=None, paused_reason=None, failures=0, actor=actor
            )

        return self._changed(schedule_id, change, actor, "resume schedule")

    def duplicate(self, schedule_id: int, actor: str) -> Schedule:
        """A paused copy under another name, to be edited and then resumed."""
        schedule = self.get(schedule_id)
        taken = {one.name for one in self.store.all()}
        names = (f"{schedule.name[: _LONGEST - 9]} copy{f' {n}' if n > 1 else ''}" for n in itertools.count(1))
        free = next(name for name in names if name not in taken)
        copy = self.create(replace(Draft.of(schedule), name=free, same_book=True), actor)
        return self.pause(copy.id, f"a copy of {schedule.name}: look it over, then resume it", actor)

    def delete(self, schedule_id: int, actor: str) -> None:
        """Take a schedule away. Its runs, its ticks and all data stay."""

        def change(schedule: Schedule) -> bool:
            due_ticks = self._closing(schedule, schedule)
            return self.store.change(schedule, due_ticks, deleted_at=self._clock(), deleted_by=actor)

        self._change(schedule_id, change, actor, "delete schedule")

    def run_now(self, schedule_id: int, actor: str) -> int:
        """Start what a tick would start, now; returns the run's number. The schedule itself is not moved.

        InputError if it cannot be asked, SeriesHeld if its series are being worked on.
        """
        return self._by_hand(self.get(schedule_id), actor, None)

    def fill_missed(self, schedule_id: int, actor: str) -> int:
        """One run that fetches what all missed ticks would have; returns its number. They count as fetched once it
        has ended well. InputError if none is missed, or if a run is fetching it already."""
        schedule, missed = self.get(schedule_id), self.store.unfilled(schedule_id)
        if missed:
            return self._by_hand(schedule, actor, missed[0].due)
        if self.store.unfilled(schedule_id, under_way=True):
            raise InputError(
                f"{self._filling(schedule)} what {schedule.name} missed; wait for it to end", field="schedule"
            )
        raise InputError(f"{schedule.name} has missed nothing that was not fetched since", field="schedule")

    # -- what there is

    def get(self, schedule_id: int) -> Schedule:
        """A schedule. InputError if there is none of this id."""
        found = self.store.get(schedule_id)
        if found is None:
            raise InputError(f"there is no schedule {schedule_id}; the list shows which there are", field="schedule")
        return found

    def named(self, name: str) -> Schedule:
        """A schedule by its name or number. InputError listing a few names if there is none."""
        every = self.store.all()
        found = next((one for one in every if one.name == name or str(one.id) == name), None)
        if found is None:
            known = ", ".join(one.name for one in every[:10]) or "none yet"
            raise InputError(f"there is no schedule named {name!r}; there are: {known}", field="schedule")
        return found

    def attention(self) -> list[Attention]:
        """What needs a person, newest first: schedules whose last run failed, that paused themselves, or have missed
        ticks whose data nobody has fetched since."""
        every = {one.id: one for one in self.store.all()}
        found = [_self_paused(one) for one in every.values() if one.paused_by == SCHEDULER]
        for row in self._last_ended(every):
            if row.run_state == run_states.FAILED:
                text = f"{every[row.schedule_id].name}: run {row.run_id} failed"
                found.append(Attention("failed", text, row.at, row.schedule_id, row.run_id))
        missed: dict[int, list[Tick]] = {}
        for row in self.store.unfilled():
            missed.setdefault(row.schedule_id, []).append(row)
        found += [_missed(every[one], rows) for one, rows in missed.items() if one in every]
        return sorted(found, key=lambda item: item.at, reverse=True)

    # -- inside

    def _last_ended(self, every: Mapping[int, Schedule]) -> list[Tick]:
        last = self.store.last_ticks(every, 5)
        ended = ([row for row in rows if row.run_state is not None] for rows in last.values())
        return [rows[-1] for rows in ended if rows]

    def _filling(self, schedule: Schedule) -> str:
        """What is fetching, or about to fetch, what a schedule missed, with its verb."""
        open_ = [tick for tick in self.store.open_ticks() if tick.schedule_id == schedule.id]
        filling = (tick.run_id for tick in open_ if tick.fills_from not in (None, schedule_states.NO_MISSED))
        runs = [run_id for run_id in filling if run_id is not None]
        return f"run {runs[0]} is fetching" if runs else "a tick that is about to start will fetch"

    def _by_hand(self, schedule: Schedule, actor: str, fills_from: int | None) -> int:
        now = self._clock()
        request = self.plans.request(schedule, int(now), int(now), fills_from)
        verb = "run schedule now" if fills_from is None else "fill what a schedule missed"
        with self._audit.act(actor, verb, schedule.source, name=schedule.name) as act:
            run_id = self._runs.start(schedule, request, schedule_states.MANUAL, int(now), actor)
            act.note(run=run_id)
            self.store.add_manual(schedule.id, now, run_id, actor, fills_from)
        self._wake()
        return run_id

    def _changed(
        self, schedule_id: int, change: Callable[[Schedule], bool], actor: str, verb: str, reason: str = ""
    ) -> Schedule:
        self._change(schedule_id, change, actor, verb, reason)
        return self.get(schedule_id)

    def _change(
        self, schedule_id: int, change: Callable[[Schedule], bool], actor: str, verb: str, reason: str = ""
    ) -> None:
        """Try until nobody was faster; the scheduler changes schedules too."""
        schedule = self.get(schedule_id)
        with self._audit.act(actor, verb, schedule.source, reason, name=schedule.name):
            for _ in range(_TRIES):
                if change(schedule):
                    self._wake()
                    return
                schedule = self.get(schedule_id)
            raise InputError(
                "the schedule is being changed by somebody else at this moment; try again", field="schedule"
            )

    def _closing(self, schedule: Schedule, then: Draft | Schedule) -> DueTicks:
        """The account of a schedule until now; from now on it is due as `then` says."""
        after = self.plans.trigger(then)
        try:
            before = self.plans.trigger(schedule)
        except InputError:
            before = after  # its watchlist is gone, so nobody can say what was due
        return final_ticks(schedule, before, int(self._clock()), after)

    def _with_its_books(self, draft: Draft, own_id: int | None) -> Draft:
        """The draft of an edit that adds no pair: what the schedule fetches already was asked for on purpose."""
        own = None if own_id is None else self.store.get(own_id)
        is_known = own is not None and own.provider == draft.provider and {*draft.pairs} <= {*own.pairs}
        return replace(draft, same_book=True) if is_known else draft

    def _checked(self, draft: Draft, own_id: int | None) -> tuple[Draft, dict[str, Any]]:
        """The draft with its pairs as they are stored, and as columns. InputError for its first problem."""
        for field, text in self.problems(draft, own_id).items():
            raise InputError(text, field=field)
        found = self.resolve(self._with_its_books(draft, own_id))
        if self._instruments is not None:
            self._instruments.bind(draft.provider, found)
        draft = _under_stored_names(draft, found)
        series = self.plans.series(draft)
        named = {"pairs": list(dict.fromkeys(one.asset_pair for one in series)), "provider": series[0].provider}
        named["timeframes"] = list(dict.fromkeys(one.timeframe for one in series))
        values = asdict(draft)
        del values["same_book"]
        if is_beginning(draft.since):
            named["since"] = BEGINNING
        return draft, {**values, **named, "name": draft.name.strip(), "trigger": self.plans.trigger(draft).text}

    def _check_name(self, draft: Draft, own_id: int | None) -> None:
        name = draft.name.strip()
        if not name or len(name) > _LONGEST:
            raise InputError(f"give 1 to {_LONGEST} characters, for example 'Majors every hour'", field="name")
        self.store.check_name(name, own_id)

    def _check_series(self, draft: Draft) -> None:
        if draft.watchlist is None:
            provider_class(draft.provider)
        series = self.plans.series(self.as_stored(draft))
        field = "watchlist" if draft.watchlist else "pairs"
        try:
            provider = provider_class(series[0].provider)(config=self.plans.settings)
        except InputError as error:
            raise InputError(sentence(error), field="provider") from None
        for one in series:
            try:
                provider.check(one.asset_pair, one.timeframe)
            except FFEError as error:
                raise InputError(sentence(error), field=field) from None
            if not provider.is_mock and self._is_listed(one.provider, one.asset_pair) is False:
                raise InputError(f"{one.provider} has no pair {one.asset_pair}; choose one that it lists", field=field)

    def _check_since(self, draft: Draft) -> None:
        fixed, _ = parse_since(self.plans.since(draft))
        if fixed is not None and fixed > time.time():
            raise InputError(
                f"{draft.since} lies in the future; give a date in the past or days like 30d", field="since"
            )

    def _check_trigger(self, draft: Draft) -> None:
        if not next_dues(self.plans.trigger(self.as_stored(draft)), int(self._clock())):
            raise InputError(f"{draft.trigger!r} is never due in the next nine years; choose another", field="trigger")


def _under_stored_names(draft: Draft, found: list[Resolved]) -> Draft:
    return replace(draft, pairs=tuple(names_of(found))) if found else draft


_IN_FORM = {"pair": "pairs", "timeframe": "timeframes"}
"""The fields of the form that hold several of what a check names singly."""
_TIMING = ("trigger", "watchlist", "provider", "pairs", "timeframes")
"""What decides when a schedule is due: changing one of these begins a new account."""


def _note_problem(found: dict[str, str], check: Callable[[Draft], None], draft: Draft) -> None:
    """Keep what a check objects to, under the field of the form that it is about."""
    try:
        check(draft)
    except InputError as error:
        field = error.field or ""
        found.setdefault(_IN_FORM.get(field, field), error.problem)


def _check_mode(draft: Draft) -> None:
    plan.check_mode(draft.mode)


def _check_zone(draft: Draft) -> None:
    check_zone(draft.zone)


def _check_choices(draft: Draft) -> None:
    for field, value, known in (("overlap", draft.overlap, OVERLAPS), ("catch_up", draft.catch_up, CATCH_UPS)):
        if value not in known:
            raise InputError(f"{value!r} is unknown; use one of {', '.join(known)}", field=field)
    if not 0 <= draft.pause_after <= MOST_FAILURES:
        raise InputError(f"{draft.pause_after} is not 0 (never) to {MOST_FAILURES}; for example 5", field="pause_after")


def _self_paused(schedule: Schedule) -> Attention:
    return Attention(
        "paused", f"{schedule.name} paused itself: {schedule.paused_reason}", schedule.paused_at or 0, schedule.id
    )


def _missed(schedule: Schedule, rows: list[Tick]) -> Attention:
    count = sum(row.count for row in rows)
    text = f"{schedule.name} missed {count:,} {'tick' if count == 1 else 'ticks'}: {rows[-1].note}"
    return Attention("missed", text, float(rows[-1].until), schedule.id)
