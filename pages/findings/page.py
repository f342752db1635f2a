"""Findings: what checks found of stored bars, with evidence, and what people decided about it."""

import io
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pyarrow.csv as pacsv
import streamlit as st

from ffe_core.checks.model import NOTICE, SEVERITIES
from ffe_core.checks.table import CHECKS
from ffe_core.errors import StorageError
from ffe_core.storage.state import runs as run_states
from ffe_core.storage.state.findings import FINDING_STATES, OPEN, FindingRow
from pages.findings import rules
from pages.findings.evidence import in_words, open_dialog, sentence_of, show, table_of_rows
from pages.widgets import (
    actor,
    arrived,
    from_url,
    go,
    is_leaving,
    keep_in_url,
    many,
    notes,
    number,
    one_of,
    plain,
    relative,
    section,
    service,
    whole,
)
from pages.widgets.frame import heading_row
from pages.widgets.pairs import pair_filter, pairs_meant
from pages.widgets.tables import OF_SENTENCES, count_column, digest, fitting, height_of, show_table
from pages.widgets.travel import new_backfill
from pages.widgets.url import are_shown
from pages.widgets.verbs import changing, told

MOST = 1_000
WORST = {severity: place for place, severity in enumerate(SEVERITIES)}


@changing()
def start() -> None:
    """Check everything that is stored."""
    st.session_state.findings_run = service().checks.start(actor())


def is_busy() -> bool:
    try:
        return bool(service().runs.active(run_states.CHECK))
    except StorageError:
        return True


def head() -> None:
    with heading_row("Findings"):
        st.button(
            "Check everything now",
            icon=":material/fact_check:",
            key="findings_check",
            on_click=start,
            disabled=not service().acts or is_busy(),
            help="Sets timeframes, sources and every bar's neighbours against each other. It changes no bar.",
        )


def filters() -> None:
    state = st.session_state
    if arrived("findings_state"):
        state.findings_state = from_url("state", one_of(FINDING_STATES), OPEN)
        state.findings_severity = from_url("severity", one_of(SEVERITIES), None)
        state.findings_kind = from_url("kind", one_of(kinds_known()), None)
        state.findings_pair = from_url("pair", str, "")
        state.findings_chosen = from_url("id", whole, None)
    cells = st.columns([2, 2, 3, 3])
    with cells[0]:
        st.selectbox("State", FINDING_STATES, key="findings_state")
    with cells[1]:
        st.selectbox("Severity", SEVERITIES, index=None, key="findings_severity", placeholder="Any")
    with cells[2]:
        st.selectbox("Kind", kinds_known(), index=None, key="findings_kind", placeholder="Any", format_func=in_words)
    with cells[3]:
        pair_filter("findings_pair", "series", stored_pairs)


def stored_pairs() -> list[str]:
    return list(dict.fromkeys(series.asset_pair for series in service().coverage.series()))


def kinds_known() -> list[str]:
    """The kinds of checks, and rules of one's own that have found something."""
    found = set(service().checks.findings.kinds()) - CHECKS.keys()
    return [*CHECKS, *sorted(found)]


def found() -> list[FindingRow]:
    """What the filters leave, the worst first."""
    state = st.session_state
    rows = service().checks.findings.find(
        states=[state.findings_state],
        severities=[state.findings_severity] if state.findings_severity else None,
        kinds=[state.findings_kind] if state.findings_kind else None,
    )
    typed = state.findings_pair.strip()
    pairs = pairs_meant(typed, sorted({row.asset_pair for row in rows})) if typed else ()
    kept = [row for row in rows if not typed or row.asset_pair in pairs]
    return sorted(kept, key=lambda row: (WORST.get(row.severity, len(WORST)), row.kind, row.asset_pair, row.start))


def choose(key: str, ids: Sequence[int]) -> None:
    """A click on a row shows its evidence."""
    cells = st.session_state[key]["selection"]["cells"]
    st.session_state.findings_chosen = ids[cells[0][0]] if cells else None


def line(row: FindingRow) -> dict[str, Any]:
    return {
        "Finding": row.id,
        "Severity": row.severity,
        "Kind": in_words(row.kind),
        "Pair": row.asset_pair,
        "Timeframe": row.timeframe,
        "Provider": row.provider,
        "From (UTC)": row.start * 1_000,
        "Bars": row.bars,
        "What": sentence_of(row),
    }


def listed_rows(rows: Sequence[FindingRow]) -> None:
    shown = rows[:MOST]
    ids = [row.id for row in shown]
    key = f"findings_table_{digest(ids)}"
    lines = [line(row) for row in shown]

    def width(name: str, least: int, most: int, letter: float = OF_SENTENCES) -> Any:
        return st.column_config.TextColumn(width=fitting([one[name] for one in lines], least, most, letter))

    show_table(
        lines,
        key=key,
        height=height_of(len(shown)),
        on_select=lambda: choose(key, ids),
        selection_mode="single-cell",
        column_config={
            "Finding": st.column_config.NumberColumn(width=60),
            "Severity": st.column_config.TextColumn(width=66),
            "Kind": width("Kind", 60, 160),
            "Pair": width("Pair", 62, 160),
            "Timeframe": st.column_config.TextColumn(width=76),
            "Provider": width("Provider", 66, 160),
            "From (UTC)": st.column_config.DatetimeColumn(format="YYYY-MM-DD HH:mm", width=118),
            "Bars": count_column(width=56),
            # Whole, and what has no room then is scrolled to.
            "What": width("What", 300, 1_200),
        },
    )
    kinds = Counter(in_words(row.kind) for row in rows)
    of_kinds = plain(", ".join(f"{number(count)} {kind}" for kind, count in kinds.most_common()))
    with st.container(horizontal=True, vertical_alignment="center"):
        notices = " The count beside the page's name leaves notices out." if has_notices(rows) else ""
        counted = many(len(rows), "finding")
        st.caption(f"{counted}: {of_kinds}. Click a row for its evidence.{notices}", width="stretch")
        st.download_button(
            "Download",
            csv_of(rows),
            f"findings-{datetime.now(UTC):%Y-%m-%dT%H-%M}.csv",
            "text/csv",
            icon=":material/download:",
            key="findings_download",
        )


def has_notices(rows: Sequence[FindingRow]) -> bool:
    return any(row.severity == NOTICE and row.state == OPEN for row in rows)


def csv_of(rows: Sequence[FindingRow]) -> bytes:
    out = io.BytesIO()
    pacsv.write_csv(table_of_rows(rows), out)
    return out.getvalue()


def chosen(rows: Sequence[FindingRow]) -> FindingRow | None:
    """The finding whose evidence is shown: the one that was clicked or named, else the first."""
    wanted = st.session_state.findings_chosen
    if wanted is not None:
        named = service().checks.findings.get([wanted])
        if named:
            return named[0]
    return rows[0] if rows else None


@st.fragment(run_every=1)
def progress(run_id: int) -> None:
    """Checks that are under way."""
    with section("The checks"):
        run, rows = service().runs.get(run_id), service().runs.series(run_id)
        is_over = run is None or not run.is_active
        if is_leaving() or (is_over and are_shown(("findings_state", "findings_pair"))):
            st.rerun()
        done = sum(not row.is_active for row in rows)
        st.progress(
            done / len(rows) if rows else 0.0, text=f"Run {run_id}: {number(done)} of {many(len(rows), 'pair')}"
        )
        st.button("Open the run", key="findings_open", icon=":material/play_circle:", on_click=go, args=("run",),
                  kwargs={"id": str(run_id)})  # fmt: skip


def nothing() -> None:
    last = service().checks.last_at()
    if last is None and not service().coverage.series():
        st.info(
            "Nothing is stored yet, so there is nothing to check. A backfill brings candles into the lake.",
            icon=":material/fact_check:",
        )
        new_backfill("findings_backfill")
        return
    if last is None:
        st.info(
            "Nothing was checked yet. Checks ask of stored bars whether they are true: whether timeframes and sources"
            " agree, prices keep their unit, volumes their level.",
            icon=":material/fact_check:",
        )
        return
    state = st.session_state
    if state.findings_severity or state.findings_kind or state.findings_pair.strip():
        st.info("No finding matches these filters.", icon=":material/filter_alt_off:")
        return
    st.success(
        f"Nothing of it is {plain(state.findings_state)}. Last check: {relative(last)}.", icon=":material/check_circle:"
    )


def page() -> None:
    active = service().runs.active(run_states.CHECK)
    if active:
        progress(active[0])
    filters()
    notes()
    open_dialog()
    told()
    with section("The findings"):
        rows = found()
        state = st.session_state
        row = chosen(rows)
        keep_in_url(
            state=state.findings_state if state.findings_state != OPEN else None,
            severity=state.findings_severity,
            kind=state.findings_kind,
            pair=state.findings_pair,
            id=str(state.findings_chosen) if state.findings_chosen is not None else None,
        )
        if rows:
            listed_rows(rows)
        else:
            nothing()
        if row is not None:
            with section("The evidence"):
                show(row)
    rules.show()


with section("The findings"):
    head()
    page()
