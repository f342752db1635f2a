"""One dead letter: as received, why it was kept, what the lake holds around its bar, and what was done about it."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go
import pyarrow as pa
import streamlit as st

from ffe_core import times
from ffe_core.candles import PRICES, VALUES
from ffe_core.errors import InputError
from ffe_core.insight.bars import bars
from ffe_core.insight.units import NumberFormat, value_text
from ffe_core.operations.dead_letters.edits import WORDS, in_words
from ffe_core.operations.dead_letters.service import described
from ffe_core.series import Series
from ffe_core.storage.dead_letters.file import DISCARDED, PENDING, DeadLetterBatch, DeadLetterRecord
from ffe_core.storage.dead_letters.index import NO_REASON, storable
from ffe_core.storage.dead_letters.queue import Selection
from ffe_core.storage.lake.snapshot import epochs
from ffe_core.validation import UNREADABLE, read_open_times, validate
from pages.dead_letters.dialogs import ask, do
from pages.dead_letters.editor import editor, let_go
from pages.dead_letters.text import (
    bar,
    cell,
    not_asked,
    payload,
    prices_of,
    several,
    status_badge,
    status_of,
    to_the_second,
    verbs,
)
from pages.widgets.frame import actor, section, service
from pages.widgets.tables import fitting, show_table
from pages.widgets.text import DATE_TICKS, plain, when

AROUND = 30
_NEIGHBOURS = 2


def draw_record(batch: DeadLetterBatch, number: int) -> None:
    """Draw one record of a batch."""
    record = batch.records[number]
    _head(batch, record)
    left, right = st.columns([5, 6], gap="large")
    with left, section("The record"):
        _why(record)
        _as_received(record)
    with right, section("What the lake holds"):
        _around(batch.series, record)
    if record.status == PENDING and batch.series is not None:
        with section("The editor"):
            st.subheader("Edit", anchor=False)
            editor({batch.id: (number,)})
    else:
        let_go({batch.id: (number,)})
    with section("The history"):
        _history(batch, record)


def _head(batch: DeadLetterBatch, record: DeadLetterRecord) -> None:
    locked = not service().acts
    with st.container(horizontal=True, vertical_alignment="center"):
        # Not "2 of 12": beside its place on the list, which counts from 1, that reads as another one.
        counted = f"Its number among the {len(batch.records)} of its batch, from 0 on, as on the command line."
        st.subheader(f"Record {record.number}", width="content", anchor=False, help=counted)
        status_badge(status_of(record.status, record.attempts))
        st.space("stretch")
        chosen = {batch.id: (record.number,)}
        if record.status == PENDING and batch.series is not None:
            why = " ".join(not_asked(verbs().askable(chosen))) or None
            _button("Ask the provider again", ":material/cloud_sync:", "refetch", chosen, locked or bool(why), why)
        if record.status == PENDING:
            _button("Discard", ":material/delete:", "discard", chosen, locked)
        if record.status == DISCARDED:
            st.button(
                "Restore",
                key="dl_restore",
                icon=":material/restore_from_trash:",
                type="primary",
                on_click=do,
                args=(verbs().restore, chosen, actor()),
                kwargs={"then": "{:,} pending again."},
                disabled=locked,
            )
    series = batch.series
    where = f"{series.asset_pair} {series.timeframe} from {series.provider}" if series else "no series"
    said = f"{where} · kept {when(batch.saved_at)} · {several(record.attempts, 'attempt')}"
    with st.container(horizontal=True, vertical_alignment="center"):
        st.text(f"{said}\n{cell(batch.error)} · batch {storable(batch.id)}")
        run = batch.context.get("run_id")
        if isinstance(run, int | str) and str(run).isdigit() and len(str(run)) < 10:
            st.page_link(
                "run/page.py",
                label=f"Run {run}, which kept it",
                icon=":material/play_circle:",
                query_params={"id": str(run)},
            )


def _button(label: str, icon: str, dialog: str, chosen: Selection, locked: bool, why_not: str | None = None) -> None:
    help_ = None if why_not is None else plain(why_not)
    st.button(label, key=f"dl_{dialog}", icon=icon, on_click=ask, args=(dialog, chosen), disabled=locked, help=help_)


def _why(record: DeadLetterRecord) -> None:
    st.markdown("**Why it is here**")
    rows = [{"Rule": storable(code), "In words": storable(in_words(code))} for code in record.reasons]
    if not rows:
        st.caption(f"{plain(WORDS[NO_REASON].capitalize())}.")
        return
    show_table(
        rows,
        height="content",
        column_config={
            "Rule": st.column_config.TextColumn(width=fitting([row["Rule"] for row in rows], 100, 190)),
            "In words": st.column_config.TextColumn(width="medium"),
        },
    )


def _as_received(record: DeadLetterRecord) -> None:
    st.markdown("**As received**")
    payload(record.raw)
    if record.revision:
        st.markdown(f"**As edited**, revision {record.revision}")
        payload(record.value)


def _around(series: Series | None, record: DeadLetterRecord) -> None:
    """The bar in question among its neighbours, as a chart and in numbers."""
    open_ = int(read_open_times([record.value])[0])
    if series is None or open_ == UNREADABLE:
        st.markdown("**In the lake**")
        st.caption("Which bar it is cannot be told: " + ("no series." if series is None else "its time is unreadable."))
        return
    start, end = open_ - AROUND * series.step, open_ + (AROUND + 1) * series.step
    try:
        held = bars(service().lake, series, start, end, columns=(*VALUES, "_dead_letter_id"))
    except InputError:
        held = None
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**Around {bar(open_)} UTC in the lake**")
        st.space("stretch")
        st.page_link(
            "candles/page.py",
            label="On its chart",
            icon=":material/candlestick_chart:",
            query_params={
                "provider": series.provider,
                "pair": series.asset_pair,
                "timeframe": series.timeframe,
                "start": times.iso(start),
                "end": times.iso(end),
            },
        )
    if held is None or held.num_rows == 0:
        st.caption("Nothing is stored around this bar.")
        return
    st.plotly_chart(_figure(held, record, open_, series), key="dl_chart", config={"displayModeBar": False})
    _neighbours(held, open_, series)


def _figure(held: pa.Table, record: DeadLetterRecord, open_: int, series: Series) -> go.Figure:
    """Stored candles, and the record where it can be drawn."""
    drawn = go.Figure(_candles(held, "stored", "#1c7c44", "#c62f35"))
    mine = validate([record.value], series.grid).candles
    if mine.num_rows:
        drawn.add_trace(_candles(mine, "this record", "#6f42c1", "#6f42c1"))
    decimals = prices_of(series).covering(*(table[name] for table in (held, mine) for name in PRICES))
    drawn.add_vline(x=np.datetime64(open_, "s").item(), line={"color": "#d98a1f", "width": 1, "dash": "dot"})
    drawn.update_layout(
        height=190,
        margin={"l": 0, "r": 0, "t": 4, "b": 0},
        showlegend=False,
        xaxis={"rangeslider": {"visible": False}, "tickformatstops": DATE_TICKS},
        yaxis={"side": "right", "tickformat": ",.10~g", "hoverformat": f",.{decimals}f"},
    )
    return drawn


def _candles(table: pa.Table, name: str, up: str, down: str) -> go.Candlestick:
    return go.Candlestick(
        x=epochs(table["timestamp"]).astype("datetime64[s]"),
        **{column: table[column].to_numpy() for column in ("open", "high", "low", "close")},
        name=name,
        increasing={"line": {"color": up, "width": 1}},
        decreasing={"line": {"color": down, "width": 1}},
    )


def _neighbours(held: pa.Table, open_: int, series: Series) -> None:
    near = range(open_ - _NEIGHBOURS * series.step, open_ + (_NEIGHBOURS + 1) * series.step, series.step)
    prices = prices_of(series)
    rows = dict(zip(epochs(held["timestamp"]).tolist(), held.to_pylist(), strict=True))
    show_table(
        [_neighbour(at, rows.get(at), prices, at == open_) for at in sorted({*near, open_})],
        height="content",
        column_config={
            "": st.column_config.TextColumn(width=25),
            "Bar (UTC)": st.column_config.TextColumn(width=125),
            "Lineage": st.column_config.TextColumn(width=130),
        },
    )


def _neighbour(at: int, row: dict[str, Any] | None, prices: NumberFormat, is_this: bool) -> dict[str, Any]:
    shown: dict[str, Any] = {"": "▶" if is_this else "", "Bar (UTC)": bar(at)}
    for name in VALUES:
        shown[name.capitalize()] = "" if row is None else value_text(prices, name, row[name])
    shown["Lineage"] = "not stored" if row is None else "edited dead letter" if row["_dead_letter_id"] else "a run"
    return shown


def _history(batch: DeadLetterBatch, record: DeadLetterRecord) -> None:
    st.subheader("History", anchor=False)
    steps = described(batch, record)["history"]
    if not steps:
        st.caption("Nothing was done about it yet.")
        return
    show_table(
        [
            {
                "When (UTC)": to_the_second(str(step["at"])),
                "By": cell(step["by"]),
                "What": "edit" if step["verb"] == "mend" else step["verb"],
                "Outcome": step["outcome"],
                "Why": cell(step.get("why")),
                "Run": str(step.get("run", "")),
                "Reasons": "; ".join(in_words(code) for code in step.get("reasons", [])),
                "Value": cell(step.get("value")),
            }
            for step in reversed(steps)
        ],
        key="dl_history",
        height="content" if len(steps) <= 8 else 320,
        column_config={"Run": st.column_config.TextColumn(width=50)},
    )
