"""Lost parts: finer bars are missing in which something was traded, as the coarser bar proves."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ffe_core.checks.bars import Bars
from ffe_core.checks.kinds.timeframes import compared, differing, parts_of
from ffe_core.checks.model import NOTICE, Check, Evidence, Found
from ffe_core.insight.units import NumberFormat, summed, value_text


def find(bars: Bars) -> Iterator[Found]:
    """Bars some of whose parts are missing, and that are not what the others come to."""
    parts = parts_of(bars)
    if parts is None:
        return
    differ = {name: mask & ~parts.is_whole for name, mask in differing(bars, parts).items()}
    odd = np.flatnonzero(np.logical_or.reduce(list(differ.values())))
    yield from compared("lost_parts", bars, parts, odd, {name: mask[odd] for name, mask in differ.items()})


def _says(evidence: Evidence, prices: NumberFormat) -> str:
    name = evidence["column"]
    here, parts = value_text(prices, name, evidence["here"]), value_text(prices, name, summed(evidence["parts"]))
    return f"{evidence['finer']} bars are missing: {name} is {here}, those there come to {parts}"


CHECK = Check(
    "lost_parts",
    "Finer bars of the same source are missing where something was traded: the coarser bar has more than they come to.",
    NOTICE,
    find,
    _says,
    join=12,
)
