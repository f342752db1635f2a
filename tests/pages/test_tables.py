"""Do the cells of tables say and sort what they stand for?"""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pages.widgets import duration
from pages.widgets.tables import time_cell


@given(st.integers(0, 10**9), st.integers(0, 10**9))
def test_durations_sort_by_length_and_say_what_text_says(one: int, other: int) -> None:
    cells = [time_cell(one), time_cell(other)]
    assert None not in cells
    assert [duration(cell.total_seconds()) for cell in cells if cell is not None] == [duration(one), duration(other)]
    assert sorted(cells) == [time_cell(seconds) for seconds in sorted((one, other))]


@pytest.mark.parametrize(("seconds", "cell"), [(None, None), (0, timedelta(0)), (0.9, timedelta(0))])
def test_none_is_no_duration_and_less_than_a_second_is_nothing(seconds: float | None, cell: timedelta | None) -> None:
    assert time_cell(seconds) == cell
