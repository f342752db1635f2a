"""Storage: how the lake is stored, what upkeep has done and would win, and the room that is left."""

from typing import Any

import streamlit as st

from ffe_core.errors import StorageError
from ffe_core.insight.storage import SeriesStorage, Storage, TableStorage, storage
from ffe_core.storage.lake.upkeep.disk import size_text
from ffe_core.storage.state import runs as run_states
from pages.widgets import actor, go, is_leaving, many, number, plain, relative, section, service
from pages.widgets.frame import heading_row
from pages.widgets.tables import count_column, show_table, size_column
from pages.widgets.text import FIGURE_WIDTH
from pages.widgets.travel import new_backfill
from pages.widgets.verbs import changing, told

COUNT = count_column(width=80)


def found() -> Storage:
    console = service()
    return storage(console.lake, console.database, console.settings)


@changing()
def start() -> None:
    """Start the upkeep of everything."""
    st.session_state.storage_run = service().upkeep.start(actor())


def is_busy() -> bool:
    """Whether one runs; where that cannot be told, none is started either, and what is drawn below says why."""
    try:
        return bool(service().runs.active(run_states.UPKEEP))
    except StorageError:
        return True


def has_tables() -> bool:
    """Whether anything is stored; where that cannot be told, something is."""
    try:
        return any(version is not None for version in service().lake.versions())
    except StorageError:
        return True


def head() -> None:
    with heading_row("Storage"):
        st.button(
            "Run upkeep now",
            icon=":material/mop:",
            key="storage_run_now",
            type="primary" if has_tables() else "secondary",
            on_click=start,
            disabled=not service().acts or is_busy(),
            help="Makes small files few, tidies the logs and deletes what nobody needs. Backfills go on meanwhile.",
        )


def figures(shown: Storage) -> None:
    """The lake as a whole."""
    spared = sum(one.plan.spared_files for one in shown.tables)
    unused = sum(one.unused.bytes for one in shown.tables)
    values = {
        "Rows": (number(sum(one.plan.rows for one in shown.tables)), "Every version of a bar counts."),
        "Data": (size_text(sum(one.plan.bytes for one in shown.tables)), "Files that the tables name."),
        "Files": (number(sum(one.plan.files for one in shown.tables)), None),
        "To spare": (number(spared), "Files that the next upkeep makes fewer."),
        "To delete": (size_text(unused), "Files that were replaced longer ago than the retention."),
        "Disk left": (size_text(shown.left), None),
    }
    with st.container(horizontal=True):
        for name, (value, meaning) in values.items():
            st.metric(name, value, help=meaning, width=FIGURE_WIDTH)


def table_row(one: TableStorage, size: float, to_delete: float) -> dict[str, Any]:
    return {
        "Table": one.table,
        "Rows": one.plan.rows,
        "Size": size,
        "Files": one.plan.files,
        "Small": one.plan.small_files,
        "Since checkpoint": one.log.since_checkpoint,
        "Log entries": one.log.entries,
        "Last upkeep": relative(one.last_upkeep) if one.last_upkeep else "never",
        "Next merges": one.plan.merged_files,
        "Into": len(one.plan.merges) if one.plan.merges else None,
        "Old entries": one.log.expired,
        "To delete": to_delete,
    }


def tables(shown: Storage) -> None:
    st.subheader("Tables", anchor=False)
    counts = ("Rows", "Files", "Small", "Since checkpoint", "Log entries", "Next merges", "Into")
    sizes, size = size_column([one.plan.bytes for one in shown.tables], width=86)
    gone, to_delete = size_column([one.unused.bytes for one in shown.tables], width=86)
    show_table(
        list(map(table_row, shown.tables, sizes, gone)),
        key="storage_tables",
        height="content",
        column_config={
            **dict.fromkeys(counts, COUNT),
            "Since checkpoint": count_column(width=105),
            "Old entries": st.column_config.NumberColumn(help="Log entries that the next upkeep deletes.", width=75),
            "To delete": to_delete,
            "Size": size,
        },
    )


def series_row(one: SeriesStorage, size: float) -> dict[str, Any]:
    return {
        "Pair": one.asset_pair,
        "Timeframe": one.timeframe,
        "Provider": one.provider,
        "Rows": one.rows,
        "Size": size,
        "Files": one.files,
        "Small": one.small_files,
    }


def series(shown: Storage) -> None:
    st.subheader("Series", anchor=False)
    sizes, size = size_column([one.bytes for one in shown.series])
    show_table(
        list(map(series_row, shown.series, sizes)),
        key="storage_series",
        height="content" if len(shown.series) <= 12 else 460,
        column_config={**dict.fromkeys(("Rows", "Files", "Small"), COUNT), "Size": size},
    )


def kept(shown: Storage) -> None:
    """What is kept for how long."""
    own, history = service().settings.upkeep, shown.history
    st.subheader("Kept", anchor=False)
    old = sum(history.old.values())
    by_itself = f"every {many(own.every_minutes, 'minute')}" if own.every_minutes else "never by itself"
    st.caption(
        f"Replaced files stay {many(own.file_retention_hours, 'hour')}, log entries"
        f" {many(own.log_retention_hours, 'hour')}; what was known when stays for ever, as each version is a row."
        f" The console looks {by_itself} whether there is need."
    )
    st.caption(
        f"{plain(history.name)} has {plain(size_text(history.bytes))},"
        f" {plain(size_text(history.free_bytes))} of it free"
        + (f"; {many(old, 'row')} of its history are older than the settings keep." if old else ".")
    )


@st.fragment(run_every=1)
def progress(run_id: int) -> None:
    """The upkeep that was started here or by itself, while it runs."""
    with section("The upkeep"):
        run, rows = service().runs.get(run_id), service().runs.series(run_id)
        if run is None or not run.is_active or is_leaving():
            st.rerun()
        done, planned = sum(row.pages_done for row in rows), sum(row.pages_planned for row in rows)
        doing = next((row.phase for row in rows if row.phase), "beginning")
        st.progress(done / planned if planned else 0.0, text=f"Run {run_id}: {plain(doing)}")
        st.button(
            "Open the run",
            key="storage_open",
            icon=":material/play_circle:",
            on_click=go,
            args=("run",),
            kwargs={"id": str(run_id)},
        )


def came_to() -> None:
    """What the run that was started here has come to."""
    run_id = st.session_state.get("storage_run")
    run = service().runs.get(run_id) if run_id is not None else None
    if run is None or run.is_active:
        return
    st.page_link(
        "run/page.py",
        label=f"Run {run.id}: {plain(run.state)}",
        icon=":material/play_circle:",
        query_params={"id": str(run.id)},
    )


def empty() -> None:
    st.info("Nothing is stored yet.", icon=":material/database:")
    new_backfill("storage_new")


def page() -> None:
    active = service().runs.active(run_states.UPKEEP)
    if active:
        progress(active[0])
    came_to()
    shown = found()
    if not shown.tables:
        empty()
        return
    with section("The figures"):
        figures(shown)
    with section("The tables"):
        tables(shown)
    with section("The series"):
        series(shown)
    with section("What is kept"):
        kept(shown)


head()
told()
with section("The storage"):
    page()
