"""Currency codes: money of states, metals, coins, and the quotes that a name without separators may end with."""

from __future__ import annotations

STATES = frozenset(
    "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF"
    " CLF CLP CNH CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GGP GHS GIP GMD GNF GTQ GYD"
    " HKD HNL HRK HTG HUF IDR ILS IMP INR IQD IRR ISK JEP JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR"
    " LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRO MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK"
    " PHP PKR PLN PYG QAR RON RSD RUB RUR RWF SAR SBD SBDF SCR SDG SDR SEK SGD SHP SLE SLL SOS SRD SSP STD STN SVC SYP"
    " SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VEF VES VND VUV WST XAF XCD XDR XOF XPF YER ZAR ZMW"
    " ZWL".split()
)
"""ISO 4217, with those of its past that lists of today still name, and SBDF and SDR as Alpha Vantage writes them."""
METALS = frozenset({"XAU", "XAG", "XPT", "XPD", "XCU"})
STABLE = ("USDT", "USDC", "DAI", "PYUSD")
COINS = frozenset(
    "BTC ETH LTC BCH XRP SOL ADA DOGE DOT AVAX LINK UNI MATIC POL XLM ATOM ALGO AAVE NEAR FIL ETC SHIB TRX BNB".split()
)
COMMODITIES = frozenset({"WTICO", "BCO", "NATGAS", "CORN", "SOYBN", "SUGAR", "WHEAT"})
_USUAL = (
    "USD EUR GBP JPY CHF CAD AUD NZD SEK NOK DKK PLN CZK HUF TRY ZAR MXN SGD HKD CNH CNY INR THB KRW BRL ILS RUB RON"
    " AED SAR PHP IDR MYR TWD CLP COP"
).split()
QUOTES = (*sorted(STABLE, key=len, reverse=True), *sorted(_USUAL), "BTC", "ETH")
"""What the end of a name without separators is taken for, the longest first: BTCUSDT is BTC and USDT, never BTCU and
SDT. Never add to it or take away: it says what the names in every lake mean."""
KNOWN = STATES | METALS | COINS | {*STABLE}
