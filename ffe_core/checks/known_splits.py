"""Known splits of shares: what explains a jump, so that it is no finding."""

from __future__ import annotations

from pathlib import Path

from ffe_core.adjustments.actions import SPLIT, Actions

FILE = "splits.csv"


def known_splits(folder: Path) -> dict[str, dict[int, float]]:
    """By pair, the first day after each split (epoch seconds, UTC) and how many new shares there are for an old one.

    None without a file. InputError naming the line that cannot be read, StorageError for a file that cannot.
    """
    found: dict[str, dict[int, float]] = {}
    for one in Actions(folder).all(SPLIT):
        found.setdefault(one.pair, {})[one.day] = float(one.value)
    return found
