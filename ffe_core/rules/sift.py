"""Rules of one's own in validation: what breaks one is dead-lettered with the rule's name as its reason."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ffe_core.candles import VALUES
from ffe_core.rules.expression import broken
from ffe_core.rules.model import Rule, Rules
from ffe_core.series import Series
from ffe_core.validation import Checked, Failure

REASON = "own_rule"
"""The reason code, followed by `:NAME`."""
_MICROS = 1_000_000


def rules_of(folder: Path, series: Series) -> tuple[Rule, ...]:
    """The rules of a data directory that dead-letter records of a series. InputError for a file that cannot be read."""
    return tuple(rule for rule in Rules(folder).all() if rule.on and rule.dead_letters and rule.is_about(series))


def sifted(
    checked: Checked, rules: Sequence[Rule], record_of: Callable[[int], Any], open_times: npt.NDArray[np.int64]
) -> Checked:
    """The outcome of a batch with the candles that break a rule among its failures; the sum of all stays.

    `open_times` are those of the records, as validation was given them. InputError as `expression.broken`.
    """
    if not rules or checked.candles.num_rows == 0:
        return checked
    opens = np.asarray(pc.cast(checked.candles["timestamp"], pa.int64())) // _MICROS
    values = {name: checked.candles[name].to_numpy() for name in VALUES}
    found = {rule.name: broken(rule, opens, values) for rule in rules}
    bad = np.logical_or.reduce(list(found.values()))
    if not bad.any():
        return checked
    places = _places(open_times, opens[bad], {failure.index for failure in checked.failures})
    failures = [
        Failure(
            record_of(place), [f"{REASON}:{name}" for name, mask in found.items() if mask[at]], place, int(opens[at])
        )
        for at, place in zip(np.flatnonzero(bad).tolist(), places, strict=True)
    ]
    return Checked(checked.candles.filter(pa.array(~bad)), [*checked.failures, *failures], checked.duplicates)


def _places(open_times: npt.NDArray[np.int64], wanted: npt.NDArray[np.int64], failed: set[int]) -> list[int]:
    """The place of the record that each of these candles was made of: the last of its bar that did not fail."""
    last: dict[int, int] = {}
    for place in np.flatnonzero(np.isin(open_times, wanted)).tolist():
        if place not in failed:
            last[int(open_times[place])] = place
    return [last[at] for at in wanted.tolist()]
