"""Delta commit refusals, told apart by deltalake's message, as it raises one class for most failures."""

from __future__ import annotations

_LOG_CLEANED = "Invalid table version"


def is_stale_handle(error: Exception) -> bool:
    """Whether a write was refused as the log behind its handle was cleaned up meanwhile: nothing was written, and a
    fresh handle can. Seen of deltalake 1.6; `tests/storage/lake/test_refusals.py` asks the installed one."""
    return _LOG_CLEANED in str(error)
