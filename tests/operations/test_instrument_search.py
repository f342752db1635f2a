"""Is a name that no list has found at its provider when somebody asks, and kept beside the list?"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ffe_core.errors import InputError, QuotaError
from ffe_core.instruments.model import Instrument
from ffe_core.operations.instruments.search import Answer, InstrumentSearch
from ffe_core.operations.instruments.service import Instruments
from ffe_core.settings import Settings
from ffe_core.storage.state.audit import Audit
from ffe_core.storage.state.database import DATABASE_FILE, Database
from tests.fake_exchanges import AlphaVantageExchange, Market

AV, KEY = "alpha_vantage", "SEARCHKEY12345"
LONDON = ("Equity", "United Kingdom", "08:00", "16:30", "UTC+01", "GBX")
US = Instrument(AV, "TSCO", "TSCO", "equity", "Tractor Supply", listed="1994-02-18")


@pytest.fixture
def exchange() -> Iterator[AlphaVantageExchange]:
    with AlphaVantageExchange(Market({("TSCO", 86_400): {}}), key=KEY, per_second=None) as running:
        running.elsewhere = [("TSCO.LON", "Tesco PLC", *LONDON), ("0LC2.LON", "Tesla Inc", *LONDON)]
        yield running


@pytest.fixture
def audit(tmp_path: Path) -> Audit:
    return Audit(Database(tmp_path / DATABASE_FILE))


@pytest.fixture
def search(tmp_path: Path, exchange: AlphaVantageExchange, audit: Audit) -> InstrumentSearch:
    section = {"base_url": exchange.url, "api_key": KEY, "requests_per_second": 1000}
    retry = {"attempts": 1, "base_delay_seconds": 0}
    settings = Settings.load({"data_dir": tmp_path, AV: section, "retry": retry})
    instruments = Instruments(settings, Database(tmp_path / DATABASE_FILE))
    instruments.store.replace(AV, [US])
    return InstrumentSearch(instruments, audit)


def joined() -> None:
    for thread in threading.enumerate():
        if thread.name == f"catalogue of {AV}":
            thread.join(10)


def acts(audit: Audit) -> list[tuple[str, str, str, object]]:
    return [(row.verb, row.target, row.outcome, row.details.get("found")) for row in audit.find()]


def test_what_is_found_is_kept_and_resolved_from_then_on(search: InstrumentSearch, audit: Audit) -> None:
    instruments = search._instruments
    assert "does not list" in (instruments.resolve(AV, ["TSCO.LON"])[0].note or "")
    assert search.ask(AV, "tesco", "ann") == Answer("tesco", ("TSCO.LON", "0LC2.LON"))
    [resolved] = instruments.resolve(AV, ["tsco.lon"])
    assert (resolved.note, resolved.instrument and resolved.instrument.region) == (None, "United Kingdom")
    assert [one.name for one in instruments.search("tesco", AV)] == ["TSCO.LON"]
    assert instruments.resolve(AV, ["TSCO"])[0].instrument == US
    assert acts(audit) == [("search instruments", AV, "done", 2)]


def test_what_has_the_text_in_neither_symbol_nor_name_is_shown_after_the_rest(search: InstrumentSearch) -> None:
    assert [one.name for one in search.search("tesco", AV, 50)] == []
    search.ask(AV, "tesco", "ann")
    assert [one.name for one in search.search("tesco", AV, 50)] == ["TSCO.LON", "0LC2.LON"]
    assert [one.name for one in search.search("tesco", AV, 1)] == ["TSCO.LON"]
    assert [one.name for one in search.search("tesc", AV, 50)] == ["TSCO.LON"]


def test_it_stays_when_the_list_is_read_again_and_gives_way_to_what_that_lists(search: InstrumentSearch) -> None:
    search.ask(AV, "tesco", "ann")
    store = search._instruments.store
    listed = Instrument(AV, "0LC2.LON", "0LC2.LON", "equity", "Listed now")
    store.replace(AV, [US, listed])
    assert store.count(AV) == 2
    assert store.get(AV, "TSCO.LON") is not None
    assert store.get(AV, "0LC2.LON") == listed
    search.ask(AV, "tesco", "ann")
    assert (store.get(AV, "0LC2.LON"), store.count(AV)) == (listed, 2)


def test_what_was_found_is_no_list(search: InstrumentSearch) -> None:
    store = search._instruments.store
    store.replace(AV, [])
    search.ask(AV, "tesco", "ann")
    assert store.count(AV) == 0
    assert search._instruments.resolve(AV, ["WHATEVER"])[0].note is None


def test_a_failure_is_raised_told_and_on_record(
    search: InstrumentSearch, exchange: AlphaVantageExchange, audit: Audit
) -> None:
    exchange.daily_quota = 0
    with pytest.raises(QuotaError):
        search.ask(AV, "tesco", "ann")
    last = search.last(AV)
    assert last is not None
    assert "daily quota" in (last.error or "")
    assert KEY not in str(last)
    assert acts(audit) == [("search instruments", AV, "failed", None)]


@pytest.mark.parametrize("text", ["", "  ", "x" * 81])
def test_a_text_that_cannot_be_searched_for_is_no_act(search: InstrumentSearch, audit: Audit, text: str) -> None:
    with pytest.raises(InputError, match="1 to 80 characters"):
        search.ask(AV, text, "ann")
    assert acts(audit) == []


def test_behind_the_scenes_it_comes_to_the_same(search: InstrumentSearch, audit: Audit) -> None:
    search.ask_in_background(AV, "tesco", "ann")
    joined()
    assert search.last(AV) == Answer("tesco", ("TSCO.LON", "0LC2.LON"))
    assert acts(audit) == [("search instruments", AV, "done", 2)]


def test_while_the_provider_is_being_asked_it_is_not_asked_again(
    search: InstrumentSearch, exchange: AlphaVantageExchange, audit: Audit
) -> None:
    goes_on = threading.Event()
    assert search._instruments.catalogues.start_reading(AV, lambda provider: goes_on.wait(10))
    with pytest.raises(InputError, match="is being asked at this moment"):
        search.ask_in_background(AV, "tesco", "ann")
    goes_on.set()
    joined()
    assert (exchange.count(), search.last(AV)) == (0, None)
    assert acts(audit) == [("search instruments", AV, "failed", None)]


def test_only_some_providers_can_be_searched(search: InstrumentSearch) -> None:
    assert [name for name in ("coinbase", "oanda", AV, "simulated") if search.can_ask(name)] == [AV]
