"""Candles: chart any stored series over any range, as it is and as it was known."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import streamlit as st

from ffe_core import times
from ffe_core.adjustments.actions import Actions
from ffe_core.adjustments.factors import ADJUSTMENTS, WORDS
from ffe_core.candles import VALUES
from ffe_core.errors import InputError, sentence
from ffe_core.insight.adjusted import Adjustment, adjustment_of
from ffe_core.insight.aggregate import SIZES, BarSize, choices
from ffe_core.insight.chart import ChartView, bars_in, chart_view
from ffe_core.insight.coverage import calendar_of, hour_grid
from ffe_core.insight.indicators import Indicator, indicator
from ffe_core.insight.overlay import overlay
from ffe_core.insight.snippets import snippets
from ffe_core.insight.stored import SeriesSummary, stored_series
from ffe_core.insight.units import in_digits, summed, unit_text, written
from ffe_core.instruments.matching import matching_names
from ffe_core.series import Series
from ffe_core.storage.lake.snapshot import DamagedTable, epochs, micros
from pages.candles.bar import correction, dead_letters_of, one_bar, run_of
from pages.candles.bars import EARLIEST, LATEST, MOST_INDICATORS, MOST_OVERS
from pages.candles.download import file_labels
from pages.candles.gaps import GAPS, MOST_SHADES
from pages.candles.live import chart_first, draw, draws_live, label, prices_of, shown_by_hand, words_of
from pages.candles.tools import tool_files
from pages.widgets import from_url, keep_in_url, listed, notes, number, one_of, plain, section, service, span, when
from pages.widgets.alerts import alert
from pages.widgets.days import Days
from pages.widgets.frame import heading
from pages.widgets.tables import count_column, show_table, value_columns
from pages.widgets.text import moment_text
from pages.widgets.travel import backfill_link, new_backfill
from pages.widgets.typed import in_utc
from pages.widgets.verbs import told

PRESETS = {"1D": 1, "1W": 7, "1M": 30, "3M": 91, "1Y": 365, "5Y": 1826}
FITTING = "as fits"
"""The choice of bars of whatever size the range fits in."""
AS_TRADED = ""
"""The choice of prices that are not adjusted: of nothing the field would show its placeholder."""
FIRST_BARS = 400
DETAILS = {"bars": "Bars", "gaps": "Gaps", "download": "Download", "elsewhere": "Use elsewhere"}
USUAL = ("SMA 20", "SMA 50", "SMA 200", "EMA 20", "EMA 50", "VWAP", "Bollinger 20", "RSI 14", "Volume average 20")
IN_POPOVER = [f"candles_{name}" for name in ("log", "percent", "known", "now_over", "adjust", "plotly")]
"""Fields that the browser makes when the popover opens first: it takes their values from the last run only."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MOST_BUTTONS = 3


def read_instant(text: str, *, end: bool = False) -> int:
    instant = times.parse_instant(int(text) if text.lstrip("-").isdigit() else text, end=end)
    if not EARLIEST <= instant <= LATEST:
        raise ValueError(text)
    return instant


def read_end(text: str) -> int:
    return read_instant(text, end=True)


def read_moment(text: str) -> int:
    """A moment of knowledge in epoch microseconds."""
    whole = read_instant(text)
    if whole > times.now():
        raise InputError(f"{text} lies in the future; give a moment in the past, for example 2024-01-31 12:00")
    return whole * 1_000_000 if text.isdigit() or "." not in text else moment_of(datetime.fromisoformat(text))


def moment_of(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)


def asked_for() -> dict[str, str]:
    """What the address says of a series; empty if it names none."""
    given = {name: st.query_params.get(name, "") for name in ("pair", "timeframe", "provider")}
    return {name: text for name, text in given.items() if text}


def names_of(pair: str, known: list[SeriesSummary]) -> tuple[str, ...]:
    """The stored names that a pair of the address may mean."""
    try:
        return matching_names(pair, (item.series.asset_pair for item in known))
    except InputError:
        return ()


def asked_series(known: list[SeriesSummary], asked: dict[str, str]) -> Series | None:
    """The first stored series that the address may mean; None if there is none."""
    pairs = names_of(asked["pair"], known) if "pair" in asked else None
    wanted = {name: value for name, value in asked.items() if name != "pair"}
    for item in known:
        own = {"timeframe": item.series.timeframe, "provider": item.series.provider}
        if own | wanted == own and (pairs is None or item.series.asset_pair in pairs):
            return item.series
    return None


def choose(known: list[SeriesSummary]) -> SeriesSummary | None:
    """The series to show; None if the address names one that is not stored."""
    options = [item.series for item in known]
    if st.session_state.get("candles_series") not in options:
        asked = asked_for()
        last = st.session_state.get("_candles_last")
        wanted = asked_series(known, asked) if asked else last if last in options else options[0]
        if wanted is None:
            return None
        st.session_state.candles_series = wanted
    chosen = st.session_state._candles_last = st.session_state.candles_series
    return next(item for item in known if item.series == chosen)


def what_there_is(known: list[SeriesSummary]) -> None:
    """For an address that names a series that is not stored."""
    st.warning("The series in the address is not stored. This is what there is:", icon=":material/search_off:")
    st.text("Asked for: " + ", ".join(f"{name} {text[:80]}" for name, text in asked_for().items()))
    rows = [
        {
            "Pair": item.series.asset_pair,
            "Timeframe": item.series.timeframe,
            "Provider": item.series.provider,
            "From": when(item.first, hint=False),
            "To": when(item.last, hint=False),
            "Rows": item.rows,
        }
        for item in known
    ]

    picked = show_table(
        rows,
        key="candles_known_series",
        on_select="rerun",
        selection_mode="single-row",
        column_config={"Rows": count_column()},
    )
    if chosen := picked["selection"]["rows"]:
        st.query_params.clear()
        st.session_state.candles_address = ()
        st.session_state.candles_series = known[chosen[0]].series
        st.rerun()
    st.caption("Tick a row to see its chart.")
    st.page_link("backfill/page.py", label="Backfill another series", icon=":material/download:")


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
        end = from_url("end", read_end, item.last + item.series.step)
        step = item.series.step if (size := chosen_bars(item.series)) is None else size.seconds
        start = from_url("start", read_instant, max(item.first, end - FIRST_BARS * step))
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
    state.candles_range = within(start, end)


def within(start: int, end: int) -> tuple[int, int]:
    """The range moved to where a chart can be."""
    width = min(end - start, LATEST - EARLIEST)
    first = min(max(start, EARLIEST), LATEST - width)
    return first, first + width


def back() -> None:
    if st.session_state.get("candles_back"):
        st.session_state.candles_range = st.session_state.candles_back.pop()


def step_by(windows: float) -> None:
    start, end = st.session_state.candles_range
    move = int((end - start) * windows)
    show(start + move, end + move)


def preset_chosen(last_end: int) -> None:
    chosen = st.session_state.candles_preset
    if chosen:
        end = min(st.session_state.candles_range[1], last_end)
        show(end - PRESETS[chosen] * times.DAY, end)


def lit() -> str | None:
    """The preset that is as wide as what is shown."""
    start, end = st.session_state.candles_range
    return next((name for name, days in PRESETS.items() if end - start == days * times.DAY), None)


def days_typed() -> None:
    if (typed := range_fields().read()) is not None:
        show(*times.parse_range(*typed))


def series_chosen() -> None:
    for key in ("candles_range", "candles_back"):
        st.session_state.pop(key, None)
    for name in ("start", "end"):
        st.query_params.pop(name, None)


def drill(key: str) -> None:
    """A box drawn over the chart becomes the range."""
    boxes = st.session_state[key]["selection"]["box"]
    if boxes and boxes[0].get("x"):
        ends = sorted(int(np.datetime64(x).astype("datetime64[s]").astype(np.int64)) for x in boxes[0]["x"][:2])
        step = st.session_state.candles_series.step
        if ends[1] - ends[0] >= 2 * step:
            show(ends[0] - ends[0] % step, ends[1] + -ends[1] % step)


def moved_by_hand() -> None:
    """A range come to in the chart becomes that of the page: the address, the table and the counts follow."""
    if (shown := shown_by_hand()) is not None and shown != st.session_state.candles_range:
        show(*shown)


def controls(item: SeriesSummary, known: list[SeriesSummary]) -> None:
    first, second = st.columns([2.4, 8], vertical_alignment="bottom")
    with first:
        st.selectbox(
            "Series",
            [one.series for one in known],
            format_func=label,
            key="candles_series",
            on_change=series_chosen,
        )
    with second, st.container(horizontal=True, vertical_alignment="bottom", gap="small", key="candles_toolbar"):
        st.selectbox(
            "Bars",
            [FITTING, *(size.name for size in choices(item.series))],
            key="candles_size",
            width=104,
            help="Larger ones are made of those stored; with too many in view they grow.",
        )
        st.session_state.candles_preset = lit()
        st.segmented_control(
            "Range",
            list(PRESETS),
            key="candles_preset",
            on_change=preset_chosen,
            args=(item.last + item.series.step,),
            wrap=True,
        )
        press("fit_width", "all", "Everything there is", "A", lambda: show(*whole(item)))
        press("chevron_left", "prev", "Earlier", "Left", lambda: step_by(-1))
        press("chevron_right", "next", "Later", "Right", lambda: step_by(1))
        press("undo", "undo", "Back to the range before", "B", back, not st.session_state.get("candles_back"))
        options(item, known)


def press(icon: str, key: str, meaning: str, shortcut: str, verb: Callable[[], None], disabled: bool = False) -> None:
    st.button(
        meaning,
        icon=f":material/{icon}:",
        key=f"candles_{key}",
        on_click=verb,
        help=meaning,
        shortcut=shortcut,
        disabled=disabled,
    )


def options(item: SeriesSummary, known: list[SeriesSummary]) -> None:
    with st.popover("More", icon=":material/tune:"):
        days_shown()
        st.toggle("Logarithmic prices", key="candles_log")
        st.multiselect(
            "Lay other series over it",
            [one.series for one in known if one.series != item.series],
            format_func=label,
            key="candles_overs",
            placeholder="None",
            max_selections=MOST_OVERS - 1,
            help="One is brought to the price of this series, with the difference below; several are drawn in percent.",
        )
        st.toggle("In percent of the first bar shown", key="candles_percent")
        choose_indicators()
        st.text_input(
            "As known at (UTC)", key="candles_known", placeholder="Now; or 2024-01-31 12:00", on_change=moment_typed
        )
        if (wrong := st.session_state.get("candles_known_wrong")) is not None:
            st.caption(f":red[:material/error: {plain(wrong)}]")
        if known_at():
            st.toggle("Lay the present over that moment", key="candles_now_over")
        choose_adjustment()
        st.toggle(
            "Draw with Plotly",
            key="candles_plotly",
            help="A slower chart that needs no script of its own; drag a box over it to look closer.",
            on_change=try_again,
        )


def range_fields() -> Days:
    return Days("candles_days", times.utc(EARLIEST).date(), times.utc(LATEST).date() - timedelta(days=1))


def days_shown() -> None:
    """The range as two fields; one come to in another way fills them in anew."""
    state, fields = st.session_state, range_fields()
    if state.get("candles_days_of") != state.candles_range:
        state.candles_days_of = state.candles_range
        fields.fill(*times.range_texts(*state.candles_range))
    fields.default(*times.range_texts(*state.candles_range))
    fields.draw()
    st.button(
        "Show this range",
        key="candles_days_show",
        icon=":material/date_range:",
        on_click=days_typed,
        disabled=fields.read() is None,
    )


def laid_over() -> list[Series]:
    chosen: list[Series] = st.session_state.get("candles_overs") or []
    return chosen


def try_again() -> None:
    for name in ("candles_cannot", "candles_word", "candles_drawn", "candles_drawing_since"):
        st.session_state.pop(name, None)


def settle(item: SeriesSummary, known: list[SeriesSummary]) -> None:
    """What is laid over the chart and its indicators, as far as they can be: before either is drawn."""
    state, chosen = st.session_state, []
    for key in IN_POPOVER:
        if key in state:
            state[key] = state[key]
    if state.get("candles_size") not in {size.name for size in choices(item.series)}:
        state.candles_size = FITTING
    others = [one.series for one in known if one.series != item.series]
    state.candles_overs = [one for one in laid_over() if one in others]
    read = state.get("candles_indicators") or []
    wrong = []
    for text in read:
        try:
            chosen.append(indicator(text).label)
        except InputError as error:
            wrong.append(error.problem)
    state.candles_indicators = list(dict.fromkeys(chosen))
    # What was wrong is said until something else is chosen, however often the chart has the page drawn meanwhile.
    if wrong or read != state.get("candles_indicators_read"):
        state.candles_wrong = wrong
    state.candles_indicators_read = state.candles_indicators


def choose_indicators() -> None:
    """Indicators from a list, or typed with a number of bars; what is none is told, and left out."""
    st.multiselect(
        "Indicators",
        list(dict.fromkeys([*USUAL, *st.session_state.candles_indicators])),
        key="candles_indicators",
        accept_new_options=True,
        select_all=False,  # Enter takes the highlighted line: "all matches" would add SMA 200 to a typed sma20
        max_selections=MOST_INDICATORS,
        placeholder="None; type one, for example SMA 100",
    )
    for wrong in st.session_state.candles_wrong:
        st.error(plain(wrong), icon=":material/error:")


def chosen_indicators() -> list[Indicator]:
    return [indicator(text) for text in st.session_state.get("candles_indicators") or []]


def choose_adjustment() -> None:
    st.selectbox(
        "Prices",
        [AS_TRADED, *ADJUSTMENTS],
        format_func=lambda name: f"adjusted for {WORDS[name]}" if name else "as they were traded",
        key="candles_adjust",
        help="By the splits and dividends on record (`ffe actions`), backward: the newest prices stay as they are."
        " What is stored stays raw.",
    )


def chosen_adjustment() -> Adjustment | None:
    """What bars are to be adjusted for. InputError if nothing of it is on record."""
    return adjustment_of(Actions(service().settings.data_dir), st.session_state.get("candles_adjust") or None)


def adjustment_name(view: ChartView) -> str | None:
    return None if view.adjustment is None else view.adjustment.name


def what_is_adjusted(view: ChartView) -> None:
    """By what the bars are adjusted, and what of the chart is not."""
    if view.adjustment is None:
        return
    said = view.adjustment.said(view.series.asset_pair, view.as_known_at)
    st.caption(
        f":material/call_split: {plain(said)} Marks of gaps, dead letters and restatements are of the stored bars."
    )


def chosen_bars(series: Series) -> BarSize | None:
    """The smallest size of bars to draw; None for whatever the range fits in."""
    name = st.session_state.get("candles_size", FITTING)
    return next((size for size in choices(series) if size.name == name), None)


def moment_typed() -> None:
    """What is typed becomes the moment; while it is wrong, what was shown stays, and that is told at the field."""
    state, typed = st.session_state, st.session_state.candles_known.strip()
    state.candles_known_wrong = None
    try:
        state.candles_moment = read_moment(in_utc(typed)) if typed else None
    except InputError as error:
        state.candles_known_wrong = error.problem
    except ValueError:
        state.candles_known_wrong = f"{typed} lies outside; give a time of the years 1970 to 2099."


def known_as_of(moment: int | None) -> None:
    """Show what was known at a moment (epoch microseconds), or what is known now."""
    state = st.session_state
    state.candles_moment = moment
    state.candles_known_wrong = None
    known = None if moment is None else (_EPOCH + timedelta(microseconds=moment)).replace(tzinfo=None)
    state.candles_known = "" if known is None else known.isoformat(" ")
    state.candles_now_over = moment is not None


def known_at() -> datetime | None:
    moment = st.session_state.get("candles_moment")
    return None if moment is None else _EPOCH + timedelta(microseconds=moment)


def remember(series: Series) -> None:
    start, end = st.session_state.candles_range
    moment, state = known_at(), st.session_state
    keep_in_url(
        provider=series.provider,
        pair=series.asset_pair,
        timeframe=series.timeframe,
        start=times.iso(start).replace("+00:00", "Z"),
        end=times.iso(end).replace("+00:00", "Z"),
        size=size.name if (size := chosen_bars(series)) is not None else None,
        known=moment.isoformat().replace("+00:00", "Z") if moment else None,
        adjust=state.get("candles_adjust"),
        over=",".join(one.key for one in laid_over()),
        now="1" if moment and st.session_state.get("candles_now_over") else None,
        log="1" if state.get("candles_log") else None,
        percent="1" if state.get("candles_percent") else None,
        chart="plotly" if state.get("candles_plotly") else None,
        **{"with": ",".join(map(str, chosen_indicators()))},
        tab=tab if (tab := st.session_state.get("candles_details")) != "bars" else None,
    )
    st.session_state.candles_address = tuple(sorted(st.query_params.items()))


def prefill_options(known: list[SeriesSummary]) -> None:
    state = st.session_state
    state.candles_size = from_url("size", one_of([size.name for size in SIZES]), FITTING)
    state.candles_log = from_url("log", one_of(["1"]), "") == "1"
    known_as_of(from_url("known", read_moment, None))
    state.candles_adjust = from_url("adjust", one_of(ADJUSTMENTS), AS_TRADED)
    state.candles_now_over = from_url("now", one_of(["1"]), "") == "1"
    state.candles_details = from_url("tab", one_of(DETAILS), "bars")
    state.candles_percent = from_url("percent", one_of(["1"]), "") == "1"
    state.candles_plotly = from_url("chart", one_of(["plotly"]), "") == "plotly"
    by_key = {one.series.key: one.series for one in known}
    read = one_of(by_key)
    state.candles_overs = [by_key[key] for key in listed("over", read)][: MOST_OVERS - 1]
    state.candles_indicators = [one.label for one in listed("with", indicator)][:MOST_INDICATORS]


def view_of(series: Series, start: int, end: int) -> ChartView:
    console = service()
    adjustment = chosen_adjustment()
    marked = [(int(first), int(last)) for first, last in console.acknowledged.ranges(series, start, end)]
    view = chart_view(
        console.lake,
        console.queue,
        calendar_of(series, console.settings),
        series,
        start,
        end,
        known_at(),
        marked=marked,
        least=chosen_bars(series),
        adjustment=adjustment,
    )
    pa.default_memory_pool().release_unused()  # each view is read by new threads, whose pools would add up
    return view


def second_of(view: ChartView) -> tuple[str, pa.Table] | None:
    """What is laid over the chart: another series, or the present over a past moment; its failure is told alone."""
    lake, other = service().lake, next(iter(laid_over()), None)
    with section("The series laid over it"):
        if other is not None:
            laid = bars_in(lake, other, view.start, view.end, view.size.name, known_at(), view.adjustment)
            return beside(view, other, laid)
        if known_at() and st.session_state.get("candles_now_over"):
            now = bars_in(lake, view.series, view.start, view.end, view.size.name, adjustment=view.adjustment)
            return "as known now", overlay(view.bars, now)
    return None


def beside(view: ChartView, other: Series, laid: pa.Table) -> tuple[str, pa.Table]:
    """Another series next to the view; another pair is brought to its price at their first common bar."""
    joined = overlay(view.bars, laid)
    common = joined.filter(joined["difference_bps"].is_valid())
    if other.asset_pair == view.series.asset_pair or common.num_rows == 0:
        return label(other), joined
    factor = common["close_a"][0].as_py() / common["close_b"][0].as_py()
    for name in VALUES[:4]:
        laid = laid.set_column(laid.schema.get_field_index(name), name, pc.multiply(laid[name], factor))
    return f"{label(other)}, times {written(in_digits(factor, 6))}", overlay(view.bars, laid)


def what_differs(joined: pa.Table) -> None:
    different = joined.filter(joined["is_different"])
    text = f"{number(different.num_rows)} of {number(joined.num_rows)} bars differ"
    if 0 < different.num_rows <= 5:
        text += ": " + ", ".join(f"{at:%Y-%m-%d %H:%M}" for at in different["timestamp"].to_pylist())
    st.caption(f":material/difference: Laid over: {plain(text)}.")


def runs_in(view: ChartView) -> dict[str, int]:
    """Which run brought each ingestion of the view; nothing where bars stand for several."""
    if "_ingestion_id" not in view.bars.column_names:
        return {}
    with section("The runs behind the bars"):
        moments = dict(
            zip(view.bars["_ingestion_id"].to_pylist(), micros(view.bars["_extracted_at"]).tolist(), strict=True)
        )
        return run_of(view.series, moments)
    return {}


def chart(view: ChartView, item: SeriesSummary, runs: dict[str, int]) -> None:
    if not draws_live():
        plotly_chart(view, runs)
        return
    overs = laid_over()
    draw(
        view,
        item,
        st.session_state.candles_range,
        overs,
        chosen_indicators(),
        known_at(),
        runs,
        moved_by_hand,
        now_over=not overs and bool(st.session_state.get("candles_now_over")),
        log=st.session_state.get("candles_log", False),
        percent=st.session_state.get("candles_percent", False),
        least=chosen_bars(view.series),
    )
    if len(overs) < 2 and (not overs or overs[0].asset_pair == view.series.asset_pair):
        with section("What differs"):
            if second := second_of(view):
                what_differs(second[1])


def plotly_chart(view: ChartView, runs: dict[str, int]) -> None:
    """The chart by Plotly: of a range at a time, where a box drawn over it looks closer."""
    if st.session_state.get("candles_cannot"):
        st.caption(
            ":material/info: This browser did not run the chart's own script, which a rule of its own or of a proxy may"
            " forbid, so Plotly draws. Switch *Draw with Plotly* on and off to try again."
        )
    key = f"candles_chart_{view.start}_{view.end}_{adjustment_name(view)}"
    second, other = second_of(view), next(iter(laid_over()), None)
    left_out_by_plotly()
    if second and (other is None or other.asset_pair == view.series.asset_pair):
        what_differs(second[1])
    st.plotly_chart(
        drawn_by_plotly(view, runs, second),
        key=key,
        theme=None,
        on_select=lambda: drill(key),
        selection_mode="box",
        config={
            "displaylogo": False,
            "modeBarButtonsToRemove": ["lasso2d", "autoScale2d"],
            "scrollZoom": False,
            "toImageButtonOptions": picture_file(view),
        },
    )


def left_out_by_plotly() -> None:
    """What was chosen and only the chart's own script draws."""
    left_out = [one.label for one in chosen_indicators()] + [label(one) for one in laid_over()[1:]]
    left_out += ["prices in percent"] if st.session_state.get("candles_percent") else []
    if left_out:
        st.caption(f":material/visibility_off: Plotly does not draw: {plain(', '.join(left_out))}.")


def drawn_by_plotly(view: ChartView, runs: dict[str, int], second: tuple[str, pa.Table] | None) -> Any:
    from pages.candles.chart import figure  # Plotly is loaded by the first chart that it draws

    theme, log = st.context.theme.type or "light", st.session_state.get("candles_log", False)
    adjusted = words_of(view.adjustment)
    return figure(view, theme, prices_of(view), log=log, second=second, runs=runs, adjusted=adjusted)


def picture_file(view: ChartView) -> dict[str, Any]:
    """The name of a picture that is downloaded says what it is of."""
    labels = file_labels((view.start, view.end), view.adjustment, view.as_known_at)
    return {"filename": ".".join([view.series.key.replace("/", "-"), *labels])}


def what_is_shown(view: ChartView) -> None:
    counts = view.counts
    chosen = chosen_bars(view.series)
    grown = (
        f", as those of {plain(chosen.name)} would be too many" if chosen and view.size.seconds > chosen.seconds else ""
    )
    parts = [
        f"**{number(view.bars.num_rows)} bar{'s' * (view.bars.num_rows != 1)} of {view.size.name}**{grown}",
        span(view.start, view.end),
        f"{number(counts['stored'])} of {number(counts['expected'])} expected candles stored",
    ]
    parts += [f"{number(counts[kind])} {name}" for kind, (name, _) in GAPS.items() if counts.get(kind)]
    parts += [f"{number(len(view.restated))} restated"] if len(view.restated) else []
    other = " or on another hour grid" if view.series.has_hour_grid else ""
    parts += [f"{number(counts['extra'])} outside market hours{other}"] if counts["extra"] else []
    if view.as_known_at is not None:
        parts.append(f"as known at {moment_text(view.as_known_at)}")
        parts.append(f"**{number(len(view.restated_since))} restated since**")
    mock = " :violet-badge[:material/science: simulated]" if view.is_mock else ""
    adjusted = f" :orange-badge[:material/call_split: {words_of(view.adjustment)}]" if view.adjustment else ""
    st.markdown(" · ".join(parts) + adjusted + mock)
    if view.bars.num_rows == 0:
        return
    grid = hour_grid(view.series, calendar_of(view.series, service().settings))
    hourly = "" if grid is None else f" Hourly bars of this series open {plain(grid)}."
    more = f" The widest {MOST_SHADES} of {number(len(view.gaps))} gaps are shaded." * (len(view.gaps) > MOST_SHADES)
    how = (
        "Drag to move, turn the wheel to zoom, Shift and drag to measure."
        if draws_live()
        else "Drag over the chart to look closer."
    )
    st.caption(
        f"{how} Times are UTC; a bar is named by its open. "
        f"Keys: ← → earlier and later, A everything, B back.{hourly}{more}"
    )
    what_is_adjusted(view)


def nothing_here(view: ChartView) -> None:
    before, after = view.nearest or (None, None)
    came_later = view.as_known_at is not None and view.counts.get("later", 0) > 0
    if came_later:
        moment = moment_text(view.as_known_at or 0)
        st.info(f"Nothing of this range was known at {moment}: it was stored later.", icon=":material/history:")
    else:
        st.info("Nothing is stored in this range.", icon=":material/search_off:")
    width, step = view.end - view.start, view.series.step
    with st.container(horizontal=True):
        if came_later:
            st.button("As known now", icon=":material/update:", key="candles_now", on_click=known_as_of, args=(None,))
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
        if not came_later:
            start, end = times.iso(view.start), times.iso(view.end)
            backfill_link(view.series, "Backfill this range", start=start, end=end, mode="resume")


def bars_table(view: ChartView, runs: dict[str, int]) -> None:
    own = view.size.name == view.series.timeframe
    table = rows_of(view, runs)
    picked = show_table(
        table,
        key=f"candles_table_{view.start}_{view.end}_{view.size.name}_{view.as_known_at}_{adjustment_name(view)}",
        height=320,
        on_select="rerun" if own else "ignore",
        selection_mode="single-row",
        column_config=columns_of(view, table),
    )
    if not own:
        st.caption(f"Bars of {view.size.name} stand for several stored ones. Look closer to see each with its lineage.")
        return
    rows = picked["selection"]["rows"]
    if rows and view.adjustment is not None:
        st.caption("Its versions are as they were traded and are stored; a correction is of those.")
    if rows:
        one_bar(view.series, int(epochs(table["timestamp"])[rows[0]]), view.as_known_at, known_as_of)
    else:
        st.caption("Tick a row to see all versions of the bar, fetch it again, correct it, or see its dead letters.")


def rows_of(view: ChartView, runs: dict[str, int]) -> pa.Table:
    """The bars of a view as its table shows them, the newest first; each with its lineage where it is a stored one."""
    own = view.size.name == view.series.timeframe
    bars = view.bars.sort_by([("timestamp", "descending")])
    columns = {name: bars[name] for name in bars.column_names}
    pairs = zip(bars["volume"].to_pylist(), bars["sources"].to_pylist(), strict=True)
    columns["volume"] = [summed(volume) if sources > 1 else volume for volume, sources in pairs]
    if view.adjustment is not None:
        columns["adjustment"] = [view.adjustment.name] * bars.num_rows
    if own:
        columns["run"] = pa.array([runs.get(one) for one in bars["_ingestion_id"].to_pylist()], pa.int64())
    if own and view.as_known_at is not None:
        columns["since"] = np.isin(epochs(bars["timestamp"]), view.restated_since)
    lineage = ("_extracted_at", "run", "_ingestion_id", "_dead_letter_id", "since") if own else ("sources",)
    names = ("timestamp", "adjustment", *VALUES, *lineage, "restated")
    return pa.table({name: columns[name] for name in names if name in columns})


def columns_of(view: ChartView, table: pa.Table) -> dict[str, Any]:
    prices, unit = prices_of(view), unit_text(view.volume_unit)
    return {
        "timestamp": st.column_config.DatetimeColumn("Opens (UTC)", format="YYYY-MM-DD HH:mm"),
        "adjustment": st.column_config.TextColumn("Adjusted for", width="small"),
        **value_columns(table, prices, f"Unit: {unit}"),
        "_extracted_at": st.column_config.DatetimeColumn("Extracted (UTC)", format="YYYY-MM-DD HH:mm:ss"),
        "run": st.column_config.NumberColumn("Run", width="small"),
        "_ingestion_id": st.column_config.TextColumn("Ingestion", width="small"),
        "_dead_letter_id": st.column_config.TextColumn("Dead letter", width="small"),
        "sources": count_column("Source bars"),
        "since": st.column_config.CheckboxColumn("Restated since"),
        "restated": st.column_config.NumberColumn("Restated"),
    }


def gaps_table(view: ChartView) -> None:
    if not view.gaps:
        st.caption(":green[:material/check_circle:] Nothing is missing in this range.")
        return
    rows = [
        {
            "First missing": when(gap.start, hint=False),
            "Last missing": when(gap.end - view.series.step, hint=False),
            "Candles": gap.candles,
            "Why": GAPS[gap.kind][0],
        }
        for gap in view.gaps
    ]
    show_table(rows, column_config={"Candles": count_column()})
    if view.counts["unexplained"]:
        first, last = times.iso(view.gaps[0].start), times.iso(view.gaps[-1].end)
        backfill_link(view.series, "Fill these gaps", start=first, end=last, mode="gaps")
    if view.counts["dead_lettered"]:
        dead_letters_of(view.series)


def download(view: ChartView, known: list[SeriesSummary]) -> None:
    if view.adjustment is None:
        st.caption("The whole range as stored, one row a bar with its lineage, not the bars of the view.")
    else:
        st.caption(
            f"The stored bars of the whole range, {words_of(view.adjustment)}, one row a bar with its lineage: the"
            " names of the files and every row say it, the data sheet by what. *Prices* under *More* has them as they"
            " were traded."
        )
    chosen = st.multiselect(
        "Series in one file",
        [item.series for item in known],
        default=[view.series],
        format_func=label,
        key=f"candles_together_{view.series.key}",
    )
    if not chosen:
        st.info("Choose at least one series.", icon=":material/checklist:")
        return
    query = [("series", one.key) for one in chosen] + [("start", view.start), ("end", view.end)]
    query += [("known", view.as_known_at)] if view.as_known_at is not None else []
    query += [("adjust", view.adjustment.name)] if view.adjustment is not None else []
    text = urlencode(query, safe="/")
    with st.container(horizontal=True):
        st.link_button("Parquet", f"/export?{text}&format=parquet", icon=":material/download:")
        st.link_button("CSV", f"/export?{text}&format=csv", icon=":material/download:")
        st.link_button("Data sheet", f"/export?{text}&format=sheet", icon=":material/description:")
    st.caption("The data sheet names sources, coverage, gaps, restatements, the moment of knowledge and volume units.")
    tool_files(view.series, text, adjusted=view.adjustment is not None)


def picture(view: ChartView, runs: dict[str, int]) -> None:
    """The chart as a picture: by Plotly, whose toolbar has a camera."""
    if st.toggle("The chart as a picture", key="candles_picture"):
        st.caption("The camera at its upper right downloads it as a PNG.")
        left_out_by_plotly()
        st.plotly_chart(
            drawn_by_plotly(view, runs, second_of(view)),
            key="candles_picture_chart",
            theme=None,
            config={
                "displaylogo": False,
                "displayModeBar": True,
                "modeBarButtons": [["toImage"]],
                "toImageButtonOptions": picture_file(view),
            },
        )


def elsewhere(view: ChartView) -> None:
    moment = known_at()
    code = snippets(service().lake, view.series, view.start, view.end, moment, adjustment_name(view))
    if view.adjustment is not None:
        st.caption(
            f"The first reads bars {words_of(view.adjustment)}; the others what is stored, which is as it was traded."
        )
    for tab, text in zip(st.tabs(list(code)), code.values(), strict=True):
        tab.code(text, language="python")


def details(view: ChartView, known: list[SeriesSummary], runs: dict[str, int]) -> None:
    chosen = st.segmented_control(
        "Details",
        list(DETAILS),
        format_func=DETAILS.__getitem__,
        key="candles_details",
        label_visibility="collapsed",
        required=True,
        wrap=True,
    )
    with section(DETAILS[chosen or "bars"]):
        match chosen:
            case "gaps":
                gaps_table(view)
            case "download":
                download(view, known)
                if draws_live():
                    picture(view, runs)
            case "elsewhere":
                elsewhere(view)
            case _:
                bars_table(view, runs)


def damaged(error: DamagedTable, series: Series) -> None:
    """Which file is gone, and the ranges that can still be read."""
    alert("error", "A data file of this series is missing or damaged:", [sentence(error)], ":material/broken_image:")
    with st.container(horizontal=True):
        for start, end in error.readable[-_MOST_BUTTONS:]:
            st.button(
                f"Show {span(start, end)}",
                key=f"candles_readable_{start}",
                on_click=show,
                args=(max(start, end - FIRST_BARS * series.step), end),
            )


def not_adjusted(error: InputError) -> None:
    """Why bars cannot be adjusted: nothing is drawn in their place that would be taken for adjusted."""
    alert("error", "The bars cannot be adjusted:", [error.problem], ":material/call_split:")
    st.button("Show them as they were traded", key="candles_as_traded", on_click=as_traded)


def as_traded() -> None:
    st.session_state.candles_adjust = AS_TRADED


def empty() -> None:
    st.info("Nothing is stored yet. A backfill brings candles into the lake.", icon=":material/candlestick_chart:")
    new_backfill("candles_backfill")


def page() -> None:
    known = stored_series(service().lake)
    if not known:
        empty()
        return
    if address_changed():
        prefill_options(known)
    item = choose(known)
    if item is None:
        notes()
        what_there_is(known)
        return
    st.set_page_config(page_title=f"{item.series.asset_pair} {item.series.timeframe} · Candles · FFE console")
    shown_range(item)
    settle(item, known)
    above, drawn = st.container(), None
    # The browser needs longest for the code of the chart: it is asked for that first.
    with section("The chart"):
        drawn = charted(item)
    with above:
        notes()
        controls(item, known)
        remember(item.series)
        told()
    if drawn is not None:
        chart_first()
        details(drawn[0], known, drawn[1])


def charted(item: SeriesSummary) -> tuple[ChartView, dict[str, int]] | None:
    """The chart and what it shows; None where there is nothing to show, which is told."""
    try:
        view = view_of(item.series, *st.session_state.candles_range)
    except DamagedTable as error:
        damaged(error, item.series)
        return None
    except InputError as error:
        if error.field not in ("adjust", "splits", "dividends"):
            raise
        not_adjusted(error)
        return None
    what_is_shown(view)
    if view.bars.num_rows == 0:
        nothing_here(view)
        return None
    runs = runs_in(view)
    chart(view, item, runs)
    return view, runs


heading("Candles")
with section("The candles"):
    page()
correction()
