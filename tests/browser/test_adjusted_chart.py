"""Is the chart of a share that was split as an analyst wants it, labelled wherever one looks, in a real browser?"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from ffe_core import DeltaLakeManager
from ffe_core.adjustments.actions import SPLIT, Actions, action
from tests.browser.conftest import Serve, Visit
from tests.browser.driver import poll, settled
from tests.browser.test_candles import drawn, drawn_by_plotly
from tests.browser.test_chart import address, drag, follows, readout
from tests.insight.lakes import DAY, put
from tests.reading.test_adjusted import APPLE, at

SPLIT_DAY = "2014-06-09"


@pytest.fixture
def split(tmp_path: Path) -> Path:
    """Two years of days of a share at 700, and at 100 from a 7:1 split on, which is on record."""
    first = at(SPLIT_DAY) - 57 * 7 * DAY  # a Monday too, so that no bar is missing wherever the pointer rests
    days = [first + place * DAY for place in np.flatnonzero(np.arange(700) % 7 < 5).tolist()]
    prices = {day: 700.0 if day < at(SPLIT_DAY) else 100.0 for day in days}
    folder = tmp_path / "data"
    put(
        DeltaLakeManager(folder / "lake"),
        APPLE,
        {day: (price, price + 7, price - 7, price, 1e6) for day, price in prices.items()},
    )
    Actions(folder).add([action(SPLIT, "AAPL", SPLIT_DAY, Fraction(7), "announced")])
    return folder


def test_a_split_is_no_fall_and_the_label_goes_along(serve: Serve, visit: Visit, split: Path) -> None:
    span = "start=2014-06-01T00:00:00Z&end=2014-08-01T00:00:00Z"
    visitor = visit(serve(split), f"/candles?pair=AAPL&{span}&adjust=splits")
    drawn(visitor)
    visitor.sees("adjusted for splits")
    assert "adjusted for splits" in readout(visitor)
    assert "adjusted for splits" in visitor.page.locator(".chart .legend").inner_text()
    before = address(visitor)
    drag(visitor, 700)
    moved = follows(visitor, before)
    assert "adjust=splits" in moved
    assert "C 100" in readout(visitor), "the bars that were brought while panning are adjusted too"
    visitor.page.get_by_role("button", name="More").click()
    chosen = visitor.at("candles_adjust").locator("input")
    poll(lambda: chosen.input_value() == "adjusted for splits", "the choice to be shown")


def test_fields_of_the_options_show_what_is_chosen_when_they_are_opened_late(
    serve: Serve, visit: Visit, split: Path
) -> None:
    visitor = visit(serve(split), "/candles?pair=AAPL&adjust=splits&percent=1&log=1")
    visitor.click("candles_prev")
    settled(visitor.page)
    visitor.page.get_by_role("button", name="More").click()
    for key in ("candles_log", "candles_percent"):
        visitor.at(key).locator("input").wait_for(state="attached")
        assert visitor.at(key).locator("input").is_checked()


def test_a_picture_says_it_in_its_name(serve: Serve, visit: Visit, split: Path) -> None:
    visitor = visit(serve(split), "/candles?pair=AAPL&adjust=splits&chart=plotly")
    drawn_by_plotly(visitor)
    visitor.page.locator(".js-plotly-plot").first.hover()
    with visitor.page.expect_download() as download:
        visitor.page.locator('[data-title^="Download plot"]').first.click()
    assert download.value.suggested_filename.endswith(".adjusted-splits.png")
