"""Reasons of incomplete bars: which of the bars that a larger one should be made of are missing, and why."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from ffe_core.insight.aggregate import BarSize
from ffe_core.insight.gaps import KINDS, Seen
from ffe_core.intervals import total_before
from ffe_core.storage.lake.snapshot import Ints, epochs

NOT_YET = "to_come"
"""What has not ended yet, beside the kinds of `gaps.KINDS`."""


def reasons(made: pa.Table, seen: Seen, dead: Ints, size: BarSize) -> pa.Array:
    """Text for each resampled bar of `made`, such as "2 dead_lettered, 1 unexplained"; null for a complete one.

    `seen` knows the stored bars of their range, and those stored after the moment asked for; `dead` are the opens of
    its dead letters, ascending. Kinds are those of `gaps.KINDS`, and `to_come` for what has not ended yet.
    """
    at = epochs(made["timestamp"])
    if len(at) == 0:
        return pa.array([], pa.string())
    ends = size.after(at)
    found = seen.missing(int(at[0]), int(ends[-1]), dead)
    first, last = found.bars.rank(at), found.bars.rank(ends)
    counts: dict[str, Ints] = {kind: _within(found.missing[kind], first, last) for kind in KINDS}
    counts[NOT_YET] = made["expected"].to_numpy() - (last - first)
    texts = [_text({kind: int(column[place]) for kind, column in counts.items()}) for place in range(len(at))]
    return pa.array(texts, pa.string())


def _within(ranks: Ints, first: Ints, last: Ints) -> Ints:
    counted: Ints = np.asarray(total_before(ranks, last) - total_before(ranks, first))
    return counted


def _text(counts: dict[str, int]) -> str | None:
    return ", ".join(f"{count} {kind}" for kind, count in counts.items() if count > 0) or None
