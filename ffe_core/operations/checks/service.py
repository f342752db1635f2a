"""Check runs over all series of some pairs, by hand, after backfills and on time; and what people decide."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from ffe_core.candles import VALUES
from ffe_core.checks.compare import Comparison, compare
from ffe_core.checks.engine import check_pair
from ffe_core.checks.known_splits import known_splits
from ffe_core.checks.model import NOTICE, Check
from ffe_core.checks.own import PREFIX, Trial, check_of, says, trial
from ffe_core.checks.table import CHECKS, chosen
from ffe_core.checks.windows import Around
from ffe_core.counts import many
from ffe_core.errors import FFEError, InputError
from ffe_core.insight.bars import Moment
from ffe_core.insight.coverage import calendar_of
from ffe_core.insight.stored import stored_series
from ffe_core.instruments.matching import matching_names
from ffe_core.operations.checks.words import in_words
from ffe_core.operations.runs import log as run_log
from ffe_core.operations.runs.series_work import one_by_one
from ffe_core.operations.runs.service import RunService
from ffe_core.rules.expression import broken
from ffe_core.rules.model import Rule, Rules
from ffe_core.series import Series
from ffe_core.storage.state import runs as run_states
from ffe_core.storage.state.audit import Audit, required_reason
from ffe_core.storage.state.findings import ACCEPTED, OPEN, Checked, FindingRow, FindingStore, SeriesScore
from ffe_core.storage.state.runs import CHECK, UPKEEP, NewRun
from ffe_core.threads import run_to_completion

log = logging.getLogger(__name__)
ALL_TIMEFRAMES, ALL_PROVIDERS = "all timeframes", "all providers"
"""What stands in the rows of a check run, each of which is a pair."""
ITSELF = "checks"
"""The source of runs that nobody started by hand."""
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
        self.wanted(kinds)
        rows = [Series(pair, ALL_TIMEFRAMES, ALL_PROVIDERS) for pair in self._pairs(pairs)]
        run = NewRun(CHECK, ALL_PROVIDERS, "", 0, 0, rows, actor, source, "", None, {"kinds": list(kinds or ())})
        return self._service.submit(run, partial(self._work, rows, kinds))

    def wanted(self, kinds: Sequence[str] | None = None) -> list[Check]:
        """The checks of these kinds, all without any, rules of one's own that are on among them.

        InputError for a kind that there is not, and for a rule that cannot be.
        """
        own = {check.name: check for check in (check_of(rule) for rule in self.rules.all() if rule.on)}
        if kinds is None:
            return [*CHECKS.values(), *own.values()]
        unknown = [kind for kind in kinds if kind.startswith(PREFIX) and kind not in own]
        if unknown:
            known = ", ".join(own) or "none that is on"
            raise InputError(f"{unknown[0]!r} is unknown; there is {known}", field="kind")
        built_in = [kind for kind in kinds if not kind.startswith(PREFIX)]
        return [*(chosen(built_in) if built_in else []), *(own[kind] for kind in kinds if kind in own)]

    def compare(self, one: Series, other: Series, as_known_at: Moment | None = None) -> Comparison:
        """What two stored series have in common, and what differs; nothing goes on record. Errors as `compare`."""
        return compare(self._service.lake, one, other, self._around(), as_known_at)

    def try_rule(self, rule: Rule) -> Trial:
        """What a rule would find in what is stored; nothing goes on record. InputError for one that cannot be."""
        series = [summary.series for summary in stored_series(self._service.lake)]
        return trial(self._service.lake, series, rule, self._around())

    def save_rule(self, rule: Rule, actor: str, *, is_meant: bool = False, tried: Trial | None = None) -> Trial | None:
        """Write a rule into the file, tried first unless what it was `tried` with is given; the trial, None where
        nothing that is stored fits it.

        InputError for one that cannot be, and, unless it `is_meant`, with the field `dead_letters` for one that would
        dead-letter more than a hundredth of what is stored.
        """
        broken(rule, np.zeros(1, np.int64), {name: np.ones(1) for name in VALUES})
        if tried is None and any(rule.is_about(found.series) for found in stored_series(self._service.lake)):
            tried = self.try_rule(rule)
        if tried is not None and rule.dead_letters and not is_meant:
            _require_narrow(rule, tried)
        with self._audit.act(actor, "save rule", rule.name, rule.says, holds=rule.expression, on=rule.on):
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
        pairs = sorted({one.asset_pair for one in series})
        found = [done for pair in pairs for done in self._checked(pair, kinds, as_known_at)]
        return [done for done in found if done.series in set(series)]

    def after_runs(self, run_ids: Sequence[int]) -> int | None:
        """Start the checks of what backfills have changed; the run's number, None for none or what keeps it."""
        pairs = sorted({pair for run_id in run_ids for pair in self._changed_by(run_id)})
        return self.start_if_free(pairs) if pairs else None

    def start_if_free(self, pairs: Sequence[str] | None = None) -> int | None:
        """Start checks unless some are being done; what keeps them from it is said in the log."""
        try:
            stored = {summary.series.asset_pair for summary in stored_series(self._service.lake)}
            there = sorted(stored & set(pairs) if pairs is not None else stored)
            busy = bool(self._service.runs.active(CHECK))
            return self.start(ITSELF, ITSELF, pairs=there) if there and not busy else None
        except (FFEError, InputError) as error:
            log.warning("checks are left for later: %s", error)
            return None

    def count_open(self) -> int:
        """How many findings are open, notices aside."""
        return sum(count for severity, count in self.findings.count_open().items() if severity != NOTICE)

    def last_at(self) -> float | None:
        """When checks were begun last, epoch seconds; None if never. StorageError."""
        found, _ = self._service.runs.find(kinds=[CHECK], limit=1)
        return found[0].created_at if found else None

    def accept(self, ids: Sequence[int], actor: str, reason: str) -> int:
        """Accept findings until their bars change; how many. InputError without a reason and for one not known."""
        return self._decide("accept finding", ids, ACCEPTED, actor, required_reason(reason))

    def reopen(self, ids: Sequence[int], actor: str, reason: str = "") -> int:
        """Open accepted findings again; how many. InputError for one not known."""
        return self._decide("reopen finding", ids, OPEN, actor, reason.strip())

    def scores(self) -> dict[Series, SeriesScore]:
        """How every checked series stands."""
        return self.findings.scores(NOTICE)

    # -- inside

    def _decide(self, verb: str, ids: Sequence[int], state: str, actor: str, reason: str) -> int:
        target = ", ".join(sorted({row.series.key for row in self.findings.get(ids)})[:5])
        with self._audit.act(actor, verb, target, reason, findings=list(ids)) as act:
            changed: list[FindingRow] = self.findings.decide(ids, state, actor, reason)
            act.note(changed=len(changed))
        return len(changed)

    def _pairs(self, asked: Sequence[str] | None) -> list[str]:
        stored = sorted({summary.series.asset_pair for summary in stored_series(self._service.lake)})
        if not stored:
            raise InputError("nothing is stored yet, so there is nothing to check; backfill a series first")
        if asked is None:
            return stored
        found = {name: matching_names(name, stored) for name in asked}
        unknown = [name for name, names in found.items() if not names]
        if unknown:
            raise InputError(f"{unknown[0]!r} is not stored; there is {', '.join(stored[:12])}", field="pairs")
        return sorted({pair for names in found.values() for pair in names})

    def _changed_by(self, run_id: int) -> set[str]:
        run = self._service.runs.get(run_id)
        if run is None or run.kind in (UPKEEP, CHECK):
            return set()
        return {row.asset_pair for row in self._service.runs.series(run_id) if row.records}

    def _around(self) -> Around:
        stores = self._service.stores

        def marked(series: Series) -> Any:
            return stores.acknowledged.ranges(series, -(2**62), 2**62)

        splits = known_splits(self._service.settings.data_dir)

        def factors(series: Series) -> Mapping[int, float]:
            return splits.get(series.asset_pair, {})

        return Around(partial(calendar_of, settings=self._service.settings), marked, factors)

    def _checked(self, pair: str, kinds: Sequence[str] | None, as_known_at: Moment | None = None) -> list[Checked]:
        lake = self._service.lake
        series = [summary.series for summary in stored_series(lake) if summary.series.asset_pair == pair]
        return check_pair(lake, series, self.wanted(kinds), self._around(), as_known_at)

    async def _work(self, rows: Sequence[Series], kinds: Sequence[str] | None, run_id: int) -> None:
        async def one(number: int, row: Series) -> Mapping[str, Any]:
            result = await run_to_completion(self._one_pair, row.asset_pair, kinds)
            return {"state": run_states.COMPLETE, "result": {"pair": row.asset_pair, "status": "success", **result}}

        await one_by_one(self._service, run_id, rows, one)
        await run_to_completion(self._let_go)

    def _let_go(self) -> None:
        gone = self.findings.let_go({summary.series for summary in stored_series(self._service.lake)})
        if gone:
            run_log.say(f"{many(gone, 'finding')} of series that are not stored any more: gone")

    def _one_pair(self, pair: str, kinds: Sequence[str] | None) -> dict[str, Any]:
        began = time.monotonic()
        total = {"series": 0, "bars": 0, "findings": 0, "new": 0, "again": 0, "gone": 0}
        for done in self._checked(pair, kinds):
            counts = self.findings.record(done, kinds)
            own = {"series": 1, "bars": done.bars, "findings": len(done.findings), **counts}
            total = {name: total[name] + own[name] for name in total}
        run_log.say(f"{pair}: {in_words(total)}")
        return {**total, "seconds": round(time.monotonic() - began, 3)}


def _require_narrow(rule: Rule, tried: Trial) -> None:
    if tried.found > _MOST_DEAD_LETTERS * tried.bars:
        raise InputError(
            f"{rule.name} {tried.said}: records like them would be dead-lettered from now on; say that it is meant",
            field="dead_letters",
        )


def kind_sentence(kind: str, evidence: Mapping[str, Any]) -> str:
    """What a finding says, made of its evidence; of a kind that this release does not have, its name."""
    check = CHECKS.get(kind)
    if check is None and not kind.startswith(PREFIX):
        return kind.replace("_", " ")
    more = f" ({evidence['stretches']:,} times)" if "stretches" in evidence else ""
    return (says(evidence) if check is None else check.says(evidence)) + more
