"""Reading a catalogue from the command line is an act with a name."""

from __future__ import annotations

import json
from pathlib import Path

from ffe_core.storage.state.audit import Audit
from ffe_core.storage.state.database import DATABASE_FILE, Database
from tests.cli.test_backfill import run
from tests.fake_exchanges import AlphaVantageExchange, Market


def test_a_catalogue_that_is_read_by_hand_is_in_the_audit(tmp_path: Path) -> None:
    assert run(tmp_path, "instruments", "--refresh", "--provider", "simulated", "btc").returncode == 0
    [row] = Audit(Database(tmp_path / DATABASE_FILE)).find()
    assert (row.verb, row.target, row.outcome) == ("read catalogue", "simulated", "done")


def test_what_alpha_vantage_does_not_list_is_searched_for_when_it_is_refreshed(tmp_path: Path) -> None:
    with AlphaVantageExchange(Market({("TSCO", 86_400): {}}), key="CLISEARCHKEY1", per_second=None) as exchange:
        london = ("Equity", "United Kingdom", "08:00", "16:30", "UTC+01", "GBX")
        exchange.elsewhere = [("TSCO.LON", "Tesco PLC", *london)]
        env = {"FFE_ALPHA_VANTAGE__BASE_URL": exchange.url, "FFE_ALPHA_VANTAGE__API_KEY": "CLISEARCHKEY1"}
        env["FFE_ALPHA_VANTAGE__REQUESTS_PER_SECOND"] = "1000"

        def asked(*words: str) -> list[str]:
            """The functions that a command asks for."""
            exchange.reset()
            done = run(tmp_path, "instruments", "--provider", "alpha_vantage", *words, "--json", **env)
            document.update(json.loads(done.stdout))
            return [seen.params["function"] for seen in exchange.requests if seen.path == "/query"]

        document: dict[str, list[dict[str, str]]] = {}
        assert asked("tesco", "--refresh") == ["LISTING_STATUS", "LISTING_STATUS", "SYMBOL_SEARCH"]
        [found] = document["instruments"]
        shown = (found["name"], found["region"], found["quote"], found["hours"])
        assert shown == ("TSCO.LON", "United Kingdom", "GBX", "08:00-16:30 UTC+01")
        assert asked("tesco", "--refresh") == ["SYMBOL_SEARCH"]  # the list was read today
        assert asked("TSCO.LON", "--refresh") == asked("TSCO", "--refresh") == asked("tesco") == []
        assert asked("--refresh") == ["LISTING_STATUS", "LISTING_STATUS"]
        table = run(tmp_path, "instruments", "--provider", "alpha_vantage", "tesco", **env).stdout
        assert "United Kingdom" in table
        assert "GBX" in table
