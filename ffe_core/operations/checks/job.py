"""Check job: all checks over the series of each pair, done on whichever machine the pair is worked off by."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

from ffe_core.candles import table_name
from ffe_core.checks.engine import check_pair
from ffe_core.checks.known_splits import known_splits
from ffe_core.checks.model import NOTICE, Check
from ffe_core.checks.own import PREFIX, check_of
from ffe_core.checks.table import CHECKS, chosen
from ffe_core.checks.windows import Around
from ffe_core.errors import InputError
from ffe_core.insight.bars import Moment
from ffe_core.insight.coverage import calendar_of
from ffe_core.insight.stored import providers_of
from ffe_core.operations.checks.words import in_words
from ffe_core.operations.runs import log as run_log
from ffe_core.operations.runs.one_by_one import OneByOne
from ffe_core.operations.runs.work import Tools, Work
from ffe_core.rules.model import Rule
from ffe_core.series import Series
from ffe_core.storage.state import runs as run_states
from ffe_core.storage.state.findings import Checked, FindingStore
from ffe_core.storage.stores import Stores
from ffe_core.threads import run_to_completion
from ffe_core.timeframes import TIMEFRAMES

ALL_TIMEFRAMES, ALL_PROVIDERS = "all timeframes", "all providers"
"""What stands in the rows of a check run, each of which is a pair."""


@dataclass(frozen=True, slots=True)
class CheckJob:
    """The checks of some pairs. `rules` are those there were when it was started, the same on every machine.

    A pair that two machines check, as one of them was taken for lost, is recorded twice with the same findings.
    """

    pairs: tuple[str, ...]
    kinds: Sequence[str] | None
    rules: tuple[Rule, ...]
    at_once: ClassVar[int] = 1

    @property
    def series(self) -> tuple[Series, ...]:
        """A row a pair, which stands for all its series."""
        return tuple(Series(pair, ALL_TIMEFRAMES, ALL_PROVIDERS) for pair in self.pairs)

    def only(self, series: Sequence[Series]) -> CheckJob:
        """The same of some of its pairs."""
        return replace(self, pairs=tuple(one.asset_pair for one in series))

    def begin(self, work: Work, tools: Tools) -> OneByOne:
        """The work on its pairs."""
        stores = tools.ingester.stores

        async def one(number: int, row: Series, doing: OneByOne) -> Mapping[str, Any]:
            result = await run_to_completion(self._pair, stores, row.asset_pair, doing.is_stopped)
            return {"state": run_states.COMPLETE, "result": {"pair": row.asset_pair, "status": "success", **result}}

        return OneByOne(work, one)

    def _pair(self, stores: Stores, pair: str, is_stopped: Callable[[], bool]) -> dict[str, Any]:
        """Check a pair and put what is found on record; nothing if it is stopped before its end."""
        began = time.monotonic()
        done = checked(stores, pair, wanted(self.kinds, self.rules), is_stopped=is_stopped)
        if is_stopped():
            return {}
        total = {"series": 0, "bars": 0, "findings": 0, "new": 0, "again": 0, "gone": 0}
        findings, is_whole = FindingStore(stores.database), is_all_that_counts(self.kinds, self.rules)
        for one in done:
            counts = findings.record(one, self.kinds, is_whole=is_whole and not one.failed)
            own = {"series": 1, "bars": one.bars, "findings": len(one.findings), **counts}
            total = {name: total[name] + own[name] for name in total}
        run_log.say(f"{pair}: {in_words(total)}")
        require_told(done)
        return {**total, "seconds": round(time.monotonic() - began, 3)}


def require_told(done: Iterable[Checked]) -> None:
    """InputError, with the field `holds`, where a rule of one's own could not be evaluated to its end."""
    for one in done:
        for problem in one.failed.values():
            raise InputError(problem, field="holds")


def wanted(kinds: Sequence[str] | None, rules: Sequence[Rule]) -> list[Check]:
    """The checks of these kinds, all without any, those of the rules that are on among them.

    InputError for a kind that there is not, and for a rule that cannot be.
    """
    own = {check.name: check for check in (check_of(rule) for rule in rules if rule.on)}
    if kinds is None:
        return [*CHECKS.values(), *own.values()]
    unknown = [kind for kind in kinds if kind.startswith(PREFIX) and kind not in own]
    if unknown:
        known = ", ".join(own) or "none that is on"
        raise InputError(f"{unknown[0]!r} is unknown; there is {known}", field="kind")
    built_in = [kind for kind in kinds if not kind.startswith(PREFIX)]
    return [*(chosen(built_in) if built_in else []), *(own[kind] for kind in kinds if kind in own)]


def is_all_that_counts(kinds: Sequence[str] | None, rules: Sequence[Rule]) -> bool:
    """Whether every check is among these kinds whose findings are more than notices; so it is without any."""
    return kinds is None or {check.name for check in wanted(None, rules) if check.severity != NOTICE} <= set(kinds)


def checked(
    stores: Stores,
    pair: str,
    checks: Sequence[Check],
    as_known_at: Moment | None = None,
    is_stopped: Callable[[], bool] = lambda: False,
) -> list[Checked]:
    """What checks find of all stored series of a pair; nothing goes on record.

    InputError if nothing of it is stored, StorageError if it cannot be read.
    """
    tables = ((one, stores.lake.snapshot(table_name(one))) for one in TIMEFRAMES)
    held = {one: providers_of(table, pair, one) for one, table in tables if table is not None}
    series = sorted(Series(pair, one, provider) for one, providers in held.items() for provider in providers)
    if not series:
        raise InputError(f"{pair} is not stored any more", field="pairs")
    return check_pair(stores.lake, series, checks, around(stores), as_known_at, is_stopped)


def around(stores: Stores) -> Around:
    """What checks know of a series besides its bars."""
    splits = known_splits(stores.settings.data_dir)

    def marked(series: Series) -> Any:
        return stores.acknowledged.ranges(series, -(2**62), 2**62)

    def factors(series: Series) -> Mapping[int, float]:
        return splits.get(series.asset_pair, {})

    return Around(partial(calendar_of, settings=stores.settings), marked, factors)
