"""Schedules: what runs by itself, when it is due next, and what became of every fire."""

import time
from typing import Any

import streamlit as st

from ffe_core.errors import FFEError, InputError
from ffe_core.operations.schedules import Draft
from ffe_core.pairs import normalize_pair
from ffe_core.providers import PROVIDERS
from ffe_core.storage.schedules import Schedule
from ffe_core.timeframes import TIMEFRAMES
from pages.ui import actor, from_url, keep_in_url, listed, notes, number, one_of, relative, section, service, when
from pages.ui.schedule_form import MODES, coming, draft, fields, fill_in, preview
from pages.ui.schedule_text import LEGEND, local, series_of, short, signs, state_of, told
from pages.ui.states import state_badge, state_column

PAGE_SIZE = 50
FEW = 10
LAST = 10


def do(verb: Any, *arguments: Any, then: str | None = None) -> None:
    """Call a verb that changes something; a refusal is told on the page."""
    try:
        service().require_lead()
        result = verb(*arguments)
    except (FFEError, InputError) as error:
        st.session_state.sched_refused = str(error)
        return
    if then == "run":
        st.session_state.sched_started = result
    elif then == "open":
        go(id=result.id)
    elif then == "list":
        go()


def go(**address: Any) -> None:
    """Another view of this page; the form begins anew."""
    st.session_state.pop("sched_marker", None)
    st.query_params.clear()
    keep_in_url(**address)


def refusal() -> None:
    refused = st.session_state.pop("sched_refused", None)
    if refused:
        st.error("That was refused.", icon=":material/error:")
        st.code(refused, language=None, wrap_lines=True)
    started = st.session_state.pop("sched_started", None)
    if started is not None:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.success(f"Run {started} has started.", icon=":material/play_circle:")
            st.page_link(
                "run.py", label="Open the run", icon=":material/arrow_forward:", query_params={"id": str(started)}
            )


# -- the list


def list_view() -> None:
    locked = not service().leads
    with st.container(horizontal=True, vertical_alignment="center"):
        st.title("Schedules", width="content")
        st.space("stretch")
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
    refusal()
    with section("What was missed"):
        missed_panel(locked)
    table()
    with section("The messages"):
        messages(locked)


@st.fragment(run_every=2)
def table() -> None:
    """Redrawn every two seconds, so that fires are seen to come and go."""
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
        last = service().schedules.store.last_fires([one.id for one in shown], LAST)
        st.session_state.sched_ids = [one.id for one in shown]
        st.dataframe(
            [row(one, last[one.id]) for one in shown],
            key="sched_table",
            hide_index=True,
            height="content" if len(shown) <= 14 else 530,
            on_select=open_selected,
            selection_mode="single-cell",
            column_config={
                "Name": st.column_config.TextColumn(width=140),
                "State": state_column(width=75),
                "Last": state_column("Last", width=95),
                f"Last {LAST}": st.column_config.TextColumn(width=130, help=LEGEND),
                "When": st.column_config.TextColumn(width=150),
                "Next five, UTC": st.column_config.TextColumn(width=230),
                "Next five, local": st.column_config.TextColumn(width=230),
            },
        )
        st.caption(f"{len(found):,} schedule{'' if len(found) == 1 else 's'}. Click a row to open it. {LEGEND}.")
        if len(found) > PAGE_SIZE:
            st.pagination(-(-len(found) // PAGE_SIZE), key="sched_list_page")
        st.caption(f":material/timer: Fired by {service().leader}.")
    if st.session_state.get("sched_open") is not None:
        st.rerun()


def matching(every: list[Schedule]) -> list[Schedule]:
    """Those that the filters leave."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        text = st.text_input("Find", key="sched_find", placeholder="Part of a name, a pair or a provider", width=320)
        state = st.segmented_control("State", ["active", "paused"], key="sched_state")
    wanted = text.strip().lower()
    return [
        one
        for one in every
        if wanted in f"{one.name} {series_of(one)}".lower() and (state is None or one.paused == (state == "paused"))
    ]


def row(schedule: Schedule, fires: list[Any]) -> dict[str, Any]:
    words, dues = coming_up(schedule)
    now = time.time()
    return {
        "Name": schedule.name,
        "State": ["paused" if schedule.paused else "active"],
        "Last": [state_of(fires[-1])] if fires else [],
        f"Last {LAST}": signs(fires),
        "When": words,
        "Next five, UTC": f"paused by {schedule.paused_by}" if schedule.paused else short(dues, "UTC", now),
        "Next five, local": schedule.paused_reason if schedule.paused else short(dues, schedule.zone, now),
        "What": series_of(schedule),
    }


def coming_up(schedule: Schedule) -> tuple[str, list[int]]:
    """Its trigger in words and its next five dues; worked out again only when they have changed."""
    known = st.session_state.setdefault("sched_coming_up", {})
    key = (schedule.version, schedule.next_due)
    if schedule.id not in known or known[schedule.id][0] != key:
        dues = [] if schedule.paused else service().schedules.next_dues(schedule)
        known[schedule.id] = (key, words(schedule), dues)
    return known[schedule.id][1:]


def words(schedule: Schedule) -> str:
    try:
        return service().schedules.plans.trigger(schedule).words
    except InputError:
        return schedule.trigger


def open_selected() -> None:
    cells = st.session_state.sched_table["selection"]["cells"]
    if cells:
        st.session_state.sched_open = st.session_state.sched_ids[cells[0][0]]


def missed_panel(locked: bool) -> None:
    """Schedules that have missed fires whose data nobody has fetched since, each with one button."""
    missed: dict[int, list[Any]] = {}
    for fire in service().schedules.store.unfilled():
        missed.setdefault(fire["schedule_id"], []).append(fire)
    if not missed:
        return
    every = {one.id: one for one in service().schedules.store.all()}
    with st.container(border=True, key="sched_missed"):
        st.subheader("Missed")
        for schedule_id, fires in missed.items():
            if schedule_id not in every:
                continue
            count = sum(fire["count"] for fire in fires)
            first, last = fires[0]["due"], fires[-1]["until"]
            period = when(last) if first == last else f"{when(first, hint=False)} to {when(last)}"
            with st.container(horizontal=True, vertical_alignment="center"):
                st.text(
                    f"{every[schedule_id].name}: {number(count)} {'fire' if count == 1 else 'fires'}, {period}."
                    f" {fires[-1]['note'].capitalize()}."
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
                "When": when(notice["at"]),
                "About": notice["event"],
                "Text": notice["text"],
                "State": notice["state"],
                "Tries": notice["attempts"],
                "Error": notice["error"] or "",
            }
            for notice in service().schedules.store.notices(10)
        ]
        if rows:
            st.dataframe(rows, hide_index=True, height="content")


def send_test() -> None:
    try:
        service().notices.send_test(actor())
        st.session_state.sched_test_said = "The webhook took the test message."
    except (FFEError, InputError) as error:
        st.session_state.sched_test_said = str(error)


# -- one schedule


def detail_view(schedule: Schedule) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.title("Schedules", width="content")
        st.button("All schedules", key="sched_back", icon=":material/arrow_back:", type="tertiary", on_click=go)
    refusal()
    with section("The schedule"):
        head(schedule)
    left, right = st.columns(2, gap="large")
    with left, section("The next fires"):
        st.subheader("Next five fires")
        if schedule.paused:
            st.caption("If it were resumed now:")
        coming(schedule, schedule.zone)
    with right, section("The settings"):
        st.subheader("Settings")
        settings(schedule)
    history(schedule)
    if st.session_state.pop("sched_pausing", False):
        pause_dialog(schedule)
    if st.session_state.pop("sched_deleting", False):
        delete_dialog(schedule)


def head(schedule: Schedule) -> None:
    verbs, locked = service().schedules, not service().leads
    with st.container(horizontal=True, vertical_alignment="center"):
        st.header(schedule.name, width="content", anchor=False)
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
    st.caption(f"{words(schedule)[:1].upper()}{words(schedule)[1:]} · last changed by {schedule.actor}")
    if schedule.paused:
        st.warning(
            f"Paused by {schedule.paused_by} {relative(schedule.paused_at or 0)}.", icon=":material/pause_circle:"
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
    st.session_state.pop("sched_answered", None)
    st.session_state[flag] = True


def answered() -> None:
    st.session_state.sched_answered = True


def close_when_answered() -> None:
    """A button in a dialog redraws the dialog alone: the page, and so the end of the dialog, takes a rerun."""
    if st.session_state.pop("sched_answered", False):
        st.rerun()


def settings(schedule: Schedule) -> None:
    series = service().schedules.plans.series(schedule)
    told_ = {
        "Fetches": series_of(schedule),
        "Series": number(len(series)),
        "Mode": MODES[schedule.mode][0],
        "As far back as": schedule.since,
        "If the former run still runs": "one waits" if schedule.overlap == "queue" else "skipped",
        "Missed fires": {"none": "only recorded", "latest": "the latest runs once", "fill": "one run for all"}[
            schedule.catch_up
        ],
        "Pauses itself": f"after {schedule.pause_after} failures in a row" if schedule.pause_after else "never",
        "Failures in a row": number(schedule.failures),
        "Long backfills": "not waited for" if schedule.priority else "waited for",
    }
    st.dataframe(
        [{"What": name, "Value": value} for name, value in told_.items()],
        hide_index=True,
        height="content",
        column_config={
            "What": st.column_config.TextColumn(width=150),
            "Value": st.column_config.TextColumn(width="large"),
        },
    )


@st.fragment(run_every=2)
def history(schedule: Schedule) -> None:
    """Every fire and what became of it, newest first."""
    with section("The history"):
        st.subheader("History")
        page = st.session_state.get("sched_page", 1)
        fires, total = service().schedules.store.fires(schedule.id, limit=PAGE_SIZE, offset=PAGE_SIZE * (page - 1))
        if not fires:
            st.caption("It has not been due yet.")
            return
        st.session_state.sched_runs = [fire["run_id"] or fire["filled_by"] for fire in fires]
        st.dataframe(
            [fire_row(fire, schedule.zone) for fire in fires],
            key="sched_history",
            hide_index=True,
            height="content" if len(fires) <= 12 else 460,
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
    if st.session_state.get("sched_run_open") is not None:
        st.rerun()


def fire_row(fire: Any, zone: str) -> dict[str, Any]:
    run, single = fire["run_id"], fire["count"] == 1
    return {
        "Due, UTC": when(fire["due"])
        if single
        else f"{when(fire['due'], hint=False)} to {when(fire['until'], hint=False)}",
        "Local": local(fire["due"], zone),
        "State": [state_of(fire)],
        "Run": "" if run is None else str(run),
        "Note": told(fire),
    }


def open_run() -> None:
    cells = st.session_state.sched_history["selection"]["cells"]
    if cells:
        st.session_state.sched_run_open = st.session_state.sched_runs[cells[0][0]]


@st.dialog("Pause this schedule?")
def pause_dialog(schedule: Schedule) -> None:
    st.text(schedule.name)
    st.write("Nothing of it fires until it is resumed. Every fire meanwhile is on record as paused, with your reason.")
    st.text_input("Reason", key="sched_reason", max_chars=500, placeholder="Provider maintenance until Friday")
    with st.container(horizontal=True):
        st.button("Pause it", key="sched_pause_yes", type="primary", on_click=pause, args=(schedule.id,))
        st.button("Let it run", key="sched_pause_no", on_click=answered)
    close_when_answered()


def pause(schedule_id: int) -> None:
    answered()
    do(service().schedules.pause, schedule_id, st.session_state.sched_reason, actor())


@st.dialog("Delete this schedule?")
def delete_dialog(schedule: Schedule) -> None:
    _, fires = service().schedules.store.fires(schedule.id, limit=1)
    count = len(service().schedules.plans.series(schedule)) if schedule.watchlist is None else None
    st.text(schedule.name)
    covers = f"{number(count)} series will no longer be kept up to date by it. " if count else ""
    st.write(f"{covers}Its {number(fires)} lines of history, its runs and all candles stay.")
    with st.container(horizontal=True):
        st.button(
            "Delete the schedule",
            key="sched_delete_yes",
            type="primary",
            on_click=delete,
            args=(schedule.id,),
        )
        st.button("Keep it", key="sched_delete_no", on_click=answered)
    close_when_answered()


def delete(schedule_id: int) -> None:
    answered()
    do(service().schedules.delete, schedule_id, actor(), then="list")


# -- the form


def form_view(schedule: Schedule | None) -> None:
    st.title("Schedules")
    notes()
    st.subheader("New schedule" if schedule is None else "Edit schedule")
    fill_in(
        prefilled() if schedule is None else Draft.of(schedule),
        "new" if schedule is None else (schedule.id, schedule.version),
    )
    left, right = st.columns([3, 2], gap="large")
    with left, section("The form"):
        problems = fields(schedule.id if schedule else None)
        with st.container(horizontal=True, vertical_alignment="center"):
            st.button(
                "Create schedule" if schedule is None else "Save changes",
                key="sched_save",
                type="primary",
                icon=":material/check:",
                on_click=save,
                args=(schedule,),
                disabled=bool(problems) or not service().leads,
            )
            st.button("Discard", key="sched_discard", on_click=go, kwargs={"id": schedule.id} if schedule else {})
            if problems:
                st.caption(f"Not yet: {', '.join(name.replace('_', ' ') for name in problems)}.")
        refusal()
    with right, section("The preview"):
        preview(problems)


def prefilled() -> Draft:
    """A new draft with the series that a link named, if it did."""
    return Draft(
        "",
        from_url("provider", one_of(PROVIDERS), "simulated"),
        tuple(listed("pairs", normalize_pair)),
        tuple(listed("timeframes", one_of(TIMEFRAMES), ["1h"])),
    )


def save(schedule: Schedule | None) -> None:
    verbs = service().schedules
    if schedule is None:
        do(verbs.create, draft(), actor(), then="open")
    else:
        do(verbs.edit, schedule.id, draft(), actor(), schedule.version, then="open")


# -- the page


def asked(name: str) -> Schedule | None:
    """The schedule that the address names under `id` or `edit`; a note when there is none."""
    number_ = from_url(name, int, None)
    if number_ is None:
        return None
    found = service().schedules.store.get(number_) if 0 < number_ < 2**31 else None
    if found is None:
        st.info(f"There is no schedule {number_}; these are all there are.", icon=":material/search_off:")
    return found


if (opened := st.session_state.pop("sched_open", None)) is not None:
    go(id=opened)
if (run_id := st.session_state.pop("sched_run_open", None)) is not None:
    st.switch_page("run.py", query_params={"id": str(run_id)})

with section("The schedules"):
    if "new" in st.query_params:
        form_view(None)
    elif (edited := asked("edit")) is not None:
        form_view(edited)
    elif (shown := asked("id")) is not None:
        detail_view(shown)
    else:
        list_view()
