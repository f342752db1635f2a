"""Are catalogues read as the providers send them, each instrument under one name, and nothing guessed?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffe_core.errors import CredentialsError, QuotaError, RetriableError
from ffe_core.instruments.names import identity_of
from ffe_core.providers import alpha_vantage_catalogue as alpha_vantage
from ffe_core.providers import coinbase_catalogue as coinbase
from ffe_core.providers import oanda_catalogue as oanda
from ffe_core.providers.alpha_vantage import AlphaVantageProvider
from ffe_core.providers.body import NotJson
from ffe_core.providers.coinbase import CoinbaseDataProvider
from tests.fake_exchanges import AlphaVantageExchange, CoinbaseExchange, Fault, Market

KEY = "CATALOGUEKEY1"


def product(product_id: str, **changed: Any) -> dict[str, Any]:
    base, _, quote = product_id.partition("-")
    sent = {
        "product_id": product_id,
        "product_type": "SPOT",
        "status": "online",
        "price_increment": "0.01",
        "quote_increment": "0.01",
        "base_name": base.title(),
        "base_currency_id": base,
        "quote_currency_id": quote,
        "is_disabled": False,
        "trading_disabled": False,
        "alias": "",
        "alias_to": [],
        "new_at": "2023-01-01T00:00:00Z",
    }
    return sent | changed


def future(product_id: str, **changed: Any) -> dict[str, Any]:
    details = {"contract_root_unit": "BTC", "contract_expiry_type": "EXPIRING", "contract_size": "0.01"}
    empty = {"base_currency_id": "", "base_name": "", "status": "", "new_at": None}
    return product(product_id, product_type="FUTURE", future_product_details=details, **empty, **changed)


class TestCoinbase:
    def test_a_spot_product(self):
        [found] = coinbase.instruments([product("T-USD", base_name="Threshold", price_increment="0.00001")])
        assert (found.name, found.symbol, found.kind, found.title) == ("T-USD", "T-USD", "crypto", "Threshold")
        assert (found.base, found.quote, found.decimals, found.volume_unit) == ("T", "USD", 5, "base units")
        assert (found.status, found.listed) == ("listed", None)  # `new_at` is no listing day

    def test_a_future_has_its_own_tick_base_and_unit(self):
        sent = future("BIT-26APR24-CDE", price_increment="5", quote_currency_id="USD", display_name="BTC 26 APR 24")
        [found] = coinbase.instruments([sent])
        assert (found.name, found.kind, found.base, found.quote) == ("BIT-26APR24-CDE", "future", "BTC", "USD")
        assert (found.decimals, found.volume_unit, found.status) == (0, "contracts", "listed")

    def test_a_perpetual(self):
        [found] = coinbase.instruments([future("BTC-PERP-INTX", quote_currency_id="USDC", price_increment="0.1")])
        assert (found.kind, found.volume_unit, found.decimals) == ("perpetual", "base units", 1)

    def test_one_book_under_two_names(self):
        both = [product("BTC-USD", alias_to=["BTC-USDC"]), product("BTC-USDC", alias="BTC-USD"), product("BTC-USDT")]
        assert [found.same_as for found in coinbase.instruments(both)] == [("BTCUSDC",), ("BTCUSD",), ()]

    @pytest.mark.parametrize(
        ("changed", "status"),
        [
            ({}, "listed"),
            ({"limit_only": True}, "listed"),
            ({"view_only": True}, "listed"),
            ({"status": "STANDARD"}, "listed"),
            ({"trading_disabled": True}, "paused"),
            ({"is_disabled": True}, "delisted"),
            ({"status": "delisted", "trading_disabled": True}, "delisted"),
        ],
    )
    def test_only_flags_say_what_trades(self, changed: dict[str, Any], status: str):
        assert coinbase.instruments([product("BTC-INR", **changed)])[0].status == status

    @given(
        st.lists(
            st.recursive(st.none() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3))
        )
    )
    def test_what_is_no_product_is_left_out(self, noise: list[Any]):
        assert [found.name for found in coinbase.instruments([*noise, product("ETH-USD")])] == ["ETHUSD"]

    @given(st.dictionaries(st.sampled_from(sorted(product("A-USD"))), st.none() | st.integers() | st.text(max_size=4)))
    def test_a_field_of_another_kind_is_an_unknown_one(self, changed: dict[str, Any]):
        for found in coinbase.instruments([product("ETH-USD") | changed]):
            assert identity_of("coinbase", found.name).symbol == found.symbol.upper()

    async def test_the_list_is_read_page_by_page_and_ends_with_a_cursor_that_repeats(self, tmp_path: Path):
        pages = {
            "": ([product("BTC-USD")], "a"),
            "a": ([product("ETH-USD")], "b"),
            "b": ([product("SOL-USD")], "a"),
        }

        class Paged(CoinbaseExchange):
            def _products(self) -> Any:
                raise AssertionError("never asked without a page")

            def answer(self, request: Any) -> Any:
                products, cursor = pages[request.params.get("cursor", "")]
                paging = {"has_next": True, "next_cursor": cursor}
                return self.json({"products": products, "num_products": 1, "pagination": paging})

            def json(self, content: Any) -> Any:
                from tests.fake_exchanges.server import Answer

                return Answer.json(content)

        with Paged(Market(), rate=None, burst=1) as exchange:
            settings = {"data_dir": str(tmp_path), "coinbase": {"base_url": exchange.url, "requests_per_second": 1000}}
            async with CoinbaseDataProvider(config=settings) as provider:
                assert [found.name for found in await provider.catalogue()] == ["BTCUSD", "ETHUSD", "SOLUSD"]


class TestOanda:
    @pytest.mark.parametrize(
        ("name", "told", "kind"),
        [
            ("EUR_USD", "CURRENCY", "fx"),
            ("USD_CNH", "CURRENCY", "fx"),
            ("XAU_XAG", "METAL", "metal"),
            ("XPD_USD", "CFD", "metal"),
            ("XCU_USD", "CFD", "metal"),
            ("USB02Y_USD", "CFD", "bond"),
            ("DE10YB_EUR", "CFD", "bond"),
            ("WTICO_USD", "CFD", "energy"),
            ("SUGAR_USD", "CFD", "commodity"),
            ("DE30_EUR", "CFD", "index"),
            ("JP225Y_JPY", "CFD", "index"),
            ("CHINAH_HKD", "CFD", "index"),
            ("BTC_USD", "CFD", "crypto"),
            ("WHAT_USD", "CFD", "cfd"),
            ("WHAT_USD", "SOMETHING_NEW", "cfd"),
        ],
    )
    def test_its_type_says_too_little(self, name: str, told: str, kind: str):
        [found] = oanda.instruments([{"name": name, "type": told, "displayName": "x", "displayPrecision": 3}])
        assert (found.kind, found.symbol, found.decimals, found.volume_unit) == (kind, name, 3, "ticks")

    @pytest.mark.parametrize("precision", [None, "5", True, -1, 400, 2.5])
    def test_a_precision_that_is_none_is_unknown(self, precision: Any):
        [found] = oanda.instruments([{"name": "EUR_USD", "displayPrecision": precision}])
        assert found.decimals is None


HEADER = "symbol,name,exchange,assetType,ipoDate,delistingDate,status"


def listing(*lines: str, end: str = "\r\n") -> list[dict[str, str]]:
    return alpha_vantage.rows((end.join([HEADER, *lines]) + end).encode(), alpha_vantage.LISTING_COLUMNS)


class TestAlphaVantage:
    @pytest.mark.parametrize("end", ["\r\n", "\n"])
    def test_symbols_are_kept_as_they_come(self, end: str):
        symbols = [
            "A",
            "BRK-B",
            "BAC-P-Y-CL",
            "BC/PB",
            "NEE 6.219",
            "NXT(EXP20091224)",
            "DTV_1",
            "NAN",
            "TRUE",
            "-P-HIZ",
        ]
        active = listing(*(f"{one},Some Name,NYSE,Stock,1999-11-18,null,Active" for one in symbols), end=end)
        found = alpha_vantage.shares(active, [])
        assert [one.symbol for one in found] == symbols
        assert [identity_of("alpha_vantage", one.name).symbol for one in found] == symbols

    def test_null_is_nothing(self):
        [one] = alpha_vantage.shares(listing("AMEH,null,NASDAQ,ETF,null,null,Active"), [])
        assert (one.title, one.listed, one.delisted, one.status, one.kind) == ("", None, None, "listed", "fund")

    def test_a_symbol_given_anew_is_two_instruments(self):
        now = listing("FB,A Fund,BATS,ETF,2025-06-26,null,Active", "IBM,IBM,NYSE,Stock,1962-01-02,null,Active")
        gone = listing(
            "FB,A Company,NASDAQ,Stock,2012-05-18,2022-06-08,Delisted",
            "IBM,IBM,NYSE,Stock,1962-01-02,2020-01-01,Delisted",  # the same listing, twice
            "LEHX,Gone,NYSE,Stock,null,2008-09-15,Delisted",
            "LEHX,Gone before,NYSE,Stock,null,1999-09-15,Delisted",  # nothing tells them apart
            "ACI,Old,NYSE,Stock,1990-03-26,2020-09-01,Delisted",
        )
        found = {one.name: (one.title, one.delisted) for one in alpha_vantage.shares(now, gone)}
        assert found == {
            "FB": ("A Fund", None),
            "IBM": ("IBM", None),
            "FB@2012-05-18": ("A Company", "2022-06-08"),
            "LEHX": ("Gone", "2008-09-15"),
            "ACI": ("Old", "2020-09-01"),
        }

    def test_currencies_are_paired_with_dollars_and_euros(self):
        physical = [{"currency code": code, "currency name": code.lower()} for code in ("USD", "EUR", "CRC", "SBDf")]
        digital = [{"currency code": code, "currency name": code.lower()} for code in ("BTC", "T", "808")]
        found = {one.name: one for one in alpha_vantage.currencies(physical, digital)}
        assert {"USDCRC", "CRCUSD", "EURUSD", "USDEUR", "SBDFUSD", "BTCUSD", "BTCEUR", "T_USD", "808USD"} <= set(found)
        assert (found["CRCUSD"].kind, found["CRCUSD"].volume_unit) == ("fx", None)
        assert (found["T_USD"].kind, found["T_USD"].symbol, found["T_USD"].volume_unit) == (
            "crypto",
            "T/USD",
            "base units",
        )

    @pytest.mark.parametrize("body", [b"", b"<html>", b"a,b\r\n1,2\r\n", b"\x00" * 10, HEADER.encode()[:20]])
    def test_what_is_not_the_list_is_refused(self, body: bytes):
        with pytest.raises(NotJson):
            alpha_vantage.rows(body, alpha_vantage.LISTING_COLUMNS)

    def test_every_symbol_of_a_list_of_its_size_has_a_name_of_its_own(self):
        rows = listing(*(f"{symbol},n,NYSE,Stock,1999-11-18,null,Active" for symbol in a_list_of_that_size()))
        found = alpha_vantage.shares(rows, [])
        assert len(rows) == 12_722
        assert len({one.name for one in found}) == len(found) == len(rows)
        assert all(identity_of("alpha_vantage", one.name).symbol == one.symbol for one in found)

    async def test_it_is_read_from_four_lists(self, tmp_path: Path):
        market = Market({("IBM", 86_400): {}, ("EUR/USD", 86_400): {}, ("BTC/USD", 86_400): {}})
        with AlphaVantageExchange(market, key=KEY, premium=True) as exchange:
            exchange.delisted = [("FBX", "Gone", "NYSE", "Stock", "2012-05-18", "2022-06-08", "Delisted")]
            async with connected(exchange, tmp_path) as provider:
                found = {one.name: one.status for one in await provider.catalogue()}
        assert {"IBM": "listed", "EURUSD": "listed", "BTCUSD": "listed", "FBX": "delisted"}.items() <= found.items()

    @pytest.mark.parametrize(
        ("refusal", "kind"), [("invalid_key", CredentialsError), ("daily_quota", QuotaError), ("burst", RetriableError)]
    )
    async def test_an_error_with_a_200_is_an_error(self, refusal: str, kind: type[Exception], tmp_path: Path):
        from tests.fake_exchanges.alpha_vantage import REFUSALS

        key, text = REFUSALS[refusal] or ("", "")
        body = json.dumps({key: text.format(key=KEY, function="LISTING_STATUS")})
        with AlphaVantageExchange(Market(), key=KEY, premium=True) as exchange:
            exchange.fault(Fault.other_shape(body), times=None)
            async with connected(exchange, tmp_path) as provider:
                with pytest.raises(kind):
                    await provider.catalogue()


TESCO = {
    "1. symbol": "TSCO.LON",
    "2. name": "Tesco PLC",
    "3. type": "Equity",
    "4. region": "United Kingdom",
    "5. marketOpen": "08:00",
    "6. marketClose": "16:30",
    "7. timezone": "UTC+01",
    "8. currency": "GBX",
    "9. matchScore": "0.7273",
}
"""A match as recorded."""


class TestAlphaVantageSearch:
    def test_a_match_says_where_it_trades_in_which_currency_and_when(self):
        [found] = alpha_vantage.matches({"bestMatches": [TESCO]})
        assert (found.name, found.symbol, found.title, found.kind) == ("TSCO.LON", "TSCO.LON", "Tesco PLC", "equity")
        assert (found.region, found.quote, found.hours) == ("United Kingdom", "GBX", "08:00-16:30 UTC+01")
        assert (found.volume_unit, found.listed, found.status) == ("shares", None, "listed")

    @pytest.mark.parametrize("symbol", ["TSCO.LON", "MBG.DEX", "600104.SHH", "MRT-UN.TRT", "0R2V.LON", "BA", "ALSAR"])
    def test_its_name_leads_back_to_the_symbol(self, symbol: str):
        [found] = alpha_vantage.matches({"bestMatches": [TESCO | {"1. symbol": symbol}]})
        assert identity_of("alpha_vantage", found.name).symbol == found.symbol == symbol

    @pytest.mark.parametrize("kind", ["ETF", "Mutual Fund"])
    def test_a_fund_is_one(self, kind: str):
        assert alpha_vantage.matches({"bestMatches": [TESCO | {"3. type": kind}]})[0].kind == "fund"

    @given(
        st.dictionaries(st.sampled_from(sorted(TESCO)), st.none() | st.integers() | st.text(max_size=5)),
        st.lists(st.none() | st.integers() | st.text(max_size=3) | st.just([]) | st.just({}), max_size=3),
    )
    def test_a_field_of_another_kind_is_an_unknown_one(self, changed: dict[str, Any], noise: list[Any]):
        for found in alpha_vantage.matches({"bestMatches": [*noise, TESCO | changed]}):
            assert identity_of("alpha_vantage", found.name).symbol == found.symbol

    @pytest.mark.parametrize("body", [None, [], {}, {"bestMatches": None}, {"Information": "no"}])
    def test_what_is_no_answer_is_none(self, body: Any):
        assert alpha_vantage.matches(body) is None

    async def test_it_is_asked_in_one_request(self, tmp_path: Path):
        with AlphaVantageExchange(Market({("TSCO", 86_400): {}}), key=KEY, per_second=None) as exchange:
            exchange.elsewhere = [tuple(TESCO[key] for key in sorted(TESCO) if key[0] != "9")]
            async with connected(exchange, tmp_path) as provider:
                assert [one.name for one in await provider.search("tesco")] == ["TSCO.LON"]
                assert await provider.search("zzz") == []
        assert [seen.params["function"] for seen in exchange.requests] == ["SYMBOL_SEARCH"] * 2
        assert exchange.used_today == 2

    async def test_an_error_with_a_200_is_an_error(self, tmp_path: Path):
        with AlphaVantageExchange(Market(), key=KEY, daily_quota=0) as exchange:
            async with connected(exchange, tmp_path) as provider:
                with pytest.raises(QuotaError):
                    await provider.search("tesco")


def connected(exchange: AlphaVantageExchange, tmp_path: Path) -> AlphaVantageProvider:
    section = {"base_url": exchange.url, "requests_per_second": 1000}
    retry = {"attempts": 1, "base_delay_seconds": 0}
    return AlphaVantageProvider(KEY, {"data_dir": str(tmp_path), "alpha_vantage": section, "retry": retry})


def a_list_of_that_size() -> list[str]:
    """12,722 symbols in the proportions of the real list: 1,255 with hyphens, 17 of them another's without."""
    plain = [
        f"{a}{b}{c}{d}" for a in "ABCDEFGHIJKLMNOPQRSTUVWX" for b in "ABCDEFGHI" for c in "KLMNOPQ" for d in "RSTUVWX"
    ]
    hyphens = [f"{symbol[:3]}-{tail}" for symbol in plain[:400] for tail in ("P-A", "WS", "U")][:1_238]
    colliding = [f"{symbol[:2]}-{symbol[2:]}" for symbol in plain[:17]]
    odd = [
        "BC/PA",
        "BC/PB",
        "NEE 6.219",
        "SO 6.75 08-01-22",
        "NXT(EXP20091224)",
        "DTV_1",
        "INFO1",
        "ACWV:BAT",
        "-P-HIZ",
    ]
    tricky = ["ALSAR", "ABUSD", "XXEUR", "T", "F", "USD", "NAN", "TRUE", "INF", "A"]
    unique = list(dict.fromkeys([*odd, *tricky, *hyphens, *colliding, *plain]))
    more = [f"Z{number}" for number in range(12_722 - len(unique))]
    return [*unique, *more][:12_722]
