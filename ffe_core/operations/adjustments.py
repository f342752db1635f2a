"""Verbs of corporate actions: put splits and dividends on record by hand, and take them out."""

from __future__ import annotations

from ffe_core import times
from ffe_core.adjustments.actions import DIVIDEND, SPLIT, Action, Actions
from ffe_core.errors import InputError
from ffe_core.storage.state.audit import Audit, required_reason


def record(actions: Actions, audit: Audit, one: Action, actor: str, *, is_meant: bool = False) -> bool:
    """Put an action on record; False where it is on record already. InputError without a reason, for one that
    contradicts what is there and, unless it `is_meant`, for a split that is nearly one that is there; StorageError."""
    why = required_reason(one.reason, "announced by the company on 2014-04-23")
    with audit.act(actor, f"add {one.kind}", one.pair, why, day=one.day_text, value=one.value_text) as act:
        added = actions.add([Action(one.kind, one.pair, one.day, one.value, why)], is_meant=is_meant)
        act.note(added=added)
    return bool(added)


def take_out(actions: Actions, audit: Audit, kind: str, pair: str, day: int, actor: str, reason: str) -> None:
    """Take an action out of the record. InputError without a reason and for one that is not there, StorageError."""
    if kind not in (SPLIT, DIVIDEND):
        raise InputError(f"{kind!r} is unknown; use {SPLIT} or {DIVIDEND}", field="kind")
    with audit.act(actor, f"remove {kind}", pair, required_reason(reason, "entered twice"), day=times.iso(day)):
        actions.remove(kind, pair, day)
