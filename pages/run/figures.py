"""Head and figures of a run that fetches nothing: who started it, and what its parts came to together."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import streamlit as st

from ffe_core.storage.state import runs as run_states
from ffe_core.storage.state.runs import Run, RunSeries
from pages.widgets import duration, plain, when
from pages.widgets.text import FIGURE_WIDTH


def started(run: Run, words: str) -> None:
    """What it does, in `words` that are escaped already, when it was started and by whom."""
    who = plain(run.actor) if run.actor == run.source else f"{plain(run.actor)} ({plain(run.source)})"
    st.caption(f"{words} · started {when(run.created_at)} by {who}")


def total(rows: Sequence[RunSeries], name: str) -> int:
    """The sum of a figure over the results of all parts."""
    return sum((row.result or {}).get(name) or 0 for row in rows)


def ended(rows: Sequence[RunSeries]) -> str:
    """How many of the parts were worked through; what was interrupted or cancelled was not."""
    return f"{sum(row.state in run_states.CAME_TO_AN_END for row in rows)} of {len(rows)}"


def machines(rows: Sequence[RunSeries]) -> list[dict[str, str]]:
    """For each part a cell with the worker that did or does it; none where no worker did any."""
    any_did = any(row.machine for row in rows)
    return [{"Machine": row.machine or ""} if any_did else {} for row in rows]


def show_figures(run: Run, figures: Mapping[str, str]) -> None:
    """The figures in a row, and how long the run took."""
    seconds = (run.ended_at or time.time()) - (run.started_at or run.created_at)
    with st.container(horizontal=True):
        for name, value in {**figures, "Took": duration(seconds)}.items():
            st.metric(name, value, width=FIGURE_WIDTH)
