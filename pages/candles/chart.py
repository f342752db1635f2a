"""Candle chart by Plotly, for pictures and for browsers that forbid the component: closures cut out, gaps shaded."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pyarrow as pa
from plotly.subplots import make_subplots

from ffe_core.candles import PRICES
from ffe_core.insight.aggregate import stamps as as_column
from ffe_core.insight.chart import ChartView
from ffe_core.insight.units import NumberFormat, unit_text, volume_text
from ffe_core.storage.lake.snapshot import epochs
from ffe_core.times import DAY
from pages.candles.gaps import GAPS, MOST_SHADES
from pages.widgets import plotted

_MOST_TICKS = 9
_TICKS = (
    (None, 60_000, "%H:%M:%S"),
    (60_000, 86_400_000, "%H:%M\n%-d %b %Y"),
    (86_400_000, "M1", "%-d %b\n%Y"),
    ("M1", "M12", "%b\n%Y"),
    ("M12", None, "%Y"),
)
"""Distance of two ticks from and to, as Plotly writes them, and how their times are written: as everywhere else."""
_INK = {
    "light": {"up": "#1c7c44", "down": "#c62f35", "text": "#17202a", "grid": "#e9edf1", "faint": "#8a949e"},
    "dark": {"up": "#5cbf82", "down": "#f0716f", "text": "#dde4ec", "grid": "#232d39", "faint": "#6c7a89"},
}


def figure(
    view: ChartView,
    theme: str,
    prices: NumberFormat,
    *,
    log: bool = False,
    second: tuple[str, pa.Table] | None = None,
    runs: Mapping[str, int] | None = None,
    adjusted: str = "",
) -> go.Figure:
    """A figure of a view; `second` is a name and a table from `overlay`: its close as a line, the difference below.

    `runs` says which run brought an ingestion id, for the lineage under the pointer, `adjusted` what for, if they are.
    """
    ink = _INK[theme if theme in _INK else "light"]
    rows = 3 if second else 2
    heights = [0.62, 0.18, 0.20] if second else [0.78, 0.22]
    drawn = make_subplots(rows=rows, cols=1, shared_xaxes=True, vertical_spacing=0.02, row_heights=heights)
    stamps = _stamps(view.bars)
    drawn.add_trace(_candles(view, stamps, ink, runs or {}, adjusted), 1, 1)
    if _is_sparse(view):
        drawn.add_trace(_width_of_a_bar(view), 1, 1)
    _add_restated(drawn, view, stamps)
    _add_dead_letters(drawn, view)
    if view.volume_unit is not None:
        drawn.add_trace(_volume(view, stamps, ink), 2, 1)
    if second:
        _add_second(drawn, view, *second, prices, ink)
    _shade(drawn, view)
    _lay_out(drawn, view, ink, prices, log=log, second=second is not None)
    if adjusted:
        _label(drawn, adjusted, ink)
    return drawn


def _label(drawn: go.Figure, text: str, ink: dict[str, str]) -> None:
    """What the bars are adjusted for, in the picture itself."""
    at = {"xref": "paper", "yref": "paper", "x": 0.005, "y": 0.995, "xanchor": "left", "yanchor": "top"}
    drawn.add_annotation(text=plotted(text), **at, showarrow=False, font={"size": 13, "color": ink["text"]})


def _stamps(table: pa.Table) -> np.ndarray:
    return epochs(table["timestamp"]).astype("datetime64[s]")


def _candles(
    view: ChartView, stamps: np.ndarray, ink: dict[str, str], runs: Mapping[str, int], adjusted: str
) -> go.Candlestick:
    values = {name: view.bars[name].to_numpy() for name in ("open", "high", "low", "close")}
    return go.Candlestick(
        x=stamps,
        **values,
        name="price",
        increasing={"line": {"color": ink["up"], "width": 1}, "fillcolor": ink["up"]},
        decreasing={"line": {"color": ink["down"], "width": 1}, "fillcolor": ink["down"]},
        text=_lineage(view, runs, adjusted),
        hoverinfo="x+y+text",
        showlegend=False,
    )


def _is_sparse(view: ChartView) -> bool:
    """Whether no two bars are neighbours: Plotly makes candles as wide as the smallest distance between two."""
    open_times = epochs(view.bars["timestamp"])
    return len(open_times) > 0 and (len(open_times) == 1 or int(np.diff(open_times).min()) > view.size.seconds)


def _width_of_a_bar(view: ChartView) -> go.Candlestick:
    """Two neighbours without a price, so that candles are drawn one bar wide."""
    last = epochs(view.bars["timestamp"])[-1:]
    at = np.concatenate((last, last + view.size.seconds)).astype("datetime64[s]")
    nothing: list[None] = [None, None]
    return go.Candlestick(
        x=at, open=nothing, high=nothing, low=nothing, close=nothing, hoverinfo="skip", showlegend=False
    )


def _lineage(view: ChartView, runs: Mapping[str, int], adjusted: str) -> list[str]:
    """What a bar stands for and where it comes from, for the bar under the pointer."""
    label = [plotted(adjusted)] if adjusted else []
    return ["<br>".join([*label, *_counts(view, row), *_origin(row, runs)]) for row in view.bars.to_pylist()]


def _counts(view: ChartView, row: Mapping[str, Any]) -> list[str]:
    volume = volume_text(row["volume"], row["sources"])
    parts = [f"volume {volume} ({plotted(view.volume_unit)})"] if view.volume_unit else []
    if row["expected"] > 1 or row["sources"] > 1:
        parts.append(f"{row['sources']:,} of {row['expected']:,} source bars")
    if row["restated"]:
        parts.append("restated" if row["sources"] == 1 else f"{row['restated']:,} of them restated")
    return parts


def _origin(row: Mapping[str, Any], runs: Mapping[str, int]) -> list[str]:
    if "_extracted_at" not in row:
        return []
    run = runs.get(row["_ingestion_id"])
    parts = [
        f"{plotted(row['source_provider'])} · extracted {row['_extracted_at']:%Y-%m-%d %H:%M:%S} UTC",
        f"ingestion {plotted(str(row['_ingestion_id'])[:18])}" + (f" · run {run}" if run else ""),
    ]
    return [*parts, "edited dead letter"] if row["_dead_letter_id"] else parts


def _volume(view: ChartView, stamps: np.ndarray, ink: dict[str, str]) -> go.Bar:
    return go.Bar(
        x=stamps,
        y=view.bars["volume"].to_numpy(),
        width=None if view.size.months else view.size.seconds * 900,
        name="volume",
        marker={"color": ink["faint"], "line": {"width": 0}},
        customdata=[
            volume_text(*row)
            for row in zip(view.bars["volume"].to_pylist(), view.bars["sources"].to_pylist(), strict=True)
        ],
        hovertemplate="%{customdata} (" + plotted(view.volume_unit) + ")<extra></extra>",
        showlegend=False,
    )


def _add_restated(drawn: go.Figure, view: ChartView, stamps: np.ndarray) -> None:
    changed = view.bars["restated"].to_numpy() > 0
    if changed.any():
        drawn.add_trace(
            go.Scatter(
                x=stamps[changed],
                y=view.bars["high"].to_numpy()[changed],
                mode="markers",
                marker={"symbol": "triangle-down", "size": 8, "color": "#8a5cd6"},
                name="restated",
                hoverinfo="skip",
            ),
            1,
            1,
        )


def _add_dead_letters(drawn: go.Figure, view: ChartView) -> None:
    if len(view.dead_letters) and view.bars.num_rows:
        shown = np.unique(view.size.buckets(view.dead_letters)) if view.size.is_timeframe else view.dead_letters
        low = float(view.bars["low"].to_numpy().min())
        drawn.add_trace(
            go.Scatter(
                x=shown.astype("datetime64[s]"),
                y=np.full(len(shown), low),
                mode="markers",
                marker={"symbol": "x", "size": 8, "color": "#d98a1f"},
                name="dead letter",
                hovertemplate="%{x}<br>a record was kept as a dead letter<extra></extra>",
            ),
            1,
            1,
        )


def _with_breaks(joined: pa.Table, view: ChartView) -> pa.Table:
    """With a row of nothing for each bar that neither series has: Plotly draws a line across what is no row."""
    missing = [np.arange(gap.start, gap.end, view.size.seconds) for gap in view.gaps]
    opens = np.setdiff1d(np.concatenate([np.empty(0, np.int64), *missing]), epochs(joined["timestamp"]))
    breaks = pa.table({"timestamp": as_column(opens)})
    return pa.concat_tables([joined, breaks], promote_options="default").sort_by("timestamp")


def _add_second(
    drawn: go.Figure, view: ChartView, name: str, joined: pa.Table, prices: NumberFormat, ink: dict[str, str]
) -> None:
    joined = _with_breaks(joined, view)
    opens, closes = _stamps(joined), joined["close_b"].to_numpy()
    line = {"color": "#b85f00", "width": 1.4}
    drawn.add_trace(
        go.Scatter(
            x=opens,
            y=closes,
            customdata=[prices.text(close) for close in joined["close_b"].to_pylist()],
            hovertemplate="%{customdata}",
            mode="lines",
            line=line,
            name=plotted(name),
            connectgaps=False,
        ),
        1,
        1,
    )
    drawn.add_trace(
        go.Bar(
            x=opens,
            y=joined["difference_bps"].to_numpy(),
            marker={"color": "#b85f00", "line": {"width": 0}},
            name="difference",
            hovertemplate="%{y:,.2f} bps<extra></extra>",
            showlegend=False,
        ),
        3,
        1,
    )


def _shade(drawn: go.Figure, view: ChartView) -> None:
    """Missing bars as shaded spans, the largest first where there are very many."""
    gaps = sorted(view.gaps, key=lambda gap: gap.start - gap.end)[:MOST_SHADES]
    half = view.size.seconds // 2  # a bar is drawn around its open
    for gap in gaps:
        drawn.add_shape(
            type="rect",
            x0=np.datetime64(gap.start - half, "s"),
            x1=np.datetime64(gap.end - half, "s"),
            y0=0,
            y1=1,
            xref="x",
            yref="paper",
            fillcolor=GAPS[gap.kind][1],
            line={"width": 0},
            layer="below",
        )
    for kind in {gap.kind for gap in gaps}:
        name, shade = GAPS[kind]
        drawn.add_trace(
            go.Scatter(
                x=[None],
                y=[None],
                mode="markers",
                marker={"symbol": "square", "size": 11, "color": shade},
                name=name,
            ),
            1,
            1,
        )


def _edges(view: ChartView) -> tuple[int, int]:
    """What the time axis spans; one bar alone gets room around it."""
    room = 10 * view.size.seconds if view.end - view.start <= view.size.seconds else 0
    return view.start - room, view.end + room


def _ticks(view: ChartView) -> dict[str, Any]:
    """Where closures are cut out, days are named at their first bar: Plotly would put labels into the cut."""
    open_times = epochs(view.bars["timestamp"])
    if not view.closures or len(open_times) == 0 or open_times[-1] - open_times[0] < 2 * DAY:
        return {}
    firsts = np.flatnonzero(np.diff(open_times // DAY, prepend=-1))
    kept: list[int] = []
    for place in firsts.tolist():
        if not kept or place - kept[-1] >= max(1, len(open_times) / _MOST_TICKS):
            kept.append(place)
    at = open_times[kept].astype("datetime64[s]")
    return {"tickmode": "array", "tickvals": at, "tickformat": "%-d %b<br>%Y"}


def _decimals_of_ticks(view: ChartView) -> int:
    """The decimals that tell two ticks apart: about ten lie between the lowest and the highest price."""
    if view.bars.num_rows == 0:
        return 0
    low, high = float(view.bars["low"].to_numpy().min()), float(view.bars["high"].to_numpy().max())
    step = (high - low) / 10 or abs(high) / 100
    return max(0, min(12, math.ceil(-math.log10(step)))) if step > 0 else 0


def _lay_out(
    drawn: go.Figure, view: ChartView, ink: dict[str, str], prices: NumberFormat, *, log: bool, second: bool
) -> None:
    half = view.size.seconds // 2
    decimals = prices.covering(*(view.bars[name] for name in PRICES))
    breaks = [
        {"bounds": [str(np.datetime64(start - half, "s")), str(np.datetime64(end - half, "s"))]}
        for start, end in view.closures
    ]
    axis: dict[str, Any] = {"gridcolor": ink["grid"], "zeroline": False, "color": ink["text"]}
    drawn.update_layout(
        height=560 if not second else 660,
        margin={"l": 4, "r": 76, "t": 24, "b": 30},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"color": ink["text"], "size": 12},
        dragmode="select",
        selectdirection="h",
        hovermode="x",
        hoverlabel={"align": "left"},
        bargap=0.1,
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        modebar={"bgcolor": "rgba(0,0,0,0)", "color": ink["faint"], "activecolor": ink["text"]},
        newselection={"line": {"color": ink["faint"], "dash": "dot"}},
    )
    drawn.update_xaxes(
        **axis,
        rangeslider={"visible": False},
        rangebreaks=breaks,
        range=[str(np.datetime64(edge - half, "s")) for edge in _edges(view)],
        **_ticks(view),
        tickformatstops=[{"dtickrange": [least, most], "value": text} for least, most, text in _TICKS],
        hoverformat="%a %Y-%m-%d %H:%M UTC" if view.size.seconds < DAY else "%a %Y-%m-%d",
        showspikes=True,
        spikemode="across",
        spikethickness=1,
        spikedash="dot",
        spikecolor=ink["faint"],
    )
    drawn.update_yaxes(
        **axis,
        side="right",
        ticks="outside",
        ticklen=5,
        tickcolor="rgba(0,0,0,0)",
        tickformat=",.10~g",
        hoverformat=f",.{decimals}f",
        showspikes=True,
        spikethickness=1,
        spikedash="dot",
    )
    ticks = f",.{max(prices.decimals, _decimals_of_ticks(view))}f"
    drawn.update_yaxes(type="log" if log else "linear", tickformat=ticks, row=1, col=1)
    unit = plotted(unit_text(view.volume_unit))
    drawn.update_yaxes(
        title={"text": unit, "font": {"size": 11}, "standoff": 12}, tickformat="~s", nticks=4, row=2, col=1
    )
    if second:
        drawn.update_yaxes(title={"text": "difference, bps", "font": {"size": 11}}, nticks=4, row=3, col=1)
    if view.is_mock:
        drawn.add_annotation(
            text="SIMULATED DATA",
            xref="paper",
            yref="paper",
            x=0.5,
            y=0.62,
            showarrow=False,
            font={"size": 54, "color": ink["faint"]},
            opacity=0.28,
        )
