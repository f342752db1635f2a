"""Settings of the providers, one section each, known without loading a provider."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from ffe_core.sources import checked_http_url

Rate = Annotated[float, Field(gt=0, le=10_000, allow_inf_nan=False)]
"""Requests a second."""


class ProviderSettings(BaseModel):
    """Settings every provider has; a provider's own subclass adds its keys and its defaults."""

    model_config = ConfigDict(defer_build=True)  # most commands ask no provider

    base_url: str = ""
    requests_per_second: Rate = 1.0

    @field_validator("base_url")
    @classmethod
    def _has_a_scheme(cls, url: str) -> str:
        if url and ("@" in url or "?" in url or "#" in url):
            raise ValueError("must be the part of the address before the provider's own path, without credentials")
        return checked_http_url(url) if url else url


class SimulatedSettings(BaseModel):
    """Section `simulated`: another `seed` is another market; `broken_records` is the share of bars sent broken.

    `latency_seconds` is slept per request. Without `requests_per_second` requests are not paced.
    """

    model_config = ConfigDict(defer_build=True)

    seed: int = Field(0, ge=-(2**63), lt=2**63)
    broken_records: float = Field(0.0005, ge=0, le=1, allow_inf_nan=False)
    latency_seconds: Annotated[float, Field(ge=0, le=3600, allow_inf_nan=False)] = 0.0
    requests_per_second: Rate | None = None


class CoinbaseSettings(ProviderSettings):
    """The section `coinbase`: no key; the published limit is 10 requests a second."""

    base_url: str = "https://api.coinbase.com"
    requests_per_second: Rate = 10.0


class OandaSettings(ProviderSettings):
    """The section `oanda`. 120 requests a second are allowed, 100 on kept connections are recommended."""

    api_token: str = ""
    environment: Literal["practice", "live"] = "practice"
    requests_per_second: Rate = 100.0


class AlphaVantageSettings(ProviderSettings):
    """The section `alpha_vantage`. A free key may ask once a second (and 25 times a day)."""

    base_url: str = "https://www.alphavantage.co"
    api_key: str = ""
    requests_per_second: Rate = 1.0
    requests_per_day: int | None = Field(25, ge=1, le=10_000_000)
    """The free key's; set it to what a premium key allows, or to nothing."""


SECTIONS: dict[str, type[BaseModel]] = {
    "simulated": SimulatedSettings,
    "coinbase": CoinbaseSettings,
    "oanda": OandaSettings,
    "alpha_vantage": AlphaVantageSettings,
}
"""Name of each provider -> its section, whose values are checked at start and whose names are told from slips."""
