"""Coinbase catalogue: reads the list of products (docs.cdp.coinbase.com, "List Public Products").

Every number is text, an absent text is empty. The id of a future begins with a contract code, not with its base; its
volume counts contracts (a day's volume times contract_size times price is the day's turnover, to the cent). Status is
"online" for spot, "STANDARD" or empty for futures, so only the flags tell what trades. `new_at` is no listing day.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from ffe_core.calendars.coinbase import CONTRACTS
from ffe_core.errors import InputError
from ffe_core.instruments.model import Instrument, Kind, Status
from ffe_core.instruments.names import identity_of, stored_name

NAME = "coinbase"


def instruments(products: Sequence[Any]) -> list[Instrument]:
    """The products that have a name of their own; what cannot be read is left out."""
    return [found for product in products if isinstance(product, dict) and (found := _instrument(product))]


def _instrument(product: Mapping[str, Any]) -> Instrument | None:
    symbol = product.get("product_id")
    name = _name(symbol)
    if name is None or not isinstance(symbol, str):
        return None
    kind = _kind(product)
    future = product.get("future_product_details")
    root = future.get("contract_root_unit") if isinstance(future, dict) else None
    return Instrument(
        NAME,
        name,
        symbol,
        kind,
        title=_text(product, "base_name") or _text(product, "display_name"),
        base=_text(product, "base_currency_id") or (root if isinstance(root, str) else None) or None,
        quote=_text(product, "quote_currency_id") or None,
        exchange=_text(product, "product_venue") or None,
        decimals=_decimals(_text(product, "price_increment") or _text(product, "quote_increment")),
        volume_unit="contracts" if symbol.endswith(CONTRACTS) else "base units",
        status=_status(product),
        same_as=tuple(sorted(_aliases(product))),
    )


def _name(symbol: Any) -> str | None:
    try:
        return stored_name(NAME, identity_of(NAME, symbol))
    except InputError:
        return None


def _kind(product: Mapping[str, Any]) -> Kind:
    if product.get("product_type") == "SPOT" or "product_type" not in product:
        return "crypto"
    future = product.get("future_product_details")
    expires = future.get("contract_expiry_type") if isinstance(future, dict) else None
    return "perpetual" if expires == "PERPETUAL" or "-PERP" in str(product["product_id"]) else "future"


def _status(product: Mapping[str, Any]) -> Status:
    if product.get("is_disabled") is True or product.get("status") == "delisted":
        return "delisted"
    return "paused" if product.get("trading_disabled") is True else "listed"


def _aliases(product: Mapping[str, Any]) -> set[str]:
    """Stored names of the other products that are the same book."""
    others = [product.get("alias"), *(product["alias_to"] if isinstance(product.get("alias_to"), list) else ())]
    return {name for other in others if other and (name := _name(other))}


def _decimals(increment: str) -> int | None:
    try:
        exponent = Decimal(increment).normalize().as_tuple().exponent
    except InvalidOperation:
        return None
    return max(0, -exponent) if isinstance(exponent, int) else None


def _text(product: Mapping[str, Any], key: str) -> str:
    value = product.get(key)
    return value if isinstance(value, str) else ""
