"""One stored bar: all its versions with where each comes from, and what can be done about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pandas as pd
import streamlit as st

from ffe_core import times
from ffe_core.candles import VALUES
from ffe_core.errors import InputError
from ffe_core.file_sources import is_file_source
from ffe_core.insight.lineage import Origin, origins
from ffe_core.insight.units import NumberFormat
from ffe_core.insight.versions import versions
from ffe_core.operations.corrections import correct
from ffe_core.operations.dead_letters.edits import in_words
from ffe_core.operations.runs.backfill import BackfillRequest
from ffe_core.series import Series
from ffe_core.storage.lake.snapshot import micros
from ffe_core.validation import validate
from pages.widgets import actor, go, service, when
from pages.widgets.alerts import say_wrong
from pages.widgets.dialogs import answered, answering, dialog, unanswered
from pages.widgets.fields import words_fit
from pages.widgets.tables import show_table, value_columns
from pages.widgets.travel import OF_FILES
from pages.widgets.typed import decimal_number
from pages.widgets.verbs import changing


def run_of(series: Series, rows: Mapping[str, int]) -> dict[str, int]:
    """Which run brought each ingestion, where that is known; `rows` as for `origins`."""
    found = origins(service().lake, service().database, series, rows)
    return {ingestion: origin.run for ingestion, origin in found.items() if origin.run is not None}


def one_bar(series: Series, open_: int, known_at: int | None, show_as_of: Callable[[int | None], None]) -> None:
    """A bar's versions and verbs; `show_as_of` shows the chart as known at a moment (epoch microseconds)."""
    table = versions(service().lake, series, open_)
    moments = micros(table["_extracted_at"]).tolist()
    came = origins(
        service().lake, service().database, series, dict(zip(table["_ingestion_id"].to_pylist(), moments, strict=True))
    )
    st.markdown(f"**{when(open_, hint=False)}**, every version, the latest last")
    frame = table.to_pandas()
    prices = service().formats.of(series)
    _versions(frame, prices, came, [known_at is None or moment <= known_at for moment in moments])
    with st.container(horizontal=True, vertical_alignment="center"):
        _verbs(series, open_, {name: float(frame[name].iloc[-1]) for name in VALUES}, moments[-1])
        _dead_letters(series, frame["_dead_letter_id"].dropna().tolist())
        if len(moments) > 1:
            st.button(
                "The chart as known before the last change",
                icon=":material/history:",
                key="candles_before_change",
                on_click=show_as_of,
                args=(moments[-1] - 1,),
            )
        if known_at is not None:
            st.button(
                "As known now", icon=":material/update:", key="candles_present", on_click=show_as_of, args=(None,)
            )
    runs = sorted({origin.run for origin in came.values() if origin.run is not None})
    with st.container(horizontal=True):
        for run in runs[-5:]:
            st.page_link(
                "run/page.py", label=f"Run {run}", icon=":material/play_circle:", query_params={"id": str(run)}
            )


def _versions(frame: pd.DataFrame, prices: NumberFormat, came: Mapping[str, Origin], known: list[bool]) -> None:
    by = [came.get(ingestion, Origin()) for ingestion in frame["_ingestion_id"]]
    shown = frame.drop(columns=["timestamp", "is_mock"])
    shown.insert(6, "change_bps", shown.pop("change_bps"))
    shown.insert(7, "run", pd.array([origin.run for origin in by], dtype="Int64"))
    if any(origin.actor for origin in by):
        shown["by"] = [origin.actor for origin in by]
        shown["reason"] = [origin.reason for origin in by]
    if not all(known):
        shown.insert(1, "known", known)
    show_table(shown, key="candles_versions", column_config=_columns(frame, prices))


def _columns(frame: pd.DataFrame, prices: NumberFormat) -> dict[str, Any]:
    return {
        "version": st.column_config.NumberColumn("Version", width="small"),
        "known": st.column_config.CheckboxColumn("Known then"),
        **value_columns(frame, prices),
        "change_bps": st.column_config.NumberColumn("Close, bps", format="%.2f"),
        "run": st.column_config.NumberColumn("Run", width="small"),
        "source_provider": "Provider",
        "_extracted_at": st.column_config.DatetimeColumn("Extracted (UTC)", format="YYYY-MM-DD HH:mm:ss.SSS"),
        "_ingestion_id": st.column_config.TextColumn("Ingestion", width="small"),
        "_dead_letter_id": st.column_config.TextColumn("Dead letter", width="small"),
        "by": "By",
        "reason": "Reason",
    }


def _verbs(series: Series, open_: int, latest: dict[str, float], extracted: int) -> None:
    of_files = is_file_source(series.provider)
    st.button(
        "Fetch this bar again",
        icon=":material/refresh:",
        key="candles_refetch",
        on_click=_refetch,
        args=(series, open_),
        disabled=of_files or not service().acts,
        help=OF_FILES if of_files else None,
    )
    st.button(
        "Correct it by hand",
        icon=":material/edit:",
        key="candles_correct",
        on_click=_ask,
        args=(series, open_, latest, extracted),
        disabled=not service().acts,
    )


def _dead_letters(series: Series, ids: list[str]) -> None:
    """The record that the bar was edited from, else those of its series."""
    if not ids:
        dead_letters_of(series)
        return
    batch, _, record = ids[-1].partition("#")
    st.page_link(
        "dead_letters/page.py",
        label="The dead letter it came from",
        icon=":material/mail:",
        query_params={"entry": batch, "record": record},
    )


def dead_letters_of(series: Series) -> None:
    """A link to a series' dead letters, whatever became of them."""
    st.page_link(
        "dead_letters/page.py",
        label="Dead letters of the series",
        icon=":material/mail:",
        query_params={
            "pair": series.asset_pair,
            "timeframe": series.timeframe,
            "provider": series.provider,
            "status": "any",
        },
    )


@changing()
def _refetch(series: Series, open_: int) -> None:
    request = BackfillRequest(series.provider, (series,), open_, open_ + series.step, "refetch")
    go("run", id=str(service().run_service.start(request, actor())))


# -- correcting by hand


def _ask(series: Series, open_: int, latest: dict[str, float], extracted: int) -> None:
    unanswered()
    st.session_state.candles_correcting = series, open_, latest, extracted


def correction() -> None:
    """The dialog, if it was asked for."""
    if asked := st.session_state.get("candles_correcting"):
        _dialog(*asked)


@dialog("Correct a bar by hand", asked="candles_correcting")
def _dialog(series: Series, open_: int, latest: dict[str, float], extracted: int) -> None:
    st.text(f"{series.asset_pair} {series.timeframe} · {series.provider}, {when(open_, hint=False)}")
    st.write("A new version is added with your name and reason; the one there is now stays and can still be seen.")
    prices, cells = service().formats.of(series), dict[str, Any]()
    for place in range(0, len(VALUES), 2):  # columns for each row: those of a narrow page then stand in order
        cells |= zip(VALUES[place : place + 2], st.columns(2), strict=False)
    for name in VALUES:
        with cells[name]:
            least = 0 if name == "volume" else prices.decimals
            decimals = NumberFormat(least).covering([latest[name]])
            st.text_input(name.capitalize(), value=f"{latest[name]:.{decimals}f}", key=f"correct_{name}")
    for name, problem in _wrong_values(series, open_):
        with cells[name]:
            say_wrong(problem)
    fits = words_fit("Reason", "correct_reason", 500, placeholder="for example: typo confirmed by the provider")
    with st.container(horizontal=True):
        st.button(
            "Add this version",
            type="primary",
            key="correct_save",
            on_click=_save,
            args=(series, open_, extracted),
            disabled=not fits,
        )
        st.button("Leave it as it is", key="correct_no", on_click=answered)


def _typed(name: str) -> float:
    return decimal_number(st.session_state[f"correct_{name}"], name.capitalize())


def _wrong_values(series: Series, open_: int) -> Iterator[tuple[str, str]]:
    """What is wrong with the typed values, each with its field, before anything is pressed."""
    values: dict[str, float] = {}
    for name in VALUES:
        try:
            values[name] = _typed(name)
        except InputError as error:
            yield name, error.problem
    if len(values) == len(VALUES):
        for failure in validate([{"date": times.iso(open_), **values}], series.grid).failures:
            for code in failure.reasons:
                rule, _, name = code.partition(":")
                yield name or rule.partition("_")[0], f"{in_words(code)}.".capitalize()


def _save(series: Series, open_: int, began_from: int) -> None:
    stores, audit, state = service().run_service.stores, service().audit, st.session_state
    with answering():
        values = {name: _typed(name) for name in VALUES}
        correct(stores, audit, series, open_, values, actor(), state.correct_reason, began_from)
