"""Upkeep settings: when tables are compacted, how long replaced files stay, and how long history is kept."""

from __future__ import annotations

from pydantic import BaseModel, Field, field_validator

from ffe_core.errors import InputError

LEAST_HOURS = 1
_MOST_HOURS, _MOST_DAYS, _WEEK_MINUTES = 24 * 3650, 36_500, 10_080


def checked_file_hours(hours: int, field: str | None = None) -> int:
    """The retention of replaced files, or InputError with the reason why it must not be shorter."""
    if hours < LEAST_HOURS:
        raise InputError(
            f"{hours} is too short: a chart, an export or another tool that opened the table before a file was replaced"
            f" reads that file to its end; use {LEAST_HOURS} or more hours",
            field=field,
        )
    return hours


def checked_log_hours(hours: int, field: str | None = None) -> int:
    """The retention of old log entries, or InputError with the reason why it must not be shorter."""
    if hours < LEAST_HOURS:
        raise InputError(
            f"{hours} is too short: a writer that opened the table before its log was cleaned up is refused and has to"
            f" begin again; use {LEAST_HOURS} or more hours",
            field=field,
        )
    return hours


class UpkeepSettings(BaseModel):
    """Section `upkeep`. Zero minutes or files turn that occasion off; zero days keep for ever."""

    every_minutes: int = Field(default=60, ge=0, le=_WEEK_MINUTES)
    """How often the console looks whether a table needs upkeep."""
    small_files: int = Field(default=100, ge=0, le=10**6)
    """So many files that compaction would spare are worth it at once, after a backfill too."""
    file_retention_hours: int = Field(default=3, le=_MOST_HOURS)
    log_retention_hours: int = Field(default=1, le=_MOST_HOURS)
    dead_letter_days: int = Field(default=0, ge=0, le=_MOST_DAYS)
    """Of dead letters that have ended; pending ones are never deleted."""
    run_days: int = Field(default=0, ge=0, le=_MOST_DAYS)
    tick_days: int = Field(default=0, ge=0, le=_MOST_DAYS)
    audit_days: int = Field(default=0, ge=0, le=_MOST_DAYS)

    @field_validator("file_retention_hours")
    @classmethod
    def _outlasts_readers(cls, hours: int) -> int:
        return checked_file_hours(hours)

    @field_validator("log_retention_hours")
    @classmethod
    def _outlasts_writers(cls, hours: int) -> int:
        return checked_log_hours(hours)
