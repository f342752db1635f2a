"""Grid of runs and series: a square each, by what became of it; a click or Enter leads to the run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import streamlit as st

from ffe_core.storage.state import runs as run_states
from ffe_core.storage.state.runs import RunSummary, SeriesState
from pages.widgets import STATE_COLORS, go

MOST_RUNS, MOST_SERIES = 20, 40
SIGNS = {
    run_states.QUEUED: "·",
    run_states.RUNNING: "…",
    run_states.CANCELLING: "…",
    run_states.CANCELLED: "∅",
    run_states.INTERRUPTED: "!",
    run_states.COMPLETE: "✓",
    run_states.GAPS: "–",
    run_states.FAILED: "×",
}
"""A sign a state, so that it is read without colour."""
LEGEND = ", ".join(f"{sign} {state}" for state, sign in SIGNS.items() if state != run_states.CANCELLING)
_HERE = Path(__file__).parent
_KEY = "runs_grid"
_component = st.components.v2.component(
    "ffe_runs_grid",
    html='<div class="grid"></div>',
    css=(_HERE / "grid.css").read_text("utf-8"),
    js=(_HERE / "grid.js").read_text("utf-8"),
)


def grid(runs: Sequence[RunSummary], states: Sequence[SeriesState]) -> int:
    """Draw it, the newest run last; returns how many series have no room."""
    table = squares(runs, states)
    left_out = len(table["series"]) - MOST_SERIES
    table["series"] = table["series"][:MOST_SERIES]
    _component(data=table, key=_KEY, height="content", on_chosen_change=lambda: _go(table["runs"]))
    return max(left_out, 0)


def squares(runs: Sequence[RunSummary], states: Sequence[SeriesState]) -> dict[str, Any]:
    """What the browser draws: the runs by number, oldest first, and each series with a cell a run or None, those with
    a failure in the newest runs first."""
    numbers = sorted(run.id for run in runs[:MOST_RUNS])
    cells: dict[str, dict[int, str]] = {}
    for one in states:
        cells.setdefault(str(one.series), {})[one.run_id] = one.state
    newest = numbers[::-1]
    order = sorted(cells, key=lambda name: ([cells[name].get(run) != run_states.FAILED for run in newest], name))
    return {
        "runs": numbers,
        "series": [{"name": name, "cells": [_cell(cells[name].get(run)) for run in numbers]} for name in order],
    }


def _cell(state: str | None) -> list[str] | None:
    return None if state is None else [state, SIGNS.get(state, "?"), STATE_COLORS.get(state, "gray")]


def _go(known: Sequence[int]) -> None:
    chosen = st.session_state[_KEY].get("chosen")
    if chosen in known:
        go("run", id=str(chosen))
