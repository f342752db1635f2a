"""Is a pasted list taken for the names in it?"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffe_core.instruments.lists import split_names

NAME = st.from_regex(r"[A-Z]{5,8}|[A-Z]{2,4}[-/_][A-Z]{3}", fullmatch=True)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("ETHUSD,EURUSD; btc-usd", ["ETHUSD", "EURUSD", "btc-usd"]),
        ("BTCUSD\r\nETHUSD\n\nBTCUSD\n", ["BTCUSD", "ETHUSD"]),
        ("BTCUSD ETHUSD  SOL-USD", ["BTCUSD", "ETHUSD", "SOL-USD"]),
        ("AAPL MSFT | IBM", ["AAPL", "MSFT", "IBM"]),
        ("EUR USD", ["EUR USD"]),
        ("EUR USD, GBP  USD", ["EUR USD", "GBP USD"]),
        ("Apple Inc", ["Apple Inc"]),
        (" ,; \n", []),
    ],
)
def test_a_list_is_split_where_names_end(text: str, names: list[str]) -> None:
    assert split_names(text, {"AAPL", "MSFT", "IBM"}.__contains__) == names


@given(st.lists(NAME, unique=True, max_size=200), st.sampled_from([",", ", ", "; ", "\n", "\t", " | ", " ", "\r\n"]))
def test_any_separator_gives_back_the_names(names: list[str], between: str) -> None:
    assert split_names(between.join(names)) == names
