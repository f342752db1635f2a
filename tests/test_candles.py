"""What does a stored candle look like, and into which partition does it go?"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffe_core.candles import SCHEMA, partition_dates, table_name, timeframe_of
from ffe_core.errors import InputError
from ffe_core.timeframes import TIMEFRAMES


def test_the_columns_are_all_there_on_the_first_day():
    assert (
        SCHEMA.names
        == (
            "timestamp open high low close volume asset_pair source_provider _extracted_at _ingestion_id is_mock"
            " _dead_letter_id partition_date partition_asset_pair"
        ).split()
    )
    assert str(SCHEMA.field("timestamp").type) == str(SCHEMA.field("_extracted_at").type) == "timestamp[us, tz=UTC]"


def test_each_timeframe_has_a_table_and_each_table_its_timeframe():
    for timeframe in TIMEFRAMES:
        assert table_name(timeframe) == f"raw_market_data_{timeframe}"
        assert timeframe_of(table_name(timeframe)) == timeframe
    for name in ("raw_market_data_2h", "raw_market_data_", "1h", "", "notes"):
        with pytest.raises(InputError, match=r"^table: "):
            timeframe_of(name)


@pytest.mark.parametrize(
    ("timeframe", "period"), [("1m", "2024-02-01"), *((name, "2024-01-01") for name in TIMEFRAMES if name != "1m")]
)
def test_a_partition_is_a_month_of_minutes_or_a_year(timeframe: str, period: str):
    stamps = np.array(["2024-02-01T00:00:00", "2024-02-29T23:59:00"], "datetime64[s]").astype(np.int64)
    assert partition_dates(stamps, timeframe).astype(str).tolist() == [period, period]
    before = np.array(["1969-12-31T23:59:00"], "datetime64[s]").astype(np.int64)
    assert partition_dates(before, timeframe).astype(str).tolist() == [
        "1969-12-01" if timeframe == "1m" else "1969-01-01"
    ]


@given(
    st.lists(st.integers(-(10**10), 10**11), max_size=30),
    st.sampled_from(list(TIMEFRAMES)),
)
def test_partitions_of_many_are_those_of_each(stamps: list[int], timeframe: str):
    times = np.array(stamps, np.int64)
    rounded = times.astype("datetime64[s]").astype("datetime64[M]" if timeframe == "1m" else "datetime64[Y]")
    found = partition_dates(times, timeframe)
    assert (found.dtype, found.tolist()) == ("datetime64[D]", rounded.astype("datetime64[D]").tolist())
