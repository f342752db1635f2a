"""Evidence of one finding, and what can be done about it."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import pyarrow as pa
import streamlit as st

from ffe_core import times
from ffe_core.adjustments.actions import SPLIT, Action, Actions, nearly_same
from ffe_core.candles import VALUES
from ffe_core.checks.evidence import Side, shown_range, sides
from ffe_core.checks.kinds.split import explaining
from ffe_core.checks.table import CHECKS
from ffe_core.insight.units import NumberFormat, value_text
from ffe_core.operations.adjustments import record
from ffe_core.operations.checks.service import kind_sentence
from ffe_core.series import Series
from ffe_core.storage.lake.snapshot import epochs
from ffe_core.storage.state.findings import ACCEPTED, GONE, FindingRow
from ffe_core.times import DAY
from pages.findings.chart import figure
from pages.widgets import actor, many, number, plain, section, service, when
from pages.widgets.dialogs import answering, dialog, unanswered
from pages.widgets.fields import words_fit
from pages.widgets.tables import height_of, show_table
from pages.widgets.text import dated
from pages.widgets.travel import backfill_form
from pages.widgets.verbs import changing, done

_MOST_BARS = 60
_COLORS = {"error": "red", "warning": "orange", "notice": "gray"}


def show(row: FindingRow) -> None:
    """What was found, both sides on a chart, the bars, and the verbs."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader(f"{plain(in_words(row.kind).capitalize())}: {plain(str(row.series))}", anchor=False)
        st.badge(plain(row.severity), color=_COLORS.get(row.severity, "gray"))  # type: ignore[arg-type]
        st.badge(plain(row.state), color="gray")
    said = sentence_of(row)
    st.text(f"{said[:1].upper()}{said[1:]}.")
    if row.kind in CHECKS:
        st.caption(plain(CHECKS[row.kind].sentence))
    _decided(row)
    known = None
    with section("What is on record"):
        known = on_record(row)
        if known is not None:
            st.caption(
                f"The {plain(known.value_text)} split on {plain(known.day_text)} is on record, as:"
                f" {plain(known.reason)}. The next check lets go of this finding; *Check everything now*"
                " starts one."
            )
    _verbs(row, is_known=known is not None)
    with section("The evidence"):
        at = int(row.evidence.get("at", row.start))
        found = sides(service().lake, row.series, row.other_series, row.start, row.end, at)
        st.plotly_chart(figure(row, found), key=f"finding_chart_{row.id}", config={"displayModeBar": False})
        _bars(row, found)


def _decided(row: FindingRow) -> None:
    if row.state == ACCEPTED and row.decided_at is not None:
        st.caption(f"Accepted {when(row.decided_at)} by {plain(row.actor or '')}, until its bars change:")
        st.text(row.reason or "")
    elif row.bars_changed:
        st.warning("It was accepted, and its bars have changed since. The reason was:", icon=":material/history:")
        st.text(row.reason or "")
    elif row.state == GONE:
        st.caption(f"The checks of {when(row.last_at)} did not find it any more.")


def on_record(row: FindingRow) -> Action | None:
    """The split on record for which the next check lets go of a finding. InputError and StorageError for records that
    cannot be read."""
    if row.kind != SPLIT or row.state == GONE:
        return None
    recorded = {one.day: one for one in _splits_of(row)}
    days = explaining({day: float(one.value) for day, one in recorded.items()}, row.evidence)
    return recorded[days[0]] if days else None


def _splits_of(row: FindingRow) -> list[Action]:
    return Actions(service().settings.data_dir).of(row.series.asset_pair, SPLIT)


def _verbs(row: FindingRow, *, is_known: bool) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        if row.state == ACCEPTED:
            st.button("Open it again", icon=":material/undo:", key="finding_reopen", on_click=_reopen, args=(row.id,))
        elif row.state != GONE:
            st.button(
                "Accept",
                icon=":material/check:",
                key="finding_accept",
                type="primary",
                on_click=_ask,
                args=(row.id,),
                disabled=not service().acts,
            )
        if row.kind == SPLIT and row.state != GONE and not is_known:
            st.button(
                "Put it on record",
                icon=":material/call_split:",
                key="finding_split",
                on_click=_ask,
                args=(row.id, "split"),
                disabled=not service().acts,
            )
        _links(row)


def _links(row: FindingRow) -> None:
    one = row.series
    first, last = shown_range(one, row.start, row.end, int(row.evidence.get("at", row.start)))
    st.page_link(
        "candles/page.py",
        label="Chart, and correct by hand",
        icon=":material/candlestick_chart:",
        query_params=_query(one, first, last),
    )
    gappy = {"session_edge": one, "lost_parts": row.other_series}.get(row.kind)
    if gappy is not None:
        shown = {"provider": gappy.provider, "timeframe": gappy.timeframe, "pair": gappy.asset_pair}
        shown["at"] = str(row.start - row.start % DAY)
        st.page_link("coverage/page.py", label="Mark as explained", icon=":material/grid_on:", query_params=shown)
    for series in (one, *((row.other_series,) if row.other_series else ())):
        if not series.provider.startswith("files:"):
            st.page_link(
                "backfill/page.py",
                label="Fetch again"
                if series == one
                else f"Fetch {plain(series.timeframe)} of {plain(series.provider)}",
                icon=":material/refresh:",
                query_params=_refetch(series, row.start, row.end),
            )


def _query(series: Series, start: int, end: int) -> dict[str, str]:
    return {
        "provider": series.provider,
        "pair": series.asset_pair,
        "timeframe": series.timeframe,
        "start": times.iso(start),
        "end": times.iso(end),
    }


def _refetch(series: Series, start: int, end: int) -> dict[str, str]:
    return backfill_form(series, start=times.iso(start), end=times.iso(end), mode="refetch")


def _bars(row: FindingRow, found: Sequence[Side]) -> None:
    """The bars of the finding with a neighbour before and after, both sides beside each other."""
    tables = [dict(zip(epochs(side.bars["timestamp"]).tolist(), side.bars.to_pylist(), strict=True)) for side in found]
    every = sorted(tables[0])
    # The neighbours are the bars beside it, however long the market was closed.
    within = every[max(0, bisect_left(every, row.start) - 1) : bisect_left(every, row.end) + 1]
    opens = _nearest(within, int(row.evidence.get("at", row.start)))
    prices = [service().formats.of(side.series) for side in found]
    rows = [_line(at, row, tables, prices) for at in opens]
    if rows:
        show_table(rows, key="finding_bars", height=height_of(len(rows)))
    if row.bars > len(opens):
        st.caption(f"{many(len(opens), 'bar')} around the worst, of {number(row.bars)}.")


def _nearest(opens: Sequence[int], at: int) -> Sequence[int]:
    """As many opens as are shown, those around `at`."""
    place = bisect_left(opens, at)
    first = max(0, min(place - _MOST_BARS // 2, len(opens) - _MOST_BARS))
    return opens[first : first + _MOST_BARS]


def _line(
    at: int, row: FindingRow, tables: Sequence[dict[int, dict[str, Any]]], prices: Sequence[NumberFormat]
) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "": "▶" if row.start <= at < row.end else "",
        "Bar (UTC)": f"{times.utc(at):%Y-%m-%d %H:%M}",
    }
    for place, side in enumerate(tables):
        for name in VALUES:
            bar = side.get(at)
            label = name.capitalize() if place == 0 else f"{name.capitalize()}, other"
            shown[label] = "" if bar is None else value_text(prices[place], name, bar[name])
    return shown


def open_dialog() -> None:
    """The question that a button has asked. It comes before what says how the last one was answered."""
    asked = st.session_state.get("finding_question")
    if asked is not None:
        finding, what = asked
        for row in service().checks.findings.get([finding]):
            (_split_dialog if what == "split" else _accept_dialog)(row)


def _ask(finding: int, what: str = "accept") -> None:
    unanswered()
    st.session_state.finding_question = finding, what


@dialog("Accept this finding?", asked="finding_question")
def _accept_dialog(row: FindingRow) -> None:
    st.write("It stays accepted until one of its bars changes.")
    fits = words_fit("Why", "finding_reason", 500, placeholder="A halt, seen on the tape")
    st.button("Accept", type="primary", key="finding_accept_yes", disabled=not fits, on_click=_accept, args=(row.id,))


def _accept(finding: int) -> None:
    with answering():
        if service().checks.accept([finding], actor(), st.session_state.finding_reason):
            done("Accepted, until its bars change.")
        else:
            done("It was accepted already, or is gone: that stands, and your reason was not kept.")


@dialog("Put this split on record?", asked="finding_question")
def _split_dialog(row: FindingRow) -> None:
    one = split_of(row, "")
    st.write(
        f"**{plain(one.pair)}**, **{plain(one.value_text)}** from {one.day_text} on. Stored bars stay as they are;"
        " prices adjusted for splits follow it, and the next checks let go of this finding."
    )
    other = nearly_same(one, _splits_of(row))
    if other is not None:
        st.warning(
            f"A split of {plain(other.value_text)} on {plain(other.day_text)} is on record, as: {plain(other.reason)}."
            " With both, prices before are adjusted twice: take that one out first if it is wrong."
        )
        st.checkbox("Both are meant", key="finding_split_meant")
    fits = words_fit("Who says so", "finding_split_reason", 500, placeholder="Announced by the company on 2024-05-22")
    st.button(
        "Put it on record",
        type="primary",
        key="finding_split_yes",
        disabled=not fits,
        on_click=_record,
        args=(row,),
    )
    st.caption("Another day or factor, or one that is wrong on record: `ffe actions add` and `ffe actions remove`.")


def _record(row: FindingRow) -> None:
    with answering():
        one = split_of(row, st.session_state.finding_split_reason)
        is_meant = bool(st.session_state.get("finding_split_meant"))
        added = record(Actions(service().settings.data_dir), service().audit, one, actor(), is_meant=is_meant)
        what = "is on record" if added else "was on record already"
        done(f"The {one.value_text} split of {one.pair} on {one.day_text} {what}; checks let go of this finding.")


def split_of(row: FindingRow, reason: str) -> Action:
    """The split that a finding proposes."""
    at = int(row.evidence["at"])
    factor = Fraction(row.evidence["new"], row.evidence["old"])
    return Action(SPLIT, row.series.asset_pair, at - at % DAY, factor, reason)


@changing()
def _reopen(finding: int) -> None:
    is_changed = service().checks.reopen([finding], actor())
    done("It is open again." if is_changed else "It was open already, or is gone.")


def sentence_of(row: FindingRow) -> str:
    """What a finding says, its prices as everywhere those of its instrument, its times as everywhere here."""
    return dated(kind_sentence(row.kind, row.evidence, service().formats.of(row.series)))


def in_words(kind: str) -> str:
    """The name of a kind as one reads it."""
    return kind.replace("_", " ")


def table_of_rows(rows: Sequence[FindingRow]) -> pa.Table:
    """Findings as a table to download."""
    return pa.Table.from_pylist(
        [
            {
                "id": row.id,
                "severity": row.severity,
                "kind": row.kind,
                "asset_pair": row.asset_pair,
                "timeframe": row.timeframe,
                "provider": row.provider,
                "other": row.other,
                "start": times.iso(row.start),
                "end": times.iso(row.end),
                "bars": row.bars,
                "size": row.size,
                "says": sentence_of(row),
                "state": row.state,
                "reason": row.reason or "",
                "by": row.actor or "",
            }
            for row in rows
        ]
    )
