"""Grid of runs and series: a square each, by what became of it; a click or Enter leads to the run."""

from __future__ import annotations

from collections.abc import Sequence

from ffe_core.storage.state import runs as run_states
from ffe_core.storage.state.runs import RunSummary, SeriesState
from pages.widgets import STATE_COLORS, go
from pages.widgets.squares import Column, Facts, Kind, Table, draw

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
_STATES = tuple(SIGNS)
_PIXELS = 27


def grid(runs: Sequence[RunSummary], states: Sequence[SeriesState]) -> int:
    """Draw it, the newest run last; returns how many series have no room."""
    table, left_out = table_of(runs, states)
    draw("runs_grid", table, lambda _, run: go("run", id=str(run)))
    return left_out


def table_of(runs: Sequence[RunSummary], states: Sequence[SeriesState]) -> tuple[Table, int]:
    """What is drawn: the runs by number, oldest first, and each series, those with a failure in the newest runs first;
    and how many series have no room."""
    numbers = sorted(run.id for run in runs[:MOST_RUNS])
    cells: dict[str, dict[int, str]] = {}
    for one in states:
        cells.setdefault(str(one.series), {})[one.run_id] = one.state
    newest = numbers[::-1]
    order = sorted(cells, key=lambda name: ([cells[name].get(run) != run_states.FAILED for run in newest], name))
    shown = order[:MOST_SERIES]
    places = {state: place for place, state in enumerate(_STATES)}
    table = Table(
        rows=shown,
        columns=[Column(run, f"run {run}") for run in numbers],
        cells=[[places.get(cells[name].get(run, "")) for run in numbers] for name in shown],
        facts=[Facts(place) for place in places.values()],
        kinds=[_kind(state) for state in _STATES],
        legend=[places[state] for state in _STATES if state != run_states.CANCELLING],
        heads=[(str(run), 1) for run in numbers],
        least=_PIXELS,
        most=_PIXELS,
        high=_PIXELS,
    )
    return table, len(order) - len(shown)


def _kind(state: str) -> Kind:
    own = f"var(--st-{STATE_COLORS.get(state, 'gray')}-color)"
    mixed = f"color-mix(in srgb, {own} %d%%, transparent)"
    return Kind(state, SIGNS[state], fill=mixed % 24, edge=mixed % 60)
