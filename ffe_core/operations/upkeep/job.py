"""Upkeep job: the steps of each table, done on whichever machine the table is worked off by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from ffe_core.operations.runs import log as run_log
from ffe_core.operations.runs.one_by_one import OneByOne
from ffe_core.operations.runs.work import Tools, Work
from ffe_core.operations.upkeep.history import NAME
from ffe_core.operations.upkeep.tables import WHOLE, Share, TableUpkeep
from ffe_core.operations.upkeep.words import in_words
from ffe_core.series import Series
from ffe_core.storage.leases import UpkeepLease
from ffe_core.storage.state import runs as run_states
from ffe_core.threads import run_to_completion
from ffe_core.upkeep_settings import UpkeepSettings

ALL_PAIRS, ALL_PROVIDERS = "all pairs", "all providers"
"""What stands in the rows of an upkeep run, each of which is a table and no series."""


@dataclass(frozen=True, slots=True)
class UpkeepJob:
    """The upkeep of some tables, or of shares of a table, each under a lease: one machine works on it at a time.

    `file_hours` is what its vacuum goes by. It and `kept` are of who started it, the same on every machine.
    """

    tables: Mapping[Series, Share]
    steps: tuple[str, ...]
    file_hours: int
    kept: UpkeepSettings
    at_once: ClassVar[int] = 1

    @property
    def series(self) -> tuple[Series, ...]:
        """A row a table, or a share of one."""
        return tuple(self.tables)

    def only(self, series: Sequence[Series]) -> UpkeepJob:
        """The same of some of its tables."""
        return replace(self, tables={one: self.tables[one] for one in series})

    def begin(self, work: Work, tools: Tools) -> OneByOne:
        """The work on its tables."""
        stores = tools.ingester.stores

        async def one(number: int, row: Series, doing: OneByOne) -> Mapping[str, Any]:
            most = 1

            def progress(phase: str, done: int, total: int) -> None:
                nonlocal most
                most = max(most, total)
                doing.show(number, phase=phase, pages_done=done, pages_planned=total)

            upkeep = TableUpkeep(
                stores,
                self.kept,
                row.table,
                self.steps,
                self.file_hours,
                progress,
                doing.is_stopped,
                self.tables[row],
            )
            with await UpkeepLease(stores.locks, what_of(row), f"run {work.run_id}").wait(work.lease_wait):
                result = await run_to_completion(upkeep.work)
            run_log.say(f"{what_of(row)}: {in_words(result)}")
            return {**ended(row, result), "pages_done": most, "pages_planned": most}

        return OneByOne(work, one)


def what_of(row: Series) -> str:
    """What a row of an upkeep run is about: a table, a share of one, or the state database by its name."""
    if row.asset_pair == NAME:
        return NAME
    return row.table if row.asset_pair == ALL_PAIRS else f"{row.table}, {row.asset_pair}"


def rows_of(timeframe: str, parts: Sequence[Share] = (WHOLE,)) -> dict[Series, Share]:
    """The rows of a table, one a share; the first is named as that of a table that is not shared out."""
    names = [f"part {one.number + 1} of {one.of}" if one.number else ALL_PAIRS for one in parts]
    return {Series(name, timeframe, ALL_PROVIDERS): one for name, one in zip(names, parts, strict=True)}


def ended(row: Series, result: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of a row that is done."""
    return {"state": run_states.COMPLETE, "result": {"table": what_of(row), "status": "success", **result}}
