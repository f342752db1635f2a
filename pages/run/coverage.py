"""A coverage run: its series and how whole each is, in the place of series and candles."""

from __future__ import annotations

from typing import Any

import streamlit as st

from ffe_core.storage.state.runs import Run, RunSeries
from pages.run.figures import ended, machines, show_figures, started
from pages.widgets import number, state_column
from pages.widgets.tables import count_column, show_table

COUNTS = ("expected", "stored", "dead_lettered", "marked", "unexplained")
NAMES = {name: name.replace("_", " ").capitalize() for name in COUNTS}


def origin(run: Run) -> None:
    """Who started it, and when."""
    started(run, "Coverage")


def totals(run: Run, rows: list[RunSeries]) -> None:
    """Its counts over all series."""
    counts = {label: number(sum(getattr(row, name) or 0 for row in rows)) for name, label in NAMES.items()}
    show_figures(run, {"Series ended": ended(rows), **counts})
    st.page_link("coverage/page.py", label="Coverage", icon=":material/grid_on:")


def table(rows: list[RunSeries]) -> None:
    """A line a series, those with the most unexplained bars first."""
    st.subheader("Series", anchor=False)
    cells = zip(rows, machines(rows), strict=True)
    shown = [_line(*one) for one in sorted(cells, key=lambda one: -(one[0].unexplained or 0))]
    numbers = {label: count_column() for label in NAMES.values()}
    config = {"State": state_column(width=130), **numbers}
    show_table(shown, key="run_counted", column_config=config)


def cancel_text(run: Run) -> None:
    """What cancelling it means."""
    st.write(f"Run {run.id} ends within seconds; what was read so far need not be read again.")


def _line(row: RunSeries, machine: dict[str, str]) -> dict[str, Any]:
    counts = {label: getattr(row, name) for name, label in NAMES.items()}
    return {"Pair": row.asset_pair, "Timeframe": row.timeframe, "State": [row.state], **machine, **counts}
