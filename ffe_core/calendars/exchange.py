"""Exchange calendar: sessions from `exchange_calendars`, loaded at first use, corrected by a table.

Hourly bars begin at the session's open: on the New York Stock Exchange they open on the half hour, and a full day from
09:30 to 16:00 has seven. A daily bar is 00:00 UTC of its session's date, wherever the
exchange is; 4h bars lie on the UTC grid. A lunch break is closed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

from ffe_core.calendars import sessions
from ffe_core.calendars.base import MarketCalendar, SpecialSession
from ffe_core.calendars.sessions import Sessions
from ffe_core.intervals import Times, overlapping
from ffe_core.times import DAY, now, utc

_HOUR = 3600


@dataclass(frozen=True)
class ExchangeHours(MarketCalendar):
    """The regular sessions of one exchange, as far as its library knows them from 1970 to the end of next year.

    `name` is its code in exchange_calendars, the ISO 10383 one nearly always.
    """

    name: str = "XNYS"

    @property
    def horizon(self) -> tuple[int, int]:
        first, last = sessions.bounds(self.name)
        end = int(datetime(_last_year() + 1, 1, 1, tzinfo=UTC).timestamp())
        return max(first, 0), end if last is None else min(end, last)

    @property
    def hour_offset(self) -> int:
        return self._sessions().hour_offset

    def _intervals(self, start: int, end: int) -> Times:
        return overlapping(self._sessions().hours, start, end)

    def _quiet(self, start: int, end: int) -> Times:
        return overlapping(self._sessions().quiet, start, end)

    def _runs(self, intervals: Times, step: int) -> Times:
        return super()._runs(self._sessions().days_of(intervals) if step == DAY else intervals, step)

    def _reach(self, start: int, end: int, step: int) -> tuple[int, int]:
        # A session of the date may open the day before in UTC (Sydney), or close the day after.
        return (start - DAY, end + DAY) if step == DAY else super()._reach(start, end, step)

    def _anchors(self, open_times: Times, step: int) -> Times:
        return self._sessions().anchors_of(open_times, step) if step == _HOUR else super()._anchors(open_times, step)

    def _grid(self, step: int) -> int:
        return self._sessions().grid if step == _HOUR else step

    def _special_days(self, first: date, last: date) -> list[SpecialSession]:
        known = self._sessions().special
        days = [first + timedelta(n) for n in range((last - first).days + 1)]
        return [known[day] for day in days if day in known]

    def _sessions(self) -> Sessions:
        first, end = self.horizon
        return _loaded(self.name, first, end)


def _last_year() -> int:
    """Exchanges publish their holidays a year or more ahead; asked again each time, as servers run for years."""
    return utc(now()).year + 1


@lru_cache(maxsize=80)
def _loaded(code: str, first: int, end: int) -> Sessions:
    return sessions.load(code, first, end)
