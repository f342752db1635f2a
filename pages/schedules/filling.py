"""Fields of the schedule form: filled in from a draft and the address, kept in it, and read back as a draft."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import streamlit as st

from ffe_core.instruments.names import likely_name
from ffe_core.operations.runs.backfill import BEGINNING, is_beginning
from ffe_core.operations.schedules.service import MOST_FAILURES, Draft
from ffe_core.providers import PROVIDERS
from ffe_core.timeframes import TIMEFRAMES
from pages.widgets.states import MODE_NAMES
from pages.widgets.typed import time_of_day, whole_number
from pages.widgets.url import arrived, from_url, keep_in_url, listed, one_of, whole

WHENS = {
    "bar": "After each bar closes",
    "time": "At a time of day",
    "every": "Every so many minutes",
    "cron": "Cron",
}
MODES = {
    "resume": (
        MODE_NAMES["resume"],
        "What is newer than what you have. Never leaves a gap, so a missed tick loses nothing.",
    ),
    "gaps": (MODE_NAMES["gaps"], "Only bars that are missing and not explained, as far back as given."),
    "refetch": (MODE_NAMES["refetch"], "Everything as far back as given; only new or changed candles are added."),
}
OVERLAPS = {"skip": "Skip this one", "queue": "Let one wait"}
CATCH_UPS = {
    "none": ("Nothing", "It is on record as missed; the next tick goes on from where the data ends."),
    "latest": ("The latest, once", "As if it had only been late."),
    "fill": ("One run for all", "Asks once for everything that all missed ones would have."),
}
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
PREFIX = "sched_"
_NEW = Draft("", "simulated", timeframes=("1h",))
_LISTS: dict[str, Callable[[str], str]] = {
    "pairs": likely_name,
    "timeframes": one_of(TIMEFRAMES),
    "days": one_of(WEEKDAYS),
}
_CHOICES: dict[str, Collection[str]] = {
    "provider": PROVIDERS,
    "mode": MODES,
    "overlap": OVERLAPS,
    "catch_up": CATCH_UPS,
    "when": WHENS,
}


def fill_in(edited: Draft | None = None, version: int | None = None) -> None:
    """Put a new draft, or the one that is edited, into the fields, with what the address says otherwise, when somebody
    comes by it. `version` is that of what is edited."""
    if not arrived("sched_name"):
        return
    state = st.session_state
    state.sched_filled = _fields_of(edited or _NEW)
    for name, value in state.sched_filled.items():
        state[PREFIX + name] = _of_address(name, value)
    # As it was when the fields were filled in first: what somebody else has changed since is not written over.
    state.sched_version = None if version is None else from_url("version", whole, version)


def remember() -> None:
    """Keep in the address what the fields hold otherwise than they were filled in, so that it can be sent on."""
    state = st.session_state
    held = {name: _held(name) for name in state.sched_filled}
    changed = {name: value for name, value in held.items() if value != state.sched_filled[name]}
    keep_in_url(
        **{name: _as_text(changed.get(name)) for name in held}, version=state.sched_version if changed else None
    )


def draft() -> Draft:
    """What the fields say. InputError, of its field, for a number or a time that cannot be read."""
    state = st.session_state
    from_list = state.sched_from_list
    return Draft(
        name=state.sched_name,
        provider="" if from_list else state.sched_provider,
        pairs=() if from_list else tuple(state.sched_pairs),
        timeframes=() if from_list else tuple(state.sched_timeframes or ()),
        watchlist=(state.sched_watchlist or "") if from_list else None,
        trigger=_trigger(),
        mode=state.sched_mode,
        since=BEGINNING if state.sched_from_beginning else state.sched_since,
        zone=state.sched_zone or "",
        overlap=state.sched_overlap,
        catch_up=state.sched_catch_up,
        priority=state.sched_priority,
        pause_after=whole_number(state.sched_pause_after, 0, MOST_FAILURES, 5, "pause_after"),
        same_book=bool(state.get("sched_pairs_same_book")),
    )


def _trigger() -> str:
    state = st.session_state
    match state.sched_when:
        case "every":
            return f"every {state.sched_minutes}"
        case "time":
            days = ",".join(state.sched_days) if 0 < len(state.sched_days) < len(WEEKDAYS) else "*"
            at = time_of_day(state.sched_time, "trigger")
            return f"cron {at.minute} {at.hour} * * {days}"
        case "cron":
            return f"cron {state.sched_cron}"
        case _:
            return "bar close"


def _fields_of(chosen: Draft) -> dict[str, Any]:
    """What each field holds for a draft."""
    kind, _, rest = chosen.trigger.partition(" ")
    from_beginning = is_beginning(chosen.since)
    return {
        "name": chosen.name,
        "from_list": chosen.watchlist is not None,
        "watchlist": chosen.watchlist,
        "provider": chosen.provider or _NEW.provider,
        "pairs": list(chosen.pairs),
        "timeframes": list(chosen.timeframes),
        "when": {"bar": "bar", "every": "every"}.get(kind, "cron"),
        "minutes": rest.split()[0] if kind == "every" else "15",
        "time": "02:30",
        "days": [],
        "cron": rest if kind == "cron" else "30 2 * * mon-fri",
        "zone": chosen.zone,
        "mode": chosen.mode,
        "from_beginning": from_beginning,
        "since": _NEW.since if from_beginning else chosen.since,
        "overlap": chosen.overlap,
        "catch_up": chosen.catch_up,
        "pause_after": str(chosen.pause_after),
        "priority": chosen.priority,
    }


def _of_address(name: str, value: Any) -> Any:
    """What the address says that a field holds, else its value."""
    if name in _LISTS:
        return listed(name, _LISTS[name], value)
    if isinstance(value, bool):
        return from_url(name, one_of("01"), "01"[value]) == "1"
    return from_url(name, one_of(_CHOICES[name]) if name in _CHOICES else str, value)


def _held(name: str) -> Any:
    value = st.session_state[PREFIX + name]
    return value or [] if name in _LISTS else value


def _as_text(value: Any) -> str | None:
    if isinstance(value, list):
        return ",".join(value)
    return str(int(value)) if isinstance(value, bool) else value
