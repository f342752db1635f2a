"""One run: its series live, its log lines, and what can be done about it."""

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

from ffe_core import times
from ffe_core.operations.imports.service import Imports
from ffe_core.operations.runs.outcome import CHANGE_REQUEST, next_step_of
from ffe_core.storage.state import runs as run_states
from ffe_core.storage.state.runs import Run, RunSeries
from pages.run import checks, coverage, files, upkeep
from pages.run.figures import ended
from pages.run.progress import rate, time_left
from pages.widgets import (
    actor,
    duration,
    from_url,
    go,
    is_leaving,
    many,
    notes,
    number,
    plain,
    section,
    service,
    span,
    state_column,
    when,
    whole,
)
from pages.widgets.dialogs import answered, answering, dialog, unanswered
from pages.widgets.frame import heading, heading_row
from pages.widgets.looking import looking
from pages.widgets.states import MODE_NAMES, kind_name
from pages.widgets.tables import count_column, show_table
from pages.widgets.text import FIGURE_WIDTH, dated
from pages.widgets.verbs import changing, told

LEVELS = {"error": "E", "warning": "W", "info": "I"}
MOST_FAILURES, MOST_NAMED = 5, 6
YOUNG_SECONDS = 3
FEW_LINES = 8
STOPPED = (run_states.INTERRUPTED, run_states.CANCELLED)
UNDER_WAY = {
    "New candles": "Those that are committed; what is fetched is committed in parts.",
    "Rate": "Of candles that are fetched, committed or not yet.",
}
"""What figures mean while a run is under way, and one seems to say what another does not."""
OF_STORED: dict[str, Any] = {run_states.UPKEEP: upkeep, run_states.CHECK: checks, run_states.COVERAGE: coverage}
"""Runs that fetch nothing: what is drawn in the place of series and candles."""


def head(run: Run, rows: list[RunSeries]) -> None:
    st.set_page_config(page_title=f"Run {run.id} · FFE console")
    with heading_row(f"Run {run.id}", run.state):
        actions(run, rows)
    if run.error:
        st.code(dated(run.error), language=None, wrap_lines=True)
    if not run.is_active:
        for later in sorted(set(service().runs.taken_up(run.id).values())):
            st.page_link(
                "run/page.py",
                label=f"Run {later} went on with what was left of it",
                icon=":material/forward:",
                query_params={"id": str(later)},
            )


def origin(run: Run) -> None:
    """What, how, of when and by whom, as chips."""
    chips = [
        (":material/download:", f"{plain(kind_name(run.kind))} from {plain(run.provider)}"),
        *([(":material/tune:", plain(MODE_NAMES.get(run.mode, run.mode)))] if run.kind == "backfill" else []),
        *([(":material/date_range:", plain(span(run.start, run.end)))] if run.has_range else []),
        (":material/schedule:", plain(when(run.created_at))),
        (":material/person:", f"{plain(run.actor)} ({plain(run.source)})"),
        *([(":material/replay:", f"again from run {run.parent_id}")] if run.parent_id else []),
    ]
    # Not `st.badge`, which would escape what is escaped already.
    badges = [f":gray-badge[{icon} {words}]" for icon, words in chips]
    st.markdown(" ".join(badges))


def actions(run: Run, rows: list[RunSeries]) -> None:
    """What can be done about the run in the state it is in: nothing of what a later run has taken up."""
    console, run_id = service(), run.id
    locked = not console.acts
    if run.state in (run_states.QUEUED, run_states.RUNNING):
        st.button(
            "Cancel", icon=":material/stop_circle:", key="run_cancel", on_click=ask, args=(run_id,), disabled=locked
        )
    if run.is_active or run.kind not in run_states.CONTINUED:
        return
    taken = console.runs.taken_up(run_id)
    rows = [row for row in rows if row.series not in taken]
    if any(row.state in STOPPED for row in rows):
        act("Continue", ":material/resume:", "run_continue", continued, run, locked)
    failed = [row for row in rows if row.state == run_states.FAILED]
    for_good = [row for row in failed if row.next_step_code == CHANGE_REQUEST]
    if for_good:
        st.button(
            "Change the request",
            icon=":material/edit:",
            key="run_change",
            type="primary" if for_good == failed else "secondary",
            on_click=change,
            args=(run, for_good),
        )
    if failed:
        kind = "secondary" if for_good == failed else "primary"
        act("Retry failed", ":material/replay:", "run_retry", retried, run, locked, kind)


def act(label: str, icon: str, key: str, verb: Any, run: Run, locked: bool, kind: str = "primary") -> None:
    st.button(
        label,
        icon=icon,
        key=key,
        type=kind,  # type: ignore[arg-type]
        on_click=again,
        args=(verb, run),
        disabled=locked,
    )


def change(run: Run, rows: list[RunSeries]) -> None:
    """Open the form with the series that asking again would not help."""
    first, last = run.start, run.end
    if first % times.DAY == 0 and last % times.DAY == 0:
        asked_for = f"{times.utc(first):%Y-%m-%d}", f"{times.utc(last - times.DAY):%Y-%m-%d}"
    else:
        asked_for = times.iso(first), times.iso(last)
    go(
        "backfill",
        provider=run.provider,
        pairs=",".join(dict.fromkeys(row.asset_pair for row in rows)),
        timeframes=",".join(dict.fromkeys(row.timeframe for row in rows)),
        start=asked_for[0],
        end=asked_for[1],
        mode=run.mode,
    )


@changing()
def again(verb: Callable[[Run], int], run: Run) -> None:
    """Start the new run and go to it."""
    go("run", id=str(verb(run)))


def continued(run: Run) -> int:
    if run.kind == "backfill":
        return service().run_service.resume(run.id, actor())
    with looking() as progress:
        return Imports(service().run_service).resume(run.id, actor(), progress=progress)


def retried(run: Run) -> int:
    if run.kind == "backfill":
        return service().run_service.retry_failed(run.id, actor())
    with looking() as progress:
        return Imports(service().run_service).retry_failed(run.id, actor(), progress=progress)


def ask(run_id: int) -> None:
    unanswered()
    st.session_state.run_question = run_id


def cancel(run_id: int) -> None:
    with answering():
        service().run_service.cancel(run_id, actor())


def cancel_text(run: Run, rows: list[RunSeries]) -> None:
    open_ = sum(row.is_active for row in rows)
    st.write(
        f"Run {run.id}: {open_} of {len(rows)} series have not ended. It stops within one page fetch; "
        f"the {number(sum(row.records for row in rows))} candles it has committed stay, and you can continue it."
    )


@dialog("Cancel this run?", asked="run_question")
def cancel_dialog(run: Run, rows: list[RunSeries]) -> None:
    if run.kind in OF_STORED:
        OF_STORED[run.kind].cancel_text(run)
    else:
        cancel_text(run, rows)
    with st.container(horizontal=True):
        st.button("Cancel the run", type="primary", key="run_cancel_yes", on_click=cancel, args=(run.id,))
        st.button("Keep it running", key="run_cancel_no", on_click=answered)


def totals(run: Run, rows: list[RunSeries]) -> None:
    seconds = (run.ended_at or time.time()) - (run.started_at or run.created_at)
    restated = sum(row.restated for row in rows)
    active = run.is_active
    left = time_left(rows, seconds) if active else None
    counted = [row for row in rows if row.expected is not None]
    accounted = sum((row.stored or 0) + (row.dead_lettered or 0) + (row.marked or 0) for row in counted)
    missing = [row.unexplained or 0 for row in counted]
    basis = f", {len(counted)} of {len(rows)} series" if counted and len(counted) < len(rows) and not active else ""
    expected = sum(row.expected or 0 for row in counted)
    figures = {
        "Series ended": ended(rows),
        "New candles": number(sum(row.records for row in rows) - restated),
        **({"Restated": number(restated)} if restated else {}),
        "Rate": rate(rows, seconds),
        "Time left" if active else "Took": duration(left) if active else duration(seconds),
        "Unexplained": number(sum(missing)) if missing and not active else "–",
        f"Accounted for{basis}": "–" if active or not expected else f"{number(accounted)} of {number(expected)}",
    }
    with st.container(horizontal=True):
        for name, value in figures.items():
            st.metric(
                name,
                value,
                width="stretch" if name.startswith("Accounted") else FIGURE_WIDTH,
                help=plain(UNDER_WAY[name]) if active and name in UNDER_WAY else None,
            )


def series_row(row: RunSeries, told: bool) -> dict[str, Any]:
    """A line of the list; an error that stands in full above it is not repeated."""
    planned, done = row.pages_planned, row.pages_done
    share = 1.0 if row.state in (run_states.COMPLETE, run_states.GAPS) else done / planned if planned else 0.0
    seconds = (row.ended_at or time.time()) - row.started_at if row.started_at else None
    left = time_left([row], seconds) if seconds and planned and not row.ended_at else None
    return {
        "Pair": row.asset_pair,
        "Timeframe": row.timeframe,
        "State": [row.state],
        "Machine": row.machine or "",
        "Progress": math.floor(100 * share) / 100,
        "Doing": row.phase or "",
        "New": row.records - row.restated,
        "Restated": row.restated or None,
        "Rate /s": round(row.received / seconds) if seconds and seconds > 0.5 else None,
        "Left": duration(left) if left else "",
        "Dead letters": row.dead_letters,
        "Unexplained": row.unexplained,
        "Requests": row.requests,
        "Retries": row.retries,
        "Watermark (UTC)": when(row.watermark, hint=False).removesuffix(" UTC"),
        "Next step": "" if told else next_step_of(row) or "",
        "Error": "" if told else row.error or "",
    }


def series_table(rows: list[RunSeries]) -> None:
    st.subheader("Series", anchor=False)
    numbers = {
        name: count_column(width=width)
        for name, width in (
            ("New", 75),
            ("Restated", 70),
            ("Rate /s", 65),
            ("Dead letters", 85),
            ("Unexplained", 85),
            ("Requests", 70),
            ("Retries", 60),
        )
    }
    told = len({(row.error, next_step_of(row)) for row in rows if row.error}) <= MOST_FAILURES
    rows = sorted(rows, key=lambda row: row.state != run_states.FAILED)
    shown = [series_row(row, told and row.error is not None) for row in rows]
    # A column with nothing in it is noise.
    kept = [name for name in shown[0] if any(row[name] not in ("", None) for row in shown)] if shown else []
    show_table(
        shown,
        column_order=kept,
        key="run_series",
        height="content" if len(rows) <= 12 else 460,
        column_config={
            **numbers,
            # Widths that hold what comes later: a column keeps the width of what it showed first.
            "State": state_column(width=130),
            "Progress": st.column_config.ProgressColumn(format="percent", width=85),
            "Timeframe": st.column_config.TextColumn(width=80),
            "Doing": st.column_config.TextColumn(width=65),
            "Machine": st.column_config.TextColumn(width=90),
            "Left": st.column_config.TextColumn(width=60),
            "Watermark (UTC)": st.column_config.TextColumn(width=120),
        },
    )


def failures(rows: list[RunSeries]) -> None:
    """Errors in full, as a cell would cut them off; equal ones once, with all their series."""
    groups: dict[tuple[str, str], list[RunSeries]] = {}
    for row in rows:
        if row.error:
            groups.setdefault((without_series(row), next_step_of(row) or ""), []).append(row)
    for (error, then), failed in list(groups.items())[:MOST_FAILURES]:
        with st.container(border=True):
            st.write(f":red[:material/error:] **{plain(names_of(failed))}** · {plain(then)}")
            st.code(dated(error), language=None, wrap_lines=True)
    if len(groups) > MOST_FAILURES:
        st.caption(f"And {many(len(groups) - MOST_FAILURES, 'other error')}, in the list.")


def without_series(row: RunSeries) -> str:
    """The error of a series without its name and range, which stand above it: so what is the same reads the same."""
    said, own = row.error or "", f"{row.asset_pair} {row.timeframe} from {row.provider}, "
    what, parted, why = said.partition(": ")
    return why if parted and what.startswith(own) else said


def names_of(rows: Sequence[RunSeries]) -> str:
    shown = [f"{row.asset_pair} {row.timeframe}" for row in rows[:MOST_NAMED]]
    more = [f"and {number(len(rows) - MOST_NAMED)} more"] if len(rows) > MOST_NAMED else []
    return ", ".join(shown + more)


def notices(rows: list[RunSeries]) -> None:
    """What the series say of the run's surroundings, such as a clock that is off: each once."""
    for text in sorted({text for row in rows for text in (row.result or {}).get("notices", ())}):
        st.warning(plain(dated(text)), icon=":material/schedule:")


def asked_again(run: Run, rows: list[RunSeries]) -> None:
    """What came of asking the provider for the bars of dead letters once more."""
    told = [row.result for row in rows if row.result and "asked_again" in row.result]
    if run.kind != "refetch" or run.is_active or not told:
        return
    asked, settled = (sum(one[name] for one in told) for name in ("asked_again", "settled"))
    if settled == asked:
        st.success(
            f"The provider has sent good bars for {many(asked, 'record')}: they"
            " are stored, and the dead letters have ended.",
            icon=":material/check_circle:",
        )
    else:
        st.info(
            f"Of {many(asked, 'record')} asked for again, {number(settled)} found a good bar and ended;"
            f" {number(asked - settled)} wait on: edit them, or discard them with a reason.",
            icon=":material/mark_email_unread:",
        )


def log_lines(run: Run) -> None:
    head = st.container(horizontal=True, vertical_alignment="center")
    head.subheader("Log", anchor=False, width="content")
    lines = service().runs.lines(run.id)
    if not lines:
        st.caption("No lines yet." if run.is_active else "No lines.")
        return
    told = (
        f"{time.strftime('%H:%M:%S', time.gmtime(line.at))} {LEVELS.get(line.level, '?')} {line.text}" for line in lines
    )
    text = dated("\n".join(told))
    if not run.is_active:
        head.download_button(
            "Download",
            text,
            f"run-{run.id}.log",
            "text/plain",
            key="run_log_download",
            icon=":material/download:",
            type="tertiary",
        )
    with st.container(height="content" if len(lines) <= FEW_LINES else 260, border=False, key="run_log"):
        st.text(text)  # as code it would need the largest of Streamlit's scripts, for colours that it has not


def links(run: Run, rows: list[RunSeries]) -> None:
    first = next((row for row in rows if row.records or row.stored), None)
    kept = sum(row.dead_letters for row in rows)
    holed = next((row for row in rows if row.unexplained and row.watermark is not None), None)
    with st.container(horizontal=True):
        if run.kind == "replay":
            label, which = "Open the dead letters", {}  # those it evaluated were kept by earlier runs
        else:
            label, which = f"Open its {many(kept, 'dead letter')}", {"run": str(run.id)}
        if kept or run.kind == "replay":
            st.page_link("dead_letters/page.py", label=label, icon=":material/mark_email_unread:", query_params=which)
        if holed:
            # What a run has come to with gaps is repaired there: filled again, or marked with a reason.
            shown = {"provider": holed.provider, "timeframe": holed.timeframe}
            st.page_link("coverage/page.py", label="Look at the gaps", icon=":material/grid_on:", query_params=shown)
        if first is None:
            return
        st.page_link(
            "candles/page.py",
            label="Open the candles",
            icon=":material/candlestick_chart:",
            query_params={
                "provider": first.provider,
                "pair": first.asset_pair,
                "timeframe": first.timeframe,
                "start": str(first.start),
                "end": str(first.end),
            },
        )


def body(run: Run, rows: list[RunSeries]) -> None:
    of_stored = OF_STORED.get(run.kind)
    with section("The figures"):
        if of_stored:
            of_stored.origin(run)
            of_stored.totals(run, rows)
        else:
            origin(run)
            totals(run, rows)
            if left := uncounted(rows):
                st.caption(
                    f"What it stored of {many(left, 'series', 'series')} and did not live to tell is being counted."
                )
    with section("The failures"):
        asked_again(run, rows)
        notices(rows)
        failures(rows)
    with section("The series"):
        if of_stored:
            of_stored.table(rows)
        else:
            series_table(rows)
            links(run, rows)
    if run.kind == run_states.IMPORT:
        with section("The files"):
            files.table(rows)
    with section("The log"):
        log_lines(run)


def live(run: Run) -> None:
    """A young run is redrawn every second, as it may end in a moment; an older one at a third of what that costs."""
    young = is_young(run)
    st.fragment(redrawn, run_every=1 if young else 3)(run.id, run.state, young)


def is_young(run: Run) -> bool:
    return time.time() - run.created_at < YOUNG_SECONDS


def redrawn(run_id: int, state: str, young: bool) -> None:
    """The body while the run is in its state; the whole page when that has changed, or the run is young no more."""
    with section("The run"):
        run = service().runs.get(run_id)
        if run is None or run.state != state or young != is_young(run) or is_leaving():
            st.rerun()
        rows = service().runs.series(run_id)
        if not goes_on(run, rows):
            st.rerun()
        body(run, rows)


def goes_on(run: Run, rows: list[RunSeries]) -> bool:
    """Whether its figures are not the last yet."""
    return run.is_active or bool(uncounted(rows))


def uncounted(rows: list[RunSeries]) -> int:
    """Series that have ended, of which it is still to be counted what they stored."""
    return sum(row.is_uncounted for row in rows)


def unknown(run_id: int | None) -> None:
    heading("Run")
    notes()
    text = "This address names no run." if run_id is None else f"There is no run {run_id}."
    st.info(text, icon=":material/search_off:")
    st.page_link("runs/page.py", label="See all runs", icon=":material/play_circle:")


asked = from_url("id", whole, None)
with section("The run"):
    shown = service().runs.get(asked) if asked is not None and 0 < asked < 2**31 else None
    if shown is None:
        unknown(asked)
    else:
        told()
        shown_series = service().runs.series(shown.id)
        head(shown, shown_series)
        if goes_on(shown, shown_series):
            live(shown)
            if shown.is_active and st.session_state.get("run_question") == shown.id:
                cancel_dialog(shown, shown_series)
        else:
            body(shown, shown_series)
