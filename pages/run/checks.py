"""A check run: its pairs and what was found of them, in the place of series and candles."""

from __future__ import annotations

from typing import Any

import streamlit as st

from ffe_core.operations.checks.words import in_words
from ffe_core.storage.state.runs import Run, RunSeries
from pages.run.figures import ended, machines, show_figures, started, total
from pages.widgets import number, plain, state_column
from pages.widgets.tables import show_table


def origin(run: Run) -> None:
    """Who started it, when, and what is looked for."""
    kinds = plain(", ".join(map(str, run.parameters.get("kinds", ())))) or "all kinds"
    started(run, f"Checks: {kinds}")


def totals(run: Run, rows: list[RunSeries]) -> None:
    """Its figures over all pairs."""
    figures = {name: number(total(rows, name.lower())) for name in ("Bars", "Findings", "New", "Gone")}
    show_figures(run, {"Pairs ended": ended(rows), **figures})
    st.page_link("findings/page.py", label="Findings", icon=":material/fact_check:")


def table(rows: list[RunSeries]) -> None:
    """A line a pair."""
    st.subheader("Pairs", anchor=False)
    shown = [_line(row, machine) for row, machine in zip(rows, machines(rows), strict=True)]
    show_table(shown, key="run_pairs", column_config={"State": state_column(width=130)})


def cancel_text(run: Run) -> None:
    """What cancelling it means."""
    st.write(f"Run {run.id} ends within seconds; of the pairs that are being checked nothing goes on record.")


def _line(row: RunSeries, machine: dict[str, str]) -> dict[str, Any]:
    result = dict(row.result or {})
    came_to = in_words(result) if "findings" in result else ""
    return {"Pair": row.asset_pair, "State": [row.state], **machine, "Came to": came_to}
