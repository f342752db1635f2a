"""Coverage heatmap of many pairs: a cell a pair and period, readable without colour vision.

Colours go from light to dark (from dark to light on a dark page) with how much is missing, from blue to orange, and
every cell that is not whole carries a sign.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ffe_core import times
from ffe_core.intervals import Times
from pages.widgets.squares import Column, Facts, Kind, Table

LEVELS = ("whole", "explained", "some missing", "most missing", "all missing", "never asked")
SIGNS = ("", "·", "–", "=", "×", "?")
NEVER_ASKED = 5
CLOSED = "market closed"
# What is whole is quiet: it is what mostly is.
_LIGHT = ("#eef3f8", "#a9c8e2", "#e89a3c", "#b35806", "#5c2a04", "#dcdfe3")
_DARK = ("#18222d", "#3b6a91", "#c46f12", "#f3a95a", "#fde3c4", "#333d49")
# Each sign is read on its colour: 4.5:1.
_LIGHT_INK = ("#000000", "#000000", "#000000", "#ffffff", "#ffffff", "#000000")
_DARK_INK = ("#ffffff", "#ffffff", "#000000", "#000000", "#000000", "#ffffff")
_KINDS = tuple(
    Kind(
        level,
        SIGNS[place],
        fill=f"light-dark({_LIGHT[place]}, {_DARK[place]})",
        ink=f"light-dark({_LIGHT_INK[place]}, {_DARK_INK[place]})",
    )
    for place, level in enumerate(LEVELS)
)
_DATE_STEPS = (1, 2, 3, 7, 14, 28)
_MOST_DATES = 12
_DATE_PIXELS, _LEAST_PIXELS, _MOST_PIXELS, _ROW_PIXELS = 44, 7, 60, 22
"""Room for a date; of a column and a row."""
_NAMES = {"day": "%Y-%m-%d", "week": "week from %Y-%m-%d", "month": "%B %Y"}


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


def dates(edges: Times, period: str) -> list[tuple[str, int]]:
    """Names over the columns, each with how many it spans: days by their month's name, months too, each year where it
    begins. The last one is left out where it has no room."""
    days = [times.utc(edge) for edge in edges[:-1].tolist()]
    least = -(-len(days) // _MOST_DATES)
    step = next((step for step in _DATE_STEPS if step >= least), least)
    found, year = [], None
    for place in range(0, len(days), step):
        day, span = days[place], min(step, len(days) - place)
        text = f"{day:%b}" if period == "month" else f"{day.day} {day:%b}"
        below = "" if day.year == year else f"\n{day.year}"
        found.append((text + below if span == step else "", span))
        year = day.year
    return found


def table_of(
    pairs: Sequence[str], edges: Times, counts: dict[str, Times], never: np.ndarray, period: str = "day"
) -> Table:
    """The heatmap; each column's key is the start of its period, in epoch seconds."""
    found = levels(counts, never)
    there = ~np.isnan(found)
    every = np.stack([np.where(there, found, 0).astype(np.int64), *counts.values()], axis=-1)
    facts, places = np.unique(every[there], axis=0, return_inverse=True)
    cells = np.full(found.shape, -1)
    cells[there] = places.ravel()
    heads = dates(edges, period)
    return Table(
        rows=list(pairs),
        columns=[Column(edge, times.utc(edge).strftime(_NAMES[period])) for edge in edges[:-1].tolist()],
        cells=[[None if cell < 0 else cell for cell in row] for row in cells.tolist()],
        facts=[
            Facts(kind, [f"{name.replace('_', ' ')} {count:,}" for name, count in zip(counts, numbers, strict=True)])
            for kind, *numbers in facts.tolist()
        ],
        kinds=_KINDS,
        legend=range(len(LEVELS)),
        heads=heads,
        least=max(_LEAST_PIXELS, -(-_DATE_PIXELS // heads[0][1])),
        most=_MOST_PIXELS,
        high=_ROW_PIXELS,
        empty=CLOSED,
    )
