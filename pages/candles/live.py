"""Live chart: what the component is given of a view, and what comes back when somebody has panned or zoomed."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

import numpy as np
import streamlit as st

from ffe_core.adjustments.factors import WORDS
from ffe_core.candles import PRICES
from ffe_core.insight.adjusted import Adjustment
from ffe_core.insight.aggregate import BarSize, rungs
from ffe_core.insight.chart import ChartView
from ffe_core.insight.gaps import KINDS
from ffe_core.insight.indicators import Indicator
from ffe_core.insight.stored import SeriesSummary
from ffe_core.insight.units import NumberFormat, in_digits, written
from ffe_core.insight.window import Over, Window, window, with_indicators
from ffe_core.series import Series
from ffe_core.times import DAY
from pages.candles.columns import ID_LETTERS, packed
from pages.candles.component import live_chart
from pages.candles.drawn import expect, is_said
from pages.candles.gaps import GAPS
from pages.widgets import section, service

KEY = "candles_live"
CHART_FIRST_SECONDS = 2.0
"""So long the rest of a session's first page waits for its chart at most."""
_SECONDS_TO_DRAW = 10


def label(series: Series) -> str:
    """A series as the page names it."""
    return f"{series.asset_pair} {series.timeframe} · {series.provider}"


def words_of(adjustment: Adjustment | None) -> str:
    """What bars are adjusted for, as every chart and table of them says; "" for bars as they were traded."""
    return "" if adjustment is None else f"adjusted for {WORDS[adjustment.name]}"


def prices_of(view: ChartView, series: Series | None = None) -> NumberFormat:
    """How the prices of a view, or of what is laid over it, are written."""
    one = view.series if series is None else series
    format_ = service().formats.of(one)
    return format_ if view.adjustment is None else view.adjustment.prices(one, format_)


def _decimals(view: ChartView) -> dict[str, int]:
    """The decimals of prices at least, and to how many adjusted ones are rounded; 0 for those that are whole."""
    format_ = prices_of(view)
    if format_.most is not None:
        return {"decimals": format_.decimals, "most": format_.most}
    return {"decimals": format_.covering(*(view.bars[name] for name in PRICES)), "most": 0}


def _rounded(format_: NumberFormat) -> int:
    return format_.decimals if format_.most is None else format_.most


def draws_live() -> bool:
    """Whether the component is to draw: not where somebody chose otherwise, or this browser cannot."""
    return not (st.session_state.get("candles_plotly") or st.session_state.get("candles_cannot"))


def draw(
    view: ChartView,
    item: SeriesSummary,
    shown: tuple[int, int],
    overs: Sequence[Series],
    indicators: Sequence[Indicator],
    known_at: datetime | None,
    runs: Mapping[str, int],
    on_shown: Callable[[], None],
    *,
    now_over: bool,
    log: bool,
    percent: bool,
    least: BarSize | None = None,
) -> None:
    """The component with a view; `shown` is the range that was asked for, `overs` what is laid over it, `least` the
    smallest size of bars to draw."""
    laid = [Over(one, known_at) for one in overs] + ([Over(view.series)] if now_over and known_at else [])
    found, laid = _window(view, laid, indicators, known_at)
    is_percent = percent or len(laid) > 1
    facts = {
        "series": view.series.key,
        "provider": view.series.provider,
        "runs": {ingestion[:ID_LETTERS]: run for ingestion, run in runs.items()},
        "query": _query(view, laid, indicators, least),
        "stamp": _stamp(view),
        "word": _word(),
        "shown": list(shown),
        "extent": [item.first, item.last + view.series.step],
        **_decimals(view),
        "adjusted": words_of(view.adjustment),
        "unit": view.volume_unit,
        "mock": view.is_mock,
        "log": log,
        "percent": is_percent,
        "kinds": [list(GAPS[kind]) for kind in KINDS],
        "ladder": [{"name": size.name, "seconds": size.seconds} for size in rungs(view.series.timeframe, least)],
        "lines": [*_overs(found, laid), *_indicators(view, indicators)],
        "notes": _notes(view, indicators, is_percent=is_percent),
    }
    live_chart(packed(found, facts), KEY, on_shown_change=on_shown, on_failed_change=_failed)


def shown_by_hand() -> tuple[int, int] | None:
    """The range that somebody came to in the chart, epoch seconds; None if what came back is none."""
    given = st.session_state.get(KEY, {}).get("shown")
    is_range = isinstance(given, list) and len(given) == 2 and all(type(end) in (int, float) for end in given)
    if not is_range or not all(np.isfinite(end) for end in given) or given[0] >= given[1]:
        return None
    return int(given[0]), int(given[1])


def _window(
    view: ChartView, laid: list[Over], indicators: Sequence[Indicator], known_at: datetime | None
) -> tuple[Window, list[Over]]:
    """The view with all that is drawn over it, and what of that is; what fails is told, and left out."""
    found, drawn = window(service().lake, view), laid[:0]
    with section("The series laid over it"):
        found, drawn = window(service().lake, view, laid), laid
    with section("The indicators"):
        found = with_indicators(service().lake, found, indicators, known_at)
    return found, drawn


def _query(view: ChartView, laid: Sequence[Over], indicators: Sequence[Indicator], least: BarSize | None) -> str:
    """What `/bars` is asked besides the range."""
    known = view.as_known_at
    query = [("series", view.series.key)] + ([("known", str(known))] if known is not None else [])
    present = [one for one in laid if known is not None and one.as_known_at is None]
    query += [("least", least.name)] if least is not None else []
    query += [("adjust", view.adjustment.name)] if view.adjustment is not None else []
    query += [("over", one.series.key) for one in laid if one not in present] + [("now", "1") for _ in present]
    return urlencode([*query, *([("with", ",".join(map(str, indicators)))] if indicators else [])], safe="/,")


def _stamp(view: ChartView) -> str:
    """What changes with every commit to the series' table, and with what is on record of splits and dividends: then
    there may be other bars."""
    snapshot = service().lake.snapshot(view.series.table)
    stamp = "" if snapshot is None else f"{snapshot.uri}@{snapshot.version}"
    return stamp if view.adjustment is None else f"{stamp} {view.adjustment.stamp}"


def _overs(found: Window, laid: Sequence[Over]) -> list[dict[str, Any]]:
    """The closes of what is laid over it; those of another pair are brought to its price at their first common bar."""
    lines: list[dict[str, Any]] = []
    own = found.view.series
    for place, over in enumerate(laid):
        column = f"over:{place}"
        factor = 1.0 if over.series.asset_pair == own.asset_pair else _factor(found, column)
        name = "as known now" if over.series == own else label(over.series)
        scaled = f", times {written(in_digits(factor, 6))}" if factor != 1 and len(laid) == 1 else ""
        line = {"column": column, "label": name, "legend": f"{name}{scaled}", "pane": "over", "ink": place}
        lines.append({**line, "factor": factor, "decimals": _rounded(prices_of(found.view, over.series))})
    if len(laid) == 1:
        more = {"label": "Difference, bps", "legend": "difference, bps", "pane": "difference", "ink": 0, "decimals": 2}
        lines.append({"column": "difference", **more})
    return lines


def _factor(found: Window, column: str) -> float:
    close, other = found.columns["close"], found.columns[column]
    common = np.flatnonzero(np.isfinite(close) & np.isfinite(other) & (other != 0))
    return float(close[common[0]] / other[common[0]]) if len(common) else 1.0


def _indicators(view: ChartView, indicators: Sequence[Indicator]) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = []
    for place, one in enumerate(indicators, start=2):
        for name in one.lines:
            edge = f" {name}" if len(one.lines) > 1 else ""
            line = {"column": f"{one}:{name}", "label": f"{one.label}{edge}", "pane": one.pane, "ink": place}
            dashed = bool(edge) and name != "middle"
            legend = one.label if name in ("line", "middle") else None
            lines.append({**line, "legend": legend, "dashed": dashed, "decimals": _rounded(prices_of(view))})
    return [line for line in lines if view.volume_unit or line["pane"] != "volume"]


def _notes(view: ChartView, indicators: Sequence[Indicator], *, is_percent: bool) -> list[str]:
    """What bars are adjusted for, and what is not drawn, and why."""
    notes = [] if view.adjustment is None else [words_of(view.adjustment)]
    if any(one.is_daily for one in indicators) and view.size.seconds >= DAY:
        notes.append("VWAP is of the UTC day: look closer to see it")
    if view.volume_unit is None:
        notes.append("no volume from this provider")
    if is_percent and any(one.pane == "price" for one in indicators):
        notes.append("averages are not drawn in percent")
    return notes


def _word() -> str:
    """What the browser of this session says when it has drawn its first chart."""
    if "candles_word" not in st.session_state:
        st.session_state.candles_word = expect()
    return str(st.session_state.candles_word)


def chart_first() -> None:
    """Give the first chart of a session time to be drawn before the table below, whose code is ten times as much."""
    state, word = st.session_state, _word()
    if not draws_live():
        return
    if state.get("candles_drawn") or is_said(word):
        state.candles_drawn = True
        return
    if "candles_drawing_since" not in state:
        state.candles_drawing_since = time.monotonic()
        if is_said(word, CHART_FIRST_SECONDS):
            state.candles_drawn = True
            return
    _watch(word)


def _failed() -> None:
    st.session_state.candles_cannot = True


@st.fragment(run_every=_SECONDS_TO_DRAW)
def _watch(word: str) -> None:
    """A browser that runs no script of the component says nothing at all: after a while Plotly draws instead."""
    if is_said(word):
        st.rerun()
    if time.monotonic() - st.session_state.candles_drawing_since >= _SECONDS_TO_DRAW:
        _failed()
        st.rerun()
