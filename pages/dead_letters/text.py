"""Text of dead letters, written and drawn: what came from outside is only ever text."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import streamlit as st

from ffe_core import times
from ffe_core.candles import PRICES
from ffe_core.insight.units import NumberFormat, value_text
from ffe_core.operations.dead_letters.edits import in_words
from ffe_core.operations.dead_letters.replay_check import ReplayCheck
from ffe_core.operations.dead_letters.service import Askable, DeadLetters
from ffe_core.series import Series
from ffe_core.storage.dead_letters.file import DISCARDED, PENDING, REPLAYED, SUPERSEDED
from ffe_core.storage.dead_letters.index import FAILED_AGAIN, readable, storable
from pages.widgets.frame import service
from pages.widgets.text import number, plain
from pages.widgets.travel import OF_FILES

FIELDS = ("date", "open", "high", "low", "close", "volume")
_CONCERNS = {
    "time_unreadable": ("date",),
    "off_grid": ("date",),
    "high_below_low": ("high", "low"),
    "open_outside_range": ("open", "high", "low"),
    "close_outside_range": ("high", "low", "close"),
    "volume_negative": ("volume",),
}
"""The fields that a rule is about, where its code does not name one after a colon."""
_LONGEST_CELL, _LONGEST_TEXT = 120, 20_000
_STATUS_LOOKS = {
    PENDING: ("orange", ":material/pending:"),
    FAILED_AGAIN: ("red", ":material/replay:"),
    REPLAYED: ("green", ":material/check_circle:"),
    SUPERSEDED: ("gray", ":material/layers:"),
    DISCARDED: ("gray", ":material/delete:"),
}
REPLAY_CHECKS = {
    "fails": "would still fail",
    "collides": "would collide with a stored candle",
    "identical": "already stored with the same values",
    "landed": "stored by an earlier replay",
    "passes": "would be stored",
}


def verbs() -> DeadLetters:
    """The verbs over this process's service."""
    return DeadLetters(service().run_service)


def not_asked(found: Askable) -> list[str]:
    """Why some records of a list cannot be asked for again."""
    said = []
    if found.of_files:
        said.append(f"{several(found.of_files, 'record')} of imported files left out. {OF_FILES}")
    if found.timeless:
        said.append(
            f"{several(found.timeless, 'record')} left out: without a time that can be read, which bar is unknown."
        )
    return said


def status_of(status: str, attempts: int) -> str:
    """A record's status as shown: a pending one that was replayed before reads "failed again"."""
    return FAILED_AGAIN if status == PENDING and attempts else status


def status_badge(status: str) -> None:
    """A badge for a record's status."""
    color, icon = _STATUS_LOOKS.get(status, ("gray", ":material/help:"))
    st.badge(plain(status), icon=icon, color=color)  # type: ignore[arg-type]


def status_column(width: Any = 130) -> Any:
    """A dataframe column of statuses as coloured labels; each cell a list with the one status."""
    return st.column_config.MultiselectColumn(
        "Status", options=list(_STATUS_LOOKS), color=[color for color, _ in _STATUS_LOOKS.values()], width=width
    )


def cell(value: Any) -> str:
    """A value from outside as a short text."""
    text = value if isinstance(value, str) else "" if value is None else json.dumps(readable(value))
    text = storable(text)
    return text if len(text) <= _LONGEST_CELL else f"{text[:_LONGEST_CELL]}…"


def field(value: Any, name: str) -> str:
    """One field of a record, as a short text; of what is no record, the whole under `date`."""
    if isinstance(value, dict):
        return cell(value.get(name))
    return cell(value) if name == "date" else ""


def at_fault(value: Any, codes: Sequence[str]) -> str:
    """The fields that the reasons of a record are about with their values, or its prices where they are about none."""
    if not isinstance(value, dict):
        return cell(value)
    concerned: set[str] = set()
    for rule, _, name in (code.partition(":") for code in codes):
        concerned |= {name} if name else set(_CONCERNS.get(rule, ()))
    named = [name for name in FIELDS if name in concerned] or PRICES
    return ", ".join(f"{name} {cell(value.get(name)) or '–'}" for name in named)


def payload(value: Any) -> None:
    """A record as it is, as text that nothing interprets."""
    text = json.dumps(readable(value), indent=2, ensure_ascii=False)
    st.code(text[:_LONGEST_TEXT], language=None, wrap_lines=True, height="content" if len(text) < 1_500 else 320)
    if len(text) > _LONGEST_TEXT:
        st.caption(f"The first {number(_LONGEST_TEXT)} of {number(len(text))} characters; the export holds all.")


def reasons(codes: Any) -> str:
    """Reason codes in words, in one line."""
    return storable("; ".join(in_words(code) for code in codes)) or in_words("none")


def bar(open_: int | None) -> str:
    """When a bar opens."""
    if open_ is None:
        return "–"
    try:
        return f"{times.utc(open_):%Y-%m-%d %H:%M}"
    except (ValueError, OverflowError, OSError):
        return "–"


def to_the_second(at: str) -> str:
    """When something was done to a record, as its history has it."""
    return at[:19].replace("T", " ")


def evaluated(checks: list[ReplayCheck]) -> str:
    """How many records have which outcome, in one line."""
    counts = {outcome: sum(check.outcome == outcome for check in checks) for outcome in REPLAY_CHECKS}
    return " · ".join(f"{number(count)} {REPLAY_CHECKS[outcome]}" for outcome, count in counts.items() if count)


def candle(values: dict[str, float] | None, series: Series | None) -> str:
    """The five values of a candle in one line."""
    if values is None:
        return ""
    prices = prices_of(series)
    return "  ".join(f"{name[0].upper()} {value_text(prices, name, value)}" for name, value in values.items())


def prices_of(series: Series | None) -> NumberFormat:
    """How the prices of a series are written."""
    return NumberFormat() if series is None else service().formats.of(series)


def several(count: int, what: str, more: str | None = None) -> str:
    """A count with its noun: 1 record, 2 records."""
    return f"{number(count)} {what if count == 1 else more or f'{what}s'}"
