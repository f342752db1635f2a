"""A range of time as two fields that the server reads, with a calendar beside them.

A date field of the browser keeps its last good value while what is typed in it is wrong or unfinished, so that another
thing would be done than stands there. A text field sends whatever is typed, and the server answers it.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import date

import streamlit as st

from ffe_core import times
from ffe_core.errors import InputError
from pages.widgets.alerts import say_wrong
from pages.widgets.typed import in_utc
from pages.widgets.url import holds_text

_FORMAT = "YYYY-MM-DD"


@dataclass(frozen=True, slots=True)
class Days:
    """Two fields under one key, and the days that a range in them may hold, both ends included."""

    key: str
    earliest: date
    latest: date

    def holds(self, text: str) -> bool:
        """Whether a day or time lies within. InputError for text that is neither."""
        first, end = times.parse_instant(self.earliest), times.parse_instant(self.latest, end=True)
        return first <= times.parse_instant(text) < end

    def fill(self, start: str | date | None, end: str | date | None) -> None:
        """Put a range into the fields, as it is written everywhere; None leaves one empty."""
        state = st.session_state
        texts = ["" if one is None else str(one) for one in (start, end)]
        with suppress(InputError):  # what cannot be read stays as it is, and the field says why
            first, last = map(in_utc, texts)
            texts = [*times.range_texts(*times.parse_range(first, last))]
        state[self._start], state[self._end] = texts

    def default(self, start: str | date, end: str | date) -> None:
        """Put a range into the fields unless they hold something, right or wrong."""
        if self._start not in st.session_state or self._end not in st.session_state:
            self.fill(start, end)

    def texts(self) -> tuple[str, str]:
        """What stands in the fields; a time without a zone is one in UTC."""
        return in_utc(st.session_state[self._start]), in_utc(st.session_state[self._end])

    def read(self) -> tuple[str, str] | None:
        """The range as typed, for `times.parse_range`; None where a field is wrong or empty."""
        return None if any(self._wrong()) else self.texts()

    def draw(self) -> None:
        """The fields, what is wrong with each below it, and a calendar that fills both in."""
        state = st.session_state
        for key in (self._start, self._end):  # fields of a popover take what they show from the last run only
            if not holds_text(key, state[key]):
                state[key] = state[key]
        with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
            st.text_input("From (UTC)", key=self._start, placeholder="2024-01-31", width=170)
            st.text_input("To (UTC), day included", key=self._end, placeholder="2024-01-31", width=170)
            with (
                st.container(key=f"{self.key}_icon", width="content"),
                st.popover("Choose days in a calendar", icon=":material/calendar_month:", help="Choose days"),
            ):
                self._calendar()
        for problem in filter(None, self._wrong()):
            say_wrong(problem)

    def _calendar(self) -> None:
        texts = self.read()
        days = tuple(date.fromisoformat(text[:10]) for text in texts) if texts else ()
        st.date_input(
            "From and to, whole UTC days",
            value=[*days],
            # Another key for other days: a calendar does not follow what is typed.
            key=f"{self.key}_calendar_{'_'.join(map(str, days))}",
            min_value=self.earliest,
            max_value=self.latest,
            format=_FORMAT,
            on_change=self._chosen,
            args=(days,),
        )

    def _chosen(self, before: tuple[date, ...]) -> None:
        chosen = st.session_state[f"{self.key}_calendar_{'_'.join(map(str, before))}"]
        if len(chosen) == 2:
            self.fill(*chosen)

    def _wrong(self) -> tuple[str | None, str | None]:
        """What is wrong with each field."""
        start, end = self.texts()
        wrong_start, wrong_end = self._problem(start), self._problem(end)
        if wrong_start is None and wrong_end is None:
            try:
                times.parse_range(start, end)
            except InputError as error:
                return (error.problem, None) if error.field == "start" else (None, error.problem)
        return wrong_start, wrong_end

    def _problem(self, text: str) -> str | None:
        if not text:
            return "Give a day like 2024-01-31."
        try:
            is_held = self.holds(text)
        except InputError as error:
            return error.problem
        return None if is_held else f"{text} lies outside; give a day from {self.earliest} to {self.latest}."

    @property
    def _start(self) -> str:
        return f"{self.key}_from"

    @property
    def _end(self) -> str:
        return f"{self.key}_to"
