"""Chart of a finding: the bars around it and those of its other side, one above the other on one time axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from ffe_core.candles import PRICES
from ffe_core.checks.evidence import Side, shown_range
from ffe_core.storage.lake.snapshot import epochs
from ffe_core.storage.state.findings import FindingRow
from pages.widgets import plotted
from pages.widgets.text import DATE_TICKS

_UP, _DOWN, _MARK = "#1c7c44", "#c62f35", "#d98a1f"
"""Readable on light and on dark."""
_OF_VOLUME = {"zero_volume", "volume_break"}
"""Kinds whose evidence is the volume."""


def figure(row: FindingRow, sides: Sequence[Side]) -> go.Figure:
    """A figure with a row a side, the bars of the finding shaded."""
    with_volume = row.kind in _OF_VOLUME or row.evidence.get("column") == "volume"
    count = len(sides) + with_volume
    drawn = make_subplots(
        rows=count, cols=1, shared_xaxes=True, vertical_spacing=0.08, subplot_titles=_titles(sides, with_volume)
    )
    for place, side in enumerate(sides, 1):
        drawn.add_trace(_candles(side), place, 1)
    if with_volume:
        for side, color in zip(sides, (_UP, _MARK), strict=False):
            drawn.add_trace(_volume(side, color), count, 1)
    _shade(drawn, row)
    drawn.update_xaxes(rangeslider={"visible": False}, tickformatstops=DATE_TICKS, range=_shown(row))
    drawn.update_yaxes(side="right", tickformat=",.10~g")
    drawn.update_annotations(font={"size": 12}, x=0, xanchor="left")
    drawn.update_layout(height=40 + 190 * count, margin={"l": 0, "r": 0, "t": 24, "b": 0}, showlegend=False)
    return drawn


def _shown(row: FindingRow) -> list[Any]:
    """The time that is shown: a long finding is shaded to the edges, and its bars fill the chart."""
    at = int(row.evidence.get("at", row.start))
    return [edge.item() for edge in np.array(shown_range(row.series, row.start, row.end, at)).astype("datetime64[s]")]


def _titles(sides: Sequence[Side], with_volume: bool) -> list[str]:
    named = [f"{plotted(str(side.series))}{', together' if side.of_parts else ''}" for side in sides]
    return [*named, "volume"] if with_volume else named


def _candles(side: Side) -> go.Candlestick:
    return go.Candlestick(
        x=epochs(side.bars["timestamp"]).astype("datetime64[s]"),
        **{name: side.bars[name].to_numpy() for name in PRICES},
        name=plotted(str(side.series)),
        increasing={"line": {"color": _UP, "width": 1}},
        decreasing={"line": {"color": _DOWN, "width": 1}},
    )


def _volume(side: Side, color: str) -> go.Bar:
    times = epochs(side.bars["timestamp"]).astype("datetime64[s]")
    return go.Bar(x=times, y=side.bars["volume"].to_numpy(), name=plotted(str(side.series)), marker={"color": color})


def _shade(drawn: go.Figure, row: FindingRow) -> None:
    half = row.series.step / 2  # a candle stands on its open
    edges = np.array([row.start - half, row.end - half]).astype("datetime64[s]")
    shown = {"x0": edges[0].item(), "x1": edges[1].item(), "fillcolor": _MARK, "opacity": 0.2, "line_width": 0}
    drawn.add_vrect(row="all", col=1, **shown)
