"""Engine of the checks: all checks over all series of a pair in one reading of their columns."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from operator import attrgetter

import numpy as np

from ffe_core.checks.bars import Bars
from ffe_core.checks.model import Check, Found
from ffe_core.checks.windows import Around, windows
from ffe_core.errors import InputError
from ffe_core.insight.bars import Moment
from ffe_core.series import Series
from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager
from ffe_core.storage.state.findings import Checked, Finding

MOST = 100
"""Findings of one kind in one series; where there are more, it is a habit of the series and one finding."""


class _Stretch:
    """A find that may go on in the next window; bars that were counted are not counted again."""

    def __init__(self, found: Found) -> None:
        self.found, self.start, self.end = found, found.start, found.end
        self.bars, self.sum, self._last = 0, 0, -(2**62)
        self._count(found)

    def is_same(self, found: Found, join: int) -> bool:
        return found.start <= self.end + join * found.series.step

    def add(self, found: Found) -> None:
        self.start, self.end = min(self.start, found.start), max(self.end, found.end)
        if abs(found.size) > abs(self.found.size):
            self.found = found
        self._count(found)

    def _count(self, found: Found) -> None:
        new = found.at > self._last
        if not new.any():
            return
        own = int(np.count_nonzero(new))
        self.bars += found.bars if own == len(found.at) else own
        self.sum = (self.sum + int(found.prints[new].sum(dtype=np.uint64))) % 2**64
        self._last = int(found.at[-1])


class _Gathering:
    """The finds of every kind, series and other side, by time."""

    def __init__(self, checks: Iterable[Check]) -> None:
        self._checks = {check.name: check for check in checks}
        self._stretches: dict[tuple[str, Series, Series | None], list[_Stretch]] = {}

    def add(self, found: Iterable[Found], again_before: int) -> None:
        """Take in the finds of a window; those that begin before `again_before` may be known already."""
        for one in found:
            stretches = self._stretches.setdefault((one.kind, one.series, one.other), [])
            join = self._checks[one.kind].join
            if stretches and one.start < again_before + join * one.series.step and stretches[-1].is_same(one, join):
                stretches[-1].add(one)
            elif not _is_known(stretches, one):
                stretches.append(_Stretch(one))

    def drop(self, kinds: Collection[str]) -> None:
        """Let go of what was found of some kinds."""
        self._stretches = {key: found for key, found in self._stretches.items() if key[0] not in kinds}

    def of(self, series: Series) -> list[Finding]:
        """The findings of a series, by kind and time."""
        found: list[Finding] = []
        for (kind, own, other), stretches in self._stretches.items():
            if own == series:
                shown = [[one] for one in stretches] if len(stretches) <= MOST else [stretches]
                severity = self._checks[kind].severity
                found += [_finding(kind, severity, own, other, one) for one in shown]
        return sorted(found, key=attrgetter("kind", "start"))


def _is_known(stretches: Sequence[_Stretch], found: Found) -> bool:
    return any(one.start <= found.start and found.end <= one.end for one in stretches[-MOST:])


def _finding(kind: str, severity: str, series: Series, other: Series | None, stretches: Sequence[_Stretch]) -> Finding:
    worst = max(stretches, key=lambda one: abs(one.found.size)).found
    bars = sum(one.bars for one in stretches)
    more = {"stretches": len(stretches)} if len(stretches) > 1 else {}
    mark = f"{bars}:{sum(one.sum for one in stretches) % 2**64:016x}"
    start, end = min(one.start for one in stretches), max(one.end for one in stretches)
    return Finding(kind, severity, series, other, start, end, bars, worst.size, {**worst.evidence, **more}, mark)


def check_pair(
    lake: DeltaLakeManager,
    series: Sequence[Series],
    checks: Sequence[Check],
    around: Around,
    as_known_at: Moment | None = None,
    is_stopped: Callable[[], bool] = lambda: False,
) -> list[Checked]:
    """Run checks over all series of one pair; what became of each of them, up to the window in which it `is_stopped`.

    A rule of one's own that fails, as one that takes too long, keeps no other check from its finds. InputError for a
    series that is not stored, StorageError if a table cannot be read.
    """
    failed: dict[str, str] = {}
    done = {one: Checked(one, failed=failed) for one in series}
    gathering = _Gathering(checks)
    for shown, begins in windows(lake, series, around, as_known_at):
        if is_stopped():
            break
        for one, bars in shown.items():
            _count(done[one], bars, begins[one])
            if len(bars) > begins[one]:
                again = int(bars.open_times[begins[one]])
                for check in checks:
                    if check.name in failed:
                        continue
                    try:
                        gathering.add(check.find(bars), again)
                    except InputError as error:
                        failed[check.name] = error.problem
    gathering.drop(failed)
    for one in series:
        done[one].findings = gathering.of(one)
    return list(done.values())


def _count(done: Checked, bars: Bars, begin: int) -> None:
    new = bars.open_times[begin:]
    if len(new):
        done.start = int(new[0]) if done.bars == 0 else done.start
        done.end, done.bars = int(new[-1]) + bars.series.step, done.bars + len(new)
