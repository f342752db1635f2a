"""Watermarks: how far every series has been read, how well it is, and how that is moved by hand."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import streamlit as st

from ffe_core import times
from ffe_core.errors import FFEError, InputError, sentence
from ffe_core.file_sources import is_file_source
from ffe_core.insight.freshness import Freshness, Health, freshness
from ffe_core.operations.watermarks import Move, Rewind
from ffe_core.series import Series
from ffe_core.timeframes import TIMEFRAMES
from pages.widgets import (
    actor,
    arrived,
    duration,
    from_url,
    go,
    health_badge,
    health_column,
    keep_in_url,
    many,
    notes,
    number,
    one_of,
    plain,
    section,
    service,
    state_column,
    when,
)
from pages.widgets.alerts import alert, say_wrong
from pages.widgets.dialogs import answered, answering, dialog, unanswered
from pages.widgets.fields import filter_row, words_fit
from pages.widgets.frame import heading
from pages.widgets.pairs import pair_filter, pairs_meant
from pages.widgets.sources import source_names
from pages.widgets.tables import count_column, digest, show_table, time_cell, time_column
from pages.widgets.text import dated
from pages.widgets.travel import backfill_form, new_backfill
from pages.widgets.typed import in_utc
from pages.widgets.verbs import changing, done, told

MOST_SERIES = 500
HEALTHS = [str(health) for health in Health]


def read_series(text: str) -> Series:
    pair, timeframe, provider = text.split("/")
    return Series.of(pair, one_of(TIMEFRAMES)(timeframe), one_of(source_names())(provider))


def prefill() -> None:
    state = st.session_state
    if not arrived("watermarks_provider"):
        return
    state.watermarks_provider = from_url("provider", one_of(source_names()), None)
    state.watermarks_pair = from_url("pair", str, "")
    state.watermarks_health = from_url("health", one_of(HEALTHS), None)
    state.watermarks_list = from_url("watchlist", str, None)
    state.watermarks_series = from_url("series", read_series, None)


def filters(rows: Sequence[Freshness]) -> None:
    state, lists = st.session_state, [watchlist.name for watchlist in service().watchlists.all()]
    if state.watermarks_list not in lists:
        state.watermarks_list = None
    fields = [
        lambda: st.selectbox("Provider", source_names(), index=None, key="watermarks_provider", placeholder="Any"),
        lambda: pair_filter("watermarks_pair", "series", partial(pairs_of, rows)),
        lambda: st.selectbox("Health", HEALTHS, index=None, key="watermarks_health", placeholder="Any"),
    ]
    if lists:
        fields.append(lambda: st.selectbox("Watchlist", lists, index=None, key="watermarks_list", placeholder="Any"))
    filter_row(fields)
    keep_in_url(
        provider=state.watermarks_provider,
        pair=state.watermarks_pair,
        health=state.watermarks_health,
        watchlist=state.watermarks_list,
        series=state.watermarks_series.key if state.watermarks_series else None,
    )


def wanted(rows: Sequence[Freshness]) -> list[Freshness]:
    """The rows that match the filters."""
    state = st.session_state
    watched = service().watchlists.get(state.watermarks_list) if state.watermarks_list else None
    chosen = None if watched is None else set(watched.series())
    provider, health, typed = state.watermarks_provider, state.watermarks_health, state.watermarks_pair.strip()
    pairs = pairs_meant(typed, pairs_of(rows)) if typed else None
    return [
        row
        for row in rows
        if provider in (None, row.series.provider)
        and health in (None, row.health)
        and (chosen is None or row.series in chosen)
        and (pairs is None or row.series.asset_pair in pairs)
    ]


def pairs_of(rows: Sequence[Freshness]) -> list[str]:
    return list(dict.fromkeys(row.series.asset_pair for row in rows))


def cells_of(row: Freshness) -> dict[str, Any]:
    return {
        "Pair": row.series.asset_pair,
        "Timeframe": row.series.timeframe,
        "Provider": row.series.provider,
        "Health": [str(row.health)],
        "Oldest": when(row.oldest, hint=False).removesuffix(" UTC"),
        "Watermark": when(row.marks.watermark, hint=False).removesuffix(" UTC"),
        "Lag": time_cell(row.lag),
        "Stored": row.counts.stored + row.counts.extra,
        "Explained": None if row.completeness is None else int(row.completeness * 10_000) / 100,
        "Gaps": len(row.counts.missing),
        "Missing": row.counts.unexplained,
        "Run": row.last_run,
        "State": [row.last_state] if row.last_state else [],
    }


def choose(key: str, series: list[Series]) -> None:
    ticked = [series[row] for row in st.session_state[key]["selection"]["rows"]]
    st.session_state.watermarks_series = ticked[0] if len(ticked) == 1 else None


def table(rows: list[Freshness]) -> list[Freshness]:
    """The list; returns the rows that are ticked in it."""
    series = [row.series for row in rows]
    key = f"watermarks_table_{digest(series)}"
    numbers = {name: count_column(width="small") for name in ("Stored", "Missing")}
    event = show_table(
        [cells_of(row) for row in rows],
        key=key,
        on_select=lambda: choose(key, series),
        selection_mode="multi-row",
        column_config={
            **numbers,
            "Health": health_column(width=100),
            "Oldest": st.column_config.TextColumn(
                "Oldest (UTC)", help="The earliest instant asked to completion, or the first bar stored."
            ),
            "Watermark": st.column_config.TextColumn(
                "Watermark (UTC)", help="Open of the last bar read; earlier after a rewind."
            ),
            "State": state_column("Last run", width=140),
            "Run": st.column_config.NumberColumn(format="%d", width=50),
            "Lag": time_column(
                help="Open time of its market since the bar at the watermark closed: a closed weekend is none."
            ),
            "Explained": st.column_config.NumberColumn(
                format="%.2f %%", help="Share of the expected bars that are stored, dead lettered or marked."
            ),
            "Gaps": count_column(help="Ranges of bars missing without a reason."),
        },
    )
    st.caption(f"{len(rows):,} series. Tick one for what can be done with it, or several to bring them up to date.")
    return [rows[row] for row in event.selection.rows if row < len(rows)]


@changing()
def update(series: Sequence[Series]) -> None:
    """Start what brings series up to date, and go there: to its run, or to the list where there are several."""
    first, *others = service().watermark_verbs.bring_up_to_date(series, actor())
    if others:
        go("runs")
    else:
        go("run", id=str(first))


def several(rows: Sequence[Freshness]) -> None:
    """What can be done with several ticked series: those that can be asked for are brought up to date together."""
    able = [row.series for row in rows if row.marks.watermark is not None and not is_file_source(row.series.provider)]
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{many(len(rows), 'series', 'series')} ticked**")
        if len(able) < len(rows):
            st.caption(
                f"{many(len(rows) - len(able), 'series', 'series')} of them come from files or have no watermark."
            )
        st.space("stretch")
        st.button(
            f"Bring {number(len(able))} up to date",
            key="watermarks_update_all",
            type="primary",
            icon=":material/update:",
            on_click=update,
            args=(able,),
            disabled=not able or not service().acts,
        )


@changing()
def undo(series: Series, move: Move) -> None:
    """Undo the move that the button named, and no other that came since from another window."""
    service().watermark_verbs.undo(series, actor(), shown=move)
    done(f"The {move.verb} is undone.")


def to_gaps(series: Series) -> None:
    go("coverage", provider=series.provider, timeframe=series.timeframe, pair=series.asset_pair)


def to_chart(series: Series) -> None:
    go("candles", provider=series.provider, pair=series.asset_pair, timeframe=series.timeframe)


def ask(what: str, series: Series) -> None:
    unanswered()
    st.session_state.watermarks_ask = what, series
    st.session_state.watermarks_reason = ""
    for name in ("watermarks_to", "watermarks_clock"):
        st.session_state.pop(name, None)


def actions(row: Freshness) -> None:
    """What can be done with the chosen series."""
    console, series = service(), row.series
    blocked = not console.acts or row.marks.watermark is None
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"**{plain(series.asset_pair)} {series.timeframe}** · {plain(series.provider)}")
            health_badge(row.health)
            st.caption(when(row.marks.watermark))
        if row.trouble:
            sentence = "Its calendar does not know this range, so nothing is counted:"
            alert("warning", sentence, [row.trouble], ":material/event_busy:")
        with st.container(horizontal=True, vertical_alignment="center"):
            st.button(
                "Bring up to date",
                key="watermarks_update",
                type="primary",
                icon=":material/update:",
                on_click=update,
                args=([series],),
                disabled=blocked,
            )
            st.button(
                f"Show gaps ({number(len(row.counts.missing))})",
                key="watermarks_gaps",
                icon=":material/grid_on:",
                on_click=to_gaps,
                args=(series,),
            )
            st.button(
                "Open chart",
                key="watermarks_chart",
                icon=":material/candlestick_chart:",
                on_click=to_chart,
                args=(series,),
            )
            st.button(
                "Rewind",
                key="watermarks_rewind",
                icon=":material/fast_rewind:",
                on_click=ask,
                args=("rewind", series),
                disabled=blocked,
            )
            st.button(
                "Forget",
                key="watermarks_forget",
                icon=":material/delete_history:",
                on_click=ask,
                args=("forget", series),
                disabled=blocked,
            )
            undo_button(series)
            if row.marks.watermark is None and not is_file_source(series.provider):
                st.page_link(
                    "backfill/page.py",
                    label="Backfill a range",
                    icon=":material/download:",
                    query_params=backfill_form(series),
                )


def undo_button(series: Series) -> None:
    move = service().watermark_verbs.last_move(series)
    if move is not None:
        st.button(
            f"Undo {plain(move.verb)}",
            key="watermarks_undo",
            icon=":material/undo:",
            on_click=undo,
            args=(series, move),
            disabled=not service().acts,
            help=f"By {plain(move.actor)} on {when(move.at, hint=False)}. Possible until something is committed.",
        )


def as_markdown(series: Series) -> str:
    """A series as markdown."""
    return f"**{plain(series.asset_pair)} {series.timeframe}** from {plain(series.provider)}"


@dialog("Rewind the watermark", asked="watermarks_ask", width="medium")
def rewind_dialog(row: Freshness) -> None:
    """A new watermark, what it costs, and a reason."""
    series = row.series
    # The dialog is drawn anew alone: another window may have moved it since the page was.
    before = service().lake.marks(series).watermark
    if before is None:
        st.warning("It has no watermark any more: somebody has forgotten it.", icon=":material/sync_problem:")
        return
    suggested = service().watermark_verbs.suggestion(series) if "watermarks_to" not in st.session_state else None
    read_to = when(before, hint=False)
    st.write(
        f"{as_markdown(series)} was read to **{read_to}**. Choose an earlier bar: the next backfill reads on from it."
        " No row is removed and no other series moves."
    )
    st.session_state.setdefault("watermarks_to", as_typed(before if suggested is None else suggested))
    typed = st.text_input("New watermark (open of a bar, UTC)", key="watermarks_to", placeholder="2024-01-31 12:00")
    seen: Rewind | None = None
    try:
        seen = service().watermark_verbs.preview(series, in_utc(typed))
    except (FFEError, InputError) as error:
        say_wrong(sentence(error))
    if seen is not None:
        diff(seen)
    words = "For the record, for example: the provider corrected its data"
    fits = words_fit("Reason", "watermarks_reason", 500, placeholder=words)
    ready = seen is not None and fits and bool(st.session_state.watermarks_reason.strip())
    st.button(
        "Rewind",
        key="watermarks_rewind_yes",
        type="primary",
        on_click=rewind,
        args=(series, None if seen is None else seen.after.watermark, typed),
        disabled=not ready,
    )
    if not ready:
        st.caption("Not yet: " + ("say why." if seen is not None else "choose a bar that can be the watermark."))


def diff(seen: Rewind) -> None:
    """What a rewind does, as a difference."""
    st.code(
        f"- watermark {when(seen.before.watermark, hint=False)}\n+ watermark {when(seen.after.watermark, hint=False)}",
        language="diff",
    )
    cells = st.columns(4)
    cells[0].metric("Bars read again", number(seen.bars))
    cells[1].metric("Of them stored", number(seen.stored))
    cells[2].metric("Requests", "–" if seen.trouble else number(seen.requests))
    cells[3].metric("At least", "–" if seen.trouble else duration(seen.seconds))
    if seen.trouble:
        st.caption("The cost is not known:")
        st.code(dated(seen.trouble), language=None, wrap_lines=True)


def as_typed(instant: int) -> str:
    return f"{times.utc(instant):%Y-%m-%d %H:%M}"


def rewind(series: Series, to: int | None, shown: str) -> None:
    """Rewind to what the dialog showed; it stays open where another bar was typed since."""
    if to is not None and st.session_state.watermarks_to == shown:
        with answering():
            service().watermark_verbs.rewind(series, to, actor(), st.session_state.watermarks_reason)
            done(f"The watermark is rewound. Bring up to date reads on from {when(to, hint=False)}.")


@dialog("Forget how far this series was read?", asked="watermarks_ask")
def forget_dialog(row: Freshness) -> None:
    series = row.series
    st.write(
        f"{as_markdown(series)}: its watermark and its oldest mark are forgotten; its "
        f"{many(row.counts.stored + row.counts.extra, 'candle')} stay. The next backfill reads everything it is asked"
        " for again and finds repeats."
    )
    fits = words_fit("Reason", "watermarks_reason", 500, placeholder="For the record")
    with st.container(horizontal=True):
        st.button(
            "Forget",
            key="watermarks_forget_yes",
            type="primary",
            on_click=forget,
            args=(series,),
            disabled=not fits or not st.session_state.watermarks_reason.strip(),
        )
        st.button("Keep it", key="watermarks_forget_no", on_click=answered)


def forget(series: Series) -> None:
    with answering():
        service().watermark_verbs.forget(series, actor(), st.session_state.watermarks_reason)
        done("The marks are forgotten; the rows stay. A backfill of a range reads it anew.")


def empty() -> None:
    st.info("Nothing has been read yet. A backfill brings candles into the lake.", icon=":material/water:")
    new_backfill("watermarks_new")


def clear() -> None:
    for name in ("provider", "health", "list"):
        st.session_state[f"watermarks_{name}"] = None
    st.session_state.watermarks_pair = ""


heading("Watermarks")
prefill()
notes()
with section("The watermarks"), service().database.looking():
    console = service()
    everything = freshness(console.coverage, console.watermarks, console.runs, console.settings)
    if not everything:
        empty()
    else:
        filters(everything)
        told()
        shown = wanted(everything)
        ticked = table(shown[:MOST_SERIES]) if shown else []
        if len(shown) > MOST_SERIES:
            st.caption(f"The first {MOST_SERIES:,} of {len(shown):,}; the filters above lead to others.")
        if not shown:
            st.info("No series matches these filters.", icon=":material/filter_alt_off:")
            st.button("Clear filters", key="watermarks_clear", on_click=clear)
        selected = next((row for row in everything if row.series == st.session_state.watermarks_series), None)
        if selected is not None:
            actions(selected)
        elif len(ticked) > 1:
            several(ticked)
        what, about = st.session_state.get("watermarks_ask", (None, None))
        asked = next((row for row in everything if row.series == about), None)
        if asked is not None:
            {"rewind": rewind_dialog, "forget": forget_dialog}[what](asked)
