"""Schedule form: the fields, what is wrong said beside each, and what the next ticks would do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from zoneinfo import available_timezones

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from ffe_core.errors import FFEError, InputError, sentence
from ffe_core.operations.schedules.forecast import ExpectedTick, Stored, expected_ticks
from ffe_core.operations.schedules.service import Draft
from ffe_core.providers import PROVIDERS
from ffe_core.storage.state.schedules import Schedule
from ffe_core.timeframes import TIMEFRAMES
from pages.schedules.filling import CATCH_UPS, MODES, OVERLAPS, PREFIX, WEEKDAYS, WHENS, draft
from pages.schedules.text import local
from pages.widgets.alerts import say_wrong
from pages.widgets.frame import section, service
from pages.widgets.pairs import check_pairs, pairs_field
from pages.widgets.search import catalogue_age, find_instruments
from pages.widgets.tables import show_table
from pages.widgets.text import dated, number, plain, relative, when
from pages.widgets.verbs import NotAsShown

_LABELS = {"since": "as far back as", "trigger": "when", "zone": "shown in", "catch_up": "missed ticks"}
"""Fields whose name is not their label."""


def fields(own_id: int | None) -> dict[str, str]:
    """Draw the fields; what is wrong, by field, is returned and said beside each."""
    places: dict[str, DeltaGenerator] = {}
    st.text_input("Name", key="sched_name", placeholder="Majors every hour")
    places["name"] = st.container()
    said = _series_fields(places)
    _when_fields(places)
    _what_fields(places)
    found = {**said, **_problems(own_id)}
    for field, text in found.items():
        if not _is_blank(field) and field not in said:
            with places.get(field, places["name"]):
                say_wrong(text)
    if "trigger" not in found:
        with places["trigger"]:
            _notes()
    return found


def _problems(own_id: int | None) -> dict[str, str]:
    try:
        return service().schedules.problems(draft(), own_id)
    except InputError as error:
        return {error.field or "name": error.problem}


def labelled(field: str) -> str:
    """A field by its label, for a sentence."""
    return _LABELS.get(field, field.replace("_", " "))


def _is_blank(field: str) -> bool:
    """A field that nobody has filled in yet: the button says so, a red mark would scold."""
    return field in ("name", "pairs", "watchlist", "timeframes") and not st.session_state[PREFIX + field]


def _notes() -> None:
    try:
        for note in service().schedules.notes(draft()):
            st.caption(f":orange[:material/info: {plain(note)}.]")
    except InputError:
        return  # a bar-close trigger of series that cannot be: said at the series


def _series_fields(places: dict[str, DeltaGenerator]) -> dict[str, str]:
    """Draw what is fetched; what is wrong with the pairs is returned, and said there already."""
    console = service()
    lists = [watchlist.name for watchlist in console.watchlists.all()]
    st.toggle("A saved watchlist", key="sched_from_list", help="What is on the list when it fires counts.")
    if st.session_state.sched_from_list:
        shown = list(dict.fromkeys([*lists, *filter(None, [st.session_state.sched_watchlist])]))
        st.selectbox(
            "Watchlist", shown, index=None, key="sched_watchlist", persist_state="session", placeholder="Choose a list"
        )
        places["watchlist"] = places["provider"] = places["pairs"] = places["timeframes"] = st.container()
        return {}
    first, second = st.columns([1, 2])
    with first:
        st.selectbox("Provider", list(PROVIDERS), key="sched_provider", persist_state="session")
        places["provider"] = st.container()
        catalogue_age(st.session_state.sched_provider, "sched")
    with second:
        pairs_field(st.session_state.sched_provider, "sched_pairs", persist_state="session")
        wrong = check_pairs(st.session_state.sched_provider, "sched_pairs")
        places["pairs"] = st.container()
    find_instruments(st.session_state.sched_provider, "sched")
    st.pills(
        "Timeframes",
        list(TIMEFRAMES),
        selection_mode="multi",
        key="sched_timeframes",
        persist_state="session",
        wrap=True,
    )
    places["timeframes"] = st.container()
    return {"pairs": wrong[0]} if wrong else {}


def _when_fields(places: dict[str, DeltaGenerator]) -> None:
    st.segmented_control("When", list(WHENS), key="sched_when", format_func=WHENS.__getitem__, required=True, wrap=True)
    match st.session_state.sched_when:
        case "every":
            st.text_input("Minutes", key="sched_minutes", persist_state="session", placeholder="15")
        case "time":
            first, second = st.columns([1, 2])
            first.text_input("Time, UTC", key="sched_time", persist_state="session", placeholder="02:30")
            second.pills(
                "Days",
                WEEKDAYS,
                selection_mode="multi",
                wrap=True,
                key="sched_days",
                persist_state="session",
                help="None chosen means every day.",
            )
        case "cron":
            st.text_input(
                "Minute, hour, day, month, weekday, in UTC",
                key="sched_cron",
                persist_state="session",
                help="Weekdays by name: mon to sun.",
            )
    places["trigger"] = st.container()
    zones = ["UTC", *sorted(available_timezones() - {"UTC"})]
    options = list(dict.fromkeys([*zones, *filter(None, [st.session_state.sched_zone])]))
    st.selectbox("Shown in", options, key="sched_zone", accept_new_options=True, help="It fires in UTC all the same.")
    places["zone"] = st.container()


def _what_fields(places: dict[str, DeltaGenerator]) -> None:
    _choice("Mode", MODES, "sched_mode")
    places["mode"] = st.container()
    st.toggle(
        "Since the beginning",
        key="sched_from_beginning",
        help="Wherever the history of each series begins. The first tick fetches all of it.",
    )
    if not st.session_state.sched_from_beginning:
        st.text_input(
            "As far back as",
            key="sched_since",
            persist_state="session",
            help="A date like 2024-01-01, or days back like 30d.",
        )
    places["since"] = st.container()
    with st.expander("When something gets in the way", icon=":material/tune:"):
        st.radio(
            "The former run still runs", list(OVERLAPS), key="sched_overlap", format_func=OVERLAPS.get, horizontal=True
        )
        places["overlap"] = st.container()
        _choice("Ticks were missed while no console ran", CATCH_UPS, "sched_catch_up")
        places["catch_up"] = st.container()
        st.text_input("Pause after so many failures in a row", key="sched_pause_after", help="0 means never.")
        places["pause_after"] = st.container()
        st.toggle("Do not wait behind long backfills", key="sched_priority")


def _choice(label: str, options: dict[str, tuple[str, str]], key: str) -> None:
    st.radio(
        label,
        list(options),
        key=key,
        format_func=lambda name: options[name][0],
        captions=[sentence for _, sentence in options.values()],
    )


def coming(chosen: Draft | Schedule, zone: str) -> None:
    """The next five ticks and what each would fetch."""
    console = service()
    dues = console.schedules.next_dues(chosen)
    try:
        costs = expected_ticks(chosen, dues, console.schedules.plans, Stored(console.run_service))
    except (FFEError, InputError) as error:
        st.caption(":orange[:material/info: What they would fetch cannot be said:]")
        st.text(dated(sentence(error)))
        costs = []
    rows = [
        {
            "UTC": when(due, hint=False).removesuffix(" UTC"),
            **({} if zone == "UTC" else {zone: local(due, zone)}),
            "In": relative(due).removeprefix("in "),
            **_cost(costs, position),
        }
        for position, due in enumerate(dues)
    ]
    show_table(rows, height="content")
    searches = sum(one.first_bar_requests for one in costs)
    if chosen.mode == "gaps":
        st.caption("Bars and requests at most: only what is missing then is asked for.")
    elif searches:
        st.caption(
            f"Bars and requests at most: {number(searches)} of the requests find where series begin, and nothing before"
            " that is fetched."
        )


def _cost(costs: Sequence[ExpectedTick], position: int) -> dict[str, str]:
    if position >= len(costs):
        return {}
    return {"Bars": number(costs[position].bars), "Requests": number(costs[position].requests)}


def as_shown() -> Draft:
    """What the fields say, if it is what the preview showed but for the name. InputError if it is not."""
    drafted, shown = draft(), st.session_state.get("sched_shown")
    if shown is None or replace(drafted, name=shown.name) != shown:
        raise NotAsShown("nothing was saved: the fields have changed. Look at what they would do now, then save")
    return drafted


def preview(problems: dict[str, str]) -> None:
    """What the draft would do, live."""
    st.subheader("Next five ticks", anchor=False)
    st.session_state.pop("sched_shown", None)
    missing = [labelled(name) for name in problems if name != "name"]
    if missing:
        st.caption(f"Shown as soon as this can be read: {plain(', '.join(missing))}.")
        return
    with section("The next ticks"):
        drafted = draft()
        st.session_state.sched_shown = drafted
        chosen = service().schedules.as_stored(drafted)
        words = service().schedules.plans.trigger(chosen).words
        st.caption(f"{plain(words[:1].upper() + words[1:])}.")
        coming(chosen, chosen.zone)
