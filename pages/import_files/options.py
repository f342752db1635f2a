"""Questions of an import and the options that answer them, or that correct what was found out wrongly."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

from ffe_core.errors import InputError
from ffe_core.files.plan import ImportPlan, Target
from ffe_core.files.profile import checked_zone
from ffe_core.files.questions import Choice, Question
from ffe_core.operations.imports.options import DATES, ROLES, check_signs, columns_named, option_of
from ffe_core.operations.imports.service import profiles_of
from pages.widgets import from_url, one_of, plain, service
from pages.widgets.alerts import say_wrong
from pages.widgets.fields import words_fit
from pages.widgets.text import dated

FOUND_OUT = "Found out"
_LONGEST = 500
"""Characters of a text."""
TYPED_ABOVE = {"pair", "timeframe"}
CHOICES = {
    "stamp": ("A time is its bar's", ("open", "close")),
    "unit": ("Times in numbers count", ("s", "ms", "us", "ns")),
    "dates": ("Dates", tuple(DATES)),
    "decimal": ("Decimal sign", (".", ",")),
    "thousands": ("Sign between thousands", (",", ".", " ", "'")),
    "side": ("Of bid and ask prices", ("bid", "ask")),
    "volumes": ("Of two volumes the candle's is", ("as-named", "by-price")),
    "repeats": ("Of repeated bars counts the", ("first", "last")),
}
SHOWN = {
    "close": "end", "s": "seconds since 1970", "ms": "milliseconds since 1970", "us": "microseconds since 1970",
    "ns": "nanoseconds since 1970", "day-first": "day first, 31/12/2024", "month-first": "month first, 12/31/2024",
    ".": "point, 1.5", ",": "comma, 1,5", "as-named": "the column named volume",
    "by-price": "told by the price, row by row", "first": "first row", "last": "last row",
}  # fmt: skip
"""Values of the command line as an analyst would say them."""
TEXTS = {
    "zone": ("Zone of the clock", "UTC, UTC-5, America/New_York"),
    "symbol": ("Symbol, of files with several", "BTCUSD"),
    "venue": ("Venue, of files with several", "XNAS"),
    "member": ("Files of an archive, by a pattern", r"BTCUSD.*\.csv"),
    "columns": ("Columns, without a header", "time,open,high,low,close,-"),
}
FLAGS = {
    "no_volume": "The files hold no volume",
    "any_name": "Take files whatever pair their names say",
    "again": "Read files again that were imported before",
}


def options() -> dict[str, Any]:
    """What has been chosen so far, by the names of the options; it outlives the fields, which are not always drawn."""
    kept: dict[str, Any] = st.session_state.setdefault("import_options", {})
    return kept


def forget() -> None:
    """Begin anew, as with other files."""
    st.session_state.import_options = {}


def fill_in() -> None:
    """Take the options from the address, those alone."""
    forget()
    kept = options()
    readers: dict[str, Callable[[str], Any]] = {
        "profile": one_of(profiles_of(service().settings).all()),
        **{name: one_of(values) for name, (_, values) in CHOICES.items()},
        **dict.fromkeys((*TEXTS, *(f"map_{role}" for role in ROLES)), str),
        **{name: lambda text: one_of(("yes",))(text) == "yes" for name in FLAGS},
    }
    for name, read in readers.items():
        if (value := from_url(name, read, None)) is not None:
            kept[name] = value


def in_address() -> dict[str, str | None]:
    """The options as the address holds them."""
    kept = options()
    names = ("profile", *CHOICES, *TEXTS, *(f"map_{role}" for role in ROLES))
    return {**{name: kept.get(name) for name in names}, **{name: "yes" if kept.get(name) else None for name in FLAGS}}


def given() -> dict[str, Any]:
    """The options as a request takes them. InputError for a text that is too long, or for what cannot be."""
    kept = options()
    for name, (label, _) in {**CHOICES, **TEXTS}.items():
        if name in TEXTS and len(kept.get(name) or "") > _LONGEST:
            raise InputError(f"{label}: use at most {_LONGEST} characters", field=name)
        if wrong := _wrong(name):
            raise InputError(f"{label}: {wrong}", field=name)
    mapped = [f"{role}={kept[f'map_{role}']}" for role in ROLES if kept.get(f"map_{role}")]
    return {**kept, "columns": _named(), "map": mapped}


def ask(plan: ImportPlan) -> None:
    """Draw what has to be answered first, each with its readings."""
    st.subheader("To be answered first", anchor=False)
    st.caption("The files do not tell it, so nothing is guessed. An answer counts for all files of this import.")
    for name, question in plan.questions:
        with st.container(border=True):
            st.markdown(f"**{plain(name)}**: {plain(dated(question.text))}")
            _answers(question)


def _answers(question: Question) -> None:
    told = [(choice, given) for choice in question.choices if (given := option_of(choice)) is not None]
    choices, answers = [choice for choice, _ in told], [given for _, given in told]
    if choices:
        st.radio(
            "Answer",
            range(len(choices)),
            index=None,
            key=f"import_ask_{question.code}",
            format_func=lambda place: _told(choices[place], answers[place]),
            label_visibility="collapsed",
            on_change=_answer,
            args=(question.code, answers),
        )
    for choice in question.choices:
        if option_of(choice) is None:
            st.text(dated(choice.field or choice.reading))
    if len(choices) < len(question.choices):
        where = "in the fields above" if question.code in TYPED_ABOVE else 'under "How the files are read"'
        st.caption(f"Fill it in {where}.")


def _told(choice: Choice, given: tuple[str, Any]) -> str:
    """An answer and what it fills in: in one label, as a click on a caption chooses nothing."""
    return f"{plain(dated(choice.reading))} · :gray[{plain(_fills(*given))}]"


def _fills(name: str, value: Any) -> str:
    """Which field an answer fills in, and with what."""
    if name in FLAGS:
        return FLAGS[name]
    if name == "as":
        told = Target.of(value)
        return f"Pair and timeframe: {' '.join(filter(None, (told.pair, told.timeframe))) or 'those of its name'}"
    label, _ = {"profile": ("Profile", ""), **CHOICES, **TEXTS}[name]
    return f"{label}: {_shown(name, value)}"


def _shown(name: str, value: str) -> str:
    if name == "thousands":
        return f"{value}, 1{value}000" if value.strip() else f"space, 1{value}000"
    return SHOWN.get(value, value) if name in CHOICES else value


def _answer(code: str, answers: Sequence[tuple[str, Any]]) -> None:
    place = st.session_state[f"import_ask_{code}"]
    if place is None:
        return
    name, value = answers[place]
    if name == "as":  # each file is read as what its name says, or its rows
        told = Target.of(value)
        st.session_state.import_pair, st.session_state.import_timeframe = told.pair, told.timeframe or None
    else:
        options()[name] = value


def fields(plan: ImportPlan | None, is_open: bool) -> None:
    """Draw every option, with what was chosen so far."""
    # With a key it stays open when what stands above it has gone.
    with st.expander("How the files are read", icon=":material/tune:", expanded=is_open, key="import_reading"):
        st.caption("What is left empty is found out from the files, or asked.")
        _select("profile", "Profile", sorted(profiles_of(service().settings).all()))
        for names in _rows([*CHOICES], 4):
            for column, name in zip(st.columns(4), names, strict=False):
                with column:
                    _select(name, *CHOICES[name])
        for names in _rows([*TEXTS], 3):
            for column, name in zip(st.columns(3), names, strict=False):
                with column:
                    _text(name, *TEXTS[name])
        _columns(plan)
        for name, label in FLAGS.items():
            _kept(name, False)
            st.checkbox(label, key=_key(name), on_change=_keep, args=(name,))


def _columns(plan: ImportPlan | None) -> None:
    """The column of each role, of those that the files have."""
    found = list(dict.fromkeys(name for look in plan.looks for name in look.columns)) if plan else []
    for column, role in zip(st.columns(len(ROLES)), ROLES, strict=True):
        with column:
            _select(f"map_{role}", f"Column of {role}", found)


def _rows(names: list[str], size: int) -> list[list[str]]:
    return [names[start : start + size] for start in range(0, len(names), size)]


def _select(name: str, label: str, values: Sequence[str]) -> None:
    kept = options().get(name)
    _kept(name, None)
    shown = [*values, *([kept] if kept and kept not in values else [])]
    st.selectbox(
        label,
        shown,
        index=None,
        key=_key(name),
        format_func=lambda value: _shown(name, value),
        placeholder=FOUND_OUT,
        on_change=_keep,
        args=(name,),
    )
    if wrong := _wrong(name):
        say_wrong(wrong)


def _text(name: str, label: str, words: str) -> None:
    _kept(name, "")
    fits = words_fit(label, _key(name), _LONGEST, words, placeholder=words, on_change=_keep, args=(name,))
    if fits and (wrong := _wrong(name)):
        say_wrong(wrong)


def _wrong(name: str) -> str:
    """What is wrong with an option, whatever the files hold; empty if nothing is."""
    kept = options()
    try:
        if name == "zone" and (zone := kept.get(name)):
            checked_zone(zone)
        elif name == "columns":
            _named()
        elif name == "thousands":
            check_signs(kept.get("decimal"), kept.get(name))
    except InputError as error:
        return error.problem
    except ValueError as error:
        return str(error)
    return ""


def _named() -> tuple[str, ...]:
    typed = (options().get("columns") or "").split(",")
    return columns_named([name.strip() for name in typed if name.strip()])


def _kept(name: str, empty: Any) -> None:
    st.session_state[_key(name)] = options().get(name) or empty


def _keep(name: str) -> None:
    value = st.session_state[_key(name)]
    options()[name] = value.strip() or value if isinstance(value, str) else value


def _key(name: str) -> str:
    return f"import_option_{name}"
