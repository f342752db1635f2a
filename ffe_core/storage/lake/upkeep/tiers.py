"""Tiers of data files: which of one series' files in a partition are made one.

Small files always go together. A file beyond the small ones is taken along once those before it come to as much, so
that each byte is rewritten about as often as the partition doubles, and a partition holds a few files and not hundreds.
One whose period is over, to which hardly anything comes any more, becomes a single file.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ffe_core.storage.lake.snapshot import Ints

SMALL_BYTES = 64 * 1024
"""A file below this is small: rewriting it costs less than keeping it does."""
FULL_BYTES = 128 * 2**20
"""A file of this size is left alone, so that no rewriting takes more memory than a few of them."""


def together(sizes: Ints, is_over: bool) -> npt.NDArray[np.bool_]:
    """Which of the files, given their bytes, are made one; none or at least two. `is_over`: the period has ended."""
    chosen = np.zeros(len(sizes), dtype=bool)
    total = 0
    for place in np.argsort(sizes, kind="stable").tolist():
        size = int(sizes[place])
        if total + size > FULL_BYTES or (size >= SMALL_BYTES and size > total and not is_over):
            break
        chosen[place] = True
        total += size
    return chosen if chosen.sum() > 1 else np.zeros(len(sizes), dtype=bool)
