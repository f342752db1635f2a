"""Coverage job: how whole each series is, counted on whichever machine the series is worked off by.

What takes long is to read data files that nobody has read yet; what they hold is kept in the state, where the pages of
every console find it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from ffe_core.errors import InputError, StorageError
from ffe_core.insight.coverage import Coverage, SeriesCoverage
from ffe_core.operations.runs.one_by_one import OneByOne
from ffe_core.operations.runs.outcome import how_whole
from ffe_core.operations.runs.work import Tools, Work
from ffe_core.results import result_of
from ffe_core.series import Series
from ffe_core.storage.state import runs as run_states
from ffe_core.threads import run_to_completion

_TOGETHER = 64
"""So many series are counted at once, as their files are read beside each other."""


@dataclass(frozen=True, slots=True)
class CoverageJob:
    """The coverage of some series, over all that was ever asked for or stored of each."""

    series: tuple[Series, ...]
    at_once: ClassVar[int] = _TOGETHER

    def only(self, series: Sequence[Series]) -> CoverageJob:
        """The same of some of its series."""
        return replace(self, series=tuple(series))

    def begin(self, work: Work, tools: Tools) -> OneByOne:
        """The work on its series."""
        stores = tools.ingester.stores
        counting = _Counting(Coverage(stores, stores.range_cache), self.series)

        async def one(number: int, series: Series, doing: OneByOne) -> Mapping[str, Any]:
            return _ended(await run_to_completion(counting.of, series))

        return OneByOne(work, one)


class _Counting:
    """The coverage of series one by one, counted some at a time; where one cannot be, those with it are one by one."""

    def __init__(self, coverage: Coverage, series: Sequence[Series]) -> None:
        self._coverage, self._series = coverage, series
        self._counted: dict[Series, SeriesCoverage] = {}
        self._alone: set[Series] = set()

    def of(self, series: Series) -> SeriesCoverage:
        """StorageError if a file of it cannot be read."""
        if series not in self._counted and series not in self._alone:
            place = self._series.index(series)
            some = self._series[place : place + _TOGETHER]
            try:
                self._counted.update({one.series: one for one in self._coverage.of(some)})
            except StorageError:
                self._alone.update(some)
        return self._counted.pop(series, None) or self._coverage.of([series])[0]


def _ended(found: SeriesCoverage) -> dict[str, Any]:
    """The coverage of a series as the columns of its row."""
    if found.account is None:
        raise InputError(found.trouble or "nothing can be counted", field="calendar")
    counts = found.counts
    is_whole = counts.unexplained == 0
    return {
        "state": run_states.COMPLETE if is_whole else run_states.GAPS,
        "next_step_code": None if is_whole else "look_at_gaps",
        "start": found.start,
        "end": found.end,
        **how_whole(counts),
        "result": {**result_of(found.series, "success"), **counts.counts()},
    }
