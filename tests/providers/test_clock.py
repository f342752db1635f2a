"""Tests that a provider's clock is read out of its answers, steadily, and that no nonsense is believed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path

import pytest

from ffe_core import times
from ffe_core.providers import clock as clock_module
from ffe_core.providers.clock import TOLERANCE, ProviderClock, shared_clock
from tests.fake_exchanges import Fault, Market
from tests.providers.contract import NOW
from tests.providers.test_http import Scripted, client


class Watch:
    """Both local clocks, turned by hand: `local` can be set, `steady` only goes on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.local, self.steady = float(NOW), 1000.0
        monkeypatch.setattr(times, "now", lambda: int(self.local))
        monkeypatch.setattr(clock_module, "ticks", lambda: self.steady)

    def go_on(self, seconds: float) -> None:
        self.local += seconds
        self.steady += seconds


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    return Watch(monkeypatch)


def answered(clock: ProviderClock, watch: Watch, instant: float, took: float = 0.2, **headers: str) -> None:
    """An answer made at `instant` of the provider's clock, halfway between sent and received."""
    sent = watch.steady
    watch.go_on(took)
    date = {"date": formatdate(instant, usegmt=True)}
    clock.observe({**date, **headers}, sent, watch.steady)


def test_without_an_answer_it_is_the_local_one(watch: Watch) -> None:
    clock = ProviderClock()
    assert (clock.now(), clock.skew) == (NOW, 0.0)


@pytest.mark.parametrize("ahead", [-1.0, 0.0, 1.0])
def test_a_second_more_or_less_is_no_difference(watch: Watch, ahead: float) -> None:
    clock = ProviderClock()
    answered(clock, watch, NOW - ahead)
    assert (clock.now(), clock.skew) == (NOW, 0.0)


@pytest.mark.parametrize("ahead", [-864_000, -60, -10, 10, 120, 240, 86_400])
def test_a_local_clock_that_is_off_is_corrected(watch: Watch, ahead: int) -> None:
    clock = ProviderClock()
    answered(clock, watch, NOW - ahead)
    assert clock.skew == pytest.approx(ahead, abs=1)
    assert clock.now() == pytest.approx(NOW - ahead, abs=1)
    watch.go_on(600)
    assert clock.now() == pytest.approx(NOW - ahead + 600, abs=1)


def test_a_local_clock_that_is_set_meanwhile_changes_nothing(watch: Watch) -> None:
    clock = ProviderClock()
    answered(clock, watch, NOW)
    for step in (-3600, 7200, -864_000):
        watch.local += step
        watch.go_on(10)
        assert clock.now() == pytest.approx(NOW + (watch.steady - 1000), abs=2)
    assert clock.skew == pytest.approx(-3600 + 7200 - 864_000, abs=2)


def test_several_answers_narrow_it_down(watch: Watch) -> None:
    clock, theirs = ProviderClock(), NOW - 100.4
    for took in (3.0, 0.3, 1.0, 0.2):
        answered(clock, watch, theirs + watch.steady - 1000 + took / 2, took)
    assert clock.skew == pytest.approx(100.4, abs=1.0)


def test_a_provider_that_sets_its_clock_is_followed(watch: Watch) -> None:
    clock = ProviderClock()
    answered(clock, watch, NOW - 100)
    answered(clock, watch, NOW - 500)
    assert clock.skew == pytest.approx(500, abs=2)


@pytest.mark.parametrize(
    "headers",
    [
        {"age": "250"},
        {"age": "nonsense"},
        {"date": ""},
        {"date": "yesterday"},
        {"date": "Thu, 01 Jan 1970 00:00:00 GMT"},
        {"date": "Fri, 31 Dec 2300 23:59:59 GMT"},
        {"date": "Fri, 99 Dec 99999 23:59:59 GMT"},
    ],
)
def test_a_date_of_a_cache_or_of_another_century_is_not_believed(watch: Watch, headers: dict[str, str]) -> None:
    clock = ProviderClock()
    answered(clock, watch, NOW - 300, **headers)
    assert clock.skew == 0.0


def test_an_age_of_0_is_no_cache(watch: Watch) -> None:
    clock = ProviderClock()
    answered(clock, watch, NOW - 300, age="0")
    assert clock.skew == pytest.approx(300, abs=1)


def test_an_answer_of_long_ago_says_nothing(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does one from before a sleep in which the steady count stood still."""
    clock = ProviderClock()
    answered(clock, watch, NOW - 300)
    watch.go_on(1000)
    assert clock.skew == 0.0
    answered(clock, watch, watch.local - 300)
    monkeypatch.setattr(clock_module, "COUNTS_SLEEP", False)
    assert clock.skew == pytest.approx(300, abs=1)
    watch.local += 8 * 3600
    assert clock.skew == 0.0


def test_what_a_provider_says_of_its_own_time_counts_more_than_a_date_for_a_while(watch: Watch) -> None:
    clock = ProviderClock()
    clock.contradict(NOW - 200)
    answered(clock, watch, NOW)
    assert clock.skew == pytest.approx(200, abs=1)
    watch.go_on(1000)
    answered(clock, watch, watch.local)
    assert clock.skew == 0.0


def test_one_clock_belongs_to_a_provider_at_an_address() -> None:
    assert shared_clock("acme", "http://a") is shared_clock("acme", "http://a")
    assert shared_clock("acme", "http://a") is not shared_clock("acme", "http://b")


@pytest.fixture
def server() -> Iterator[Scripted]:
    with Scripted(Market(), now=lambda: times.now() - 240) as running:
        yield running


@pytest.mark.parametrize("fault", [None, Fault.http(404), Fault.html()])
async def test_any_answer_tells_it(server: Scripted, tmp_path: Path, fault: Fault | None) -> None:
    if fault:
        server.fault(fault, times=None)
    config = {"retry": {"attempts": 1}, "http": {"read_timeout_seconds": 30}}
    async with client(server, tmp_path, config) as acme:
        await asyncio.gather(acme.get("/", {}), return_exceptions=True)
        assert acme.clock.skew == pytest.approx(240, abs=TOLERANCE)
