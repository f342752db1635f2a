"""Does a short chaos end with everything true, and would its verdict see what is not? The long form is a command."""

from __future__ import annotations

import json
import random
import time
import urllib.request
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tests.postgresql import Server
from tests.workers.chaos import __main__ as chaos
from tests.workers.chaos import exchanges, market
from tests.workers.chaos.exchanges import Heard
from tests.workers.chaos.parts import KINDS, planned
from tests.workers.chaos.person import RunRow, SeriesRow
from tests.workers.chaos.verdict import Verdict

VENUE = replace(market.venues(12)[0], days=3)
PAIR = VENUE.pairs[0]
BORN = VENUE.end + 10.0
ROW = SeriesRow(1, PAIR, "1h", "coinbase", "complete", 72, 0, 72, BORN + 60, None)
RUN = RunRow(1, "complete", "somebody", "batch 0", None)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_part_is_killed_once_and_every_series_is_exact(
    tmp_path: Path, postgresql_server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    verdict = chaos.run(tmp_path, 12, len(KINDS), seed=1)
    assert not verdict.faults, (verdict, capsys.readouterr().out)
    assert verdict.series == 12
    assert verdict.rows == sum(len(venue.wanted(pair)[0]) for venue in market.venues(12) for pair in venue.pairs)
    assert "worker 1, actor 1, console 1, server 1, cut 1, head 1" in "".join(verdict.lines)


def test_blows_are_those_that_the_seed_says() -> None:
    blows = planned(200, random.Random(7))
    assert blows == planned(200, random.Random(7)) != planned(200, random.Random(8))
    assert len(blows) == 200
    assert {blow.kind for blow in planned(6, random.Random(7))} == set(KINDS)


def kept(opens: np.ndarray, values: np.ndarray) -> pa.Table:
    """Rows as they would be stored."""
    columns = dict(zip(("open", "high", "low", "close", "volume"), values.T, strict=True))
    fetched = np.full(len(opens), int(BORN * 1e6))
    return pa.table({"timestamp": opens * 1_000_000, "_extracted_at": fetched, **columns})


def found(table: pa.Table | None, *said: SeriesRow) -> str:
    verdict = Verdict()
    verdict._of_series(VENUE, PAIR, table, list(said or (ROW,)))
    return " ".join(verdict.faults)


def test_what_is_exact_is_no_fault_and_what_is_not_is_one() -> None:
    opens, values = VENUE.wanted(PAIR)
    other = values.copy()
    other[5, 3] += 1e-8
    assert found(kept(opens, values)) == ""
    assert "lost, nothing" in found(None)
    assert "lost, 1 bars" in found(kept(opens[1:], values[1:]))
    assert "doubled, 73 rows of 72 bars" in found(kept(np.r_[opens, opens[-1:]], np.vstack([values, values[-1:]])))
    assert "1 bars that there are none of" in found(
        kept(np.r_[opens, opens[-1:] + 3600], np.vstack([values, other[-1:]]))
    )
    assert "1 bars with other values" in found(kept(opens, other))


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([ROW._replace(stored=71)], "says complete with 71 stored"),
        ([ROW._replace(unexplained=1)], "1 unexplained instead of 72 and 0"),
        ([ROW._replace(ended_at=BORN - 1)], "before its last candle"),
        ([ROW._replace(state="failed")], "no run says complete"),
        ([ROW._replace(state="interrupted", records=1), ROW], "count 73 new candles"),
        ([ROW._replace(state="interrupted", records=1), ROW._replace(records=70)], "count 71 new candles"),
    ],
)
def test_a_run_that_says_what_is_not_true_is_a_fault(rows: list[SeriesRow], told: str) -> None:
    assert told in found(kept(*VENUE.wanted(PAIR)), *rows)


@pytest.mark.parametrize(
    ("run", "series", "told"),
    [
        (RUN, ROW, ""),
        (RUN._replace(state="running"), ROW, "says running when all is done"),
        (RUN, ROW._replace(state="failed"), "says complete, its series"),
        (RUN._replace(state="interrupted"), ROW._replace(state="running"), "is interrupted, its series"),
    ],
)
def test_the_state_of_a_run_is_that_of_its_series(run: RunRow, series: SeriesRow, told: str) -> None:
    verdict = Verdict()
    verdict.of_runs([run], [series])
    assert told in " ".join(verdict.faults)
    assert bool(verdict.faults) == bool(told)


@pytest.mark.parametrize(("gap", "whole", "most"), [(0.1001, 10, 9), (0.0999, 11, 9), (0.08, 13, 11), (0.0501, 20, 17)])
def test_requests_of_any_second_are_counted(gap: float, whole: int, most: int) -> None:
    at = [1e9 + 0.7 + number * gap for number in range(30)]
    assert market.most_in_a_second(at) == (whole, most)
    assert market.most_in_a_second(at, [(1e9 - 9, 1e9 - 8)]) == (whole, most)
    verdict = Verdict()
    verdict.of_pace([VENUE], {"coinbase": Heard(at)})
    assert bool(verdict.faults) == (most > VENUE.rate)


def test_what_came_while_the_exchanges_stood_still_may_have_come_at_any_moment_of_it() -> None:
    at = np.arange(1e9, 1e9 + 3, 0.1001)
    stall = (1e9 + 1.0, 1e9 + 1.4)
    seen = np.where((at > stall[0]) & (at < stall[1]), stall[1], at)
    assert market.most_in_a_second(seen)[1] > 10
    assert market.most_in_a_second(seen, [stall])[1] <= 10
    assert market.most_in_a_second(np.r_[seen, seen, seen], [stall])[1] > 10


def test_the_exchanges_tell_in_the_end_what_they_were_asked(tmp_path: Path) -> None:
    with exchanges.running(12, int(time.time()), tmp_path) as asked:
        before = time.time()
        with urllib.request.urlopen(asked.urls["coinbase"] + "/api/v3/brokerage/market/products") as answer:
            assert len(json.load(answer)["products"]) == len(VENUE.pairs)
        asked.end()
    assert {provider: len(one.at) for provider, one in asked.heard.items()} == {
        "coinbase": 1,
        "oanda": 0,
        "alpha_vantage": 0,
    }
    assert before <= asked.heard["coinbase"].at[0] <= time.time()
