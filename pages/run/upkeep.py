"""An upkeep run: its tables and what it came to, in the place of series and candles."""

from __future__ import annotations

import math
from typing import Any

import streamlit as st

from ffe_core.operations.upkeep.history import NAME
from ffe_core.operations.upkeep.job import what_of
from ffe_core.operations.upkeep.words import in_words
from ffe_core.storage.lake.upkeep.disk import size_text
from ffe_core.storage.state import runs as run_states
from ffe_core.storage.state.runs import Run, RunSeries
from pages.run.figures import ended, machines, show_figures, started, total
from pages.widgets import number, plain, service, state_column
from pages.widgets.tables import show_table


def origin(run: Run) -> None:
    """Who started it, when, and what it does."""
    started(run, f"Upkeep: {plain(', '.join(map(str, run.parameters.get('steps', ()))))}")


def totals(run: Run, rows: list[RunSeries]) -> None:
    """Its figures over all tables."""
    figures = {
        "Ended": ended(rows),
        "Files": f"{number(total(rows, 'files_before'))} → {number(total(rows, 'files_after'))}",
        "Log entries deleted": number(total(rows, "log_entries_deleted")),
        "Unused files deleted": number(total(rows, "files_deleted")),
        "Bytes deleted": size_text(total(rows, "bytes_deleted")),
    }
    show_figures(run, figures)


def table(rows: list[RunSeries]) -> None:
    """A line a table."""
    st.subheader("Tables", anchor=False)
    show_table(
        [_line(row, machine) for row, machine in zip(rows, machines(rows), strict=True)],
        key="run_tables",
        height="content",
        column_config={
            "State": state_column(width=130),
            "Progress": st.column_config.ProgressColumn(format="percent", width=85),
            "Doing": st.column_config.TextColumn(width=150),
        },
    )


def cancel_text(run: Run) -> None:
    """What cancelling it means."""
    st.write(f"Run {run.id} ends after the commit that is under way; what it has done stays, and every table is whole.")


def _line(row: RunSeries, machine: dict[str, str]) -> dict[str, Any]:
    result = dict(row.result or {})
    share = row.pages_done / row.pages_planned if row.pages_planned else 0.0
    done = 1.0 if row.state == run_states.COMPLETE else share
    return {
        "Table": service().database.name if row.asset_pair == NAME else what_of(row.series),
        "State": [row.state],
        **machine,
        "Progress": math.floor(100 * done) / 100,
        "Doing": row.phase or "",
        "Came to": in_words(result) if result and "error" not in result else "",
    }
