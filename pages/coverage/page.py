"""Coverage: what should be there, what is, what is missing and why; and how that is filled or explained."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import streamlit as st

from ffe_core import times
from ffe_core.errors import InputError
from ffe_core.file_sources import is_file_source
from ffe_core.insight.coverage import (
    Gap,
    SeriesCoverage,
    SeriesCoverages,
    by_period,
    calendar_of,
    hour_grid,
    never_asked,
)
from ffe_core.insight.former_grid import FormerGrid
from ffe_core.insight.known import KnownSeries
from ffe_core.instruments.matching import meant
from ffe_core.intervals import Times
from ffe_core.operations.gaps import GapState
from ffe_core.series import Series
from ffe_core.storage.state.acknowledged_gaps import REASONS, AcknowledgedGap
from ffe_core.timeframes import TIMEFRAMES
from pages.coverage.heatmap import table_of
from pages.widgets import (
    actor,
    arrived,
    from_url,
    go,
    keep_in_url,
    many,
    note,
    notes,
    number,
    one_of,
    relative,
    section,
    service,
    span,
    when,
)
from pages.widgets.alerts import alert
from pages.widgets.days import Days
from pages.widgets.dialogs import answered, answering, dialog, unanswered
from pages.widgets.fields import words_fit
from pages.widgets.frame import heading
from pages.widgets.squares import draw as draw_squares
from pages.widgets.tables import count_column, digest, height_of, score_cell, score_column, show_table
from pages.widgets.text import FIGURE_WIDTH, few, plain
from pages.widgets.travel import import_form, new_backfill
from pages.widgets.verbs import changing, done, told

ALL = "All"
PRESETS: dict[str, int | None] = {"30 days": 30, "90 days": 90, "1 year": 365, ALL: None}
OWN = "Own range"
MOST_DAYS, MOST_WEEKS = 100, 106
MOST_PAIRS, MOST_GAPS, MOST_FORMER = 120, 200, 5
FIRST_DAY = date(1950, 1, 1)
KINDS = {"unexplained": "not explained", "marked": "marked", "dead_lettered": "dead lettered"}


def today() -> date:
    return datetime.now(UTC).date()


def last_day() -> date:
    return today() + timedelta(days=366)


def range_fields() -> Days:
    return Days("coverage", FIRST_DAY, last_day())


def read_day(text: str) -> str:
    """A day or a time that a range can hold, as it was written."""
    if not range_fields().holds(text):
        raise InputError(f"give a day from {FIRST_DAY} to {last_day()}")
    return text


def read_at(text: str) -> int:
    at = int(text)
    if not times.parse_instant(FIRST_DAY) <= at < times.parse_instant(last_day(), end=True):
        raise InputError(f"give epoch seconds from {FIRST_DAY} to {last_day()}")
    return at


def prefill(known: KnownSeries) -> None:
    """Filters from the address, or the first series there is."""
    state = st.session_state
    if arrived("coverage_provider"):
        provider = state.coverage_provider = from_url("provider", one_of(known.providers), known.providers[0])
        state.coverage_timeframe = from_url("timeframe", one_of(TIMEFRAMES), None)
        of_provider = (series.asset_pair for series in known if series.provider == provider)
        state.coverage_pair = from_url("pair", lambda text: meant(text, of_provider), None)
        state.coverage_at = from_url("at", read_at, None)
        state.coverage_list = from_url("watchlist", one_of(list_names()), None)
        state.coverage_preset = from_url("range", one_of((*PRESETS, OWN)), ALL)
        own_range()
    range_fields().default(today() - timedelta(days=30), today())
    frames = known.timeframes(state.coverage_provider)
    if state.coverage_timeframe not in frames:
        state.coverage_timeframe = "1h" if "1h" in frames else frames[0]


def own_range() -> None:
    """A range of days from the address; without its end it reaches to today."""
    first = from_url("from", read_day, None)
    last = from_url("to", read_day, str(today()) if first else None)
    if first and last and times.parse_instant(first) < times.parse_instant(last, end=True):
        st.session_state.coverage_preset = OWN
        range_fields().fill(first, last)
    elif last:
        note("to", last, InputError(f"give a day from {first} on" if first else "give from as well"))


def list_names() -> list[str]:
    return [watchlist.name for watchlist in service().watchlists.all()]


def nothing_chosen() -> None:
    """No cell is open."""
    st.session_state.coverage_pair = st.session_state.coverage_at = None


def filters(known: KnownSeries) -> None:
    state, lists = st.session_state, list_names()
    if state.coverage_list not in lists:
        state.coverage_list = None
    first, second, *of_list, last = st.columns([2, 3, 2, 4] if lists else [2, 3, 4])
    with first:
        st.selectbox("Provider", known.providers, key="coverage_provider", on_change=nothing_chosen)
    with second:
        frames = known.timeframes(state.coverage_provider)
        st.segmented_control(
            "Timeframe", frames, key="coverage_timeframe", on_change=nothing_chosen, required=True, wrap=True
        )
    for cell in of_list:
        cell.selectbox("Watchlist", lists, index=None, key="coverage_list", placeholder="Any")
    with last:
        st.segmented_control(
            "Range", [*PRESETS, OWN], key="coverage_preset", on_change=nothing_chosen, required=True, wrap=True
        )
        if state.coverage_preset == OWN:
            range_fields().draw()
    remember()


def remember() -> None:
    state = st.session_state
    own = range_fields().read() if state.coverage_preset == OWN else None
    keep_in_url(
        provider=state.coverage_provider,
        timeframe=state.coverage_timeframe,
        watchlist=state.coverage_list,
        range=None if own or state.coverage_preset == ALL else state.coverage_preset,
        **{"from": own[0] if own else None, "to": own[1] if own else None},
        pair=state.coverage_pair,
        at=state.coverage_at,
    )


def asked_range() -> tuple[int | None, int | None]:
    state = st.session_state
    if state.coverage_preset == OWN:
        own = range_fields().read()
        return times.parse_range(*own) if own else (None, None)
    days = PRESETS[state.coverage_preset or ALL]
    return (None, None) if days is None else (times.parse_instant(today() - timedelta(days=days - 1)), None)


def chosen_series(known: KnownSeries) -> Sequence[Series]:
    state = st.session_state
    watched = service().watchlists.get(state.coverage_list) if state.coverage_list else None
    mine = known.of(state.coverage_provider, state.coverage_timeframe)
    if watched is None:
        return mine
    pairs = watched.pairs if watched.provider == state.coverage_provider else ()
    return [series for series in mine if series.asset_pair in pairs]


def looked_at(known: KnownSeries) -> SeriesCoverages:
    """The chosen series over the chosen range; a preset reaches to the last closed bar, so that what lags shows."""
    start, end = asked_range()
    return service().coverage.of(chosen_series(known), start, coming_minute() if end is None and start else end)


def coming_minute() -> int:
    """Where everything that is closed ends; the same question for a minute."""
    return times.now() // times.MINUTE * times.MINUTE + times.MINUTE


def edges_of(found: Sequence[SeriesCoverage]) -> tuple[str, Times]:
    """The period of a cell and the instants between cells: days, weeks for long ranges, months for years."""
    ends = min(one.start for one in found), max(max(one.end - 1, one.start) for one in found)
    first, last = (np.datetime64(end, "s").astype("datetime64[D]") for end in ends)
    days = int((last - first).astype(int)) + 1
    if days <= MOST_DAYS:
        period, edges = "day", np.arange(first, last + 2)
    elif days <= MOST_WEEKS * 7:
        # Weeks begin on Mondays; day 0 of the epoch was a Thursday.
        period, edges = "week", np.arange(first - (first.astype(int) + 3) % 7, last + 8, 7)
    else:
        months = np.arange(first.astype("datetime64[M]"), last.astype("datetime64[M]") + 2)
        period, edges = "month", months.astype("datetime64[D]")
    return period, edges.astype("datetime64[s]").astype(np.int64)


def totals(found: SeriesCoverages) -> None:
    with st.container(horizontal=True):
        for label, name in (
            ("Expected", "expected"),
            ("Stored", "stored"),
            ("Dead lettered", "dead_lettered"),
            ("Marked", "marked"),
            ("Unexplained", "unexplained"),
            ("Extra", "extra"),
        ):
            st.metric(label, number(found.counts[name]), width=FIGURE_WIDTH)


def scores(found: SeriesCoverages) -> None:
    """How true what is there seems, by the checks; nothing where nothing was checked."""
    known = service().checks.scores()
    if not known:
        return
    own = sorted((known[series] for series in found.by_series if series in known), key=lambda one: one.score)
    if not own:
        return
    troubled = sum(one.open > 0 for one in own)
    with st.expander(
        f"Scores of {many(len(own), 'series', 'series')}, {number(troubled)} with open findings",
        key="coverage_scores",
        on_change="rerun",
    ) as list_:
        if not list_.open:  # a table costs a browser the more time the less it is looked at
            return
        show_table(
            [
                {
                    "Pair": one.series.asset_pair,
                    "Score": score_cell(one.score),
                    "Open findings": one.open,
                    "Checked": relative(one.at),
                }
                for one in own
            ],
            height=height_of(len(own)),
            column_config={"Score": score_column()},
        )
        st.page_link("findings/page.py", label="Findings", icon=":material/fact_check:")


def pick(pair: str, start: int) -> None:
    st.session_state.coverage_pair, st.session_state.coverage_at = pair, start


def heatmap(found: SeriesCoverages) -> Times:
    """Draw it; the instants between its cells."""
    with_counts = found.counted[:MOST_PAIRS]
    period, edges = edges_of(with_counts)
    pairs = [one.series.asset_pair for one in with_counts]
    state = st.session_state
    is_open = state.coverage_pair is not None and state.coverage_at is not None
    draw_squares(
        "coverage_map",
        table_of(pairs, edges, by_period(with_counts, edges), never_asked(with_counts, edges), period),
        pick,
        (state.coverage_pair, state.coverage_at) if is_open else None,
    )
    more = (
        f" The first {MOST_PAIRS} of {len(found)} pairs; choose a watchlist for others."
        if len(found) > MOST_PAIRS
        else ""
    )
    st.caption(f"A cell is a {period}, UTC; click it for its gaps.{more}")
    return edges


def troubles(found: SeriesCoverages) -> None:
    """A calendar asked beyond what it knows is said, never cut."""
    for one in found.uncounted:
        sentence = "A calendar does not know the whole range, so nothing is counted:"
        alert("warning", sentence, [f"{one.series}: {one.trouble}"], ":material/event_busy:")


def outside_listing(found: SeriesCoverages) -> None:
    """What of the range lies before a first bar or after a delisting: it is not expected, and that is said."""
    told_ = [(one.series.asset_pair, said) for one in found.noted for said in one.notes]
    if told_:
        with st.expander(f"Outside the listing of {many(len({pair for pair, _ in told_}), 'series', 'series')}"):
            show_table([{"Pair": pair, "What": said} for pair, said in told_[:MOST_GAPS]])


def former_grids(found: SeriesCoverages) -> None:
    """Stored bars on another hour grid than is expected now, and the way to have them on it."""
    for one in found.former_grids[:MOST_FORMER]:
        st.warning(f"{plain(one.series.asset_pair)}: {plain(one.said)}.", icon=":material/schedule:")
        if one.missing and not is_file_source(one.series.provider):
            st.button(
                "Fetch it again",
                key=f"coverage_regrid_{digest([one.series])}",
                icon=":material/refresh:",
                on_click=fetch_again,
                args=(one,),
            )


def fetch_again(former: FormerGrid) -> None:
    """The backfill form, filled in with the range of the bars."""
    series = former.series
    go(
        "backfill",
        provider=series.provider,
        pairs=series.asset_pair,
        timeframes=series.timeframe,
        start=str(times.utc(former.start).date()),
        end=str(times.utc(former.end - 1).date()),
        mode="refetch",
    )


def chosen_cell(found: Sequence[SeriesCoverage], edges: Times) -> SeriesCoverage | None:
    """The pair of the chosen cell over its period, or over the whole range if there is no such cell in it."""
    state = st.session_state
    if (pair := state.coverage_pair) is None:
        return None
    one = next((item for item in found if item.series.asset_pair == pair), None)
    if one is None or state.coverage_at is None:
        return one
    after = edges[edges > state.coverage_at]
    start, end = max(one.start, state.coverage_at), min(one.end, int(after[0]) if len(after) else one.end)
    return service().coverage.of([one.series], start, end)[0] if start < end else one


def cell(one: SeriesCoverage) -> None:
    """The gaps of one pair, and what can be done about them."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader(f"{plain(one.series.asset_pair)} {one.series.timeframe}, {span(one.start, one.end)}", anchor=False)
        st.button("Close", key="coverage_close", icon=":material/close:", type="tertiary", on_click=nothing_chosen)
    gaps = one.gaps()
    if not gaps:
        st.success("Every expected bar of it is stored.", icon=":material/check_circle:")
    else:
        gap_list(gaps, "coverage_cell")
    for said in one.notes:
        st.caption(f":material/event_available: {plain(said[:1].upper() + said[1:])}.")
    calendar_notes(one)


def calendar_notes(one: SeriesCoverage) -> None:
    calendar = calendar_of(one.series, service().settings)
    first, last = calendar.horizon
    known = "" if first is None else f", known from {when(first, hint=False)} to {when(last, hint=False)}"
    grid = hour_grid(one.series, calendar)
    bars = "" if grid is None else f" Its hourly bars open {plain(grid)}."
    st.caption(f"Calendar {plain(calendar.name)}{known}.{bars}")
    special = calendar.special_sessions(one.start, one.end) if one.end - one.start <= 400 * times.DAY else []
    if special:
        with st.expander(many(len(special), "holiday or half day", "holidays and half days")):
            show_table([{"Day": s.date, "Kind": s.kind, "What": s.text} for s in special])


def gap_rows(gaps: Sequence[Gap]) -> list[dict[str, Any]]:
    return [
        {
            "Pair": gap.series.asset_pair,
            "Timeframe": gap.series.timeframe,
            "Provider": gap.series.provider,
            "First missing": when(gap.start, hint=False),
            "Last missing": when(gap.end - gap.series.step, hint=False),
            "Bars": gap.candles,
            "Why": "venue outage" if gap.in_outage else KINDS[gap.kind],
        }
        for gap in gaps
    ]


def gap_list(gaps: Sequence[Gap], key: str) -> None:
    """Gaps to tick; what is ticked (or all of a single series) can be filled or explained."""
    shown = list(gaps[:MOST_GAPS])
    event = show_table(
        gap_rows(shown),
        key=f"{key}_gaps_{digest(shown)}",
        on_select="rerun",
        selection_mode="multi-row",
        height="content" if len(shown) <= 8 else 320,
        column_config={"Bars": count_column(width="small")},
    )
    ticked = [shown[row] for row in event.selection.rows if row < len(shown)]
    one_series = len({gap.series for gap in gaps}) == 1
    targets = [gap for gap in (ticked or (gaps if one_series else [])) if gap.kind == "unexplained"]
    bars = sum(gap.candles for gap in targets)
    label = f"{many(bars, 'bar')} in {many(len(targets), 'gap')}"
    with st.container(horizontal=True, vertical_alignment="center"):
        fill_button(key, targets)
        st.button(
            "Mark as explained",
            key=f"{key}_mark",
            icon=":material/edit_note:",
            on_click=ask,
            args=("mark", targets),
            disabled=not targets or not service().acts,
        )
        st.caption(label if targets else "Tick gaps that are not explained.")
    if len(gaps) > len(shown):
        st.caption(
            f"The first {MOST_GAPS:,} of {len(gaps):,} gaps; the buttons take all of them unless some are ticked."
        )


def fill_button(key: str, targets: Sequence[Gap]) -> None:
    """The way to fill gaps of a provider and a timeframe; files of a series are imported again."""
    series = {gap.series for gap in targets}
    files = [one for one in series if is_file_source(one.provider)]
    if files:
        st.button(
            "Import files again",
            key=f"{key}_import",
            type="primary",
            icon=":material/upload_file:",
            on_click=go,
            args=("import_files",),
            kwargs=import_form(files[0]),
            disabled=len(series) != 1,
        )
        return
    st.button(
        "Fill from the provider",
        key=f"{key}_fill",
        type="primary",
        icon=":material/download:",
        on_click=fill,
        args=(targets,),
        disabled=len({(item.provider, item.timeframe) for item in series}) != 1,
    )


def fill(gaps: Sequence[Gap]) -> None:
    """The backfill form, filled in with exactly the range of the gaps."""
    first = gaps[0].series
    go(
        "backfill",
        provider=first.provider,
        pairs=",".join(sorted({gap.series.asset_pair for gap in gaps})),
        timeframes=first.timeframe,
        start=stamp(min(gap.start for gap in gaps)),
        end=stamp(max(gap.end for gap in gaps)),
        mode="gaps",
    )


def stamp(epoch: int) -> str:
    return f"{times.utc(epoch):%Y-%m-%dT%H:%M:%SZ}"


# -- what can be done about them


def ask(which: str, about: Sequence[Any]) -> None:
    """Open a dialog over what is chosen now."""
    st.session_state.coverage_asking = which, list(about)
    unanswered()


def open_dialog() -> None:
    """Draw the dialog that was asked for, if any."""
    which, about = st.session_state.pop("coverage_asking", (None, []))
    if which is not None:
        {"mark": mark_dialog, "unmark": unmark_dialog}[which](about)


def restate(bars: Sequence[tuple[Series, int]], thing: str) -> None:
    """Say what a dialog is about, series by series."""
    found: dict[Series, list[int]] = {}
    for series, count in bars:
        found.setdefault(series, []).append(count)
    st.text(few([f"{many(sum(own), 'bar')} in {many(len(own), thing)} of {series}" for series, own in found.items()]))


@dialog("Mark as explained")
def mark_dialog(gaps: list[Gap]) -> None:
    restate([(gap.series, gap.candles) for gap in gaps], "gap")
    st.write("They leave the count of what is missing, stay visible, and open again by themselves if the data appears.")
    st.radio("Reason", REASONS, key="coverage_reason")
    fits = words_fit("Note", "coverage_note", 500, placeholder="What explains it; required for “other”")
    with st.container(horizontal=True):
        st.button("Mark", key="coverage_mark_yes", type="primary", disabled=not fits, on_click=mark, args=(gaps,))
        st.button("Leave them", key="coverage_mark_no", on_click=answered)


def mark(gaps: Sequence[Gap]) -> None:
    state, asked = st.session_state, [(gap.series, gap.start, gap.end) for gap in gaps]
    with answering():
        marked = service().gap_verbs.mark_each(asked, state.coverage_reason, actor(), state.coverage_note or "")
        state.coverage_left_out = marked.left_out
        done(f"Marked {many(marked.candles, 'bar')} in {many(marked.gaps, 'gap')}.")


@dialog("Take these marks back?")
def unmark_dialog(acknowledged: list[AcknowledgedGap]) -> None:
    restate([(gap.series, gap.candles) for gap in acknowledged], "mark")
    st.write("Bars that have not arrived count as missing again; nothing that is stored changes.")
    fits = words_fit("Reason", "coverage_unmark_reason", 500, placeholder="Optional; kept in the audit")
    with st.container(horizontal=True):
        label = f"Take {many(len(acknowledged), 'mark')} back"
        st.button(
            label, key="coverage_unmark_yes", type="primary", disabled=not fits, on_click=unmark, args=(acknowledged,)
        )
        st.button("Leave them", key="coverage_unmark_no", on_click=answered)


def unmark(acknowledged: Sequence[AcknowledgedGap]) -> None:
    ids, reason = [gap.id for gap in acknowledged], st.session_state.coverage_unmark_reason
    with answering():
        done(f"Took {many(service().gap_verbs.unmark(ids, actor(), reason), 'mark')} back.")


def told_in_full() -> None:
    """What the last verb has come to, with what it left out."""
    told()
    if left_out := st.session_state.pop("coverage_left_out", None):
        alert("warning", "Nothing was left to mark in the others:", few(left_out).splitlines())


def asked_twice(found: SeriesCoverages) -> None:
    """What the provider does not have after two asks, marked in one go."""
    offered = service().gap_verbs.offered(found)
    if not offered:
        return
    series = [one for one, _ in offered]
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        st.markdown(
            f":material/help_center: **{many(sum(bars for _, bars in offered), 'bar')}** of "
            f"{many(len(offered), 'pair')} asked for twice, and the provider has nothing."
        )
        st.space("stretch")
        st.selectbox("Reason", REASONS, key="coverage_twice_reason", label_visibility="collapsed", width=220)
        st.button(
            "Mark all of them",
            key="coverage_asked_twice",
            on_click=mark_asked_twice,
            args=(series,),
            disabled=not service().acts,
        )


@changing()
def mark_asked_twice(series: Sequence[Series]) -> None:
    marked = service().gap_verbs.mark_asked_twice(series, st.session_state.coverage_twice_reason, actor())
    done(f"Marked {many(marked.candles, 'bar')} in {many(marked.gaps, 'gap')}.")


def largest() -> None:
    """The largest gaps across everything, whatever is filtered above."""
    console = service()
    everything = console.coverage.of(console.coverage.series())
    dark = everything.outages
    st.subheader("Largest gaps across everything", anchor=False)
    gaps = everything.largest_gaps
    if gaps:
        gap_list(gaps, "coverage_largest")
    else:
        st.success("Nothing is missing without a reason, in any series.", icon=":material/check_circle:")
    if dark:
        st.subheader("Venue outages", anchor=False)
        st.caption("What every stored pair of a provider lacks at once.")
        show_table(
            [
                {
                    "Provider": outage.provider,
                    "Timeframe": outage.timeframe,
                    "From": when(outage.start, hint=False),
                    "Until": when(outage.end, hint=False),
                    "Pairs": ", ".join(outage.pairs),
                }
                for outage in reversed(dark[-MOST_GAPS:])
            ],
        )


def marks_list(known: KnownSeries) -> None:
    """Every marked gap, newest first, with what has arrived in it since."""
    states: list[GapState] = service().gap_verbs.states(known)
    if not states:
        return
    states.sort(key=lambda state: -state.gap.at)
    shown = states[:MOST_GAPS]
    st.subheader("Marked gaps", anchor=False)
    event = show_table(
        [
            {
                "Pair": state.gap.series.asset_pair,
                "Timeframe": state.gap.series.timeframe,
                "Provider": state.gap.series.provider,
                "First": when(state.gap.start, hint=False),
                "Bars": state.gap.candles,
                "Arrived": state.arrived,
                "State": state.state,
                "Reason": state.gap.reason,
                "Note": state.gap.note,
                "By": state.gap.actor,
                "Marked": when(state.gap.at, hint=False),
            }
            for state in shown
        ],
        key=f"coverage_marks_{digest([state.gap.id for state in shown])}",
        on_select="rerun",
        selection_mode="multi-row",
    )
    ticked = [shown[row].gap for row in event.selection.rows if row < len(shown)]
    st.button(
        "Take marks back",
        key="coverage_unmark",
        icon=":material/undo:",
        on_click=ask,
        args=("unmark", ticked),
        disabled=not ticked or not service().acts,
    )
    if len(states) > len(shown):
        st.caption(f"The newest {MOST_GAPS:,} of {len(states):,}.")


def empty() -> None:
    st.info("Nothing is stored yet, so nothing can be missing. Start with a backfill.", icon=":material/grid_on:")
    new_backfill("coverage_new")


def draw(known: KnownSeries) -> None:
    prefill(known)
    notes()
    filters(known)
    told_in_full()
    if st.session_state.coverage_preset == OWN and range_fields().read() is None:
        st.info("Nothing is shown until the range can be read.", icon=":material/edit_calendar:")
        return
    with section("The heatmap"):
        found = looked_at(known)
        troubles(found)
        if not found.counted:
            st.info("No series to show here: choose another watchlist, timeframe or range.", icon=":material/grid_off:")
        else:
            totals(found)
            scores(found)
            edges = heatmap(found)
            former_grids(found)
            outside_listing(found)
            chosen = chosen_cell(found, edges)
            if chosen is not None and chosen.account is not None:
                cell(chosen)
            asked_twice(found)
    with section("The largest gaps"):
        largest()
    with section("The marked gaps"):
        marks_list(known)
    open_dialog()


heading("Coverage")
with section("The coverage"), service().database.looking():
    stored = service().coverage.series()
    if stored:
        draw(stored)
    else:
        empty()
