"""Dialogs before something happens to dead letters: they restate what it is about and how many.

A list of records is frozen when its button is pressed; what the dialog shows is what the verb gets.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

from ffe_core.errors import InputError, SeriesHeld, sentence
from ffe_core.operations.dead_letters.replay_check import ReplayCheck
from ffe_core.operations.dead_letters.service import Edit, StaleEdit
from ffe_core.series import Series
from ffe_core.storage.dead_letters.queue import Selection
from pages.dead_letters.text import evaluated, not_asked, several, verbs
from pages.widgets.alerts import alert, say_wrong
from pages.widgets.dialogs import answered, answering, dialog, unanswered
from pages.widgets.fields import words_fit
from pages.widgets.frame import actor, service
from pages.widgets.text import number, plain
from pages.widgets.travel import go
from pages.widgets.typed import whole_number
from pages.widgets.verbs import changing, done

Chosen = Selection
MOST_PREVIEWED = 5_000
MOST_DAYS = 100_000
_QUEUE_SECONDS = 6 * 3600.0
_MOST_SERIES = 12


def ask(which: str, chosen: Chosen | Callable[[], Chosen], edits: Sequence[Edit] = ()) -> None:
    """Open a dialog over a list that is frozen now, with what of it is still pending: a page may be older."""
    with changing():
        listed = chosen() if callable(chosen) else chosen
        pending = service().queue.pending(listed)
        still = [edit for edit in edits if edit.number in pending.get(edit.batch_id, ())]
        st.session_state.dl_asking = which, pending, still
        st.session_state.dl_ended = _size(listed) - _size(pending)
        unanswered()


def open_dialog() -> None:
    """Draw the dialog that was asked for, if any."""
    asking = st.session_state.pop("dl_asking", None)
    if asking is not None:
        which, chosen, edits = asking
        _DIALOGS[which](chosen, edits)


def do(verb: Callable[..., Any], *arguments: Any, then: str | None = None, **options: Any) -> None:
    """Call a verb that changes something; what came of it is told on the page, in the dialog if it was refused."""
    with answering():
        try:
            result = verb(*arguments, **options)
        except StaleEdit as error:
            st.session_state.dl_stale = error
            return
        if then == "run":
            go("run", id=str(result))
        elif then is not None:
            done(then.format(result if not isinstance(result, list) else len(result)))


def _size(chosen: Selection) -> int:
    return sum(map(len, chosen.values()))


def _belonging(chosen: Chosen) -> Chosen:
    """What belongs to a series; how much else there is, is said."""
    kept = dict(verbs().belonging(chosen))
    if left := _size(chosen) - _size(kept):
        st.caption(f"{several(left, 'record')} left out: their context names no series. Discard them, or leave them.")
    return kept


def _by_series(chosen: Chosen) -> Counter[Series | None]:
    counts: Counter[Series | None] = Counter()
    for row in service().queue.rows(list(chosen)):
        counts[row.series] += len(chosen[row.id])
    return counts


def _restate(chosen: Chosen) -> list[Series]:
    """Say what it is about, and what is not pending any more; the series concerned."""
    counts = _by_series(chosen)
    lines = [f"{several(count, 'record')} of {series or 'no series'}" for series, count in counts.most_common()]
    if len(lines) > _MOST_SERIES:
        lines = [*lines[:_MOST_SERIES], f"and {number(len(lines) - _MOST_SERIES)} series more"]
    st.text("\n".join(lines))
    if ended := st.session_state.dl_ended:
        st.caption(f"{several(ended, 'record')} left out: replayed or discarded meanwhile.")
    return [series for series in counts if series is not None]


def _held(series: list[Series]) -> None:
    """If a run works on one of the series, say which and offer to queue."""
    try:
        service().run_service.check_free(series)
    except SeriesHeld as error:
        alert("warning", "A run works on a series of the list:", [sentence(error)], ":material/lock:")
        st.checkbox("Start when it has ended", key="dl_queue")


def _wait() -> float:
    """How long to queue, in seconds, as was chosen in the dialog."""
    return _QUEUE_SECONDS if st.session_state.get("dl_queue") else 0.0


@dialog("Replay these records?", width="large")
def _replay_dialog(everything: Chosen, edits: list[Edit]) -> None:
    chosen = _belonging(everything)
    size = _size(chosen)
    if not size:
        _nothing()
        return
    checks = None if size > MOST_PREVIEWED else list(verbs().preview(chosen, edits))
    if checks == []:
        _nothing(ended=True)
        return
    series = _restate(chosen)
    if edits:
        st.write(f"{several(len(edits), 'edited record')} will be saved first.")
    _say_foreseen(checks)
    _collision(checks)
    st.write("Those that pass are stored, each exactly once. What still fails stays pending, with one more attempt.")
    _held(series)
    fits = words_fit("Reason", "dl_replay_reason", 500, placeholder="Optional; kept with every record")
    with st.container(horizontal=True):
        st.button(
            f"Replay {several(size, 'record')}",
            type="primary",
            key="dl_replay_yes",
            disabled=not fits,
            on_click=_replay,
            args=(chosen, edits),
        )
        st.button("Leave them", key="dl_replay_no", on_click=answered)


def _say_foreseen(checks: list[ReplayCheck] | None) -> None:
    """The preview; None stands for that of a list too long for one."""
    if checks is None:
        st.caption(f"Lists of more than {number(MOST_PREVIEWED)} records are evaluated during the replay.")
    else:
        st.write(f"**{evaluated(checks)}**")


_RESTATE = "Append the edited one as a restatement"


def _collision(checks: list[ReplayCheck] | None) -> None:
    """Where a candle may be in the way: what a collision comes to."""
    if checks is None or any(check.outcome == "collides" for check in checks):
        st.radio(
            "Where another candle is stored",
            ["Keep the stored candle", _RESTATE],
            key="dl_collision",
            captions=["The record ends as superseded by stored.", "Both versions stay; the edited one is current."],
        )


def _replay(chosen: Chosen, edits: list[Edit]) -> None:
    def run() -> int:
        if edits:
            verbs().edit(edits, actor(), st.session_state.get("dl_why", ""))
            answered()  # they are saved: the dialog could only save them again
        for name in ("dl_drafts", "dl_chosen"):
            st.session_state.pop(name, None)
        reason = st.session_state.get("dl_replay_reason", "")
        restate = st.session_state.get("dl_collision") == _RESTATE
        return verbs().replay(chosen, actor(), restate=restate, reason=reason, lease_wait=_wait())

    do(run, then="run")


@dialog("Ask the provider again?", width="large")
def _refetch_dialog(everything: Chosen, _: list[Edit]) -> None:
    belonging = _belonging(everything)
    if not _size(belonging):
        _nothing()
        return
    found = verbs().askable(belonging)
    chosen = found.selection
    for left_out in not_asked(found):
        st.caption(plain(left_out))
    if not chosen:
        st.button("Close", key="dl_nothing", on_click=answered)
        return
    series = _restate(chosen)
    st.write(
        "Just the bars of these records are fetched again. A record whose bar is stored afterwards has found its"
        " candle and ends as superseded by stored; the others stay pending."
    )
    _held(series)
    with st.container(horizontal=True):
        st.button(
            f"Fetch {several(found.bars, 'bar')} again",
            type="primary",
            key="dl_refetch_yes",
            on_click=lambda: do(lambda: verbs().refetch(chosen, actor(), lease_wait=_wait()), then="run"),
        )
        st.button("Leave them", key="dl_refetch_no", on_click=answered)


@dialog("Discard these records?", width="large")
def _discard_dialog(chosen: Chosen, _: list[Edit]) -> None:
    size = _size(chosen)
    if not size:
        _nothing()
        return
    _restate(chosen)
    st.write("They are marked with your reason and not replayed any more. Nothing is deleted: restore takes it back.")
    fits = words_fit("Reason", "dl_discard_reason", 500, placeholder="Test data of the provider")
    with st.container(horizontal=True):
        st.button(
            f"Discard {several(size, 'record')}",
            type="primary",
            key="dl_discard_yes",
            disabled=not fits,
            on_click=_discard,
            args=(chosen,),
        )
        st.button("Leave them", key="dl_discard_no", on_click=answered)


def _discard(chosen: Chosen) -> None:
    do(
        verbs().discard,
        chosen,
        actor(),
        st.session_state.dl_discard_reason,
        then="{:,} discarded. Restore takes it back.",
    )


@dialog("Purge old batches?", width="large")
def _purge_dialog(_: Chosen, __: list[Edit]) -> None:
    st.write(
        "Files in which nothing is pending are deleted for good: what was replayed stays in the lake, what was"
        " discarded is gone. A line with your name and reason stays in the audit."
    )
    typed = st.text_input("Untouched for at least so many days", "90", key="dl_purge_days")
    try:
        days = whole_number(typed, 0, MOST_DAYS, 90)
        rows = verbs().purgeable(days)
    except InputError as error:
        days, rows = 0, []
        say_wrong(error.problem)
    records = sum(row.records for row in rows)
    st.text(f"{number(len(rows))} {'batch' if len(rows) == 1 else 'batches'} with {several(records, 'record')}")
    fits = words_fit("Reason", "dl_purge_reason", 500, placeholder="Older than our retention")
    with st.container(horizontal=True):
        st.button(
            f"Delete {several(records, 'record')} for good",
            type="primary",
            key="dl_purge_yes",
            disabled=not rows or not fits,
            on_click=_purge,
            args=([row.id for row in rows], days, typed),
        )
        st.button("Keep them", key="dl_purge_no", on_click=answered)


def _purge(batch_ids: list[str], days: int, shown: str) -> None:
    """Purge what the dialog showed; it stays open where other days were typed since."""
    if st.session_state.dl_purge_days == shown:
        do(verbs().purge, batch_ids, days, actor(), st.session_state.dl_purge_reason, then="{:,} deleted for good.")


def _nothing(ended: bool = False) -> None:
    if ended or st.session_state.dl_ended:
        st.write("Somebody else has replayed or discarded them meanwhile: none is pending any more.")
    else:
        st.write("No pending record was chosen.")
    st.button("Close", key="dl_nothing", on_click=answered)


_DIALOGS: dict[str, Callable[[Chosen, list[Edit]], None]] = {
    "replay": _replay_dialog,
    "refetch": _refetch_dialog,
    "discard": _discard_dialog,
    "purge": _purge_dialog,
}
