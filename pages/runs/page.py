"""Runs: every backfill, replay, upkeep, check and count, newest first, with what it came to."""

import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import streamlit as st

from ffe_core import times
from ffe_core.storage.state import runs as run_states
from ffe_core.storage.state.runs import RunSummary
from pages.runs.grid import MOST_RUNS, grid
from pages.widgets import (
    arrived,
    from_url,
    go,
    is_leaving,
    keep_in_url,
    listed,
    many,
    notes,
    number,
    one_of,
    relative,
    section,
    service,
    span,
    state_column,
)
from pages.widgets.fields import filter_row
from pages.widgets.frame import heading
from pages.widgets.pairs import pair_filter, pairs_meant
from pages.widgets.sources import source_names
from pages.widgets.states import kind_name, kind_of
from pages.widgets.tables import count_column, fitting, show_table
from pages.widgets.travel import new_backfill

PAGE_SIZE = 25
FIRST_SERIES = 12
ROOM, LITTLE_ROOM = 26, 16
"""Characters of pairs: the bar of progress takes some."""
WHERE = {"command line": "CLI"}
SOURCES = {
    "console": "The console",
    "command line": "The command line",
    "schedule": "Schedules",
    "upkeep": "Upkeep",
    "checks": "Checks",
    "coverage": "Coverage",
}
MOST_PAGES = 1_000_000
KINDS = ("backfill", "import", "replay", "refetch", *run_states.OF_STORED)
VIEWS = {"list": "List", "grid": "Grid"}
SINCE = {"Any time": None, "Last 24 hours": 1, "Last 7 days": 7, "Last 30 days": 30}
KEYS = {"any": "Any time", "1d": "Last 24 hours", "7d": "Last 7 days", "30d": "Last 30 days"}


def prefill() -> None:
    state = st.session_state
    if not arrived("runs_states"):
        return
    state.runs_states = listed("state", one_of(run_states.STATES))
    state.runs_kind = from_url("kind", one_of(KINDS), None)
    state.runs_provider = from_url("provider", one_of(source_names()), None)
    state.runs_pair = from_url("pair", str, "")
    state.runs_view = from_url("view", one_of(VIEWS), "list")
    state.runs_by = from_url("by", one_of(SOURCES), None)
    state.runs_since = KEYS[from_url("since", one_of(KEYS), "any")]
    state.runs_page = from_url("page", page_number, 1)


def page_number(text: str) -> int:
    number = int(text)
    if not 1 <= number <= MOST_PAGES:
        raise ValueError(text)
    return number


def first_page() -> None:
    st.session_state.runs_page = 1


def filters() -> None:
    state = st.session_state
    filter_row(
        [
            lambda: st.multiselect(
                "State", run_states.STATES, key="runs_states", placeholder="Any state", on_change=first_page
            ),
            lambda: choose("Provider", "runs_provider", source_names(), str),
            lambda: pair_filter("runs_pair", "run", service().runs.pairs, on_change=first_page),
        ],
        [
            (state.runs_kind is not None, lambda: choose("Kind", "runs_kind", KINDS, kind_name)),
            (
                state.runs_since != KEYS["any"],
                lambda: st.selectbox("Started", list(SINCE), key="runs_since", on_change=first_page),
            ),
            (state.runs_by is not None, lambda: choose("Started by", "runs_by", list(SOURCES), SOURCES.__getitem__)),
        ],
    )
    keep_in_url(
        state=",".join(state.runs_states),
        kind=state.runs_kind,
        provider=state.runs_provider,
        pair=state.runs_pair,
        by=state.runs_by,
        view=state.runs_view if state.runs_view != "list" else None,
        since=next(key for key, label in KEYS.items() if label == state.runs_since).replace("any", ""),
        page=state.runs_page if state.runs_page > 1 else None,
    )


def choose(name: str, key: str, known: Sequence[str], words: Callable[[str], str]) -> None:
    st.selectbox(name, known, index=None, key=key, format_func=words, placeholder="Any", on_change=first_page)


def found() -> tuple[list[RunSummary], int]:
    state = st.session_state
    days = SINCE[state.runs_since]
    since = None if days is None else (datetime.now(UTC) - timedelta(days=days)).timestamp()
    wanted = state.runs_pair.strip()
    pairs = pairs_meant(wanted, service().runs.pairs()) if wanted else ()
    if wanted and not pairs:
        return [], 0
    return service().runs.find(
        states=state.runs_states,
        kinds=[state.runs_kind] if state.runs_kind else [],
        provider=state.runs_provider,
        asset_pairs=pairs,
        source=state.runs_by,
        since=since,
        limit=PAGE_SIZE,
        offset=PAGE_SIZE * (state.runs_page - 1),
    )


def series_of(run: RunSummary, pairs: Sequence[str], room: int) -> str:
    """The first pairs of a run, one at least, as many as fit into so many characters with how many series there are."""
    texts = [_named(run, pairs[:count]) for count in range(len(pairs), 0, -1)] or [_named(run, ())]
    return next((text for text in texts if len(text) <= room), texts[-1])


def _named(run: RunSummary, shown: Sequence[str]) -> str:
    more = (run.pairs_total or 0) - len(shown)
    series = run.series_total or 0
    named = ", ".join(shown) + (f" +{number(more)}" if more > 0 else "")
    return named if series == run.pairs_total else f"{named} · {many(series, 'series', 'series')}"


def row(run: RunSummary, pairs: Sequence[str], room: int) -> dict[str, Any]:
    ended = run.ended_at or datetime.now(UTC).timestamp()
    is_upkeep, brings = run.kind == run_states.UPKEEP, run.kind not in run_states.OF_STORED
    return {
        "Run": run.id,
        "State": [run.state],
        "What": kind_of(run),
        "Provider": run.provider if brings else "",
        "Pairs": "" if is_upkeep else series_of(run, pairs, room),
        "Range": span(run.start - run.start % times.DAY, run.end + -run.end % times.DAY) if run.has_range else "",
        # Rounded down: only what is done reads 100 %.
        "Progress": math.floor(100 * (run.progress or 0)) / 100,
        "New": (run.records_total or 0) - (run.restated_total or 0) if brings else None,
        "Restated": run.restated_total if brings else None,
        "Broke a rule": run.failed_total if brings else None,
        "Unexplained": run.unexplained_total,
        "Started": relative(run.created_at),
        "Took": timedelta(seconds=int(ended - run.started_at)) if run.started_at else None,
        "By": by(run),
    }


def by(run: RunSummary) -> str:
    """Who started it, and by what if not on a page; the scheduler, upkeep and checks are what they are."""
    if run.source in ("console", run.actor):
        return run.actor
    return run.source if run.source == "schedule" else f"{run.actor}, {WHERE.get(run.source, run.source)}"


def open_selected() -> None:
    cells = st.session_state.runs_table["selection"]["cells"]
    if cells:
        go("run", id=str(st.session_state.runs_ids[cells[0][0]]))


def telling(rows: Sequence[RunSummary], shown: Sequence[dict[str, Any]]) -> list[str]:
    """The columns that say something: progress while a run is under way, counts of what is amiss where there is any."""
    none = {name for name in ("Restated", "Broke a rule", "Unexplained") if not any(one[name] for one in shown)}
    if not any(run.is_active for run in rows):
        none.add("Progress")
    return [name for name in shown[0] if name not in none]


@st.fragment(run_every=2)
def table() -> None:
    """Redrawn every two seconds, so that what runs is seen to move."""
    with section("The list of runs"), service().database.looking():
        rows, total = found()
        st.session_state.runs_total = total
        if not rows:
            empty(total)
            leave()
            return
        if st.session_state.runs_view == "grid":
            squares(rows, total)
            leave()
            return
        st.session_state.runs_ids = [run.id for run in rows]
        numbers = {
            name: count_column(width=width)
            for name, width in (("New", 58), ("Restated", 58), ("Broke a rule", 74), ("Unexplained", 74))
        }
        pairs = service().runs.first_pairs([run.id for run in rows], FIRST_SERIES)
        under_way = any(run.is_active for run in rows)
        shown = [row(run, pairs.get(run.id, []), LITTLE_ROOM if under_way else ROOM) for run in rows]
        show_table(
            shown,
            column_order=telling(rows, shown),
            key="runs_table",
            height="content",
            on_select=open_selected,
            selection_mode="single-cell",
            column_config={
                **numbers,
                "Run": st.column_config.NumberColumn(format="%d", width=34),
                "State": state_column(width=120),
                "What": st.column_config.TextColumn(width=fitting([one["What"] for one in shown], 56, 90)),
                "Provider": st.column_config.TextColumn(width=84),
                "Pairs": st.column_config.TextColumn(width=102 if under_way else 160),
                "Range": st.column_config.TextColumn(width=144, help="Whole UTC days; its page has the times."),
                "By": st.column_config.TextColumn(width=fitting([one["By"] for one in shown], 60, 240)),
                "Progress": st.column_config.ProgressColumn(format="percent", width=58),
                # They grow while one looks, and a column keeps the width of what it showed first.
                "Started": st.column_config.TextColumn(width=88),
                "Took": st.column_config.NumberColumn(format="compact", width=62, help="Hours, minutes and seconds."),
            },
        )
        st.caption(f"{total:,} run{'' if total == 1 else 's'}. Click a row to open it.")
    leave()


def leave() -> None:
    """A fragment does not go to another page; the whole page does."""
    if is_leaving():
        st.rerun()


def squares(rows: Sequence[RunSummary], total: int) -> None:
    """The newest of the found runs against their series."""
    shown = [run for run in rows if run.kind != run_states.UPKEEP][:MOST_RUNS]
    left_out = grid(shown, service().runs.series_states([run.id for run in shown]))
    more = f" {many(left_out, 'series', 'series')} more have no room; filter by pair." if left_out else ""
    st.caption(f"The newest {len(shown)} of {many(total, 'run')}, the newest on the right.{more}")


def empty(total: int) -> None:
    if total or any(st.query_params.values()):
        st.info("No run matches these filters.", icon=":material/filter_alt_off:")
        st.button("Clear filters", on_click=clear)
    else:
        st.info("Nothing has run yet. A backfill brings candles into the lake.", icon=":material/play_circle:")
        new_backfill("runs_new")


def clear() -> None:
    for name in ("view", "states", "kind", "provider", "pair", "since", "by", "page"):
        st.session_state.pop(f"runs_{name}", None)
    st.query_params.clear()


heading("Runs")
prefill()
notes()
with section("The filters"):
    filters()
    st.segmented_control(
        "View",
        list(VIEWS),
        key="runs_view",
        format_func=VIEWS.__getitem__,
        required=True,
        label_visibility="collapsed",
    )
table()
with section("The pages"):
    if (matching := st.session_state.get("runs_total", 0)) > PAGE_SIZE:
        st.pagination(-(-matching // PAGE_SIZE), key="runs_page")
