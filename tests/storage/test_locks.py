"""Do locks keep processes apart in the same way, whether they are files or rows of a state on a server?"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ffe_core.errors import SeriesHeld, UpkeepHeld
from ffe_core.operations.leader import Leadership
from ffe_core.operations.runs.process_lock import ProcessLock, is_alive
from ffe_core.series import Series
from ffe_core.storage.leases import SeriesLease, UpkeepLease, check_all_free
from ffe_core.storage.locks import FileLocks, Locks
from ffe_core.storage.state.database import Database
from ffe_core.storage.state.lock_rows import RowLocks
from tests.browser.driver import poll

BTC, ETH = Series("BTCUSD", "1h", "coinbase"), Series("ETHUSD", "1h", "coinbase")
Make = Callable[[], Locks]


@pytest.fixture(params=["files", pytest.param("rows", marks=pytest.mark.slow)])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Make]:
    """Makes the locks of one more process, as far as they are concerned."""
    if request.param == "files":
        yield lambda: FileLocks(tmp_path / "locks")
        return
    server = request.getfixturevalue("postgresql_server")
    url = server.database(request.getfixturevalue("state_template"))
    opened: list[Database] = []

    def another() -> Locks:
        opened.append(Database(url))
        return RowLocks(opened[-1])

    yield another
    for database in opened:
        database.close()
    server.drop(url)


def test_one_has_a_series_and_the_other_is_told_who(make: Make) -> None:
    one, other = make(), make()
    with SeriesLease(one, BTC, "run 12").acquire():
        with pytest.raises(SeriesHeld, match=r"BTCUSD.* is held by run 12 .*process \d+") as caught:
            SeriesLease(other, BTC).acquire()
        assert caught.value.holder.startswith("run 12 ")
        with pytest.raises(SeriesHeld, match=r"run 12"):
            check_all_free(other, [ETH, BTC])
        SeriesLease(other, ETH).acquire().release()
    poll(lambda: not other.held("lease", ["BTCUSD_1h_coinbase"]), "the lease to be free")
    SeriesLease(other, BTC).acquire().release()


def test_a_process_keeps_itself_apart_too(make: Make) -> None:
    locks = make()
    with SeriesLease(locks, BTC, "run 1").acquire(), pytest.raises(SeriesHeld, match="run 1 "):
        SeriesLease(locks, BTC, "run 2").acquire()


def test_what_is_given_back_can_be_taken_at_once(make: Make) -> None:
    locks = make()
    for _ in range(5):
        SeriesLease(locks, BTC).acquire().release()
    check_all_free(locks, [BTC])


def test_who_waits_gets_it_when_it_is_given_back_or_is_told_who_has_it(make: Make) -> None:
    one, other = make(), make()
    held = SeriesLease(one, BTC, "run 12").acquire()

    async def waits() -> None:
        with pytest.raises(SeriesHeld, match="run 12"):
            await SeriesLease(other, BTC).wait(0.1)
        waiting = asyncio.create_task(SeriesLease(other, BTC).wait(30))
        await asyncio.sleep(0.1)
        held.release()
        (await waiting).release()

    asyncio.run(waits())


def test_who_gives_up_waiting_holds_nothing(make: Make) -> None:
    one, other = make(), make()
    held = SeriesLease(one, BTC).acquire()

    async def gives_up() -> None:
        waiting = asyncio.create_task(SeriesLease(other, BTC).wait(30))
        await asyncio.sleep(0.05)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)

    asyncio.run(gives_up())
    held.release()
    poll(lambda: not one.held("lease", ["BTCUSD_1h_coinbase"]), "the lease to be free")


def test_upkeep_and_series_of_a_table_do_not_hold_each_other(make: Make) -> None:
    one, other = make(), make()
    with UpkeepLease(one, "raw_market_data_1h", "run 3").acquire(), SeriesLease(other, BTC).acquire():
        with pytest.raises(UpkeepHeld, match=r"upkeep of raw_market_data_1h is being done by run 3"):
            UpkeepLease(other, "raw_market_data_1h").acquire()
        with pytest.raises(UpkeepHeld):
            UpkeepLease(other, "raw_market_data_1h").check_free()


def test_a_process_lives_until_it_says_that_it_ends(make: Make) -> None:
    one, other = make(), make()
    lives = ProcessLock(one)
    assert is_alive(other, lives.owner)
    lives.release()
    poll(lambda: not is_alive(other, lives.owner), "its end to be seen")
    assert not is_alive(other, "4711-never")


def test_one_leads_and_another_takes_over(make: Make) -> None:
    taken: list[str] = []
    first = Leadership(make(), lambda: taken.append("first"))
    second = Leadership(make(), lambda: taken.append("second"))
    first.start()
    second.start()
    assert (first.leads, second.leads) == (True, False)
    assert second.leader() == first.leader()
    assert re.match(r"process \d+ on \S+, since \d{4}-", first.leader())
    with first.acting() as may, second.acting() as may_not:
        assert (may, may_not) == (True, False)
    first.stop()
    poll(lambda: second.leads, "the second to take over")
    second.stop()
    assert taken == ["first", "second"]
