"""Outcomes of a replay check, as a row of JSON and in words."""

from __future__ import annotations

from typing import Any

from ffe_core.operations.dead_letters.edits import in_words
from ffe_core.operations.dead_letters.replay_check import ReplayCheck


def as_row(check: ReplayCheck) -> dict[str, Any]:
    """Outcome, reasons and candles."""
    return {
        "outcome": check.outcome,
        "reasons": list(check.reasons),
        "in_words": [in_words(code) for code in check.reasons],
        "candle": check.candle,
        "stored": check.stored,
    }


def as_text(check: ReplayCheck) -> str:
    """One line for people."""
    name = check.dead_letter_id
    match check.outcome:
        case "passes":
            return f"{name}: would be stored"
        case "landed":
            return f"{name}: is stored already, by an earlier replay"
        case "identical":
            return f"{name}: the same candle is stored already, or comes twice in this list"
        case "collides":
            return f"{name}: collides with the stored candle {check.stored}; edited {check.candle}"
        case _:
            return f"{name}: still fails, because {'; '.join(in_words(code) for code in check.reasons)}"
