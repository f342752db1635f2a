"""Rules of one's own: tried on what is stored, then kept, changed and taken out."""

from __future__ import annotations

from math import inf, isfinite
from typing import Any

import streamlit as st

from ffe_core import times
from ffe_core.candles import VALUES
from ffe_core.checks.model import SEVERITIES
from ffe_core.checks.own import Trial
from ffe_core.errors import InputError
from ffe_core.instruments.lists import split_names
from ffe_core.rules.model import Rule, rule_of
from pages.widgets import actor, plain, section, service
from pages.widgets.alerts import say_wrong
from pages.widgets.tables import height_of, show_table
from pages.widgets.typed import decimal_number
from pages.widgets.verbs import changing, done

NEW = "A new rule"
_FIELDS = ("name", "holds", "bounds", "series", "says", "severity")
_KEPT = "rule_tried"
_OPEN = "rule_open"
"""There once a button was pressed: what is answered stands in the form, which closed would hide it."""
_KEEP: dict[str, Any] = {"persist_state": "session"}
"""What is typed is there for who comes back to the page."""
_MOST_WHOLE = 1e15
"""Larger numbers are shorter with an exponent."""


def show() -> None:
    """The rules, and the form of one."""
    with st.expander("Rules of your own", icon=":material/rule:", expanded=_OPEN in st.session_state):
        st.caption(
            "What every bar has to hold: bounds of its columns, and SQL over them (open, high, low, close, volume and"
            f" timestamp). They are kept in {plain(str(service().checks.rules.path))}."
        )
        with section("The rules"):
            rules = {rule.name: rule for rule in service().checks.rules.all()}
            if rules:
                show_table([_line(rule) for rule in rules.values()], height=height_of(len(rules)), key="rules_table")
            _form(rules)


def _line(rule: Rule) -> dict[str, Any]:
    return {
        "Rule": rule.name,
        "On": rule.on,
        "Dead-letters": rule.dead_letters,
        "Severity": rule.severity,
        "For": ", ".join(rule.series),
        "Holds": rule.asks,
        "Says": rule.says,
    }


def _form(rules: dict[str, Rule]) -> None:
    state = st.session_state
    known = [NEW, *rules]
    if state.get("rule_which") not in known:
        state.rule_which = NEW
    if state.get("rule_filled") != state.rule_which:
        _fill(rules.get(state.rule_which))
    st.selectbox("Rule", known, key="rule_which", **_KEEP, on_change=_forget)
    is_new = state.rule_which == NEW
    st.text_input(
        "Name", key="rule_name", **_KEEP, placeholder="bars_are_narrow", disabled=not is_new, on_change=_forget
    )
    place = st.container()
    st.text_area(
        "Holds",
        key="rule_holds",
        **_KEEP,
        placeholder="high <= 1.5 * low AND volume >= 0",
        height=68,
        on_change=_forget,
    )
    wrong = {**state.get("rule_wrong", {}), **_wrong_now()}
    with place:
        _said(wrong, "name")
    _said(wrong, "holds")
    if not _bounds():
        _said(wrong, "bounds")
    cells = st.columns([3, 4, 2])
    with cells[0]:
        st.text_input("For", key="rule_series", **_KEEP, placeholder="*, or BTCUSD/1h, */1d/oanda", on_change=_forget)
        _said(wrong, "series")
    with cells[1]:
        st.text_input(
            "Says", key="rule_says", **_KEEP, placeholder="a bar spans at most half its price", on_change=_forget
        )
        _said(wrong, "says")
    with cells[2]:
        st.selectbox("Severity of what it finds", SEVERITIES, key="rule_severity", **_KEEP)
    st.checkbox("On: part of every check", key="rule_on", **_KEEP)
    st.checkbox("Dead-letter new records that break it", key="rule_dead_letters", **_KEEP, disabled=not state.rule_on)
    if "dead_letters" in wrong:
        st.checkbox("That is meant", key="rule_meant")
    for name in wrong.keys() - set(_FIELDS):
        _said(wrong, name)
    _buttons()
    _tried()


def _wrong_now() -> dict[str, str]:
    """What is wrong with the words of the form before anything is pressed, by field; an empty field waits."""
    state = st.session_state
    named, wrong = "it", {}
    for field in ("name", "says", "holds", "series"):
        text = (state.get(f"rule_{field}") or "").strip()
        value = tuple(split_names(text)) if field == "series" else text
        try:
            rule = rule_of(**{"name": "it", "holds": "true", field: value}) if text else None
            if rule and field == "name":
                named = rule.name
            elif rule and field == "holds":
                service().checks.check_rule(rule.model_copy(update={"name": named}))
            elif rule and field == "series":
                service().checks.check_series(rule.series)
        except InputError as error:
            wrong[field] = error.problem
    return wrong


def _bounds() -> bool:
    """Between which values each column lies, both included; an empty side is open. Whether one of them cannot be, which
    is said below it."""
    refused = False
    for cell, name in zip(st.columns(len(VALUES)), VALUES, strict=True):
        with cell:
            for side in ("from", "to"):
                key = f"rule_{name}_{side}"
                st.text_input(f"{name.capitalize()} {side}", key=key, **_KEEP, placeholder="any", on_change=_forget)
                refused |= not _is_edge(name, side)
    return refused


def _is_edge(name: str, side: str) -> bool:
    """Whether a bound can be one; below its field it is said if not: of the upper one also if it is below the lower."""
    try:
        edge = _edge(name, side, inf)
        if side == "to" and _is_number(name, "from"):
            rule_of(name="it", bounds={name: (_edge(name, "from", -inf), edge)})
    except InputError as error:
        say_wrong(error.problem)
        return False
    return True


def _is_number(name: str, side: str) -> bool:
    try:
        _edge(name, side, 0)
    except InputError:
        return False
    return True


def _bounds_typed() -> dict[str, tuple[float, float]]:
    """The bounds of the form; InputError, with the field `bounds`, for what is no number."""
    found = {}
    for name in VALUES:
        low, high = (_edge(name, side, open_end) for side, open_end in (("from", -inf), ("to", inf)))
        if (low, high) != (-inf, inf):
            found[name] = low, high
    return found


def _edge(name: str, side: str, open_end: float) -> float:
    typed = st.session_state[f"rule_{name}_{side}"].strip()
    try:
        return decimal_number(typed, f"{name.capitalize()} {side}") if typed else open_end
    except InputError as error:
        raise InputError(error.problem, field="bounds") from None


def _edge_text(value: float) -> str:
    """A bound as one types it; nothing for an open side."""
    return f"{value:.0f}" if value.is_integer() and abs(value) < _MOST_WHOLE else repr(value)


def _buttons() -> None:
    held = not service().acts
    which = st.session_state.rule_which
    with st.container(horizontal=True):
        st.button("Try it", key="rule_try", icon=":material/science:", on_click=_try)
        st.button("Keep it", key="rule_save", icon=":material/save:", on_click=_save, disabled=held)
        if which != NEW:
            st.button(
                "Take it out",
                key="rule_remove",
                icon=":material/delete:",
                on_click=_remove,
                args=(which,),
                disabled=held,
            )


def _fill(rule: Rule | None) -> None:
    state = st.session_state
    state.rule_name = rule.name if rule else ""
    state.rule_holds = rule.holds if rule else ""
    state.rule_series = ", ".join(rule.series) if rule else ""
    state.rule_says = rule.says if rule else ""
    state.rule_severity = rule.severity if rule else "warning"
    state.rule_on = rule.on if rule else True
    for name in VALUES:
        edges = rule.bounds.get(name, (-inf, inf)) if rule else (-inf, inf)
        for side, edge in zip(("from", "to"), edges, strict=True):
            state[f"rule_{name}_{side}"] = _edge_text(edge) if isfinite(edge) else ""
    state.rule_dead_letters = rule.dead_letters if rule else False
    state.rule_filled = state.rule_which


def _forget() -> None:
    """What was refused, or tried, when a button was pressed has changed since."""
    for name in (_KEPT, "rule_wrong"):
        st.session_state.pop(name, None)


def _read() -> Rule | None:
    """The rule of the form; None, with what is wrong said at its field."""
    state = st.session_state
    _forget()
    try:
        return rule_of(
            name=state.rule_name.strip(),
            holds=state.rule_holds,
            bounds=_bounds_typed(),
            series=tuple(split_names(state.rule_series)) or ("*",),
            says=state.rule_says,
            severity=state.rule_severity,
            dead_letters=state.rule_dead_letters,
            on=state.rule_on,
        )
    except InputError as error:
        _refuse(error)
        return None


def _refuse(error: InputError) -> None:
    st.session_state.rule_wrong = {error.field or "holds": error.problem}


def _try() -> None:
    st.session_state[_OPEN] = True
    rule = _read()
    if rule is None:
        return
    try:
        st.session_state[_KEPT] = rule, service().checks.try_rule(rule)
    except InputError as error:
        _refuse(error)


@changing()
def _save() -> None:
    state = st.session_state
    is_meant, former = bool(state.get("rule_meant")), state.get(_KEPT)
    state[_OPEN] = True
    rule = _read()
    if rule is None:
        return
    try:
        tried = former[1] if former and former[0] == rule else None
        tried = service().checks.save_rule(rule, actor(), is_meant=is_meant, tried=tried)
    except InputError as error:
        _refuse(error)
        return
    state.rule_which = rule.name
    for name in ("rule_filled", _OPEN):
        state.pop(name, None)
    what = "and part of every check from now on" if rule.on else "and off"
    found = f"It {tried.said}" if tried else "Nothing that is stored fits it yet"
    done(f"{rule.name} is kept, {what}. {found}.")


@changing()
def _remove(name: str) -> None:
    _forget()
    service().checks.remove_rule(name, actor())
    st.session_state.rule_which = NEW
    done(f"{name} is taken out; the next checks let go of what it found.")


def _said(wrong: dict[str, str], name: str) -> None:
    if name in wrong:
        say_wrong(wrong[name])


def _tried() -> None:
    if _KEPT not in st.session_state:
        return
    rule, tried = st.session_state[_KEPT]
    assert isinstance(tried, Trial)
    st.info(f"{plain(rule.name)} {plain(tried.said)}.", icon=":material/science:")
    if tried.examples:
        rows = [{"Series": str(one), "Bar (UTC)": f"{times.utc(at):%Y-%m-%d %H:%M}"} for one, at in tried.examples]
        show_table(rows, height=height_of(len(rows), 5), key="rule_examples")
