"""Descriptor limit: raises how many files a process may have open, as a large lake and many sessions need."""

from __future__ import annotations

import logging

log = logging.getLogger(__name__)

ENOUGH = 65_536
"""Descriptors asked for; login shells begin with 1,024 (macOS: 256)."""
FEWEST = 64
"""No command works with fewer: with 20 delta-rs panics, as it cannot start its runtime; with 40 all works."""


def raise_descriptor_limit() -> int | None:
    """Raise the soft limit of open files to the hard one, at most ENOUGH; the limit then, None where there is none."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = ENOUGH if hard == resource.RLIM_INFINITY else min(hard, ENOUGH)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return soft
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError) as error:
        log.warning("the limit of %d open files cannot be raised to %d: %s", soft, wanted, error)
        return soft
    return wanted
