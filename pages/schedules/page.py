"""Schedules: what runs by itself, when it is due next, and what became of every tick."""

import time
from collections.abc import Sequence
from typing import Any

import streamlit as st

from ffe_core.errors import FFEError, InputError, sentence
from ffe_core.instruments.matching import is_part_of
from ffe_core.instruments.names import compact
from ffe_core.operations.schedules.service import Draft
from ffe_core.storage.state.schedules import Schedule, Tick
from pages.schedules.detail import detail_view, words
from pages.schedules.filling import fill_in, remember
from pages.schedules.form import as_shown, fields, labelled, preview
from pages.schedules.text import LEGEND, series_of, short, signs, state_of
from pages.schedules.verbs import do, go, told_in_full
from pages.widgets import actor, from_url, notes, number, plain, section, service, when, whole
from pages.widgets.frame import heading, heading_row
from pages.widgets.search import wait_for_list
from pages.widgets.states import state_column
from pages.widgets.tables import show_table

PAGE_SIZE = 50
FEW = 10
LAST = 10


# -- the list


def list_view() -> None:
    locked = not service().acts
    with heading_row("Schedules"):
        st.button(
            "New schedule",
            key="sched_new",
            type="primary",
            icon=":material/add:",
            on_click=go,
            kwargs={"new": 1},
            disabled=locked,
        )
    notes()
    told_in_full()
    with section("What was missed"):
        missed_panel(locked)
    table()
    with section("The messages"):
        messages(locked)


@st.fragment(run_every=2)
def table() -> None:
    """Redrawn every two seconds, so that ticks are seen to come and go."""
    with section("The list of schedules"):
        every = service().schedules.store.all()
        if not every:
            st.info(
                "Nothing runs by itself yet. A schedule keeps series up to date without you.",
                icon=":material/schedule:",
            )
            return
        found = matching(every) if len(every) > FEW else every
        shown = found[PAGE_SIZE * (st.session_state.get("sched_list_page", 1) - 1) :][:PAGE_SIZE]
        last = service().schedules.store.last_ticks([one.id for one in shown], LAST)
        st.session_state.sched_ids = [one.id for one in shown]
        show_table(
            [row(one, last[one.id]) for one in shown],
            key="sched_table",
            column_order=columns(shown),
            height="content" if len(shown) <= 14 else 530,
            on_select=open_selected,
            selection_mode="single-cell",
            column_config={
                "Name": st.column_config.TextColumn(width=140),
                "What": st.column_config.TextColumn(width=180),
                "State": state_column(width=75),
                "Last": state_column("Last", width=95),
                f"Last {LAST}": st.column_config.TextColumn(width=100, help=LEGEND),
                "When": st.column_config.TextColumn(width=150),
                "Next five, UTC": st.column_config.TextColumn(width=270),
                "Next five, local": st.column_config.TextColumn(width=270),
            },
        )
        st.caption(f"{len(found):,} schedule{'' if len(found) == 1 else 's'}. Click a row to open it. {LEGEND}.")
        if len(found) > PAGE_SIZE:
            st.pagination(-(-len(found) // PAGE_SIZE), key="sched_list_page")
        st.caption(f":material/timer: Fired by {plain(service().leader)}.")
    if st.session_state.get("sched_open") is not None:
        st.rerun()


def columns(shown: list[Schedule]) -> list[str]:
    """The local times only where they differ."""
    local = ["Next five, local"] if any(one.zone != "UTC" for one in shown) else []
    return ["Name", "State", "What", "When", "Last", f"Last {LAST}", "Next five, UTC", *local]


def matching(every: list[Schedule]) -> list[Schedule]:
    """Those that the filters leave."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        text = st.text_input("Find", key="sched_find", placeholder="Part of a name, a pair or a provider", width=320)
        state = st.segmented_control("State", ["active", "paused"], key="sched_state", wrap=True)
    wanted = text.strip()
    watched = {one.name: one.pairs for one in service().watchlists.all()} if wanted else {}
    return [
        one
        for one in every
        if (not wanted or fits(one, watched.get(one.watchlist or "", one.pairs), wanted))
        and (state is None or one.paused == (state == "paused"))
    ]


def fits(schedule: Schedule, pairs: Sequence[str], text: str) -> bool:
    """Whether a text is a part of a schedule's name, of what it fetches in short, or of one of all its pairs."""
    if text.lower() in f"{schedule.name} {series_of(schedule)}".lower():
        return True
    return bool(compact(text)) and any(is_part_of(text, pair) for pair in pairs)


def row(schedule: Schedule, ticks: list[Tick]) -> dict[str, Any]:
    words, dues, trouble = coming_up(schedule)
    now = time.time()
    return {
        "Name": schedule.name,
        "State": ["paused" if schedule.paused else "active"],
        "Last": [state_of(ticks[-1])] if ticks else [],
        f"Last {LAST}": signs(ticks),
        "When": words,
        "Next five, UTC": f"paused by {schedule.paused_by}: {schedule.paused_reason or 'no reason'}"
        if schedule.paused
        else trouble or short(dues, "UTC", now),
        "Next five, local": "" if schedule.paused else short(dues, schedule.zone, now),
        "What": series_of(schedule),
    }


def coming_up(schedule: Schedule) -> tuple[str, list[int], str]:
    """Its trigger in words, its next five dues, and why there are none; worked out again only when they change."""
    known = st.session_state.setdefault("sched_coming_up", {})
    key = (schedule.version, schedule.next_due)
    if schedule.id not in known or known[schedule.id][0] != key:
        try:
            dues, trouble = [] if schedule.paused else service().schedules.next_dues(schedule), ""
        except InputError as error:  # its watchlist is gone, say
            dues, trouble = [], sentence(error)
        known[schedule.id] = (key, words(schedule), dues, trouble)
    _, words_, dues, trouble = known[schedule.id]
    return words_, dues, trouble


def open_selected() -> None:
    cells = st.session_state.sched_table["selection"]["cells"]
    if cells:
        st.session_state.sched_open = st.session_state.sched_ids[cells[0][0]]


def missed_panel(locked: bool) -> None:
    """Schedules that have missed ticks whose data nobody has fetched since, each with one button."""
    missed: dict[int, list[Tick]] = {}
    for tick in service().schedules.store.unfilled():
        missed.setdefault(tick.schedule_id, []).append(tick)
    if not missed:
        return
    every = {one.id: one for one in service().schedules.store.all()}
    with st.container(border=True, key="sched_missed"):
        st.subheader("Missed", anchor=False)
        for schedule_id, ticks in missed.items():
            if schedule_id not in every:
                continue
            count = sum(tick.count for tick in ticks)
            first, last = ticks[0].due, ticks[-1].until
            period = when(last) if first == last else f"{when(first, hint=False)} to {when(last)}"
            with st.container(horizontal=True, vertical_alignment="center"):
                st.text(
                    f"{every[schedule_id].name}: {number(count)} {'tick' if count == 1 else 'ticks'}, {period}."
                    f" {(ticks[-1].note or '').capitalize()}."
                )
                st.space("stretch")
                st.button(
                    "Fill the data once",
                    key=f"sched_fill_{schedule_id}",
                    icon=":material/download:",
                    on_click=do,
                    args=(service().schedules.fill_missed, schedule_id, actor()),
                    kwargs={"then": "run"},
                    disabled=locked,
                )


def messages(locked: bool) -> None:
    """Where messages go, a test, and the last ones."""
    told_by = service().notices
    with st.expander("Messages", icon=":material/notifications:"):
        if told_by.address is None:
            st.info(
                "No webhook is set. Set FFE_WEBHOOK__URL, or url in the section [webhook] of .streamlit/secrets.toml, "
                "and restart. Failed runs, schedules that pause themselves and many new dead letters are told there.",
                icon=":material/notifications_off:",
            )
        else:
            st.text(f"Sent to {told_by.address}: failed runs, schedules that pause themselves,")
            st.text(f"and {number(told_by.dead_letter_limit)} new dead letters or more.")
        st.button(
            "Send test",
            key="sched_test",
            icon=":material/send:",
            on_click=send_test,
            disabled=locked or told_by.address is None,
        )
        outcome = st.session_state.pop("sched_test_said", None)
        if outcome:
            st.text(outcome)
        rows = [
            {
                "When": when(notice.at),
                "About": notice.event,
                "Text": notice.text,
                "State": notice.state,
                "Tries": notice.attempts,
                "Error": notice.error or "",
            }
            for notice in service().schedules.store.notices(10)
        ]
        if rows:
            show_table(rows, height="content")


def send_test() -> None:
    try:
        service().notices.send_test(actor())
        st.session_state.sched_test_said = "The webhook took the test message."
    except (FFEError, InputError) as error:
        st.session_state.sched_test_said = sentence(error)


# -- the form


def form_view(schedule: Schedule | None) -> None:
    heading("Schedules")
    if schedule is None:
        fill_in()
    else:
        fill_in(Draft.of(schedule), schedule.version)
    notes()
    st.subheader("New schedule" if schedule is None else "Edit schedule", anchor=False)
    left, right = st.columns([3, 2], gap="large")
    with left, section("The form"):
        problems = fields(schedule.id if schedule else None)
        remember()
        with st.container(horizontal=True, vertical_alignment="center"):
            st.button(
                "Create schedule" if schedule is None else "Save changes",
                key="sched_save",
                type="primary",
                icon=":material/check:",
                on_click=save,
                args=(schedule,),
                disabled=bool(problems) or not service().acts,
            )
            st.button("Discard", key="sched_discard", on_click=go, kwargs={"schedule": schedule.id} if schedule else {})
            if problems:
                st.caption(f"Not yet: {plain(', '.join(map(labelled, problems)))}.")
        told_in_full()
    with right, section("The preview"):
        preview(problems)
    wait_for_list(
        st.session_state.sched_provider, "sched", ("sched_name", "sched_provider", "sched_pairs", "sched_when")
    )


def save(schedule: Schedule | None) -> None:
    verbs = service().schedules
    if schedule is None:
        do(lambda who: verbs.create(as_shown(), who), actor(), then="open")
    else:
        version = st.session_state.sched_version
        do(lambda who: verbs.edit(schedule.id, as_shown(), who, version), actor(), then="open")


# -- the page


def asked(name: str) -> Schedule | None:
    """The schedule that the address names under `schedule` or `edit`; a note when there is none."""
    number_ = from_url(name, whole, None)
    if number_ is None:
        return None
    found = service().schedules.store.get(number_) if 0 < number_ < 2**31 else None
    if found is None:
        st.info(f"There is no schedule {number_}.", icon=":material/search_off:")
    return found


def is_typed() -> bool:
    """Whether the address holds what somebody has changed in the form of a schedule."""
    return "edit" in st.query_params and "version" in st.query_params


if (opened := st.session_state.pop("sched_open", None)) is not None:
    go(schedule=opened)

with section("The schedules"), service().database.looking():
    if "new" in st.query_params:
        form_view(None)
    elif (edited := asked("edit")) is not None:
        form_view(edited)
    elif is_typed():
        st.warning(
            "It was deleted meanwhile, so nothing was saved. What you have typed stands here: create it anew, or"
            " discard it.",
            icon=":material/sync_problem:",
        )
        form_view(None)
    elif (shown := asked("schedule")) is not None:
        detail_view(shown)
    else:
        list_view()
