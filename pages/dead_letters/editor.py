"""Editor of records: drafts in a grid or as JSON, one fix for many, and what a replay would make of them.

Nothing is saved until it is said so. A draft remembers the revision it was made from, so that somebody else's newer
edit is never overwritten.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import streamlit as st

from ffe_core.errors import InputError, sentence
from ffe_core.operations.dead_letters.edits import (
    FieldError,
    Fix,
    apply,
    drop_volume,
    parse_record,
    parse_value,
    scale,
    set_fields,
    swap_high_low,
)
from ffe_core.operations.dead_letters.replay_check import ReplayCheck
from ffe_core.operations.dead_letters.service import Edit, StaleEdit
from ffe_core.series import Series
from ffe_core.storage.dead_letters.file import PENDING
from ffe_core.storage.dead_letters.index import readable
from pages.dead_letters.dialogs import Chosen, ask, do
from pages.dead_letters.text import (
    FIELDS,
    REPLAY_CHECKS,
    candle,
    cell,
    evaluated,
    field,
    payload,
    reasons,
    several,
    to_the_second,
    verbs,
)
from pages.widgets.alerts import say_wrong
from pages.widgets.fields import words_fit
from pages.widgets.frame import actor, section, service
from pages.widgets.tables import show_table

MOST = 500
_LONGEST_JSON = 50_000


@dataclass(frozen=True)
class Draft:
    """A record as it may become."""

    batch_id: str
    number: int
    revision: int
    before: Any
    value: Any
    series: str
    of: Series | None = None

    @property
    def edit(self) -> Edit:
        """What would be saved."""
        return Edit(self.batch_id, self.number, self.revision, self.value)

    @property
    def is_changed(self) -> bool:
        """Whether there is something to save."""
        return bool(self.value != self.before)


def editor(chosen: Chosen) -> None:
    """Draw the editor over a frozen list of records; those that are not pending are left out."""
    _load(chosen)
    drafts: list[Draft] = st.session_state.dl_drafts
    if not drafts:
        st.info("None of these records is pending, so there is nothing to edit.", icon=":material/check_circle:")
        return
    _stale()
    _fixes()
    grid, as_json = st.tabs(["Grid", "JSON"])
    with grid:
        drafts = _grid(drafts)
    with as_json:
        drafts = _as_json(drafts)
    with section("The preview"):
        _preview(drafts)
    _save(drafts)


def _load(chosen: Chosen) -> None:
    """Begin with the latest revisions, unless drafts of this very list are under way, or were put by."""
    state = st.session_state
    if state.get("dl_chosen") == chosen and "dl_drafts" in state:
        return
    put_by()
    drafts, why = state.get("dl_put_by", {}).pop(_list_key(chosen), None) or (_latest(chosen), "")
    state.dl_chosen, state.dl_drafts, state.dl_why = chosen, drafts, why
    state.dl_round = state.get("dl_round", 0) + 1


def _latest(chosen: Chosen) -> list[Draft]:
    drafts = []
    for batch_id, numbers in chosen.items():
        batch = service().queue.read(batch_id)
        series = f"{batch.series.asset_pair} {batch.series.timeframe}" if batch.series else "none"
        pending = (batch.records[number] for number in numbers if batch.records[number].status == PENDING)
        drafts += [
            Draft(batch_id, item.number, item.revision, item.value, item.value, series, batch.series)
            for item in pending
        ]
    return drafts[:MOST]


def put_by() -> None:
    """Leave the list for another: what is typed and not saved waits for whoever comes back to it in this session."""
    state = st.session_state
    if "dl_drafts" in state:
        drafts, why = _as_they_stand(), state.get("dl_why") or ""
        if why or any(draft.is_changed for draft in drafts):
            state.setdefault("dl_put_by", {})[_list_key(state.dl_chosen)] = drafts, why
    forget()


def forget() -> None:
    """Begin anew with the latest revisions at the next drawing."""
    for name in ("dl_drafts", "dl_chosen", "dl_stale"):
        st.session_state.pop(name, None)


def let_go(chosen: Chosen) -> None:
    """Drop what waits for a list that cannot be edited any more."""
    st.session_state.get("dl_put_by", {}).pop(_list_key(chosen), None)


def waiting() -> int:
    """How many records of other lists have edits that are not saved."""
    kept: dict[Any, tuple[list[Draft], str]] = st.session_state.get("dl_put_by", {})
    return sum(draft.is_changed for drafts, _ in kept.values() for draft in drafts)


def _list_key(chosen: Chosen) -> tuple[Any, ...]:
    return tuple((batch_id, tuple(numbers)) for batch_id, numbers in chosen.items())


def _begin_anew(drafts: Sequence[Draft]) -> None:
    st.session_state.dl_drafts = list(drafts)
    st.session_state.dl_round += 1


# -- one fix for many


def _fixes() -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button("Swap high and low", key="dl_swap", icon=":material/swap_vert:", on_click=_fix, args=(swap_high_low,))
        st.button("Drop volume", key="dl_drop", icon=":material/backspace:", on_click=_fix, args=(drop_volume,))
        with st.popover("Scale a field", icon=":material/percent:", key="dl_scale"):
            st.selectbox("Field", FIELDS[1:], key="dl_scale_field")
            wrong = _wrong_factor(st.text_input("Factor", value="0.01", key="dl_scale_factor"))
            _say_refused("scale", wrong)
            st.button("Scale", key="dl_scale_do", on_click=_scale, disabled=wrong is not None)
        with st.popover("Set a field", icon=":material/edit:", key="dl_set"):
            st.selectbox("Field", FIELDS, key="dl_set_field", accept_new_options=True)
            st.text_input("Value", key="dl_set_value", placeholder="A number, text, or null")
            _say_refused("set")
            st.button("Set", key="dl_set_do", on_click=_set)
        st.button("Start over", key="dl_over", icon=":material/undo:", type="tertiary", on_click=forget)
    _say_refused("row")
    st.session_state.pop("dl_fix_refused", None)


def _say_refused(where: str, wrong: str | None = None) -> None:
    """What is wrong with the field, else why the fix that was asked for there does not fit."""
    asked, why = st.session_state.get("dl_fix_refused", ("", ""))
    if said := wrong or (why if asked == where else ""):
        say_wrong(said)


def _wrong_factor(text: str) -> str | None:
    try:
        scale({FIELDS[1]: text})
    except InputError as error:
        return error.problem
    return None


def _fix(fix: Fix, where: str = "row") -> None:
    """Apply a fix to every draft, or to none if one does not take it."""
    try:
        drafts = [replace(draft, value=apply([fix], draft.value)) for draft in _as_they_stand()]
    except InputError as error:
        st.session_state.dl_fix_refused = where, sentence(error)
        return
    _begin_anew(drafts)


def _scale() -> None:
    if _wrong_factor(st.session_state.dl_scale_factor) is None:
        _fix(scale({st.session_state.dl_scale_field: st.session_state.dl_scale_factor}), "scale")


def _set() -> None:
    if st.session_state.dl_set_field:
        _fix(set_fields({st.session_state.dl_set_field: parse_value(st.session_state.dl_set_value)}), "set")


# -- by hand


def _grid(drafts: list[Draft]) -> list[Draft]:
    """The drafts in rows; what is typed into a cell is part of what comes back."""
    key = _grid_key()
    rows = [
        {"#": place, "Series": draft.series, **{name: field(draft.value, name) for name in FIELDS}}
        for place, draft in enumerate(drafts, start=1)
    ]
    st.data_editor(
        rows,
        key=key,
        height="content" if len(rows) <= 10 else 390,
        disabled=["#", "Series"],
        column_config={
            "#": st.column_config.NumberColumn(width=50),
            "Series": st.column_config.TextColumn(width=110),
            "date": st.column_config.TextColumn(width=230),
        },
    )
    return _as_they_stand()


def _grid_key() -> str:
    return f"dl_grid_{st.session_state.dl_round}"


def _as_they_stand() -> list[Draft]:
    """The drafts with what is typed into the grid by now, be it drawn or not."""
    edited: dict[Any, dict[str, Any]] = st.session_state.get(_grid_key(), {}).get("edited_rows", {})
    typed = {int(row): {name: text for name, text in cells.items() if name in FIELDS} for row, cells in edited.items()}
    drafts: list[Draft] = st.session_state.dl_drafts
    return [replace(d, value=_typed(d.value, typed[row])) if row in typed else d for row, d in enumerate(drafts)]


def _typed(value: Any, cells: dict[str, Any]) -> Any:
    """A record with cells typed into it; an emptied volume is taken away, any other emptied field is null."""
    record = dict(value) if isinstance(value, dict) else {}
    for name, text in cells.items():
        if text in (None, "") and name == "volume":
            record.pop(name, None)
        elif text in (None, ""):
            record[name] = None
        else:
            number = parse_value(text) if isinstance(record.get(name), int | float) else text
            record[name] = number if isinstance(number, int | float) else text
    return record


def _as_json(drafts: list[Draft]) -> list[Draft]:
    """One draft as JSON; what is typed becomes the draft as soon as the field is left, if it is a record."""
    place = 0
    if len(drafts) > 1:
        names = [f"{row} · {draft.series} · {field(draft.value, 'date')}" for row, draft in enumerate(drafts, start=1)]
        place = st.selectbox("Record", range(len(drafts)), format_func=names.__getitem__, key="dl_json_which") or 0
    text = json.dumps(readable(drafts[place].value), indent=2, ensure_ascii=False)
    if len(text) > _LONGEST_JSON:
        st.caption("This record is too long to be edited here; the command line takes it: dlq edit --value.")
        return drafts
    key = f"dl_json_{st.session_state.dl_round}_{place}"
    st.text_area("The whole record", value=text, key=key, height=240, on_change=_take, args=(place, key))
    if (wrong := _wrong_json()) is not None:
        say_wrong(wrong)
    st.button("Take this", key="dl_json_take", on_click=_take, args=(place, key))
    return drafts


def _take(place: int, key: str) -> None:
    """Make what stands in the field the draft; what is no record stays there, and is said below it."""
    try:
        value = parse_record(st.session_state[key])
    except FieldError as error:
        st.session_state.dl_json_wrong = key, error.fields[""]
        return
    st.session_state.pop("dl_json_wrong", None)
    drafts = _as_they_stand()
    drafts[place] = replace(drafts[place], value=value)
    _begin_anew(drafts)


def _wrong_json() -> str | None:
    """What is wrong with the JSON that is being typed; None once the drafts are other ones."""
    key, wrong = st.session_state.get("dl_json_wrong", ("", ""))
    return wrong if key.startswith(f"dl_json_{st.session_state.dl_round}_") else None


# -- what would become of them


def _preview(drafts: list[Draft]) -> None:
    chosen = _as_chosen(drafts)
    checks = list(verbs().preview(chosen, [draft.edit for draft in drafts if draft.is_changed]))
    who = "it" if len(drafts) == 1 else "they"
    st.write(f"**If {who} were replayed now:** {evaluated(checks) or 'nothing'}")
    places = {(draft.batch_id, draft.number): place for place, draft in enumerate(drafts, start=1)}
    order = list(REPLAY_CHECKS)
    checks.sort(key=lambda check: order.index(check.outcome))
    rows = [_check_row(check, places[check.batch_id, check.number], drafts) for check in checks]
    show_table(
        rows,
        key="dl_verdicts",
        height="content" if len(rows) <= 6 else 250,
        # A column with nothing in it is noise.
        column_order=[name for name in rows[0] if any(row[name] for row in rows)] if rows else [],
        column_config={
            "#": st.column_config.NumberColumn(width=50),
            "Outcome": st.column_config.TextColumn(width=220),
            "Because": st.column_config.TextColumn(width="large"),
            "Edited": st.column_config.TextColumn(width=330),
            "Stored": st.column_config.TextColumn(width=330),
        },
    )


def _check_row(check: ReplayCheck, place: int, drafts: Sequence[Draft]) -> dict[str, Any]:
    beside, series = check.outcome == "collides", drafts[place - 1].of
    return {
        "#": place,
        "Outcome": REPLAY_CHECKS[check.outcome],
        "Because": reasons(check.reasons) if check.reasons else "",
        "Edited": candle(check.candle, series) if beside else "",
        "Stored": candle(check.stored, series) if beside else "",
    }


def _as_chosen(drafts: Sequence[Draft]) -> Chosen:
    chosen: dict[str, tuple[int, ...]] = {}
    for draft in drafts:
        chosen[draft.batch_id] = (*chosen.get(draft.batch_id, ()), draft.number)
    return chosen


# -- saving


def _save(drafts: list[Draft]) -> None:
    edits = _edits(drafts)
    locked = not service().acts or _wrong_json() is not None
    fits = words_fit("Why", "dl_why", 500, placeholder="Optional; kept with the revision")
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            f"Save {several(len(edits), 'edited record')}",
            key="dl_save",
            icon=":material/save:",
            on_click=_mend,
            disabled=locked or not edits or not fits,
        )
        st.button(
            f"{'Save and replay' if edits else 'Replay'} {several(len(drafts), 'record')}",
            key="dl_save_replay",
            type="primary",
            icon=":material/replay:",
            on_click=_ask_replay,
            disabled=locked,
        )
        if _wrong_json() is not None:
            st.caption("Not yet: the record typed as JSON cannot be read.")


def _edits(drafts: Sequence[Draft]) -> list[Edit]:
    return [draft.edit for draft in drafts if draft.is_changed]


def _ask_replay() -> None:
    """Ask for a replay of what stands in the fields at the click, which may be newer than what was drawn."""
    if _wrong_json() is None:
        drafts = _as_they_stand()
        ask("replay", _as_chosen(drafts), _edits(drafts))


def _mend() -> None:
    if _wrong_json() is not None:
        return
    edits = _edits(_as_they_stand())
    do(lambda: _saved(edits), then="{:,} saved as new revisions. What was received stays.")


def _saved(edits: list[Edit]) -> int:
    verbs().edit(edits, actor(), st.session_state.get("dl_why", ""))
    forget()
    return len(edits)


def _stale() -> None:
    """Somebody else saved first: both versions, and what can be done."""
    error: StaleEdit | None = st.session_state.get("dl_stale")
    if error is None:
        return
    with st.container(border=True, key="dl_conflict"):
        st.error("Not saved: somebody else has edited it meanwhile.", icon=":material/sync_problem:")
        for conflict in error.conflicts[:5]:
            st.text(
                f"Record {conflict.edit.number}, revision {conflict.revision} by {cell(conflict.by)},"
                f" {to_the_second(conflict.at)} UTC"
            )
            theirs, yours = st.columns(2)
            with theirs:
                st.caption("Theirs, saved")
                payload(conflict.theirs)
            with yours:
                st.caption("Yours, not saved")
                payload(conflict.edit.value)
        with st.container(horizontal=True):
            st.button("Take theirs", key="dl_take_theirs", on_click=_resolve, args=(error, lambda c: c.theirs))
            st.button("Put mine on top", key="dl_take_mine", on_click=_resolve, args=(error, lambda c: c.edit.value))


def _resolve(error: StaleEdit, choose: Callable[[Any], Any]) -> None:
    """Go on from their revision, with their value or with mine; nothing is saved by this."""
    conflicts = {(conflict.edit.batch_id, conflict.edit.number): conflict for conflict in error.conflicts}
    drafts = [
        replace(draft, revision=found.revision, before=found.theirs, value=choose(found))
        if (found := conflicts.get((draft.batch_id, draft.number)))
        else draft
        for draft in _as_they_stand()
    ]
    st.session_state.pop("dl_stale", None)
    _begin_anew(drafts)
