"""Coverage heatmap of many pairs: a cell a pair and period, readable without colour vision.

Colours go from light to dark (from dark to light on a dark page) with how much is missing, from blue to orange, and
every cell that is not whole carries a sign. Clicks reach Python through markers that lie on the cells.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from ffe_core import times
from ffe_core.intervals import Times
from pages.widgets import plotted

LEVELS = ("whole", "explained", "some missing", "most missing", "all missing", "never asked")
SIGNS = ("", "·", "–", "=", "×", "?")
NEVER_ASKED = 5
# What is whole is quiet: it is what mostly is.
_LIGHT = ("#eef3f8", "#a9c8e2", "#e89a3c", "#b35806", "#5c2a04", "#dcdfe3")
_DARK = ("#18222d", "#3b6a91", "#c46f12", "#f3a95a", "#fde3c4", "#333d49")
_DATE_STEPS = (1, 2, 3, 7, 14, 28)
_MOST_DATES = 12
_ROW_PIXELS, _FRAME_PIXELS, _MOST_SIGNS = 26, 90, 6_000


def levels(counts: dict[str, Times], never: np.ndarray) -> np.ndarray:
    """What each cell is, as a place in `LEVELS`; NaN where no bar is expected, though somebody asked."""
    expected, unexplained = counts["expected"], counts["unexplained"]
    explained = counts["dead_lettered"] + counts["marked"] > 0
    found = np.select(
        [unexplained == 0, unexplained == expected, unexplained * 2 > expected], [np.where(explained, 1, 0), 4, 3], 2
    ).astype(float)
    found[expected == 0] = np.nan
    found[never] = NEVER_ASKED
    return found


def dates(edges: Times, period: str) -> tuple[list[int], list[str]]:
    """Which columns are named, and how: days by their month's name, months too, each year where it begins."""
    days = [times.utc(edge) for edge in edges[:-1].tolist()]
    least = -(-len(days) // _MOST_DATES)
    step = next((step for step in _DATE_STEPS if step >= least), least)
    named, year, texts = list(range(0, len(days), step)), None, []
    for place in named:
        day = days[place]
        text = f"{day:%b}" if period == "month" else f"{day.day} {day:%b}"
        texts.append(text if day.year == year else f"{text}<br>{day.year}")
        year = day.year
    return named, texts


def figure(
    pairs: Sequence[str], edges: Times, counts: dict[str, Times], never: np.ndarray, period: str = "day"
) -> go.Figure:
    """The heatmap; each marker's customdata is its pair and the start of its period, then the six counts."""
    dark = st.context.theme.type == "dark"
    found, colors = levels(counts, never), _DARK if dark else _LIGHT
    named, texts = dates(edges, period)
    labels = [f"{times.utc(edge):%Y-%m-%d}" for edge in edges[:-1].tolist()]
    chart = go.Figure()
    chart.add_heatmap(
        z=found,
        x=labels,
        y=[plotted(pair) for pair in pairs],
        zmin=-0.5,
        zmax=len(LEVELS) - 0.5,
        colorscale=[[(place + side) / len(LEVELS), color] for place, color in enumerate(colors) for side in (0, 1)],
        xgap=1,
        ygap=2,
        hoverinfo="skip",
        colorbar={
            "tickvals": list(range(len(LEVELS))),
            "ticktext": [f"{sign} {level}" for sign, level in zip(SIGNS, LEVELS, strict=True)],
            "thickness": 14,
            "lenmode": "pixels",
            "len": 140,
            "y": 1,
            "yanchor": "top",
            "outlinewidth": 0,
        },
    )
    _add_markers(chart, pairs, labels, edges, counts, found, dark)
    chart.update_layout(
        height=_FRAME_PIXELS + _ROW_PIXELS * len(pairs) + (40 if len(pairs) < 4 else 0),
        margin={"l": 0, "r": 0, "t": 8, "b": 0},
        plot_bgcolor="rgba(0,0,0,0)",
        showlegend=False,
        dragmode=False,
        clickmode="event+select",
        xaxis={
            "type": "category",
            "showgrid": False,
            "tickvals": [labels[place] for place in named],
            "ticktext": texts,
            # Upright where a narrow screen would lay one date over the next.
            "autotickangles": [0, 90],
            "fixedrange": True,
            "range": [-0.5, len(labels) - 0.5],
        },
        yaxis={
            "type": "category",
            "showgrid": False,
            "range": [len(pairs) - 0.5, -0.5],
            "fixedrange": True,
            "automargin": True,
        },
    )
    return chart


def _add_markers(
    chart: go.Figure,
    pairs: Sequence[str],
    labels: list[str],
    edges: Times,
    counts: dict[str, Times],
    found: np.ndarray,
    dark: bool,
) -> None:
    rows, columns = np.nonzero(~np.isnan(found))
    kinds = found[rows, columns].astype(int)
    facts = [counts[name][rows, columns].tolist() for name in counts]
    starts = edges[columns].tolist()
    names = [pairs[row] for row in rows.tolist()]
    with_signs = len(rows) <= _MOST_SIGNS
    notes = ["<br>never asked for" if kind == NEVER_ASKED else "" for kind in kinds.tolist()]
    bright = ("#000000", "#ffffff")
    chart.add_scatter(
        x=[labels[column] for column in columns.tolist()],
        y=[plotted(name) for name in names],
        mode="markers+text" if with_signs else "markers",
        text=[SIGNS[kind] for kind in kinds.tolist()] if with_signs else None,
        textfont={"size": 12, "color": [bright[(3 <= kind < NEVER_ASKED) != dark] for kind in kinds.tolist()]},
        customdata=list(zip(names, starts, *facts, notes, strict=True)),
        marker={"symbol": "square", "size": 18, "color": "#ffffff" if dark else "#000000", "opacity": 0},
        selected={"marker": {"opacity": 0.35}},
        unselected={"marker": {"opacity": 0}},
        hovertemplate="<b>%{y}</b> from %{x}<br>expected %{customdata[2]:,}<br>stored %{customdata[3]:,}"
        "<br>dead lettered %{customdata[4]:,}<br>marked %{customdata[5]:,}"
        "<br>unexplained %{customdata[6]:,}<br>extra %{customdata[7]:,}%{customdata[8]}<extra></extra>",
    )
