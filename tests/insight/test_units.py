"""Is a price written with its instrument's decimals everywhere, and never so that it looks like another?"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffe_core.insight import units
from ffe_core.insight.units import (
    NumberFormat,
    NumberFormats,
    decimals_of,
    unit_text,
    volume_text,
    volume_unit,
    written,
)
from ffe_core.instruments.model import Instrument
from ffe_core.series import Series
from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager
from ffe_core.storage.state.database import DATABASE_FILE, Database
from ffe_core.storage.state.instruments import InstrumentStore
from tests.insight.lakes import HOUR, JANUARY, put

pytestmark = pytest.mark.both_states
EUR = Series("EURUSD", "1h", "oanda")
FLOATS = st.floats(1e-18, 1e15)


@pytest.mark.parametrize(
    ("decimals", "value", "text"),
    [
        (5, 1.1, "1.10000"),
        (5, 1.123456, "1.123456"),  # more than the instrument's: whole
        (2, 64123.5, "64,123.50"),
        (0, 18250.0, "18,250"),
        (0, 18250.25, "18,250.25"),
        (3, 1e-08, "0.00000001"),
        (2, 1e-300, "1e-300"),
        (2, float("nan"), "nan"),
    ],
)
def test_a_price_has_its_decimals_or_is_whole(decimals: int, value: float, text: str) -> None:
    assert NumberFormat(decimals).text(value) == text


@given(st.lists(FLOATS, min_size=1, max_size=30), st.integers(0, 8))
def test_no_price_is_rounded(values: list[float], decimals: int) -> None:
    prices = NumberFormat(decimals)
    assert [float(prices.text(value).replace(",", "")) for value in values] == values
    assert [float(text) for text in prices.plain(np.array(values)).to_pylist()] == values
    assert all(len(text.partition(".")[2]) >= decimals for text in map(prices.text, values) if "e" not in text)


@given(st.lists(st.decimals(0, 99_999, places=8).map(float), min_size=1, max_size=30), st.integers(0, 8))
def test_one_format_for_a_column_shows_each_of_its_prices_whole(values: list[float], decimals: int) -> None:
    covering = NumberFormat(decimals).covering(values)
    assert covering >= decimals
    assert [float(f"{value:.{covering}f}") for value in values] == values
    assert [decimals_of(value) <= covering for value in values] == [True] * len(values)


@given(st.lists(st.one_of(FLOATS, st.floats(-1e6, 1e6).map(lambda value: round(value, 3))), max_size=30))
def test_a_column_is_covered_as_its_prices_are_one_by_one(values: list[float]) -> None:
    needed = min(max(map(decimals_of, values), default=0), 20)
    assert NumberFormat().covering(np.array(values), []) == needed
    assert NumberFormat().covering([float("nan"), 0.25], values) == max(needed, 2)


def test_prices_for_programs_have_no_thousands_and_the_same_decimals() -> None:
    assert NumberFormat(2).plain(np.array([64123.5, 1.0])).to_pylist() == ["64123.50", "1.00"]
    assert NumberFormat(2).plain(np.array([1.125, 1e300])).to_pylist() == ["1.125", "1e+300"]


def test_a_volume_is_whole_and_a_sum_without_noise() -> None:
    assert volume_text(12345678.12345678) == "12,345,678.12345678"
    assert volume_text(0.1 + 0.2, sources=2) == "0.3"
    assert written(0.1 + 0.2) == "0.30000000000000004"


@pytest.mark.parametrize(
    ("series", "said"),
    [
        (EUR, "ticks"),
        (Series("BTCUSD", "1h", "coinbase"), "base units"),
        (Series("BIT-24APR26-CDE", "1h", "coinbase"), "contracts"),
        (Series("AAPL", "1h", "alpha_vantage"), "shares"),
        (Series("EURUSD", "1h", "alpha_vantage"), "no volume from this provider"),
        (Series("EURUSD", "1h", "nobody"), "no volume from this provider"),
        (Series("EURUSD", "1h", "files:mine"), "units of the imported files"),
    ],
)
def test_what_a_volume_counts(series: Series, said: str) -> None:
    assert unit_text(volume_unit(series)) == said


class TestFormatsOfSeries:
    @pytest.fixture
    def catalogue(self, tmp_path: Path) -> InstrumentStore:
        return InstrumentStore(Database(tmp_path / DATABASE_FILE))

    @pytest.fixture
    def formats(self, catalogue: InstrumentStore, lake: DeltaLakeManager) -> NumberFormats:
        return NumberFormats(catalogue, lake)

    def test_the_catalogue_decides(self, catalogue: InstrumentStore, formats: NumberFormats, lake: DeltaLakeManager):
        put(lake, EUR, {JANUARY: (1.1, 1.2, 1.0, 1.15, 5)})
        assert formats.of(EUR) == NumberFormat(2)
        catalogue.replace("oanda", [Instrument("oanda", "EURUSD", "EUR_USD", "fx", decimals=5)])
        assert formats.of(EUR) == NumberFormat(5)

    def test_without_a_catalogue_the_newest_closes_do(self, formats: NumberFormats, lake: DeltaLakeManager):
        assert formats.of(EUR) == NumberFormat(0)
        closes = [1.5, 1.12345, 1.25]
        put(lake, EUR, {JANUARY + n * HOUR: (1.0, 2.0, 0.5, close, 5) for n, close in enumerate(closes)})
        assert NumberFormats(formats._catalogue, lake).of(EUR) == NumberFormat(5)

    def test_a_stray_close_does_not_ask_for_more_than_ten(self, formats: NumberFormats, lake: DeltaLakeManager):
        put(lake, EUR, {JANUARY: (1.0, 2.0, 0.5, float(Decimal(10) / 7), 5)})
        assert formats.of(EUR) == NumberFormat(10)

    def test_the_sample_is_read_once_and_anew_when_it_is_old(
        self, formats: NumberFormats, lake: DeltaLakeManager, monkeypatch: pytest.MonkeyPatch
    ):
        put(lake, EUR, {JANUARY: (1.0, 2.0, 0.5, 1.5, 5)})
        assert formats.of(EUR) == NumberFormat(1)
        put(lake, EUR, {JANUARY + HOUR: (1.0, 2.0, 0.5, 1.55, 5)})
        assert formats.of(EUR) == NumberFormat(1)
        monkeypatch.setattr(units, "_SAMPLE_SECONDS", -1.0)
        assert formats.of(EUR) == NumberFormat(2)
