"""Backfill: choose series and a range, see what it would do, start."""

from datetime import UTC, date, datetime, timedelta

import streamlit as st

from ffe_core import times
from ffe_core.errors import InputError, sentence
from ffe_core.file_sources import is_file_source
from ffe_core.instruments.names import likely_name
from ffe_core.operations.instruments.resolved import names_of
from ffe_core.operations.runs.backfill import BEGINNING, BackfillRequest
from ffe_core.operations.runs.preview import Preview, SeriesPreview, preview
from ffe_core.operations.settings.connection import opened
from ffe_core.providers import PROVIDERS, provider_class
from ffe_core.timeframes import TIMEFRAMES
from pages.widgets import (
    actor,
    arrived,
    duration,
    from_url,
    go,
    keep_in_url,
    listed,
    many,
    note,
    notes,
    number,
    one_of,
    plain,
    section,
    service,
    span,
)
from pages.widgets.alerts import say_wrong
from pages.widgets.days import Days
from pages.widgets.dialogs import answered, answering, dialog, unanswered
from pages.widgets.fields import words_fit
from pages.widgets.frame import heading
from pages.widgets.pairs import check_pairs, pairs_field, resolve_pairs
from pages.widgets.search import catalogue_age, find_instruments, wait_for_list
from pages.widgets.states import MODE_NAMES
from pages.widgets.tables import count_column, show_table
from pages.widgets.text import dated
from pages.widgets.verbs import NotAsShown, changing, done, refusable, told

MODES = {
    "resume": (
        MODE_NAMES["resume"],
        "Fetch what is newer than what you have, and what is older if you start earlier. Never leaves a gap.",
    ),
    "gaps": (MODE_NAMES["gaps"], "Fetch only bars of the range that are missing and not explained."),
    "refetch": (
        MODE_NAMES["refetch"],
        "Fetch everything again. Only new or changed candles are added; nothing is overwritten.",
    ),
}
PRESETS = {"Last 7 days": 7, "Last 30 days": 30, "Last 90 days": 90, "Last year": 365, "Last 5 years": 1826}
SINCE_THE_BEGINNING, OWN_RANGE = "Since the beginning", "Own range"
FIRST_DAY = date(1990, 1, 1)


def today() -> date:
    return datetime.now(UTC).date()


def prefill() -> None:
    """Put what the address asks for into the form, when somebody comes by it."""
    state = st.session_state
    range_fields().default(today() - timedelta(days=30), today())
    if not arrived("backfill_provider"):
        return
    # What the address asks for and cannot be is left open: another provider in its place would be ready to start.
    provider = None if "provider" in st.query_params else state.get("backfill_provider") or "simulated"
    state.backfill_provider = from_url("provider", asked_provider, provider)
    state.backfill_pairs = listed("pairs", likely_name, state.get("backfill_pairs", []))
    state.backfill_timeframes = listed("timeframes", one_of(TIMEFRAMES), state.get("backfill_timeframes", ["1h"]))
    state.backfill_mode = from_url("mode", one_of(MODES), state.get("backfill_mode", "resume"))
    prefill_range()
    state.setdefault("backfill_preset", "Last 30 days")


def asked_provider(name: str) -> str:
    if is_file_source(name):
        provider_class(name)  # says what to do instead
    return one_of(PROVIDERS)(name)


def prefill_range() -> None:
    """The range of the address: up to today if it names no end, an open one to finish if its end cannot be."""
    state, names_end = st.session_state, "end" in st.query_params
    if st.query_params.get("start") == BEGINNING:
        state.backfill_preset = SINCE_THE_BEGINNING
        return
    first = from_url("start", possible_time, None)
    last = from_url("end", lambda text: possible_time(text, first), None)
    if first is None:
        if last is not None:
            note("end", last, InputError("a start is missing"))
        return
    state.backfill_preset = OWN_RANGE
    range_fields().fill(first, last if names_end else max(first, str(today())))


def possible_time(text: str, start: str | None = None) -> str:
    """A day or time that the range can hold; InputError for another."""
    is_held = range_fields().holds(text)
    if start is not None and times.parse_instant(text, end=True) <= times.parse_instant(start):
        raise InputError(f"lies before the start, {start}")
    if not is_held:
        raise InputError(f"choose a day between {FIRST_DAY} and {last_day()}")
    return text


def last_day() -> date:
    return today() + timedelta(days=1)


def range_fields() -> Days:
    return Days("backfill", FIRST_DAY, last_day())


def dates() -> tuple[str, str] | None:
    """The range asked for; None where it cannot be read."""
    preset = st.session_state.backfill_preset or OWN_RANGE
    if preset == SINCE_THE_BEGINNING:
        return BEGINNING, str(today())
    if preset != OWN_RANGE:
        return str(today() - timedelta(days=PRESETS[preset])), str(today())
    return range_fields().read()


def remember() -> None:
    """Keep the form in the address, so that it can be sent on."""
    state, asked = st.session_state, dates()
    keep_in_url(
        provider=state.backfill_provider,
        pairs=",".join(state.backfill_pairs),
        timeframes=",".join(state.backfill_timeframes),
        mode=state.backfill_mode,
        start=asked[0] if asked and state.backfill_preset in (OWN_RANGE, SINCE_THE_BEGINNING) else None,
        end=asked[1] if asked and state.backfill_preset == OWN_RANGE else None,
    )


@refusable()
def use_watchlist() -> None:
    watchlist = service().watchlists.get(st.session_state.backfill_watchlist or "")
    if watchlist:
        st.session_state.backfill_provider = watchlist.provider
        st.session_state.backfill_pairs = list(watchlist.pairs)
        st.session_state.backfill_timeframes = list(watchlist.timeframes)


def provider_changed(before: str | None) -> None:
    if before is not None:
        st.session_state.backfill_pairs = []


def series_form() -> list[str]:
    """Provider, pairs and timeframes; returns what is wrong with them, already said beside the field."""
    console, wrong = service(), []
    first, second = st.columns([1, 2])
    with first:
        st.selectbox(
            "Provider",
            list(PROVIDERS),
            index=None,
            key="backfill_provider",
            on_change=provider_changed,
            args=(st.session_state.backfill_provider,),
            placeholder="Choose a provider",
        )
        if st.session_state.backfill_provider is None:
            return ["choose a provider"]
        provider = opened(console.settings, st.session_state.backfill_provider)
        if isinstance(provider, InputError):
            st.caption(f":red[:material/key_off: {plain(provider)}]")
            st.page_link("settings/page.py", label="Settings, and a test of the connection", icon=":material/settings:")
            wrong.append("credentials are missing")
        catalogue_age(st.session_state.backfill_provider, "backfill")
    with second:
        pairs_field(st.session_state.backfill_provider, "backfill_pairs")
        if st.session_state.backfill_pairs:
            wrong += check_pairs(st.session_state.backfill_provider, "backfill_pairs")
        else:
            wrong.append("choose at least one pair")
    find_instruments(st.session_state.backfill_provider, "backfill")
    saved = [watchlist.name for watchlist in console.watchlists.all()]
    *of_list, frames = st.columns([1, 2]) if saved else [st.container()]
    for cell in of_list:
        cell.selectbox(
            "Watchlist",
            saved,
            index=None,
            key="backfill_watchlist",
            on_change=use_watchlist,
            placeholder="Fill in from a saved list",
        )
    frames.pills("Timeframes", list(TIMEFRAMES), selection_mode="multi", key="backfill_timeframes", wrap=True)
    if not st.session_state.backfill_timeframes:
        wrong.append("choose at least one timeframe")
    return wrong


def range_form() -> list[str]:
    st.segmented_control("Range", [*PRESETS, SINCE_THE_BEGINNING, OWN_RANGE], key="backfill_preset", wrap=True)
    if (st.session_state.backfill_preset or OWN_RANGE) == OWN_RANGE:
        range_fields().draw()
    return [] if dates() else ["the range cannot be read"]


def mode_form() -> None:
    st.radio(
        "Mode",
        list(MODES),
        key="backfill_mode",
        format_func=lambda mode: MODES[mode][0],
        captions=[sentence for _, sentence in MODES.values()],
    )


def request() -> BackfillRequest:
    state, asked = st.session_state, dates()
    assert asked is not None
    names = names_of(resolve_pairs(state.backfill_provider, "backfill_pairs"))
    return BackfillRequest.of(state.backfill_provider, names, state.backfill_timeframes, *asked, state.backfill_mode)


def show_preview(found: Preview) -> None:
    st.markdown(
        f"**{many(found.to_fetch, 'candle')}** to fetch in {number(len(found.series))} series · {plain(cost_of(found))}"
    )
    if found.quota_left is not None:
        st.caption(f"Known quota left today: {number(found.quota_left)} of {many(found.quota or 0, 'request')}.")
    rows = [
        {
            "Pair": item.series.asset_pair,
            "Timeframe": item.series.timeframe,
            "Range": span(item.start, item.end) if item.end > item.start else "–",
            "Expected": item.expected,
            "Stored": item.stored,
            "To fetch": item.to_fetch,
            "Requests": item.requests,
            "Note": dated("; ".join(filter(None, (item.skipped or beyond_the_range(item), *item.notes)))),
        }
        for item in found.series
    ]
    numbers = {name: count_column(width="small") for name in ("Expected", "Stored", "To fetch", "Requests")}
    show_table(rows, column_config={**numbers, "Note": st.column_config.TextColumn(width="large")})


def cost_of(found: Preview) -> str:
    """Requests and time: the least, or the most where first bars are looked for."""
    time = duration(found.seconds) if found.seconds >= 1 else ""
    if not found.first_bar_requests:
        return many(found.requests, "request") + (f", at least {time} at the provider's rate" if time else "")
    looking = f", {number(found.first_bar_requests)} of them to find where series begin"
    return f"at most {many(found.requests, 'request')}{looking}" + (f", {time} at the provider's rate" if time else "")


def beyond_the_range(item: SeriesPreview) -> str:
    """Why there is more to fetch than the range has bars."""
    return "up to what is stored already, so that no gap is left" if item.to_fetch > item.expected else ""


@changing()
def start() -> None:
    """Start the run that was previewed and remember where to go; what was changed since is previewed first."""
    provider = st.session_state.backfill_provider
    asked_for = request() if dates() else None
    if asked_for is None or asked_for != st.session_state.get("backfill_shown"):
        raise NotAsShown("nothing was started: what you ask for has changed. Look at its preview, then start it")
    service().instruments.bind(provider, resolve_pairs(provider, "backfill_pairs"))
    go("run", id=str(service().run_service.start(asked_for, actor())))


def start_button(wrong: list[str], found: Preview | None) -> None:
    if not service().acts:
        wrong = ["this console is a standby"]
    elif not wrong and found is not None and found.to_fetch == 0:
        wrong = ["nothing to do: " + (found.series[0].skipped or "up to date")]
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            "Start backfill",
            key="backfill_start",
            type="primary",
            icon=":material/play_arrow:",
            on_click=start,
            disabled=bool(wrong),
        )
        save_popover()
        if wrong:
            st.caption(f"Not yet: {plain(wrong[0])}.")
    told()


def save_popover() -> None:
    with st.popover("Save as watchlist", icon=":material/bookmark_add:"), section("The watchlists"):
        locked = not service().acts
        names = [watchlist.name for watchlist in service().watchlists.all()]
        fits = words_fit("Name", "backfill_save_name", 60, "Majors")
        name = st.session_state.backfill_save_name.strip()
        if name in names:
            st.caption("There is a list of this name: it is replaced, wherever it is used.")
        label = "Replace" if name in names else "Save"
        nobody = st.session_state.backfill_provider is None
        st.button(label, key="backfill_save", on_click=save_watchlist, disabled=locked or nobody or not fits)
        if names:
            chosen = st.selectbox("Or remove one", names, index=None, key="backfill_remove_name")
            st.button("Remove", key="backfill_remove", disabled=not chosen or locked, on_click=ask_remove)


@changing()
def save_watchlist() -> None:
    state = st.session_state
    names = names_of(resolve_pairs(state.backfill_provider, "backfill_pairs"))
    saved = service().watchlists.save(
        state.backfill_save_name, state.backfill_provider, names, state.backfill_timeframes, actor()
    )
    done(f"Saved {saved.name}: {many(len(saved.series()), 'series', 'series')}.")


def ask_remove() -> None:
    unanswered()
    st.session_state.backfill_removing = st.session_state.backfill_remove_name


@dialog("Remove this watchlist?")
def remove_dialog(name: str) -> None:
    console = service()
    watchlist = console.watchlists.get(name)
    st.text(f"{name}: {many(len(watchlist.series()) if watchlist else 0, 'series', 'series')}")
    users = [one.name for one in console.schedules.store.all() if one.watchlist == name]
    if users:
        st.warning("Schedules use it, and would pause themselves when they are next due:", icon=":material/schedule:")
        st.text("\n".join(users))
    st.write("Only the list goes. Its series and their candles stay.")
    with st.container(horizontal=True):
        st.button("Remove it", key="backfill_remove_yes", type="primary", on_click=remove, args=(name,))
        st.button("Keep it", key="backfill_remove_no", on_click=answered)


def remove(name: str) -> None:
    with answering():
        service().watchlists.delete(name)
        st.session_state.backfill_remove_name = None
        done(f"Removed {name}.")


heading("Backfill")
prefill()
notes()
with section("The form"):
    with service().database.looking():
        problems = series_form() + range_form()
    mode_form()
    remember()
    shown: Preview | None = None
    previewed: BackfillRequest | None = None
    if not problems:
        try:
            asked_for = request()
        except InputError as error:
            say_wrong(f"Range: {error.problem}" if error.field in ("start", "end") else sentence(error))
            problems = ["the range cannot be"]
        else:
            with section("The preview"):
                shown = preview(asked_for, service().run_service)
                show_preview(shown)
                previewed = asked_for
    st.session_state.backfill_shown = previewed  # a drawing that is cut short leaves what is still to be seen
    start_button(problems, shown)
if (removing := st.session_state.pop("backfill_removing", None)) is not None:
    remove_dialog(removing)
if (chosen := st.session_state.backfill_provider) is not None:
    wait_for_list(chosen, "backfill", ("backfill_provider", "backfill_pairs", "backfill_timeframes"))
