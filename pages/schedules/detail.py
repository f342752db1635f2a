"""One schedule: its next ticks, its settings, what became of each tick, and what can be done about it."""

from __future__ import annotations

from typing import Any

import streamlit as st

from ffe_core.errors import InputError
from ffe_core.operations.runs.backfill import is_beginning
from ffe_core.storage.state.schedules import Schedule, Tick
from pages.schedules.filling import MODES
from pages.schedules.form import coming
from pages.schedules.text import local, series_of, state_of, told
from pages.schedules.verbs import do, go, told_in_full
from pages.widgets import travel
from pages.widgets.dialogs import answered, answering, dialog, unanswered
from pages.widgets.fields import words_fit
from pages.widgets.frame import actor, section, service
from pages.widgets.states import state_badge, state_column
from pages.widgets.tables import show_table
from pages.widgets.text import many, number, plain, relative, when

PAGE_SIZE = 50


def detail_view(schedule: Schedule) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.title("Schedules", width="content", anchor=False)
        st.button("All schedules", key="sched_back", icon=":material/arrow_back:", type="tertiary", on_click=go)
    told_in_full()
    with section("The schedule"):
        head(schedule)
    left, right = st.columns(2, gap="large")
    with left, section("The next ticks"):
        st.subheader("Next five ticks", anchor=False)
        if schedule.paused:
            st.caption("If it were resumed now:")
        coming(schedule, schedule.zone)
    with right, section("The settings"):
        st.subheader("Settings", anchor=False)
        settings(schedule)
    history(schedule)
    if st.session_state.pop("sched_pausing", False):
        pause_dialog(schedule)
    if st.session_state.pop("sched_deleting", False):
        delete_dialog(schedule)


def head(schedule: Schedule) -> None:
    verbs, locked = service().schedules, not service().acts
    with st.container(horizontal=True, vertical_alignment="center"):
        st.header(plain(schedule.name), width="content", anchor=False)
        state_badge("paused" if schedule.paused else "active")
        st.space("stretch")
        button(
            "Run now",
            ":material/play_arrow:",
            "sched_run",
            locked,
            verbs.run_now,
            schedule.id,
            then="run",
            type="primary",
        )
        if schedule.paused:
            button("Resume", ":material/resume:", "sched_resume", locked, verbs.resume, schedule.id)
        else:
            st.button(
                "Pause",
                key="sched_pause",
                icon=":material/pause:",
                on_click=ask,
                args=("sched_pausing",),
                disabled=locked,
            )
        st.button(
            "Edit", key="sched_edit", icon=":material/edit:", on_click=go, kwargs={"edit": schedule.id}, disabled=locked
        )
        button("Duplicate", ":material/content_copy:", "sched_copy", locked, verbs.duplicate, schedule.id, then="open")
        st.button(
            "Delete",
            key="sched_delete",
            icon=":material/delete:",
            on_click=ask,
            args=("sched_deleting",),
            disabled=locked,
        )
    said = words(schedule)
    st.caption(f"{plain(said[:1].upper() + said[1:])} · last changed by {plain(schedule.actor)}")
    if schedule.paused:
        st.warning(
            f"Paused by {plain(schedule.paused_by)} {relative(schedule.paused_at or 0)}.",
            icon=":material/pause_circle:",
        )
        st.code(schedule.paused_reason or "", language=None, wrap_lines=True)


def button(
    label: str,
    icon: str,
    key: str,
    locked: bool,
    verb: Any,
    schedule_id: int,
    *,
    then: str | None = None,
    type: str = "secondary",
) -> None:
    st.button(
        label,
        key=key,
        icon=icon,
        type=type,  # type: ignore[arg-type]
        on_click=do,
        args=(verb, schedule_id, actor()),
        kwargs={"then": then},
        disabled=locked,
    )


def ask(flag: str) -> None:
    unanswered()
    st.session_state[flag] = True


def settings(schedule: Schedule) -> None:
    series = service().schedules.plans.series(schedule)
    told_ = {
        "Fetches": series_of(schedule),
        "Series": number(len(series)),
        "Mode": MODES[schedule.mode][0],
        "As far back as": "the beginning of each series" if is_beginning(schedule.since) else schedule.since,
        "If the former run still runs": "one waits" if schedule.overlap == "queue" else "skipped",
        "Missed ticks": {"none": "only recorded", "latest": "the latest runs once", "fill": "one run for all"}[
            schedule.catch_up
        ],
        "Pauses itself": f"after {schedule.pause_after} failures in a row" if schedule.pause_after else "never",
        "Failures in a row": number(schedule.failures),
        "Long backfills": "not waited for" if schedule.priority else "waited for",
    }
    show_table(
        [{"What": name, "Value": value} for name, value in told_.items()],
        height="content",
        column_config={
            "What": st.column_config.TextColumn(width=150),
            "Value": st.column_config.TextColumn(width="large"),
        },
    )


@st.fragment(run_every=2)
def history(schedule: Schedule) -> None:
    """Every tick and what became of it, newest first."""
    with section("The history"):
        st.subheader("History", anchor=False)
        page = st.session_state.get("sched_page", 1)
        ticks, total = service().schedules.store.ticks(schedule.id, limit=PAGE_SIZE, offset=PAGE_SIZE * (page - 1))
        if not ticks:
            st.caption("It has not been due yet.")
            return
        st.session_state.sched_runs = [tick.run_id or tick.filled_by for tick in ticks]
        show_table(
            [tick_row(tick, schedule.zone) for tick in ticks],
            key="sched_history",
            height="content" if len(ticks) <= 12 else 460,
            on_select=open_run,
            selection_mode="single-cell",
            column_config={
                "Due, UTC": st.column_config.TextColumn(width=270),
                "Local": st.column_config.TextColumn(width=170),
                "State": state_column(width=110),
                "Run": st.column_config.TextColumn(width=50),
                "Note": st.column_config.TextColumn(width="large"),
            },
        )
        st.caption(f"{total:,} line{'' if total == 1 else 's'}. Click one to open its run.")
        if total > PAGE_SIZE:
            st.pagination(-(-total // PAGE_SIZE), key="sched_page")
    if travel.is_leaving():
        st.rerun()


def tick_row(tick: Tick, zone: str) -> dict[str, Any]:
    run, single = tick.run_id, tick.count == 1
    return {
        "Due, UTC": when(tick.due) if single else f"{when(tick.due, hint=False)} to {when(tick.until, hint=False)}",
        "Local": local(tick.due, zone),
        "State": [state_of(tick)],
        "Run": "" if run is None else str(run),
        "Note": told(tick),
    }


def open_run() -> None:
    cells = st.session_state.sched_history["selection"]["cells"]
    run = st.session_state.sched_runs[cells[0][0]] if cells else None
    if run is not None:
        travel.go("run", id=str(run))


@dialog("Pause this schedule?")
def pause_dialog(schedule: Schedule) -> None:
    st.text(schedule.name)
    st.write("Nothing of it fires until it is resumed. Every tick meanwhile is on record as paused, with your reason.")
    fits = words_fit("Reason", "sched_reason", 500, placeholder="Provider maintenance until Friday")
    with st.container(horizontal=True):
        st.button(
            "Pause it", key="sched_pause_yes", type="primary", disabled=not fits, on_click=pause, args=(schedule.id,)
        )
        st.button("Let it run", key="sched_pause_no", on_click=answered)


def pause(schedule_id: int) -> None:
    with answering():
        service().schedules.pause(schedule_id, st.session_state.sched_reason, actor())


@dialog("Delete this schedule?")
def delete_dialog(schedule: Schedule) -> None:
    _, ticks = service().schedules.store.ticks(schedule.id, limit=1)
    count = len(service().schedules.plans.series(schedule)) if schedule.watchlist is None else None
    st.text(schedule.name)
    covers = f"{number(count)} series will no longer be kept up to date by it. " if count else ""
    st.write(f"{covers}Its {many(ticks, 'line')} of history, its runs and all candles stay.")
    with st.container(horizontal=True):
        st.button(
            "Delete the schedule",
            key="sched_delete_yes",
            type="primary",
            on_click=delete,
            args=(schedule.id,),
        )
        st.button("Keep it", key="sched_delete_no", on_click=answered)


def delete(schedule_id: int) -> None:
    with answering():
        service().schedules.delete(schedule_id, actor())
        go()


def words(schedule: Schedule) -> str:
    try:
        return service().schedules.plans.trigger(schedule).words
    except InputError:
        return schedule.trigger
