"""Candles: chart any stored series over any range, as it is and as it was known."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pandas as pd
import streamlit as st

from ffe_core import times
from ffe_core.candles import VALUES
from ffe_core.errors import FFEError, InputError
from ffe_core.insight.chart import ChartView, bars_in, chart_view
from ffe_core.insight.coverage import calendar_of
from ffe_core.insight.overlay import overlay
from ffe_core.insight.snippets import snippets
from ffe_core.insight.stored import SeriesSummary, stored_series
from ffe_core.insight.versions import versions
from ffe_core.operations.corrections import correct
from ffe_core.operations.run_service import BackfillRequest
from ffe_core.pairs import normalize_pair
from ffe_core.providers import PROVIDERS
from ffe_core.series import Series
from ffe_core.timeframes import TIMEFRAMES
from pages.ui import actor, from_url, go, keep_in_url, notes, number, one_of, section, service, span, when
from pages.ui.chart import GAPS, figure
from pages.ui.dialogs import answered, close_when_answered

PRESETS = {"1D": 1, "1W": 7, "1M": 30, "3M": 91, "1Y": 365, "5Y": 1826}
ALL = "All"
FIRST_BARS = 400
DETAILS = ("Bars", "Gaps", "Download", "Use elsewhere")


def read_instant(text: str) -> int:
    return int(text) if text.lstrip("-").isdigit() else times.parse_instant(text)


def label(series: Series) -> str:
    return f"{series.asset_pair} {series.timeframe} · {series.provider}"


def asked_series(known: list[SeriesSummary]) -> Series | None:
    """The series of the address, if it names one; a note when it is none that is stored."""
    if "pair" not in st.query_params:
        return None
    pair = from_url("pair", normalize_pair, None)
    timeframe = from_url("timeframe", one_of(TIMEFRAMES), None)
    provider = from_url("provider", one_of(PROVIDERS), None)
    matching = [
        item.series
        for item in known
        if item.series.asset_pair == pair
        and timeframe in (None, item.series.timeframe)
        and provider in (None, item.series.provider)
    ]
    if not matching:
        st.info("The series in the address is not stored. These are:", icon=":material/search_off:")
        return None
    return matching[0]


def choose(known: list[SeriesSummary]) -> SeriesSummary:
    options = [item.series for item in known]
    if "candles_series" not in st.session_state or st.session_state.candles_series not in options:
        st.session_state.candles_series = asked_series(known) or options[0]
    chosen = st.session_state.candles_series
    return next(item for item in known if item.series == chosen)


def address_changed() -> bool:
    """Whether the address was changed from outside: by a link, by hand, or by the back button."""
    asked = tuple(sorted(st.query_params.items()))
    changed = st.session_state.get("candles_address") != asked
    if changed:
        for key in ("candles_series", "candles_range", "candles_back"):
            st.session_state.pop(key, None)
    return changed


def shown_range(item: SeriesSummary) -> tuple[int, int]:
    """The range to show: what was chosen, else the address, else the newest few hundred bars."""
    if "candles_range" not in st.session_state:
        end = from_url("end", read_instant, item.last + item.series.step)
        start = from_url("start", read_instant, max(item.first, end - FIRST_BARS * item.series.step))
        st.session_state.candles_range = (start, end) if start < end else whole(item)
    chosen: tuple[int, int] = st.session_state.candles_range
    return chosen


def whole(item: SeriesSummary) -> tuple[int, int]:
    return item.first, item.last + item.series.step


def show(start: int, end: int) -> None:
    """Go to a range, keeping where we came from."""
    state = st.session_state
    state.setdefault("candles_back", []).append(state.candles_range)
    del state.candles_back[:-50]
    state.candles_range = (start, end)


def back() -> None:
    if st.session_state.get("candles_back"):
        st.session_state.candles_range = st.session_state.candles_back.pop()


def step_by(windows: float) -> None:
    start, end = st.session_state.candles_range
    move = int((end - start) * windows)
    show(start + move, end + move)


def preset_chosen(first: int, last: int, step: int) -> None:
    chosen = st.session_state.candles_preset
    if chosen == ALL:
        show(first, last + step)
    elif chosen:
        end = min(st.session_state.candles_range[1], last + step)
        show(end - PRESETS[chosen] * times.DAY, end)
    st.session_state.candles_preset = None


def dates_chosen() -> None:
    chosen = st.session_state.candles_dates
    if isinstance(chosen, tuple) and len(chosen) == 2:
        first, last = (int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) for day in chosen)
        show(first, last + times.DAY)


def series_chosen() -> None:
    for key in ("candles_range", "candles_back"):
        st.session_state.pop(key, None)
    for name in ("start", "end"):
        st.query_params.pop(name, None)


def drill(key: str) -> None:
    """A box drawn over the chart becomes the range."""
    boxes = st.session_state[key]["selection"]["box"]
    if boxes and boxes[0].get("x"):
        ends = sorted(int(pd.Timestamp(x).tz_localize("UTC").timestamp()) for x in boxes[0]["x"][:2])
        step = st.session_state.candles_series.step
        if ends[1] - ends[0] >= 2 * step:
            show(ends[0] - ends[0] % step, ends[1] + -ends[1] % step)


def controls(item: SeriesSummary, known: list[SeriesSummary]) -> None:
    first, second = st.columns([3, 8], vertical_alignment="bottom")
    with first:
        st.selectbox(
            "Series",
            [one.series for one in known],
            format_func=label,
            key="candles_series",
            on_change=series_chosen,
        )
    with second, st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        st.segmented_control(
            "Range",
            [*PRESETS, ALL],
            key="candles_preset",
            on_change=preset_chosen,
            args=(item.first, item.last, item.series.step),
        )
        press("chevron_left", "prev", "Earlier", "Left", lambda: step_by(-1))
        press("chevron_right", "next", "Later", "Right", lambda: step_by(1))
        press("undo", "undo", "Back to the range before", "B", back, not st.session_state.get("candles_back"))
        options(item, known)


def press(icon: str, key: str, meaning: str, shortcut: str, verb: Callable[[], None], disabled: bool = False) -> None:
    st.button(
        "",
        icon=f":material/{icon}:",
        key=f"candles_{key}",
        on_click=verb,
        help=meaning,
        shortcut=shortcut,
        disabled=disabled,
    )


def options(item: SeriesSummary, known: list[SeriesSummary]) -> None:
    with st.popover("More", icon=":material/tune:"):
        start, end = st.session_state.candles_range
        st.date_input(
            "From and to, UTC days",
            (times.utc(start).date(), times.utc(max(start, end - 1)).date()),
            key=f"candles_dates_{start}_{end}",
            format="YYYY-MM-DD",
            min_value=datetime(1970, 1, 1, tzinfo=UTC).date(),
            on_change=copy_dates,
            args=(f"candles_dates_{start}_{end}",),
        )
        st.toggle("Logarithmic prices", key="candles_log")
        others = [one.series for one in known if one.series != item.series]
        st.selectbox(
            "Lay another series over it",
            others,
            index=None,
            format_func=label,
            key="candles_second",
            placeholder="None",
        )
        st.datetime_input("As known at (UTC)", value=None, key="candles_known", step=60, format="YYYY-MM-DD")
        if st.session_state.get("candles_known") and item.series:
            st.toggle("Lay the present over that moment", key="candles_now_over")


def copy_dates(key: str) -> None:
    st.session_state.candles_dates = st.session_state[key]
    dates_chosen()


def known_at() -> datetime | None:
    moment = st.session_state.get("candles_known")
    return moment.replace(tzinfo=UTC) if moment else None


def remember(series: Series) -> None:
    start, end = st.session_state.candles_range
    moment, second = known_at(), st.session_state.get("candles_second")
    keep_in_url(
        provider=series.provider,
        pair=series.asset_pair,
        timeframe=series.timeframe,
        start=times.iso(start).replace("+00:00", "Z"),
        end=times.iso(end).replace("+00:00", "Z"),
        known=moment.isoformat().replace("+00:00", "Z") if moment else None,
        over=second.key if second else None,
        log="1" if st.session_state.get("candles_log") else None,
    )
    st.session_state.candles_address = tuple(sorted(st.query_params.items()))


def prefill_options(known: list[SeriesSummary]) -> None:
    state = st.session_state
    state.candles_log = from_url("log", one_of(["1"]), "") == "1"
    moment = from_url("known", times.parse_instant, None)
    state.candles_known = None if moment is None else times.utc(moment).replace(tzinfo=None)
    by_key = {one.series.key: one.series for one in known}
    over = from_url("over", one_of(by_key), None)
    state.candles_second = by_key[over] if over else None


def view_of(series: Series, start: int, end: int) -> ChartView:
    console = service()
    marked = [(int(first), int(last)) for first, last in console.holes.ranges(series, start, end)]
    return chart_view(
        console.lake,
        console.queue,
        calendar_of(series, console.settings),
        series,
        start,
        end,
        known_at(),
        marked=marked,
    )


def second_of(view: ChartView) -> tuple[str, Any] | None:
    """What is laid over the chart: another series, or the present over a past moment."""
    lake, other = service().lake, st.session_state.get("candles_second")
    if other is not None:
        return label(other), overlay(view.bars, bars_in(lake, other, view.start, view.end, view.size.name, known_at()))
    if known_at() and st.session_state.get("candles_now_over"):
        return "as known now", overlay(view.bars, bars_in(lake, view.series, view.start, view.end, view.size.name))
    return None


def chart(view: ChartView) -> None:
    theme = st.context.theme.type or "light"
    key = f"candles_chart_{view.start}_{view.end}"
    st.plotly_chart(
        figure(view, theme, log=st.session_state.get("candles_log", False), second=second_of(view)),
        key=key,
        theme=None,
        on_select=lambda: drill(key),
        selection_mode="box",
        config={"displaylogo": False, "modeBarButtonsToRemove": ["lasso2d", "autoScale2d"], "scrollZoom": False},
    )


def what_is_shown(view: ChartView) -> None:
    counts = view.counts
    parts = [
        f"**{number(view.bars.num_rows)} bars of {view.size.name}**",
        span(view.start, view.end),
        f"{number(counts['stored'])} of {number(counts['expected'])} expected candles stored",
    ]
    parts += [f"{number(counts[kind])} {name}" for kind, (name, _) in GAPS.items() if counts.get(kind)]
    parts += [f"{number(len(view.restated))} restated"] if len(view.restated) else []
    parts += [f"{number(counts['extra'])} outside market hours"] if counts["extra"] else []
    if view.as_known_at is not None:
        parts.append(f"as known at {when(view.as_known_at / 1_000_000, hint=False)}")
        parts.append(f"{number(len(view.restated_since))} restated since")
    mock = " :violet-badge[:material/science: simulated]" if view.is_mock else ""
    st.markdown(" · ".join(parts) + mock)
    st.caption("Drag over the chart to look closer. Times are UTC; a bar is named by its open.")


def nothing_here(view: ChartView) -> None:
    before, after = view.nearest or (None, None)
    st.info("Nothing is stored in this range.", icon=":material/search_off:")
    width, step = view.end - view.start, view.series.step
    with st.container(horizontal=True):
        if before is not None:
            st.button(
                f"Go to the last candle before, {when(before, hint=False)}",
                on_click=show,
                args=(before + step - width, before + step),
                key="candles_before",
            )
        if after is not None:
            st.button(
                f"Go to the next one, {when(after, hint=False)}",
                on_click=show,
                args=(after, after + width),
                key="candles_after",
            )
        st.page_link(
            "backfill.py",
            label="Backfill this range",
            icon=":material/download:",
            query_params=backfill_of(view.series, view.start, view.end, "resume"),
        )


def backfill_of(series: Series, start: int, end: int, mode: str) -> dict[str, str]:
    return {
        "provider": series.provider,
        "pairs": series.asset_pair,
        "timeframes": series.timeframe,
        "start": times.iso(start),
        "end": times.iso(end),
        "mode": mode,
    }


def bars_table(view: ChartView) -> None:
    own = view.size.name == view.series.timeframe
    frame = view.bars.to_pandas().sort_values("timestamp", ascending=False)
    names = ["timestamp", *VALUES, *(["_extracted_at", "_ingestion_id", "_dead_letter_id"] if own else ["sources"])]
    picked = st.dataframe(
        frame[[*names, "restated"]],
        key=f"candles_table_{view.start}_{view.end}_{view.size.name}",
        hide_index=True,
        height=320,
        on_select="rerun" if own else "ignore",
        selection_mode="single-row",
        column_config={
            "timestamp": st.column_config.DatetimeColumn("Opens (UTC)", format="YYYY-MM-DD HH:mm"),
            **{name: st.column_config.NumberColumn(name.capitalize(), format="%.8g") for name in VALUES},
            "_extracted_at": st.column_config.DatetimeColumn("Extracted (UTC)", format="YYYY-MM-DD HH:mm:ss"),
            "_ingestion_id": st.column_config.TextColumn("Ingestion", width="small"),
            "_dead_letter_id": st.column_config.TextColumn("Dead letter", width="small"),
            "sources": st.column_config.NumberColumn("Source bars", format="localized"),
            "restated": st.column_config.NumberColumn("Restated"),
        },
    )
    if not own:
        st.caption(f"Bars of {view.size.name} stand for several stored ones. Look closer to see each with its lineage.")
        return
    rows = picked["selection"]["rows"]
    if rows:
        open_ = int(frame["timestamp"].iloc[rows[0]].timestamp())
        one_bar(view.series, open_)
    else:
        st.caption("Tick a row to see all versions of the bar, fetch it again, or correct it.")


def one_bar(series: Series, open_: int) -> None:
    st.markdown(f"**{when(open_, hint=False)}**, every version, the latest last")
    found = versions(service().lake, series, open_).to_pandas()
    st.dataframe(found.drop(columns=["timestamp", "is_mock"]), hide_index=True)
    with st.container(horizontal=True):
        st.button(
            "Fetch this bar again",
            icon=":material/refresh:",
            key="candles_refetch",
            on_click=refetch,
            args=(series, open_),
            disabled=not service().leads,
        )
        st.button(
            "Correct it by hand",
            icon=":material/edit:",
            key="candles_correct",
            on_click=ask_for_correction,
            args=(series, open_, {name: float(found[name].iloc[-1]) for name in VALUES}),
            disabled=not service().leads,
        )


def ask_for_correction(series: Series, open_: int, latest: dict[str, float]) -> None:
    st.session_state.candles_correcting = series, open_, latest


def refetch(series: Series, open_: int) -> None:
    try:
        console = service()
        console.require_lead()
        request = BackfillRequest(series.provider, (series,), open_, open_ + series.step, "refetch")
        go("run", id=str(console.run_service.start(request, actor())))
    except (FFEError, InputError) as error:
        st.session_state.candles_refused = str(error)


@st.dialog("Correct a bar by hand")
def correction(series: Series, open_: int, latest: dict[str, float]) -> None:
    st.write(
        f"{label(series)}, {when(open_, hint=False)}. A new version is added with your name and reason; "
        "the one there is now stays and can still be seen."
    )
    cells = st.columns(2)
    for place, name in enumerate(VALUES):
        with cells[place % 2]:
            st.number_input(name.capitalize(), value=latest[name], format="%.10g", key=f"correct_{name}")
    st.text_input("Reason", key="correct_reason", placeholder="for example: typo confirmed by the provider")
    with st.container(horizontal=True):
        st.button(
            "Add this version", type="primary", key="correct_save", on_click=save_correction, args=(series, open_)
        )
        st.button("Leave it as it is", key="correct_no", on_click=answered)
    close_when_answered()


def save_correction(series: Series, open_: int) -> None:
    answered()
    console, state = service(), st.session_state
    values = {name: float(state[f"correct_{name}"]) for name in VALUES}
    try:
        console.require_lead()
        correct(console.run_service.ingester, console.audit, series, open_, values, actor(), state.correct_reason)
        st.toast("A new version of the bar was added", icon=":material/check:")
    except (FFEError, InputError) as error:
        state.candles_refused = str(error)


def gaps_table(view: ChartView) -> None:
    if not view.gaps:
        st.caption(":green[:material/check_circle:] Nothing is missing in this range.")
        return
    rows = [
        {
            "From": when(gap.start, hint=False),
            "To": when(gap.end, hint=False),
            "Candles": gap.candles,
            "Why": GAPS[gap.kind][0],
        }
        for gap in view.gaps
    ]
    st.dataframe(rows, hide_index=True, column_config={"Candles": st.column_config.NumberColumn(format="localized")})
    if view.counts["unexplained"]:
        first, last = view.gaps[0].start, view.gaps[-1].end
        st.page_link(
            "backfill.py",
            label="Fill these gaps",
            icon=":material/download:",
            query_params=backfill_of(view.series, first, last, "gaps"),
        )


def download(view: ChartView) -> None:
    st.caption("The whole range as stored, one row a bar with its lineage, not the bars of the view.")
    query = {"series": view.series.key, "start": str(view.start), "end": str(view.end)}
    if view.as_known_at is not None:
        query["known"] = str(view.as_known_at)
    text = "&".join(f"{name}={value}" for name, value in query.items())
    with st.container(horizontal=True):
        st.link_button("Parquet", f"/export?{text}&format=parquet", icon=":material/download:")
        st.link_button("CSV", f"/export?{text}&format=csv", icon=":material/download:")
        st.link_button("Data sheet", f"/export?{text}&format=sheet", icon=":material/description:")


def elsewhere(view: ChartView) -> None:
    moment = known_at()
    code = snippets(service().lake, view.series, view.start, view.end, moment)
    for tab, text in zip(st.tabs(list(code)), code.values(), strict=True):
        tab.code(text, language="python")


def details(view: ChartView) -> None:
    chosen = st.segmented_control(
        "Details", DETAILS, default="Bars", key="candles_details", label_visibility="collapsed"
    )
    with section(chosen or "The details"):
        match chosen:
            case "Bars":
                bars_table(view)
            case "Gaps":
                gaps_table(view)
            case "Download":
                download(view)
            case "Use elsewhere":
                elsewhere(view)


def empty() -> None:
    st.info("Nothing is stored yet. A backfill brings candles into the lake.", icon=":material/candlestick_chart:")
    if st.button("New backfill", type="primary", icon=":material/download:", key="candles_backfill"):
        st.switch_page("backfill.py")


def page() -> None:
    known = stored_series(service().lake)
    if not known:
        empty()
        return
    if address_changed():
        prefill_options(known)
    item = choose(known)
    shown_range(item)
    notes()
    controls(item, known)
    remember(item.series)
    refused = st.session_state.pop("candles_refused", None)
    if refused:
        st.error("That was refused.", icon=":material/error:")
        st.code(refused, language=None, wrap_lines=True)
    with section("The chart"):
        view = view_of(item.series, *st.session_state.candles_range)
        what_is_shown(view)
        if view.bars.num_rows == 0:
            nothing_here(view)
            return
        chart(view)
        details(view)


st.title("Candles")
with section("The candles"):
    page()
if correcting := st.session_state.pop("candles_correcting", None):
    correction(*correcting)
