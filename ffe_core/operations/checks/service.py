"""Check runs over all series of some pairs, by hand, after backfills and on time; and what people decide."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import partial
from typing import Any

import numpy as np

from ffe_core.candles import VALUES
from ffe_core.checks.compare import Comparison, compare
from ffe_core.checks.model import NOTICE, Check
from ffe_core.checks.own import PREFIX, Trial, says, trial
from ffe_core.checks.table import CHECKS
from ffe_core.counts import many
from ffe_core.errors import ChecksHeld, InputError
from ffe_core.file_sources import is_file_source
from ffe_core.insight.bars import Moment
from ffe_core.insight.stored import stored_series
from ffe_core.insight.units import NumberFormat
from ffe_core.instruments.matching import matching_names
from ffe_core.operations.checks.job import ALL_PROVIDERS, CheckJob, around, checked, require_told, wanted
from ffe_core.operations.runs import log as run_log
from ffe_core.operations.runs.service import RunService
from ffe_core.providers import PROVIDERS
from ffe_core.rules.expression import check
from ffe_core.rules.model import Rule, Rules, parts_of
from ffe_core.series import Series
from ffe_core.storage.state.audit import Audit, required_reason
from ffe_core.storage.state.findings import ACCEPTED, OPEN, Checked, FindingRow, FindingStore, SeriesScore
from ffe_core.storage.state.runs import CHECK, UPKEEP, NewRun
from ffe_core.threads import run_to_completion
from ffe_core.timeframes import TIMEFRAMES

ITSELF = "checks"
"""The source of runs that nobody started by hand."""
_SAMPLE = 8
"""Bars that a rule is looked at with before anything stored is."""
EVERYTHING = "everything"
"""The parameter of a run that says whether it is of all kinds and all that was stored."""
_MOST_DEAD_LETTERS = 0.01
"""A rule that would dead-letter a larger share of what is stored asks first."""


class Checks:
    """Starts and does checks over a run service."""

    def __init__(self, service: RunService) -> None:
        self._service = service
        self._audit = Audit(service.database)
        self.findings = FindingStore(service.database)
        self.rules = Rules(service.settings.data_dir)

    # -- verbs

    def start(
        self,
        actor: str,
        source: str = "console",
        *,
        pairs: Sequence[str] | None = None,
        kinds: Sequence[str] | None = None,
    ) -> int:
        """Start the checks of some pairs, or of all that is stored; the run's number.

        InputError for a pair that is not stored, a kind that there is not, and a lake without anything.
        """
        rules = tuple(self.rules.all())
        wanted(kinds, rules)
        stored = self._stored_pairs()
        job = CheckJob(tuple(_meant(pairs, stored)), kinds, rules)
        is_everything = list(job.pairs) == stored and kinds is None
        kept = {"kinds": list(kinds or ()), EVERYTHING: is_everything}
        run = NewRun(CHECK, ALL_PROVIDERS, "", 0, 0, job.series, actor, source, "", None, kept)
        return self._service.submit(run, partial(self._work, job))

    def wanted(self, kinds: Sequence[str] | None = None) -> list[Check]:
        """The checks of these kinds, all without any, rules of one's own that are on among them.

        InputError for a kind that there is not, and for a rule that cannot be.
        """
        return wanted(kinds, self.rules.all())

    def require_known(self, kinds: Sequence[str]) -> None:
        """InputError for a kind that no check, no rule of one's own and no finding on record has."""
        known = [*CHECKS, *(PREFIX + rule.name for rule in self.rules.all())]
        known += sorted(set(self.findings.kinds()) - set(known))  # of rules that were taken out since
        if unknown := [kind for kind in kinds if kind not in known]:
            raise InputError(f"{unknown[0]!r} is unknown; use one of {', '.join(known)}", field="kind")

    def compare(self, one: Series, other: Series, as_known_at: Moment | None = None) -> Comparison:
        """What two stored series have in common, and what differs; nothing goes on record. Errors as `compare`."""
        return compare(self._service.lake, one, other, around(self._service.stores), as_known_at)

    def try_rule(self, rule: Rule) -> Trial:
        """What a rule would find in what is stored; nothing goes on record. InputError for one that cannot be."""
        self.check_rule(rule)
        series = [summary.series for summary in stored_series(self._service.lake)]
        return trial(self._service.lake, series, rule, around(self._service.stores))

    def check_rule(self, rule: Rule) -> None:
        """InputError, naming the field, for a rule whose expression cannot be evaluated, or one that can be about no
        series, whatever is stored."""
        self.check_series(rule.series)
        steps = np.arange(1, _SAMPLE + 1)
        check(rule, steps * 86_400 * 40, {name: steps * place + 0.5 for place, name in enumerate(VALUES, 1)})

    def check_series(self, patterns: Sequence[str]) -> None:
        """InputError, with the field `series`, for a pattern of a rule that no series can fit, whatever is stored."""
        stored = {found.series.provider for found in stored_series(self._service.lake)}
        for pattern in patterns:
            _, timeframe, provider = parts_of(pattern)
            _require_known(pattern, timeframe, TIMEFRAMES)
            if not is_file_source(provider):
                _require_known(pattern, provider, sorted({*PROVIDERS, *stored}))

    def save_rule(self, rule: Rule, actor: str, *, is_meant: bool = False, tried: Trial | None = None) -> Trial | None:
        """Write a rule into the file, tried first unless what it was `tried` with is given; the trial, None where
        nothing that is stored fits it.

        InputError for one that cannot be, and, unless it `is_meant`, with the field `dead_letters` for one that would
        dead-letter more than a hundredth of what is stored.
        """
        if tried is None and any(rule.is_about(found.series) for found in stored_series(self._service.lake)):
            tried = self.try_rule(rule)
        else:
            self.check_rule(rule)
        if tried is not None and rule.dead_letters and not is_meant:
            _require_narrow(rule, tried)
        with self._audit.act(actor, "save rule", rule.name, rule.says, holds=rule.asks, on=rule.on):
            self.rules.save(rule)
        return tried

    def remove_rule(self, name: str, actor: str) -> None:
        """Take a rule out of the file; what it found is gone with the next checks. InputError if there is none."""
        with self._audit.act(actor, "remove rule", name):
            self.rules.remove(name)

    def look(
        self, series: Sequence[Series], kinds: Sequence[str] | None = None, as_known_at: Moment | None = None
    ) -> list[Checked]:
        """What checks find of some series, which changes nothing on record. InputError, StorageError."""
        stores, checks = self._service.stores, self.wanted(kinds)
        pairs = sorted({one.asset_pair for one in series})
        found = [done for pair in pairs for done in checked(stores, pair, checks, as_known_at)]
        require_told(found)
        return [done for done in found if done.series in set(series)]

    def after_runs(self, run_ids: Sequence[int]) -> int | None:
        """Start the checks of what runs have changed; the run's number, None for nothing. Errors as `start_due`."""
        pairs = {pair for run_id in run_ids for pair in self._changed_by(run_id)}
        return self.start_due(pairs) if pairs else None

    def start_due(self, pairs: Collection[str] | None = None) -> int | None:
        """Start the checks of those of some pairs that are stored, without any of all; the run's number, None for none.

        ChecksHeld while others are being done; InputError and FFEError as for `start`, and while the state or the lake
        cannot be read.
        """
        if active := self._service.runs.active(CHECK):
            raise ChecksHeld(f"run {active[0]} checks already")
        stored = {summary.series.asset_pair for summary in stored_series(self._service.lake)}
        there = sorted(stored & set(pairs) if pairs is not None else stored)
        return self.start(ITSELF, ITSELF, pairs=there) if there else None

    def count_open(self) -> int:
        """How many findings are open, notices aside."""
        return sum(count for severity, count in self.findings.count_open().items() if severity != NOTICE)

    def last_at(self) -> float | None:
        """When checks of anything were begun last, epoch seconds; None if never. StorageError."""
        found, _ = self._service.runs.find(kinds=[CHECK], limit=1)
        return found[0].created_at if found else None

    def everything_at(self) -> float | None:
        """When checks of everything were begun last, all kinds in all that was stored, epoch seconds; None if never.
        StorageError."""
        return self._service.runs.last_begun(CHECK, EVERYTHING)

    def accept(self, ids: Sequence[int], actor: str, reason: str) -> int:
        """Accept findings until their bars change; how many. InputError without a reason and for one not known."""
        return self._decide("accept finding", ids, ACCEPTED, actor, required_reason(reason, "a halt, seen on the tape"))

    def reopen(self, ids: Sequence[int], actor: str, reason: str = "") -> int:
        """Open accepted findings again; how many. InputError for one not known."""
        return self._decide("reopen finding", ids, OPEN, actor, reason.strip())

    def scores(self) -> dict[Series, SeriesScore]:
        """How every series stands that all checks have looked at, notices aside."""
        return self.findings.scores(NOTICE)

    # -- inside

    def _decide(self, verb: str, ids: Sequence[int], state: str, actor: str, reason: str) -> int:
        target = ", ".join(sorted({row.series.key for row in self.findings.get(ids)})[:5])
        with self._audit.act(actor, verb, target, reason, findings=list(ids)) as act:
            changed: list[FindingRow] = self.findings.decide(ids, state, actor, reason)
            act.note(changed=len(changed))
        return len(changed)

    def _stored_pairs(self) -> list[str]:
        stored = sorted({summary.series.asset_pair for summary in stored_series(self._service.lake)})
        if not stored:
            raise InputError("nothing is stored yet, so there is nothing to check; backfill a series first")
        return stored

    def _changed_by(self, run_id: int) -> set[str]:
        run = self._service.runs.get(run_id)
        if run is None or run.kind in (UPKEEP, CHECK):
            return set()
        return {row.asset_pair for row in self._service.runs.series(run_id) if row.records}

    async def _work(self, job: CheckJob, run_id: int) -> None:
        await self._service.by_engine(job)(run_id)
        await run_to_completion(self._let_go)

    def _let_go(self) -> None:
        gone = self.findings.let_go({summary.series for summary in stored_series(self._service.lake)})
        if gone:
            run_log.say(f"{many(gone, 'finding')} of series that are not stored any more: gone")


def _require_known(pattern: str, text: str, known: Iterable[str]) -> None:
    if not any(fnmatchcase(one, text) for one in known):
        there = ", ".join(known)
        raise InputError(f"nothing can fit {pattern}: {text!r} is unknown; there is {there}", field="series")


def _meant(asked: Sequence[str] | None, stored: list[str]) -> list[str]:
    if asked is None:
        return stored
    found = {name: matching_names(name, stored) for name in asked}
    unknown = [name for name, names in found.items() if not names]
    if unknown:
        raise InputError(f"{unknown[0]!r} is not stored; there is {', '.join(stored[:12])}", field="pairs")
    return sorted({pair for names in found.values() for pair in names})


def _require_narrow(rule: Rule, tried: Trial) -> None:
    if tried.found > _MOST_DEAD_LETTERS * tried.bars:
        what = "records like them would be dead-lettered from now on"
    elif tried.left:
        what = "records of those would be dead-lettered, too, and nobody knows how many"
    else:
        return
    raise InputError(f"{rule.name} {tried.said}: {what}; say that it is meant", field="dead_letters")


def kind_sentence(kind: str, evidence: Mapping[str, Any], prices: NumberFormat | None = None) -> str:
    """What a finding says, made of its evidence, prices in the format of its series if that is given; of a kind that
    this release does not have, its name."""
    check = CHECKS.get(kind)
    if check is None and not kind.startswith(PREFIX):
        return kind.replace("_", " ")
    more = f" ({evidence['stretches']:,} times)" if "stretches" in evidence else ""
    tell = says if check is None else check.says
    return tell(evidence, prices or NumberFormat()) + more
