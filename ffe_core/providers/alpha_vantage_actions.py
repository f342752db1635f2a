"""Alpha Vantage's SPLITS and DIVIDENDS of a share (alphavantage.co/documentation): `symbol`, and `data` as a list.

An entry of SPLITS has `effective_date` and `split_factor` ("7.0000", new shares for an old one), one of DIVIDENDS
`ex_dividend_date` and `amount` beside days of declaration, record and payment. Every value is a text.
"""

from __future__ import annotations

from typing import Any

from ffe_core.providers import alpha_vantage_notices as notices
from ffe_core.providers.echo import check_echo
from ffe_core.providers.http_provider import unknown_pair

SPLITS, DIVIDENDS = "SPLITS", "DIVIDENDS"
_FIELDS = {SPLITS: ("effective_date", "split_factor"), DIVIDENDS: ("ex_dividend_date", "amount")}
Entry = tuple[str, str]
"""The ex-day and the value, as sent."""


def entries(body: Any, function: str, symbol: str) -> list[Entry]:
    """The entries of an answer as sent, a missing field as an empty text.

    PermanentError for a symbol that it does not know, which it answers with an empty object, WrongAnswer for one about
    another symbol; what another body without a list means is raised as for candles.
    """
    if body == {}:
        raise unknown_pair(notices.NAME, symbol, "its answer was {}")
    sent = body.get("data") if isinstance(body, dict) else None
    if not isinstance(sent, list):
        raise notices.error_in(body, function, symbol)
    check_echo(notices.NAME, {"symbol": symbol}, {"symbol": body.get("symbol")})
    day, value = _FIELDS[function]
    return [(_text(one, day), _text(one, value)) for one in sent]


def _text(sent: Any, field: str) -> str:
    value = sent.get(field) if isinstance(sent, dict) else None
    return "" if value is None else str(value).strip()
