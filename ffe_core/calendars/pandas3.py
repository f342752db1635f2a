"""Compatibility of exchange_calendars 4.13 with pandas 3, which it was not written for.

pandas 3 asks offsets for `_add_datetime` where it asked for `_apply`, and makes ranges of business days without asking
at all. So Athens, Belgrade, Bucharest and Cyprus (Orthodox Easter) and Tel Aviv cannot be built, and weeks with other
trading days (Bombay's and Moscow's Saturdays, Seoul before 1999) are dropped without a word. A test fails as soon as
the library builds them by itself: then this file goes.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from typing import Any

import numpy as np

_EVERY_DAY = "Mon Tue Wed Thu Fri Sat Sun"


@contextmanager
def tolerated() -> Iterator[None]:
    """Within it, what the library asks of pandas in ways that pandas 4 will no longer know is no matter."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


def build(factory: Any, first: date, last: date) -> Any:
    """A calendar of the class from one day to another, of a subclass where it must make its own business days."""
    _teach_orthodox_easter()
    if hasattr(factory, "special_weekmasks"):
        day = functools.cached_property(functools.partial(_day, first=first, last=last))
        factory = type(factory.__name__, (factory,), {"day": day})
    return factory(start=first.isoformat(), end=last.isoformat())


def _teach_orthodox_easter() -> None:
    from exchange_calendars.pandas_extensions.offsets import OrthodoxEaster

    if "_add_datetime" not in vars(OrthodoxEaster):
        OrthodoxEaster._add_datetime = OrthodoxEaster._apply


def _day(calendar: Any, first: date, last: date) -> Any:
    """A week of seven days whose holidays are all days without a session."""
    import pandas as pd
    from pandas.tseries.offsets import CustomBusinessDay

    days = np.arange(np.datetime64(first, "D"), np.datetime64(last + timedelta(1), "D"))
    on = np.is_busday(days, weekmask=calendar.weekmask)
    for start, end, weekmask in calendar.special_weekmasks:
        inside = (days >= _day64(start, first)) & (days <= _day64(end, last))
        on = np.where(inside, np.is_busday(days, weekmask=weekmask), on)
    regular = calendar.regular_holidays
    holidays = [] if regular is None else regular.holidays(pd.Timestamp(first), pd.Timestamp(last))
    closed = pd.DatetimeIndex([*holidays, *calendar.adhoc_holidays]).tz_localize(None)
    on &= ~np.isin(days, closed.to_numpy().astype("datetime64[D]"))
    return CustomBusinessDay(weekmask=_EVERY_DAY, holidays=list(days[~on]))


def _day64(bound: Any, otherwise: date) -> np.datetime64:
    return np.datetime64(otherwise if bound is None else bound.date(), "D")
