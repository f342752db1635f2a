"""Does one request tell apart what keeps a provider from being asked?"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ffe_core.errors import InputError
from ffe_core.operations.settings.connection import Connection, Verdict, check_connection
from ffe_core.providers import oanda
from ffe_core.settings import Settings
from ffe_core.storage.state.audit import Audit
from ffe_core.storage.state.database import Database
from tests.fake_exchanges import AlphaVantageExchange, CoinbaseExchange, Fault, Market, OandaExchange, generated

NOW = 1_704_067_200 + 10 * 86_400
DAYS = generated(NOW - 9 * 86_400, NOW, 86_400)


def asked(tmp_path: Path, provider: str, **section: Any) -> Connection:
    database = Database(tmp_path / "console.db")
    settings = Settings.load({"data_dir": str(tmp_path), provider: section})
    try:
        found = check_connection(settings, Audit(database), provider, "ann")
        [row] = Audit(database).find(verb="test connection")
        assert (row.actor, row.target, row.details["verdict"]) == ("ann", provider, found.verdict)
        return found
    finally:
        database.close()


def test_a_provider_that_answers_works_at_the_cost_of_one_request(tmp_path: Path) -> None:
    with CoinbaseExchange(Market({("BTC-USD", 86_400): DAYS})) as exchange:
        found = asked(tmp_path, "coinbase", base_url=exchange.url)
        assert (found.verdict, found.works, len(exchange.requests)) == (Verdict.WORKS, True, 1)


def test_a_clock_that_is_off_is_said_by_how_much(tmp_path: Path) -> None:
    market = Market({("BTC-USD", 86_400): DAYS})
    with CoinbaseExchange(market, date=lambda: time.time() - 300) as exchange:
        found = asked(tmp_path, "coinbase", base_url=exchange.url)
    assert (found.verdict, found.works) == (Verdict.CLOCK_OFF, True)
    assert re.search(r"\b(299|300|301) s ahead of", found.said)


@pytest.mark.parametrize(
    ("fault", "verdict"),
    [
        (Fault.http(401), Verdict.WRONG_KEY),
        (Fault.maintenance(), Verdict.BUSY),
        (Fault.rate_limited(1), Verdict.BUSY),
        (Fault.html(), Verdict.BUSY),
        (Fault.http(404), Verdict.REFUSED),
    ],
)
def test_a_refusal_is_told_apart(tmp_path: Path, fault: Fault, verdict: Verdict) -> None:
    with CoinbaseExchange(Market({("BTC-USD", 86_400): DAYS})) as exchange:
        exchange.fault(fault, times=None)
        assert asked(tmp_path, "coinbase", base_url=exchange.url).verdict == verdict
        assert len(exchange.requests) == 1


def test_nobody_there_is_no_network(tmp_path: Path) -> None:
    found = asked(tmp_path, "coinbase", base_url="http://127.0.0.1:9")
    assert (found.verdict, found.works) == (Verdict.NO_NETWORK, False)


def test_a_key_that_is_missing_costs_nothing(tmp_path: Path) -> None:
    found = asked(tmp_path, "oanda")
    assert (found.verdict, found.seconds) == (Verdict.NO_KEY, 0.0)
    assert "FFE_OANDA__API_TOKEN" in found.said


@pytest.fixture
def both_environments(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """OANDA's two hosts, each with a token of its own."""
    market = Market({("EUR_USD", 86_400): DAYS})
    with OandaExchange(market, token="practice-one") as practice, OandaExchange(market, token="live-one") as live:
        monkeypatch.setattr(oanda, "_HOSTS", {"practice": practice.url, "live": live.url})
        yield


@pytest.mark.usefixtures("both_environments")
def test_a_token_of_the_other_environment_says_which(tmp_path: Path) -> None:
    found = asked(tmp_path, "oanda", api_token="live-one")
    assert found.verdict == Verdict.WRONG_ENVIRONMENT
    assert "FFE_OANDA__ENVIRONMENT=live" in found.said


@pytest.mark.usefixtures("both_environments")
def test_a_token_of_neither_is_wrong(tmp_path: Path) -> None:
    found = asked(tmp_path, "oanda", api_token="some-other-token")
    assert found.verdict == Verdict.WRONG_KEY
    assert "some-other-token" not in repr(found)


def test_a_used_up_quota_is_told(tmp_path: Path) -> None:
    with AlphaVantageExchange(Market({("EUR/USD", 86_400): DAYS}), daily_quota=0) as exchange:
        found = asked(tmp_path, "alpha_vantage", base_url=exchange.url, api_key="av-key")
    assert found.verdict == Verdict.QUOTA


def test_an_unknown_provider_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nobody"):
        asked(tmp_path, "nobody")
