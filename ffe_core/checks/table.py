"""Table of all checks: a new one is a file in `kinds` and a line here."""

from __future__ import annotations

from collections.abc import Sequence

from ffe_core.checks.kinds import (
    closed_market,
    lost_parts,
    off_tick,
    provider_differs,
    provider_scale,
    provider_shift,
    repeated_bar,
    session_edge,
    spike,
    split,
    stuck_price,
    timeframes,
    unit_break,
    volume_break,
    zero_volume,
)
from ffe_core.checks.model import Check
from ffe_core.errors import InputError

CHECKS: dict[str, Check] = {
    module.CHECK.name: module.CHECK
    for module in (
        timeframes,
        lost_parts,
        provider_scale,
        provider_shift,
        provider_differs,
        unit_break,
        volume_break,
        split,
        spike,
        stuck_price,
        repeated_bar,
        zero_volume,
        off_tick,
        session_edge,
        closed_market,
    )
}
"""Every check by its name."""


def chosen(names: Sequence[str] | None) -> list[Check]:
    """The checks of these names, all without any; InputError listing those there are."""
    unknown = [name for name in names or () if name not in CHECKS]
    if unknown:
        raise InputError(f"{unknown[0]!r} is unknown; use one of {', '.join(CHECKS)}", field="kind")
    return [CHECKS[name] for name in names] if names else list(CHECKS.values())
