"""Words and signs for schedules and their ticks, everywhere the same."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from zoneinfo import ZoneInfo

from ffe_core.storage.state import runs
from ffe_core.storage.state import schedules as schedule_states
from ffe_core.storage.state.schedules import Schedule, Tick
from pages.widgets.text import duration, many

_SIGNS = {
    runs.COMPLETE: "✓",
    runs.GAPS: "✓",
    runs.FAILED: "✗",
    runs.CANCELLED: "⊘",
    runs.INTERRUPTED: "⊘",
    runs.RUNNING: "…",
    schedule_states.FIRING: "…",
    schedule_states.WAITING: "…",
    schedule_states.SKIPPED: "»",
    schedule_states.MISSED: "–",
    schedule_states.PAUSED: "‖",
}
LEGEND = "✓ done · ✗ failed · … running or waiting · » skipped · – missed · ‖ paused · ⊘ cancelled or interrupted"


def state_of(tick: Tick) -> str:
    """The one state a tick is shown in: that of its run, where it has one."""
    if tick.outcome in (schedule_states.RAN, schedule_states.LATE):
        return tick.run_state or runs.RUNNING
    return tick.outcome


def signs(ticks: Iterable[Tick]) -> str:
    """One sign a tick, oldest first."""
    return " ".join(_SIGNS.get(state_of(tick), "·") for tick in ticks)


def told(tick: Tick) -> str:
    """What else there is to say about a tick."""
    parts = []
    if tick.kind == schedule_states.MANUAL:
        parts.append(f"started by {tick.actor}")
    elif tick.outcome == schedule_states.LATE:
        parts.append(f"late by {duration(tick.late)}")
    elif tick.outcome == schedule_states.PAUSED and tick.actor:
        parts.append(f"paused by {tick.actor}")
    if tick.count > 1:
        parts.append(many(tick.count, "tick"))
    if tick.note:
        parts.append(tick.note)
    if tick.filled_by:
        parts.append(f"filled by run {tick.filled_by}")
    return ", ".join(parts)


def local(epoch: int, zone: str) -> str:
    """An instant as the clocks of a zone show it."""
    return f"{datetime.fromtimestamp(epoch, ZoneInfo(zone)):%a %Y-%m-%d %H:%M %Z}"


def short(epochs: Iterable[int], zone: str, now: float) -> str:
    """Instants in few letters: days only where they are not today's, a time they share only once, the zone last."""
    place = ZoneInfo(zone)
    today, found = datetime.fromtimestamp(now, place).date(), [datetime.fromtimestamp(at, place) for at in epochs]
    if not found:
        return "–"
    days = [_day(at.date(), today) for at in found]
    name = found[-1].tzname() or zone
    if any(days) and len({f"{at:%H:%M}" for at in found}) == 1:
        return f"{found[0]:%H:%M} on {', '.join(day or 'today' for day in days)} {name}"
    return f"{', '.join(f'{day} {at:%H:%M}'.strip() for day, at in zip(days, found, strict=True))} {name}"


def _day(day: date, today: date) -> str:
    """Nothing for today, the weekday for the six days after it, else month and day."""
    away = (day - today).days
    return "" if away == 0 else f"{day:%a}" if 0 < away < 7 else f"{day:%m-%d}"


def series_of(schedule: Schedule) -> str:
    """What a schedule fetches, in short."""
    if schedule.watchlist is not None:
        return f"watchlist {schedule.watchlist}"
    pairs = ", ".join(schedule.pairs[:3]) + (f" and {len(schedule.pairs) - 3} more" if len(schedule.pairs) > 3 else "")
    return f"{pairs} · {', '.join(schedule.timeframes)} · {schedule.provider}"
