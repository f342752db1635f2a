"""State badges, everywhere the same: one colour and one icon a meaning, readable without colour."""

from __future__ import annotations

from typing import Any

import streamlit as st

from ffe_core.insight.freshness import Health
from ffe_core.storage.state import runs, schedules
from pages.widgets.text import plain

_LOOKS: dict[str, tuple[str, str]] = {
    runs.QUEUED: ("gray", ":material/schedule:"),
    runs.RUNNING: ("blue", ":material/sync:"),
    runs.CANCELLING: ("orange", ":material/hourglass_bottom:"),
    runs.CANCELLED: ("gray", ":material/block:"),
    runs.INTERRUPTED: ("orange", ":material/power_off:"),
    runs.COMPLETE: ("green", ":material/check_circle:"),
    runs.GAPS: ("yellow", ":material/rule:"),
    runs.FAILED: ("red", ":material/error:"),
    # What became of a tick that has no run, and the states of a schedule.
    schedules.FIRING: ("blue", ":material/bolt:"),
    schedules.WAITING: ("gray", ":material/hourglass_top:"),
    schedules.SKIPPED: ("gray", ":material/fast_forward:"),
    schedules.MISSED: ("orange", ":material/event_busy:"),
    schedules.PAUSED: ("violet", ":material/pause_circle:"),
    "active": ("green", ":material/schedule:"),
}
_HEALTH: dict[str, tuple[str, str]] = {
    Health.NEVER_READ: ("gray", ":material/visibility_off:"),
    Health.NO_WATERMARK: ("gray", ":material/water:"),
    Health.FAILING: ("red", ":material/error:"),
    Health.GAPS: ("yellow", ":material/rule:"),
    Health.BEHIND: ("orange", ":material/history_toggle_off:"),
    Health.HEALTHY: ("green", ":material/check_circle:"),
}
STATE_COLORS: dict[str, str] = {state: color for state, (color, _) in _LOOKS.items()}


def state_badge(state: str) -> None:
    """A badge for a state."""
    color, icon = _LOOKS.get(state, ("gray", ":material/help:"))
    st.badge(plain(state), icon=icon, color=color)  # type: ignore[arg-type]


def state_column(label: str = "State", width: Any = "small") -> Any:
    """A dataframe column of states as coloured labels; each cell a list with the one state."""
    return st.column_config.MultiselectColumn(
        label, options=list(_LOOKS), color=[color for color, _ in _LOOKS.values()], width=width
    )


def health_badge(health: str) -> None:
    """A badge for the health of a series."""
    color, icon = _HEALTH[health]
    st.badge(health, icon=icon, color=color)  # type: ignore[arg-type]


def health_column(label: str = "Health", width: Any = "small") -> Any:
    """A dataframe column of healths as coloured labels; each cell a list with the one."""
    return st.column_config.MultiselectColumn(
        label, options=[str(h) for h in _HEALTH], color=[color for color, _ in _HEALTH.values()], width=width
    )


MODE_NAMES = {"resume": "Continue", "gaps": "Fill gaps", "refetch": "Fetch again"}
"""Modes of a backfill, by the words that people choose in its form."""
_KIND_NAMES = {"refetch": "ask again"}
"""Kinds of runs whose button is not called like them."""


def kind_name(kind: str) -> str:
    """A kind of run, by the words of the button that starts one."""
    return _KIND_NAMES.get(kind, kind)


def kind_of(run: runs.Run | runs.RunSummary) -> str:
    """What a run does, in a word: its kind, or the mode of a backfill that does not just continue."""
    if run.kind == "backfill" and run.mode != "resume":
        return MODE_NAMES.get(run.mode, run.mode).lower()
    return kind_name(run.kind)
