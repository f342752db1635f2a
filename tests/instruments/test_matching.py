"""Does a filter by pair find what people type, names of earlier releases too, and nothing that is only like it?"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffe_core.errors import InputError
from ffe_core.instruments.matching import is_part_of, matching_names, meant
from ffe_core.instruments.names import normalize_pair

NEW = ("BTCUSD", "EURUSD", "T-USD", "XAU_XAG", "BRK-B", "C-P-K", "BC~2FPB", "NEE~206.219", "T_USD", "TSCO.LON", "AAPL")
OLD = ("BTCUSD", "EURUSD", "TUSD", "XAUXAG", "BRKB", "CPK", "TSCOLON", "AAPL")
"""How a release that dropped every separator stored them."""


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("BTCUSD", "BTCUSD"),
        ("btc-usd", "BTCUSD"),
        ("BTC/USD", "BTCUSD"),
        ("EUR_USD", "EURUSD"),
        ("xau_xag", "XAU_XAG"),
        ("XAUXAG", "XAU_XAG"),
        ("brk.b", "BRK-B"),
        ("BRKB", "BRK-B"),
        ("BRK B", "BRK-B"),
        ("cpk", "C-P-K"),
        ("BC/PB", "BC~2FPB"),
        ("bcpb", "BC~2FPB"),
        ("NEE 6.219", "NEE~206.219"),
        ("tsco.lon", "TSCO.LON"),
        ("ALSAR", ""),
    ],
)
def test_what_people_type_finds_the_stored_name(typed: str, found: str) -> None:
    assert matching_names(typed, NEW) == ((found,) if found else ())


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("XAU_XAG", "XAUXAG"),
        ("BRK-B", "BRKB"),
        ("BRK.B", "BRKB"),
        ("C-P-K", "CPK"),
        ("T-USD", "TUSD"),
        ("tsco.lon", "TSCOLON"),
    ],
)
def test_names_of_the_first_release_are_found_by_what_is_typed_now(typed: str, found: str) -> None:
    assert matching_names(typed, OLD) == (found,)


def test_the_name_as_it_stands_hides_those_that_are_only_alike() -> None:
    assert matching_names("CPK", (*NEW, "CPK")) == ("CPK",)
    assert matching_names("C-P-K", (*NEW, "CPK")) == ("C-P-K",)
    assert matching_names("FB", ("FB", "FB@2025-06-26")) == ("FB",)
    assert matching_names("FB", ("FB@2025-06-26",)) == ("FB@2025-06-26",)


def test_several_that_fit_alike_are_all_found_and_none_is_chosen() -> None:
    assert matching_names("ABC", ("A-BC", "AB-C", "XYZ")) == ("A-BC", "AB-C")
    assert meant("abc", ("XYZ", "AB-C")) == "AB-C"
    assert meant("abc", ("XYZ",)) == "abc"
    with pytest.raises(InputError, match="'abc' fits A-BC, AB-C; name one of them"):
        meant("abc", ("A-BC", "AB-C"))


def test_a_part_of_a_name_is_found_in_any_spelling() -> None:
    assert is_part_of("c-us", "BTCUSD")
    assert is_part_of("bc/pb", "BC~2FPB")
    assert is_part_of("", "BTCUSD")
    assert not is_part_of("eth", "BTCUSD")


def test_a_name_that_another_tool_wrote_is_found_as_it_stands() -> None:
    assert matching_names("btc-usd ?", ("btc-usd ?", "BTCUSD")) == ("btc-usd ?",)
    with pytest.raises(InputError, match="cannot be a pair"):
        matching_names("???", NEW)


@given(st.text(min_size=1, max_size=12), st.sampled_from(["", "coinbase", "oanda", "alpha_vantage"]))
def test_every_stored_name_is_found_by_what_it_was_made_from(text: str, provider: str) -> None:
    try:
        name = normalize_pair(text, provider)
    except InputError:
        return
    assert name in matching_names(text, (name, "BTCUSD"))
    assert matching_names(name, (name, "BTCUSD")) == (name,)
