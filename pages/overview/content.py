"""Overview: what there is, how fresh it is, and what needs attention."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import streamlit as st

from ffe_core.insight.freshness import Health
from ffe_core.insight.overview import Overview, SeriesOverview
from ffe_core.operations.runs.backfill import BackfillRequest
from ffe_core.storage.dead_letters.search import Wanted
from ffe_core.storage.state import runs as run_states
from ffe_core.storage.state.runs import RunSeries, RunSummary
from pages.overview.cards import cards
from pages.widgets import (
    actor,
    duration,
    go,
    many,
    plain,
    relative,
    section,
    service,
    state_column,
    when,
)
from pages.widgets.alerts import alert
from pages.widgets.frame import heading, heading_row
from pages.widgets.states import kind_of
from pages.widgets.tables import count_column, score_cell, score_column, show_table, time_cell, time_column
from pages.widgets.travel import new_backfill
from pages.widgets.verbs import changing, told

MOST, MOST_ITEMS, MOST_SERIES = 6, 50, 300
MOST_IN_ADDRESS = 200
"""Pairs in the address of a form: servers in between refuse long ones."""
HALF = 495
"""Pixels: two stand side by side at the reference size, and one below the other on a narrower screen."""
# Something that needs a person: its icon, what it is, what to do, the page for that and its address.
Item = tuple[str, str, str, str, dict[str, str]]


@changing()
def start_simulated() -> None:
    """A month of two simulated markets: enough to see everything, gone with the data folder."""
    today = datetime.now(UTC).date()
    request = BackfillRequest.of("simulated", ["BTCUSD", "EURUSD"], ["1h"], str(today - timedelta(days=30)), str(today))
    st.session_state.overview_first = service().run_service.start(request, actor())


FIRST_REAL = {"provider": "coinbase", "pairs": "BTCUSD", "timeframes": "1h"}
"""What a first real backfill begins with: a provider that needs no key, ready to be started or changed."""


def welcome() -> None:
    heading("Welcome")
    st.write(
        "Nothing is stored yet. Bring candles into a lake of your own: whole, once, and with every gap explained. "
        "Try it with a simulated market first. It needs no key and no network."
    )
    with st.container(horizontal=True):
        st.button(
            "Try a simulated backfill",
            key="overview_try",
            type="primary",
            icon=":material/science:",
            on_click=start_simulated,
            disabled=not service().acts,
        )
        if st.button("Set up a real one", key="overview_real", icon=":material/download:"):
            st.switch_page("backfill/page.py", query_params=FIRST_REAL)
    told()


@st.fragment(run_every=0.5)
def first_run(run_id: int) -> None:
    """The first simulated backfill, to its end and on to its chart."""
    with section("The backfill"):
        run, rows = service().runs.get(run_id), service().runs.series(run_id)
        if run is None or run.state not in run_states.ACTIVE:
            to_the_chart(rows)
            st.rerun()
        done, planned = sum(row.pages_done for row in rows), sum(row.pages_planned for row in rows)
        st.progress(done / planned if planned else 0.0, text="Backfilling a simulated market")


def to_the_chart(rows: list[RunSeries]) -> None:
    """On to the chart of the first series that came in, or to the run if none did."""
    row = next((row for row in rows if row.state != run_states.FAILED), None)
    if row is None:
        go("run", id=str(st.session_state.overview_first))
    else:
        go("candles", provider=row.provider, pair=row.asset_pair, timeframe=row.timeframe)
    del st.session_state.overview_first


def attention(shown: Overview) -> None:
    """What needs a person, each with its action; nothing when there is nothing."""
    st.subheader("Needs attention", anchor=False)
    items = [*of_schedules(), *of_dead_letters(), *of_findings(), *of_series(shown)]
    items.sort(key=lambda item: not item[0].startswith(":red"))  # failures first
    if not items and not shown.trouble:
        st.caption(":green[:material/check_circle:] Nothing. Everything stored is fresh and explained.")
    draw_items(items[:MOST])
    if rest := items[MOST:MOST_ITEMS]:
        with st.expander(many(len(items) - MOST, "more thing", "more things"), key="attention_more"):
            draw_items(rest, MOST)
            if len(items) > MOST_ITEMS:
                st.page_link("watermarks/page.py", label="The rest is told of each series", icon=":material/water:")


def draw_items(items: Sequence[Item], first: int = 0) -> None:
    """One line each; `first` is the place of the first in the whole list."""
    for number_, (icon, text, label, page, params) in enumerate(items, start=first):
        with st.container(horizontal=True, vertical_alignment="center", key=f"attention_{number_}"):
            st.markdown(f"{icon} {plain(text)}", width="content")
            st.page_link(page, label=label, icon=":material/arrow_forward:", query_params=params)


def of_schedules() -> list[Item]:
    """Schedules whose last run failed, that paused themselves or that missed ticks."""
    return [
        (
            ":red[:material/event_busy:]",
            item.text,
            "Open the schedule",
            "schedules/page.py",
            {"schedule": str(item.schedule_id)},
        )
        for item in service().schedules.attention()
    ]


def of_dead_letters() -> list[Item]:
    pending = service().queue.count(Wanted(status="pending"))
    if not pending:
        return []
    many = "record waits" if pending == 1 else "records wait"
    text = f"{pending:,} {many} among the dead letters"
    return [(":orange[:material/mark_email_unread:]", text, "Review them", "dead_letters/page.py", {})]


def of_findings() -> list[Item]:
    """Open findings of the checks, notices aside."""
    count = service().checks.count_open()
    if not count:
        return []
    text = "1 open finding" if count == 1 else f"{count:,} open findings"
    text += ", notices aside"
    return [(":orange[:material/fact_check:]", text, "Look at the evidence", "findings/page.py", {})]


def of_series(shown: Overview) -> Iterator[Item]:
    """What is wrong with series; those with the same trouble and the same remedy are one item."""
    for alike in shown.stopped:
        first, count = alike.rows[0], len(alike.rows)
        icon = ":red[:material/error:]" if first.last_state == run_states.FAILED else ":orange[:material/power_off:]"
        was = "failed" if first.last_state == run_states.FAILED else f"was {first.last_state}"
        text = f"{first.series}: its last run {was}" if count == 1 else f"Run {first.last_run} {was}: {count:,} series"
        yield icon, text, "Open the run", "run/page.py", {"id": str(first.last_run)}
    for alike in shown.holed:
        gappy, bars = alike.rows[0].series, many(alike.unexplained, "bar")
        where = {"provider": gappy.provider, "timeframe": gappy.timeframe}
        text = f"{name_of(alike.rows)}: {bars} unexplained"
        yield ":orange[:material/rule:]", text, "See the gaps", "coverage/page.py", where
    for alike in shown.stale:
        behind, most, count = alike.rows[0].series, duration(alike.lag), len(alike.rows)
        text = f"{name_of(alike.rows)}: {'' if count == 1 else 'up to '}{most} behind"
        icon, form = ":orange[:material/schedule:]", {"provider": behind.provider}
        if count > MOST_IN_ADDRESS:
            yield icon, text, "Look at them", "watermarks/page.py", form | {"health": str(Health.BEHIND)}
            continue
        form |= {"timeframes": behind.timeframe, "pairs": ",".join(row.series.asset_pair for row in alike.rows)}
        yield icon, text, "Bring up to date", "backfill/page.py", form


def name_of(rows: Sequence[SeriesOverview]) -> str:
    first = rows[0].series
    return str(first) if len(rows) == 1 else f"{len(rows):,} pairs {first.timeframe} from {first.provider}"


def run_row(run: RunSummary) -> dict[str, Any]:
    """A run in one line."""
    brings_none, new = run.kind in run_states.OF_STORED, (run.records_total or 0) - (run.restated_total or 0)
    return {
        "Run": run.id,
        "State": [run.state],
        "What": kind_of(run) if brings_none else f"{kind_of(run)}, {run.provider}",
        "New": None if brings_none else new,
        "Started": relative(run.created_at),
    }


def open_run() -> None:
    cells = st.session_state.overview_runs["selection"]["cells"]
    if cells:
        go("run", id=str(st.session_state.overview_run_ids[cells[0][0]]))


def recent_runs() -> None:
    st.subheader("Recent runs", anchor=False)
    runs, total = service().runs.find(limit=MOST)
    st.session_state.overview_run_ids = [run.id for run in runs]
    show_table(
        [run_row(run) for run in runs],
        key="overview_runs",
        height="content",
        on_select=open_run,
        selection_mode="single-cell",
        column_config={
            "Run": st.column_config.NumberColumn(format="%d", width=40),
            "State": state_column(width=118),
            "What": st.column_config.TextColumn(width=120),
            "New": count_column(width=56, help="Candles that were not there."),
            "Started": st.column_config.TextColumn(width=90),
        },
    )
    if total > len(runs):
        st.page_link("runs/page.py", label=f"All {many(total, 'run')}", icon=":material/list:")


def table_row(row: SeriesOverview, score: float | None) -> dict[str, Any]:
    return {
        "Pair": row.series.asset_pair,
        "Timeframe": row.series.timeframe,
        "Provider": row.series.provider,
        "Stored": row.stored,
        "Oldest (UTC)": when(row.oldest, hint=False).removesuffix(" UTC"),
        "Watermark (UTC)": when(row.watermark, hint=False).removesuffix(" UTC"),
        "Behind": time_cell(row.lag),
        "Unexplained": row.unexplained,
        "Score": None if score is None else score_cell(score),
        "Last run": [row.last_state] if row.last_state else [],
    }


def open_series() -> None:
    cells = st.session_state.overview_table["selection"]["cells"]
    if cells:
        series = st.session_state.overview_series[cells[0][0]]
        go("candles", provider=series.provider, pair=series.asset_pair, timeframe=series.timeframe)


def table(shown: Overview) -> None:
    st.subheader("Series", anchor=False)
    rows = shown.there if len(shown.there) <= MOST_SERIES else shown.by_need[:MOST_SERIES]
    st.session_state.overview_series = [row.series for row in rows]
    scores = {series: one.score for series, one in service().checks.scores().items()}
    numbers = {name: count_column() for name in ("Stored", "Unexplained")}
    show_table(
        [table_row(row, scores.get(row.series)) for row in rows],
        key="overview_table",
        height="content" if len(rows) <= 12 else 440,
        on_select=open_series,
        selection_mode="single-cell",
        column_config={
            **numbers,
            "Score": score_column() if scores else None,
            "Last run": state_column("Last run", width="medium"),
            "Oldest (UTC)": st.column_config.TextColumn(
                help="The earliest instant asked to completion, or the first bar stored."
            ),
            "Behind": time_column(help="In market time since the bar at the watermark closed."),
        },
    )
    st.caption("Click a row to open its chart.")
    if len(shown.there) > len(rows):
        text = f"The {len(rows):,} that need attention most, of {len(shown.there):,}."
        with st.container(horizontal=True, vertical_alignment="center"):
            st.caption(text, width="content")
            st.page_link("watermarks/page.py", label="All series", icon=":material/list:")


def page() -> None:
    console = service()
    if (run_id := st.session_state.get("overview_first")) is not None:
        heading("Welcome")
        first_run(run_id)
        return
    shown = console.overviews.now()
    if not shown.rows:
        welcome()
        return
    with heading_row("Overview"):
        new_backfill("overview_new")
    told()
    if shown.trouble:
        sentence = "Part of the lake cannot be read, so nothing is counted:"
        alert("warning", sentence, [shown.trouble], ":material/broken_image:")
    with section("The figures"):
        cards(shown)
    with st.container(horizontal=True, gap="medium"):
        with st.container(width=HALF), section("What needs attention"):
            attention(shown)
        with st.container(width=HALF), section("The recent runs"):
            recent_runs()
    with section("The series"):
        table(shown)


def show() -> None:
    """The whole page."""
    with section("The overview"), service().database.looking():
        page()
