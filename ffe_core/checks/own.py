"""Rules of one's own as checks, and what one would find before it is switched on."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from ffe_core.checks.bars import Bars
from ffe_core.checks.model import Check, Evidence, Found, grouped
from ffe_core.checks.windows import Around, windows
from ffe_core.counts import many
from ffe_core.errors import InputError
from ffe_core.insight.units import NumberFormat, in_digits, written
from ffe_core.rules.expression import broken, judge
from ffe_core.rules.model import Rule
from ffe_core.series import Series
from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager

PREFIX = "rule:"
"""What the kind of a finding of such a rule begins with."""
_TRIAL_SECONDS = 60.0
_MOST_SHOWN = 20


@dataclass(slots=True)
class Trial:
    """What a rule would find in what is stored."""

    series: int = 0
    bars: int = 0
    found: int = 0
    examples: list[tuple[Series, int]] = field(default_factory=list)
    """The first bars found: series, and open in epoch seconds."""
    left: int = 0
    """Series that there was no time for, or not for all of their bars."""
    untold: int = 0
    """Bars that it can tell nothing of, such as a bound of a volume that is missing, or an overflow: they hold."""

    @property
    def said(self) -> str:
        """It in one sentence."""
        share = f" ({_percent(self.found / self.bars)})" if self.found else ""
        more = f"; there was no time for {many(self.left, 'more series', 'more series')}" if self.left else ""
        where = many(self.series, "series", "series")
        untold = f"; of {many(self.untold, 'bar')} it can tell nothing, so they hold" if self.untold else ""
        return f"would find {many(self.found, 'bar')} of {self.bars:,}{share} in {where}{untold}{more}"


def check_of(rule: Rule) -> Check:
    """A rule as a check like others."""

    def find(bars: Bars) -> Iterator[Found]:
        if len(bars) and rule.is_about(bars.series):
            places = np.flatnonzero(broken(rule, bars.open_times, bars.values))
            yield from grouped(f"{PREFIX}{rule.name}", bars, places, np.ones(len(places)), evidence)

    def evidence(at: int) -> Evidence:
        return {"says": rule.in_words, "rule": rule.name}

    return Check(f"{PREFIX}{rule.name}", rule.in_words, rule.severity, find, says)


def says(evidence: Evidence, _: NumberFormat) -> str:
    """What a finding of a rule says."""
    return f"does not hold: {evidence['says']}"


def trial(lake: DeltaLakeManager, series: Sequence[Series], rule: Rule, around: Around) -> Trial:
    """Try a rule on stored series, for a minute at most. InputError, naming the field, for a rule that cannot be."""
    tried, ends = Trial(), time.monotonic() + _TRIAL_SECONDS
    about = [one for one in series if rule.is_about(one)]
    if not about:
        raise InputError(f"nothing that is stored fits {', '.join(rule.series)}", field="series")
    for place, one in enumerate(about):
        for shown, begins in windows(lake, [one], around):
            if time.monotonic() > ends:
                tried.left = len(about) - place
                return tried
            _count(tried, rule, shown[one], begins[one])
        tried.series += 1
    return tried


def _count(tried: Trial, rule: Rule, bars: Bars, begin: int) -> None:
    new = {name: column[begin:] for name, column in bars.values.items()}
    judged = judge(rule, bars.open_times[begin:], new)
    places = np.flatnonzero(judged.broken)
    tried.bars += len(bars) - begin
    tried.found += len(places)
    tried.untold += int(judged.untold.sum())
    shown = places[: _MOST_SHOWN - len(tried.examples)] + begin
    tried.examples += [(bars.series, int(bars.open_times[at])) for at in shown.tolist()]


def _percent(share: float) -> str:
    """A share, two digits of a small one."""
    return f"{100 * share:.1f} %" if share >= 0.01 else f"{written(in_digits(100 * share, 2))} %"
