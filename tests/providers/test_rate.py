"""Tests that no provider is ever asked faster than its pace allows, by whoever shares it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from filelock import FileLock
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from ffe_core.providers import rate as rate_module
from ffe_core.providers.rate import Pace, shared_pace
from tests.pace import examples
from tests.processes import at_once

START = 1_700_000_000.0


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock jumps to the next timer instead of waiting for it."""

    def __init__(self) -> None:
        super().__init__()
        self.clock, self.wall = 0.0, START
        select = self._selector.select
        self._selector = _Jumping(self, self._selector, select)

    def time(self) -> float:
        return self.clock


class _Jumping:
    def __init__(self, loop: VirtualLoop, selector: Any, select: Callable[[float], Any]) -> None:
        self._loop, self._inner, self._select = loop, selector, select

    def select(self, timeout: float | None = None) -> Any:
        self._loop.clock += timeout or 0.0
        return self._select(0)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def _clocks(loop: VirtualLoop) -> SimpleNamespace:
    return SimpleNamespace(time=lambda: loop.wall + loop.clock, monotonic=lambda: loop.clock)


@pytest.fixture
def loop(monkeypatch: pytest.MonkeyPatch) -> Iterator[VirtualLoop]:
    virtual = VirtualLoop()
    monkeypatch.setattr(rate_module, "time", _clocks(virtual))
    yield virtual
    virtual.close()


def sent_at(loop: VirtualLoop, *waits: Awaitable[Any]) -> list[float]:
    """Seconds after the start at which each wait was over, sorted."""

    async def one(wait: Awaitable[Any]) -> float:
        await wait
        return loop.time()

    async def all_of_them() -> list[float]:
        return sorted(await asyncio.gather(*map(one, waits)))

    return loop.run_until_complete(all_of_them())


@hypothesis_settings(max_examples=examples(30), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rate=st.floats(0.01, 1000), count=st.integers(1, 20))
def test_requests_go_out_at_the_rate_and_never_closer(loop: VirtualLoop, rate: float, count: int) -> None:
    loop.clock = 0.0
    pace = Pace(rate)
    sent = sent_at(loop, *(pace.wait() for _ in range(count)))
    assert sent[0] == 0
    assert all(after - before >= 1 / rate - 1e-6 for before, after in pairwise(sent))
    assert sent[-1] <= (count - 1) / rate * 1.05 + 1e-5


def test_no_burst_follows_a_pause(loop: VirtualLoop) -> None:
    pace = Pace(10.0)
    sent_at(loop, pace.wait())
    loop.clock += 60
    sent = sent_at(loop, *(pace.wait() for _ in range(3)))
    assert all(after - before >= 0.1 for before, after in pairwise(sent))


def test_a_slot_given_up_for_a_hold_back_is_not_lost(loop: VirtualLoop) -> None:
    pace = Pace(1.0)
    pace._change(pace._take)

    async def hold_back_shortly_before_the_slot() -> None:
        await asyncio.sleep(1.0)
        pace.hold_back(0.5)

    assert sent_at(loop, pace.wait(), hold_back_shortly_before_the_slot())[-1] == pytest.approx(1.5)


def test_a_hold_back_stops_even_those_who_have_a_slot(loop: VirtualLoop) -> None:
    pace = Pace(1.0)

    async def hold_back_after(seconds: float) -> None:
        await asyncio.sleep(seconds)
        pace.hold_back(10.0)

    sent = sent_at(loop, hold_back_after(1.5), *(pace.wait() for _ in range(6)))
    sent.remove(1.5)
    assert len(sent) == 6
    assert [at for at in sent if 1.5 < at < 11.5] == []
    assert all(after - before >= 1.0 for before, after in pairwise(sent))


def test_a_shorter_hold_back_does_not_end_a_longer_one(loop: VirtualLoop) -> None:
    pace = Pace(1.0)
    pace.hold_back(30.0)
    pace.hold_back(1.0)
    assert sent_at(loop, pace.wait()) == [pytest.approx(30.0)]


def test_two_paces_of_one_file_share_their_slots_and_hold_backs(loop: VirtualLoop, tmp_path: Path) -> None:
    one, other = Pace(2.0, tmp_path / "pace"), Pace(2.0, tmp_path / "pace")
    sent = sent_at(loop, one.wait(), other.wait(), one.wait(), other.wait())
    assert all(after - before >= 0.5 - 1e-5 for before, after in pairwise(sent))
    one.hold_back(20.0)
    before = loop.time()
    sent_at(loop, other.wait())
    assert loop.time() - before == pytest.approx(20.0, abs=1e-3)


def test_a_very_slow_rate_is_kept_too(loop: VirtualLoop, tmp_path: Path) -> None:
    pace = Pace(0.001, tmp_path / "pace")
    sent = sent_at(loop, pace.wait(), pace.wait())
    assert sent[1] >= 1000


@pytest.mark.parametrize(
    "content",
    ["", "torn", "1.0", "9e12 9e12", "nan nan", "\x00\x00", "9e12 9e12 0", "9e12 9e12 9e12", "nan 0 0", "0 inf 0"],
)
def test_a_damaged_file_or_a_clock_set_back_stalls_nobody(loop: VirtualLoop, tmp_path: Path, content: str) -> None:
    (tmp_path / "pace").write_text(content)
    pace = Pace(1.0, tmp_path / "pace")
    assert sent_at(loop, pace.wait(), pace.wait()) == [0, pytest.approx(1.0, rel=0.05)]


@pytest.mark.parametrize("minutes", [1, 5, 9, 11, 600])
def test_a_clock_set_back_stalls_no_process(loop: VirtualLoop, tmp_path: Path, minutes: int) -> None:
    one = Pace(1.0, tmp_path / "pace")
    sent_at(loop, one.wait(), one.wait())
    loop.wall -= minutes * 60
    before = loop.clock
    sent = sent_at(loop, one.wait(), Pace(1.0, tmp_path / "pace").wait(), one.wait())
    assert 1.0 <= sent[0] - before < 2.1  # not longer than what was reserved when the file was written
    assert all(1.0 <= later - earlier < 1.1 for earlier, later in pairwise(sent))


def test_a_clock_set_back_while_requests_wait_stalls_none_of_them(loop: VirtualLoop, tmp_path: Path) -> None:
    pace = Pace(1.0, tmp_path / "pace")

    async def set_back() -> None:
        await asyncio.sleep(0.5)
        loop.wall -= 300

    assert sent_at(loop, set_back(), *(pace.wait() for _ in range(4)))[-1] == pytest.approx(3.0, rel=0.05)


def test_a_hold_back_outlasts_a_clock_set_back(loop: VirtualLoop, tmp_path: Path) -> None:
    Pace(1.0, tmp_path / "pace").hold_back(30.0)
    loop.wall -= 300
    assert sent_at(loop, Pace(1.0, tmp_path / "pace").wait()) == [pytest.approx(30.0)]


def test_where_nothing_can_be_written_the_pace_holds_for_this_process(
    loop: VirtualLoop, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    pace = Pace(1.0, tmp_path / "file" / "locks" / "pace")
    with caplog.at_level(logging.WARNING):
        sent = sent_at(loop, pace.wait(), pace.wait())
    assert sent == [0, pytest.approx(1.0, rel=0.05)]
    assert [record.message for record in caplog.records if "this process alone" in record.message] != []


def test_a_lock_held_too_long_costs_one_request_its_place_and_not_the_process_its_pace(
    loop: VirtualLoop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(rate_module, "_LOCK_TIMEOUT", 0)
    one, other = Pace(1.0, tmp_path / "pace"), Pace(1.0, tmp_path / "pace")
    sent = sent_at(loop, one.wait())
    with FileLock(tmp_path / "pace.lock"):
        sent += sent_at(loop, one.wait())
    sent += sent_at(loop, *(pace.wait() for _ in range(3) for pace in (one, other)))
    assert all(after - before >= 1.0 for before, after in pairwise(sent))
    assert "one request is paced without it" in caplog.text


def test_a_hold_back_that_could_not_be_shared_is_shared_later(
    loop: VirtualLoop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate_module, "_LOCK_TIMEOUT", 0)
    one, other = Pace(1.0, tmp_path / "pace"), Pace(1.0, tmp_path / "pace")
    with FileLock(tmp_path / "pace.lock"):
        one.hold_back(20.0)
    assert sent_at(loop, one.wait(), other.wait())[0] == pytest.approx(20.0)


def test_one_address_has_one_pace_and_another_address_its_own(tmp_path: Path) -> None:
    first = shared_pace("coinbase", "http://a", 1.0, tmp_path)
    assert shared_pace("coinbase", "http://a", 1.0, tmp_path) is first
    assert shared_pace("coinbase", "http://b", 1.0, tmp_path) is not first
    assert shared_pace("oanda", "http://a", 1.0, tmp_path) is not first


def test_nothing_is_written_before_the_first_request(tmp_path: Path) -> None:
    shared_pace("coinbase", "http://a", 1.0, tmp_path / "locks")
    assert list(tmp_path.iterdir()) == []


_TAKE_SLOTS = """
import sys
from pathlib import Path
from ffe_core.providers.rate import Pace
pace = Pace(100.0, Path(sys.argv[1]))
for _ in range(300):
    pace._change(pace._take)
"""


@pytest.mark.slow
def test_processes_lose_no_slot_to_each_other(tmp_path: Path) -> None:
    """The next free slot lies as many steps ahead as slots were taken, which a lost update would shorten."""
    file = tmp_path / "pace"
    begin = time.time()
    at_once(_TAKE_SLOTS, [(file,)] * 2)
    assert float(file.read_text().split()[0]) - begin >= 600 * 0.01
