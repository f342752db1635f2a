"""A check run: its pairs and what was found of them, in the place of series and candles."""

from __future__ import annotations

import time
from typing import Any

import streamlit as st

from ffe_core.operations.checks.words import in_words
from ffe_core.storage.state.runs import Run, RunSeries
from pages.widgets import duration, number, plain, state_column, when
from pages.widgets.tables import show_table, table_of

FIGURE_WIDTH = 145


def origin(run: Run) -> None:
    """Who started it, when, and what is looked for."""
    who = plain(run.actor) if run.actor == run.source else f"{plain(run.actor)} ({plain(run.source)})"
    kinds = plain(", ".join(map(str, run.parameters.get("kinds", ())))) or "all kinds"
    st.caption(f"Checks: {kinds} · started {when(run.created_at)} by {who}")


def totals(run: Run, rows: list[RunSeries]) -> None:
    """Its figures over all pairs."""
    results = [dict(row.result or {}) for row in rows]

    def total(name: str) -> int:
        return sum(result.get(name) or 0 for result in results)

    seconds = (run.ended_at or time.time()) - (run.started_at or run.created_at)
    figures = {
        "Pairs ended": f"{sum(not row.is_active for row in rows)} of {len(rows)}",
        "Bars": number(total("bars")),
        "Findings": number(total("findings")),
        "New": number(total("new")),
        "Gone": number(total("gone")),
        "Took": duration(seconds),
    }
    with st.container(horizontal=True):
        for name, value in figures.items():
            st.metric(name, value, width=FIGURE_WIDTH)
    st.page_link("findings/page.py", label="Findings", icon=":material/fact_check:")


def table(rows: list[RunSeries]) -> None:
    """A line a pair."""
    st.subheader("Pairs")
    shown = [_line(row) for row in rows]
    show_table(table_of(shown), key="run_pairs", column_config={"State": state_column(width=130)})


def cancel_text(run: Run) -> None:
    """What cancelling it means."""
    st.write(f"Run {run.id} ends after the pair that is being checked; what was found so far stays.")


def _line(row: RunSeries) -> dict[str, Any]:
    result = dict(row.result or {})
    came_to = in_words(result) if "findings" in result else ""
    return {"Pair": row.asset_pair, "State": [row.state], "Came to": came_to}
