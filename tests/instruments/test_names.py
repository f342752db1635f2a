"""Has every pair one stored name that can be nothing but a name, and the right kind of market?"""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffe_core.errors import InputError
from ffe_core.instruments.currencies import KNOWN, QUOTES
from ffe_core.instruments.names import (
    Identity,
    asset_class,
    identity_of,
    likely_name,
    normalize_pair,
    spellings,
    split_pair,
    stored_name,
)


@pytest.mark.parametrize("spelled", ["BTCUSD", "BTC-USD", "BTC/USD", "btc_usd", " btc/usd ", "BtcUsd", "btc usd"])
def test_every_spelling_has_one_name(spelled: str):
    assert normalize_pair(spelled) == "BTCUSD"


@pytest.mark.parametrize(
    ("spelled", "name"), [("BTC-USDT", "BTCUSDT"), ("SPX500_USD", "SPX500USD"), ("brk.b", "BRK.B"), ("F", "F")]
)
def test_other_names_are_kept(spelled: str, name: str):
    assert normalize_pair(spelled) == name


NO_PAIR = [
    "",
    " ",
    "-",
    "/",
    "..",
    "../BTC",
    "BTC\\USD",
    "BTC\x00",
    "12345",
    "A" * 41,
    ".BTC",
    "BTC.",
    "BTC~2",
    "BTC~2F~",
    "BTC@2025",
    "é",
    "%2e",
]


@pytest.mark.parametrize("pair", [*NO_PAIR, None, 5, b"BTCUSD", ["BTCUSD"], "X" * 10_000])
def test_what_cannot_be_a_pair_is_refused_with_an_example(pair: Any):
    with pytest.raises(InputError, match=r"^pair: .* cannot be a pair; .*BTCUSD") as caught:
        normalize_pair(pair)
    assert len(str(caught.value)) < 200


@given(st.text(max_size=20))
def test_a_name_can_never_leave_its_folder(text: str):
    try:
        name = normalize_pair(text)
    except InputError:
        return
    assert re.fullmatch(r"[A-Z0-9.\-_]*(~[0-9A-F]{2}[A-Z0-9.\-_]*)*(@\d{4}-\d{2}-\d{2})?", name)
    assert ".." not in name
    assert name[0] != "."
    assert normalize_pair(name) == name


@pytest.mark.parametrize(
    ("pair", "parts", "kind"),
    [
        ("BTCUSD", ("BTC", "USD"), "crypto"),
        ("BTCUSDT", ("BTC", "USDT"), "crypto"),
        ("ETHBTC", ("ETH", "BTC"), "crypto"),
        ("EURUSD", ("EUR", "USD"), "fx"),
        ("USDJPY", ("USD", "JPY"), "fx"),
        ("XAUUSD", ("XAU", "USD"), "metal"),
        ("SPX500USD", ("SPX500", "USD"), "index"),
        ("WTICOUSD", ("WTICO", "USD"), "index"),
        ("AAPL", None, "equity"),
        ("BRK.B", None, "equity"),
        ("F", None, "equity"),
        ("USD", None, "equity"),
    ],
)
def test_parts_and_market(pair: str, parts: tuple[str, str] | None, kind: str):
    assert split_pair(pair) == parts
    assert asset_class(pair) == kind


# One name for each instrument


@pytest.mark.parametrize(
    ("provider", "typed", "symbol", "name"),
    [
        ("coinbase", "BTC-USD", "BTC-USD", "BTCUSD"),
        ("coinbase", "btc/usd", "BTC-USD", "BTCUSD"),
        ("coinbase", "BTCUSD", "BTC-USD", "BTCUSD"),
        ("coinbase", "T-USD", "T-USD", "T-USD"),
        ("coinbase", "00-usd", "00-USD", "00USD"),
        ("coinbase", "BTC-PERP-INTX", "BTC-PERP-INTX", "BTC-PERP-INTX"),
        ("coinbase", "AB-CUSD", "AB-CUSD", "AB-CUSD"),  # ABCUSD is ABC in dollars
        ("oanda", "EUR_USD", "EUR_USD", "EURUSD"),
        ("oanda", "xau/xag", "XAU_XAG", "XAU_XAG"),
        ("oanda", "DE30/EUR", "DE30_EUR", "DE30EUR"),
        ("alpha_vantage", "BRK-B", "BRK-B", "BRK-B"),
        ("alpha_vantage", "C-P-K", "C-P-K", "C-P-K"),
        ("alpha_vantage", "CPK", "CPK", "CPK"),
        ("alpha_vantage", "-P-HIZ", "-P-HIZ", "-P-HIZ"),
        ("alpha_vantage", "BC/PB", "BC/PB", "BC~2FPB"),
        ("alpha_vantage", "NEE 6.219", "NEE 6.219", "NEE~206.219"),
        ("alpha_vantage", "NXT(EXP20091224)", "NXT(EXP20091224)", "NXT~28EXP20091224~29"),
        ("alpha_vantage", "DTV_1", "DTV_1", "DTV_1"),
        ("alpha_vantage", "tsco.lon", "TSCO.LON", "TSCO.LON"),
        ("alpha_vantage", "USD/CRC", "USD/CRC", "USDCRC"),
        ("alpha_vantage", "UAH-USD", "UAH/USD", "UAHUSD"),
        ("alpha_vantage", "T/USD", "T/USD", "T_USD"),
        ("alpha_vantage", "ALSAR", "AL/SAR", "ALSAR"),
        ("alpha_vantage", "ALSAR.US", "ALSAR", "ALSAR.US"),
        ("alpha_vantage", "FB@2025-06-26", "FB", "FB@2025-06-26"),
    ],
)
def test_a_name_leads_to_what_the_provider_is_asked_for(provider: str, typed: str, symbol: str, name: str):
    identity = identity_of(provider, typed)
    assert identity.symbol == symbol
    assert stored_name(provider, identity) == name
    assert identity_of(provider, name) == identity


codes = st.one_of(
    st.sampled_from(sorted(KNOWN)), st.sampled_from(QUOTES), st.text("ABTUSDERX019", min_size=1, max_size=6)
)
symbols = st.one_of(
    st.text("ABTUSDER019-._/ ():~@", min_size=1, max_size=12),
    st.builds(lambda base, joint, quote: base + joint + quote, codes, st.sampled_from("-_/. :~") | st.just(""), codes),
    st.builds(lambda base, quote: f"{base}{quote}.US", codes, codes),
)
PROVIDERS = st.sampled_from(["coinbase", "oanda", "alpha_vantage", "simulated", "", "somebody"])


@given(PROVIDERS, symbols)
def test_what_is_typed_and_what_is_stored_are_one_instrument(provider: str, typed: str):
    try:
        identity = identity_of(provider, typed)
        name = stored_name(provider, identity)
    except InputError:
        return
    assert identity_of(provider, name) == identity
    assert normalize_pair(name, provider) == name


@given(st.lists(symbols, min_size=2, max_size=12, unique=True), st.lists(st.tuples(codes, codes), max_size=6))
def test_no_two_instruments_of_a_list_share_a_name(listed: list[str], pairs: list[tuple[str, str]]):
    """Whatever symbols a provider lists, and whatever pairs beside them."""
    found: dict[str, Identity] = {}
    for identity in [*map(Identity, listed), *(Identity(f"{base}/{quote}", base, quote) for base, quote in pairs)]:
        try:
            name = stored_name("alpha_vantage", identity)
        except InputError:
            continue
        assert found.setdefault(name, identity) == identity
        assert identity_of("alpha_vantage", name) == identity


@pytest.mark.parametrize("quote", QUOTES)
def test_names_of_the_first_release_mean_what_they_meant(quote: str):
    """The quote is the longest that fits; a pair without its separator is asked for with it."""
    assert split_pair(f"QX{quote}") == ("QX", quote)
    assert identity_of("coinbase", f"QX{quote}").symbol == f"QX-{quote}"
    assert identity_of("oanda", f"QX{quote}").symbol == f"QX_{quote}"


@pytest.mark.parametrize(
    ("typed", "likely"), [("btc-usd", "BTCUSD"), ("T-USD", "T-USD"), ("XAU_XAG", "XAU_XAG"), ("BRK-B", "BRK-B")]
)
def test_a_filter_finds_a_name_without_knowing_the_provider(typed: str, likely: str):
    assert likely_name(typed) == likely
    assert likely in spellings(typed)


@pytest.mark.parametrize(
    ("provider", "pair", "kind"),
    [
        ("alpha_vantage", "USDCRC", "fx"),
        ("alpha_vantage", "UAHUSD", "fx"),
        ("alpha_vantage", "BRK-B", "equity"),
        ("alpha_vantage", "T_USD", "crypto"),
        ("oanda", "XAU_XAG", "metal"),
        ("coinbase", "T-USD", "crypto"),
        ("coinbase", "BIT-26APR24-CDE", "crypto"),
    ],
)
def test_the_market_of_names_with_separators(provider: str, pair: str, kind: str):
    assert asset_class(pair, provider) == kind
