"""Progress of a run in figures: by what was fetched, committed or not, as commits come in heaps."""

from __future__ import annotations

from collections.abc import Sequence

from ffe_core.storage.state.runs import RunSeries


def time_left(rows: Sequence[RunSeries], seconds: float) -> float | None:
    """Seconds left after so many, by the pages fetched; None where that cannot be told or nothing is left.

    A series that has not planned its pages yet counts as an average one.
    """
    planned, done = sum(row.pages_planned for row in rows), sum(row.pages_done for row in rows)
    if not done or not seconds:
        return None
    waiting = sum(row.is_active and not row.pages_planned for row in rows)
    total = planned * len(rows) / (len(rows) - waiting)
    return seconds * (total - done) / done if total > done else None


def rate(rows: Sequence[RunSeries], seconds: float) -> str:
    """Records fetched a second, as text."""
    return f"{sum(row.received for row in rows) / seconds:,.0f} /s" if seconds > 0.5 else "–"
