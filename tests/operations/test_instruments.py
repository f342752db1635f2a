"""Does what people type find the instrument, and is nothing asked for that was not meant?"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ffe_core.errors import ProviderError, RetriableError
from ffe_core.instruments.model import Instrument
from ffe_core.operations.instruments.service import (
    AmbiguousInstrument,
    Instruments,
    SameBook,
    SymbolReused,
    UnknownInstrument,
)
from ffe_core.providers import PROVIDERS
from ffe_core.settings import Settings
from ffe_core.storage.state.audit import Audit
from ffe_core.storage.state.database import DATABASE_FILE, Database
from ffe_core.storage.state.instruments import catalogues

AV = "alpha_vantage"


def share(symbol: str, title: str = "", listed: str | None = "1999-11-18", **more: Any) -> Instrument:
    name = more.pop("name", symbol)
    return Instrument(AV, name, symbol, "equity", title, listed=listed, volume_unit="shares", **more)


def spot(symbol: str, **more: Any) -> Instrument:
    base, _, quote = symbol.partition("-")
    name = more.pop("name", f"{base}{quote}")
    return Instrument("coinbase", name, symbol, "crypto", base.title(), base, quote, **more)


SHARES = [
    share("BRK-B", "Berkshire Hathaway"),
    share("C-P-K", "Citigroup preferred"),
    share("CPK", "Chesapeake Utilities"),
    share("ALSAR", "A share", name="ALSAR.US"),
    share("FB", "A fund", "2025-06-26"),
    share("FB", "A company", "2012-05-18", name="FB@2012-05-18", delisted="2022-06-08", status="delisted"),
    share("GONE", "Went away", delisted="2020-01-02", status="delisted"),
]
PRODUCTS = [
    spot("BTC-USD", same_as=("BTCUSDC",)),
    spot("BTC-USDC", same_as=("BTCUSD",)),
    spot("ETH-USD"),
    spot("T-USD", name="T-USD"),
    spot("AB-CUSD", name="AB-CUSD"),
]


@pytest.fixture
def stored() -> set[tuple[str, str]]:
    return set()


@pytest.fixture
def found(tmp_path: Path, stored: set[tuple[str, str]]) -> Instruments:
    settings = Settings.load({"data_dir": str(tmp_path), "retry": {"attempts": 1}})
    made = Instruments(settings, Database(tmp_path / DATABASE_FILE), lambda provider, name: (provider, name) in stored)
    made.store.replace(AV, SHARES)
    made.store.replace("coinbase", PRODUCTS)
    return made


@pytest.mark.parametrize(
    ("provider", "typed", "name"),
    [
        (AV, "BRK-B", "BRK-B"),
        (AV, "brk.b", "BRK-B"),
        (AV, "BRKB", "BRK-B"),
        (AV, "CPK", "CPK"),
        (AV, "C-P-K", "C-P-K"),
        (AV, "C.P.K", "C-P-K"),
        (AV, "FB", "FB"),
        (AV, "ALSAR", "ALSAR.US"),
        (AV, "TSCO.LON", "TSCO.LON"),
        (AV, "EUR_USD", "EURUSD"),
        ("coinbase", "TUSD", "T-USD"),
        ("coinbase", "btc/usd", "BTCUSD"),
        ("coinbase", "BTCUSD", "BTCUSD"),
        ("coinbase", "ABCUSD", "AB-CUSD"),
    ],
)
def test_what_is_typed_finds_the_instrument(found: Instruments, provider: str, typed: str, name: str) -> None:
    [resolved] = found.resolve(provider, [typed])
    assert resolved.name == name


def test_a_name_is_resolved_once_in_the_order_typed(found: Instruments) -> None:
    names = [one.name for one in found.resolve("coinbase", ["ETHUSD", "tusd", "ETH-USD", "BTC/USD", "T-USD"])]
    assert names == ["ETHUSD", "T-USD", "BTCUSD"]


def test_where_two_fit_both_are_listed_with_what_to_type(found: Instruments) -> None:
    found.store.replace(AV, [share("AB-C", "One"), share("A-BC", "Other")])
    with pytest.raises(AmbiguousInstrument) as caught:
        found.resolve(AV, ["ABC"])
    assert caught.value.names == ("A-BC", "AB-C")
    for text in ("One", "Other", "A-BC or AB-C"):
        assert text in str(caught.value)
    for name in caught.value.names:
        assert found.resolve(AV, [name])[0].name == name


def test_an_unknown_name_of_a_whole_list_is_refused_with_the_nearest(found: Instruments) -> None:
    with pytest.raises(UnknownInstrument) as caught:
        found.resolve("coinbase", ["ETHUDS"])
    assert caught.value.nearest[0] == "ETH-USD"
    assert "ETH-USD" in str(caught.value)


def test_an_unknown_name_that_is_stored_is_asked_for_as_ever(found: Instruments, stored: set[tuple[str, str]]) -> None:
    stored.add(("coinbase", "OMGEUR"))
    [resolved] = found.resolve("coinbase", ["OMG-EUR"])
    assert (resolved.name, resolved.instrument) == ("OMGEUR", None)


def test_a_list_that_is_not_whole_refuses_nothing_and_says_so(found: Instruments) -> None:
    [resolved] = found.resolve(AV, ["BRKC"])
    assert resolved.name == "BRKC"
    assert resolved.note is not None
    assert "BRK-B" in resolved.note


def test_what_a_lake_holds_goes_on_meaning_what_it_meant(found: Instruments, stored: set[tuple[str, str]]) -> None:
    stored.add((AV, "ALSAR"))  # as the pair AL/SAR
    assert found.resolve(AV, ["ALSAR"])[0].name == "ALSAR"
    assert found.resolve(AV, ["ALSAR.US"])[0].name == "ALSAR.US"


def test_a_delisted_instrument_says_until_when(found: Instruments) -> None:
    [resolved] = found.resolve(AV, ["GONE"])
    assert resolved.note is not None
    assert "2020-01-02" in resolved.note


class TestOneBookUnderTwoNames:
    def test_both_at_once_are_refused(self, found: Instruments) -> None:
        with pytest.raises(SameBook, match="BTCUSDC"):
            found.resolve("coinbase", ["BTC-USD", "BTC-USDC"])

    def test_the_other_name_of_what_is_stored_is_refused(
        self, found: Instruments, stored: set[tuple[str, str]]
    ) -> None:
        stored.add(("coinbase", "BTCUSD"))
        with pytest.raises(SameBook):
            found.resolve("coinbase", ["BTC-USDC"])
        assert found.resolve("coinbase", ["BTC-USD"])[0].note

    def test_whoever_asks_for_it_gets_it(self, found: Instruments, stored: set[tuple[str, str]]) -> None:
        stored.add(("coinbase", "BTCUSD"))
        names = [one.name for one in found.resolve("coinbase", ["BTC-USDC", "BTC-USD"], allow_same_book=True)]
        assert names == ["BTCUSDC", "BTCUSD"]
        stored.add(("coinbase", "BTCUSDC"))
        assert found.resolve("coinbase", ["BTC-USDC"])[0].name == "BTCUSDC"  # it goes on


class TestASymbolGivenAnew:
    def bound(self, found: Instruments) -> None:
        found.store.replace(AV, [share("FB", "A company", "2012-05-18")])
        found.bind(AV, found.resolve(AV, ["FB"]))
        found.store.replace(AV, SHARES)

    def test_its_series_stops_and_says_how_to_go_on(self, found: Instruments) -> None:
        self.bound(found)
        with pytest.raises(SymbolReused, match="FB@2025-06-26") as caught:
            found.resolve(AV, ["FB"])
        assert "2012-05-18" in str(caught.value)

    def test_the_new_one_is_stored_apart(self, found: Instruments) -> None:
        self.bound(found)
        [resolved] = found.resolve(AV, ["FB@2025-06-26"])
        assert resolved.name == "FB@2025-06-26"
        assert resolved.instrument is not None
        assert resolved.instrument.title == "A fund"

    def test_the_old_one_cannot_be_asked_for(self, found: Instruments) -> None:
        with pytest.raises(SymbolReused):
            found.resolve(AV, ["FB@2012-05-18"])

    def test_a_corrected_day_can_be_accepted(self, found: Instruments) -> None:
        self.bound(found)
        found.accept_listing(AV, "FB")
        assert found.resolve(AV, ["FB"])[0].name == "FB"

    def test_binding_happens_once(self, found: Instruments) -> None:
        self.bound(found)
        resolved = [replace(found.resolve(AV, ["FB@2025-06-26"])[0], name="FB")]
        found.bind(AV, resolved)
        with pytest.raises(SymbolReused):
            found.resolve(AV, ["FB"])


# --- Copies


@pytest.fixture
def lists(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[float]]:
    """Lets a provider list these, or raise; the times at which it was asked."""

    def change(provider: str, *listed: Instrument | Exception) -> list[float]:
        asked: list[float] = []

        class Lists(PROVIDERS[provider]):  # type: ignore[misc]
            async def catalogue(self) -> list[Instrument]:
                asked.append(time.time())
                for one in listed:
                    if isinstance(one, Exception):
                        raise one
                return [one for one in listed if isinstance(one, Instrument)]

        monkeypatch.setitem(PROVIDERS, provider, Lists)
        return asked

    return change


def aged(found: Instruments, provider: str, days: float) -> None:
    with found.store._database.write() as connection:
        then = time.time() - days * 86_400
        connection.execute(
            catalogues.update().where(catalogues.c.provider == provider).values(read_at=then, tried_at=then)
        )


def test_an_unknown_name_has_an_old_list_read_anew(found: Instruments, lists: Callable[..., list[float]]) -> None:
    asked = lists("coinbase", *PRODUCTS, spot("NEW-USD"))
    with pytest.raises(UnknownInstrument):
        found.resolve("coinbase", ["NEW-USD"])  # the copy is of just now
    assert asked == []
    aged(found, "coinbase", 2)
    assert found.resolve("coinbase", ["NEW-USD"])[0].instrument is not None
    assert len(asked) == 1


def test_a_list_that_cannot_be_read_leaves_the_old_one(found: Instruments, lists: Callable[..., list[float]]) -> None:
    asked = lists("coinbase", RetriableError("nobody answers"))
    aged(found, "coinbase", 9)
    assert found.resolve("coinbase", ["ETHUSD"])[0].instrument is not None
    copy = found.catalogues.copy_of("coinbase")
    assert copy.error == "nobody answers"
    assert copy.age > 8 * 86_400
    found.resolve("coinbase", ["ETHUSD"])
    assert len(asked) == 1  # not again within the hour
    with pytest.raises(ProviderError):
        found.catalogues.refresh("coinbase")


def test_without_any_copy_a_name_is_taken_as_typed_and_nobody_is_asked(
    tmp_path: Path, lists: Callable[..., list[float]]
) -> None:
    asked = lists(AV, *SHARES)
    bare = Instruments(Settings.load({"data_dir": str(tmp_path)}), Database(tmp_path / DATABASE_FILE))
    for typed in ("BRK-B", "C-P-K", "USD/CRC"):
        [resolved] = bare.resolve(AV, [typed])
        assert (resolved.instrument, resolved.note) == (None, None)
    assert asked == []


def test_a_name_whose_form_says_too_little_has_the_list_read(tmp_path: Path, lists: Callable[..., list[float]]) -> None:
    asked = lists("coinbase", *PRODUCTS)
    bare = Instruments(Settings.load({"data_dir": str(tmp_path)}), Database(tmp_path / DATABASE_FILE))
    assert bare.resolve("coinbase", ["TUSD"])[0].name == "T-USD"
    assert len(asked) == 1


def test_a_list_that_drips_is_given_up(
    found: Instruments, monkeypatch: pytest.MonkeyPatch, lists: Callable[..., list[float]]
) -> None:
    lists("coinbase", TimeoutError())
    with pytest.raises(RetriableError, match="catalogue"):
        found.catalogues.refresh("coinbase")
    assert found.catalogues.copy_of("coinbase").error


def test_a_secret_in_an_error_is_not_kept(found: Instruments, lists: Callable[..., list[float]]) -> None:
    from ffe_core.redaction import register

    register("s3cr3t-of-the-list")
    lists("coinbase", RetriableError("refused s3cr3t-of-the-list"))
    with pytest.raises(RetriableError):
        found.catalogues.refresh("coinbase")
    assert "s3cr3t" not in (found.catalogues.copy_of("coinbase").error or "")


def test_search_finds_any_part_closest_first_and_delisted_last(found: Instruments) -> None:
    assert [one.name for one in found.search("fb", AV)] == ["FB", "FB@2012-05-18"]
    assert [one.name for one in found.search("hathaway berk")] == ["BRK-B"]
    assert [one.name for one in found.search("tusd")] == ["T-USD"]
    assert found.search("100%_") == []


# --- Behind the scenes, for pages


def read_behind(found: Instruments, provider: str) -> None:
    """Wait until nothing is read behind the scenes."""
    for thread in threading.enumerate():
        if thread.name == f"catalogue of {provider}":
            thread.join(10)
    assert not found.catalogues.is_reading(provider)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> tuple[threading.Event, list[float]]:
    """Coinbase lists one product more, and not before the event is set; the times at which it was asked."""
    may_answer, asked = threading.Event(), list[float]()

    class Lists(PROVIDERS["coinbase"]):  # type: ignore[misc]
        async def catalogue(self) -> list[Instrument]:
            asked.append(time.time())
            may_answer.wait(30)
            return [*PRODUCTS, spot("NEW-USD")]

    monkeypatch.setitem(PROVIDERS, "coinbase", Lists)
    return may_answer, asked


def test_a_page_never_waits_for_a_list(found: Instruments, slow: tuple[threading.Event, list[float]]) -> None:
    may_answer, asked = slow
    aged(found, "coinbase", 9)
    with pytest.raises(UnknownInstrument):
        found.resolve("coinbase", ["NEW-USD"], refresh=False)
    may_answer.set()
    read_behind(found, "coinbase")
    assert found.resolve("coinbase", ["NEW-USD"], refresh=False)[0].instrument is not None
    assert len(asked) == 1


def test_a_name_that_the_form_says_too_little_of_is_read_behind_the_scenes(
    tmp_path: Path, slow: tuple[threading.Event, list[float]]
) -> None:
    may_answer, _ = slow
    bare = Instruments(Settings.load({"data_dir": str(tmp_path)}), Database(tmp_path / DATABASE_FILE))
    assert [one.is_awaited for one in bare.resolve("coinbase", ["TUSD", "BTCUSD"], refresh=False)] == [True, False]
    may_answer.set()
    read_behind(bare, "coinbase")
    [resolved] = bare.resolve("coinbase", ["TUSD"], refresh=False)
    assert (resolved.name, resolved.is_awaited) == ("T-USD", False)


@pytest.mark.parametrize(
    ("listed", "outcome"), [((*PRODUCTS, spot("NEW-USD")), "done"), ((RetriableError("nobody answers"),), "failed")]
)
def test_reading_again_is_an_act_with_its_outcome(
    found: Instruments, lists: Callable[..., list[float]], listed: tuple[Any, ...], outcome: str
) -> None:
    audit = Audit(found.store._database)
    asked = lists("coinbase", *listed)
    found.catalogues.read_again("coinbase", audit, "ann")
    read_behind(found, "coinbase")
    [row] = audit.find()
    assert (row.actor, row.verb, row.target, row.outcome) == ("ann", "read catalogue", "coinbase", outcome)
    assert len(asked) == 1
    assert (found.catalogues.copy_of("coinbase").error is None) == (outcome == "done")


def test_what_is_refused_names_what_to_ask_for_instead(found: Instruments) -> None:
    with pytest.raises(UnknownInstrument) as caught:
        found.resolve("coinbase", ["ETHUDS"])
    assert caught.value.choices[0] == "ETH-USD"
    assert "ffe instruments" in str(caught.value)
    assert "ffe instruments" not in caught.value.said


@pytest.mark.parametrize("refresh", [True, False])
def test_a_first_list_that_comes_while_a_name_is_looked_up_refuses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refresh: bool
) -> None:
    bare = Instruments(Settings.load({"data_dir": str(tmp_path)}), Database(tmp_path / DATABASE_FILE))
    looked_up = bare._candidates

    def and_then_it_comes(*asked: str) -> list[Instrument]:
        found = looked_up(*asked)
        bare.store.replace("coinbase", PRODUCTS)
        return found

    monkeypatch.setattr(bare.catalogues, "refresh_in_background", lambda provider: None)
    monkeypatch.setattr(bare, "_candidates", and_then_it_comes)
    [resolved] = bare.resolve("coinbase", ["ETHUSD"], refresh=refresh)
    assert resolved.name == "ETHUSD"


class Endless(PROVIDERS["coinbase"]):  # type: ignore[misc]
    """Says that it is asked, and never answers."""

    asked = threading.Event()

    async def catalogue(self) -> list[Instrument]:
        self.asked.set()
        await asyncio.sleep(60)
        return []


def test_closing_breaks_off_what_is_read_behind_the_scenes(found: Instruments, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PROVIDERS, "coinbase", Endless)
    aged(found, "coinbase", 9)
    found.catalogues.refresh_in_background("coinbase")
    assert Endless.asked.wait(10)
    found.catalogues.close()
    assert not found.catalogues.is_reading("coinbase")
    assert found.catalogues.copy_of("coinbase").error is None
    found.catalogues.refresh_in_background("coinbase")
    assert not found.catalogues.is_reading("coinbase")


def test_reading_again_that_was_broken_off_is_an_act_that_failed(
    found: Instruments, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PROVIDERS, "coinbase", Endless)
    Endless.asked.clear()
    audit = Audit(Database(tmp_path / DATABASE_FILE))
    found.catalogues.read_again("coinbase", audit, "ann")
    assert Endless.asked.wait(10)
    found.catalogues.close()
    [row] = audit.find()
    assert (row.verb, row.outcome) == ("read catalogue", "failed")
