"""Check settings: when the console checks what is stored by itself."""

from __future__ import annotations

from pydantic import BaseModel, Field

_WEEK_MINUTES = 10_080


class CheckSettings(BaseModel):
    """Section `checks`."""

    every_minutes: int = Field(default=1440, ge=0, le=_WEEK_MINUTES)
    """How long after the last checks of everything all that is stored is checked again; 0 for never."""
    after_backfills: bool = False
    """Whether the pairs that a run has added to are checked at its end."""
