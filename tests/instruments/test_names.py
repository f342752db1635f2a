"""Has every pair one stored name that can be nothing but a name, and the right kind of market?"""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffe_core.errors import InputError
from ffe_core.instruments.names import asset_class, normalize_pair, split_pair


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
