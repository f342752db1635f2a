"""For how long does the event loop stand still while pages of 5,000 candles arrive, are read and are committed?

A task wakes every millisecond and notes how late it is; the longest delay of a run is what is told, beside that of the
same run with every answer read as JSON. What else runs on the machine delays it too, so a run that reads nothing at all
stands beside them: its longest delay is the machine's. Answers come one by one, as from a provider.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Sequence
from typing import Any, NoReturn

from ffe_core.providers import oanda
from ffe_core.providers.plain import NotPlain
from tests.benchmarks.answers import bodies_of, hand, ingest, ingester_of, provider_of
from tests.benchmarks.harness import Numbers, Options, Ratio, Verdict, median, run, sample, spread

GOAL_MS = 50.0
_TICK = 0.001
_WARM_UP = 25_000


def measure(options: Options) -> Numbers:
    """The longest delay of the loop in ms, and the 99th percentile, over `candles` candles of OANDA."""
    if options["side"] == "as JSON":
        vars(oanda)["columns"] = _refuse
    asyncio.run(_delays(options["side"], _WARM_UP))
    delays = sorted(asyncio.run(_delays(options["side"], options["candles"])))
    return {"longest": delays[-1] * 1000, "p99": delays[len(delays) * 99 // 100] * 1000}


def _refuse(body: bytes) -> Any:
    raise NotPlain


async def _delays(side: str, candles: int) -> list[float]:
    """How late each tick came while a run went on; with the side "idle" none does."""
    with tempfile.TemporaryDirectory() as folder:
        provider = provider_of("oanda", folder)
        hand(provider, bodies_of(provider, candles))
        ingester = ingester_of(provider, folder)
        found: list[float] = []
        ticking = asyncio.create_task(_tick(found))
        await (asyncio.sleep(1.0) if side == "idle" else ingest(provider, ingester, candles))
        ticking.cancel()
        await asyncio.gather(ticking, return_exceptions=True)
        return found


async def _tick(found: list[float]) -> None:
    while True:
        due = time.perf_counter() + _TICK
        await asyncio.sleep(_TICK)
        found.append(time.perf_counter() - due)


def compare(size: int, repetitions: int) -> Verdict:
    """The longest delay while answers are read into columns, as JSON, and while nothing is."""
    sides = {side: {"side": side, "candles": size} for side in ("idle", "into columns", "as JSON")}
    found = sample("tests.benchmarks.loop_stall", sides, repetitions)
    rows = [
        [name, f"{median(numbers, 'longest'):.1f}", f"{median(numbers, 'p99'):.1f}", spread(numbers, "longest", 1)]
        for name, numbers in found.items()
    ]
    ratio = Ratio("ms, longest stall while pages of 5,000 arrive", median(found["into columns"], "longest"), GOAL_MS)
    head = ["side", "longest, ms", "99 of 100 below", "longest of each run"]
    return Verdict(f"Stalls of the event loop, {size:,} candles of OANDA", [head, *rows], [ratio])


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """The command line; ends the process."""
    run(__doc__, measure, compare, arguments, full=(500_000, 5), quick=(100_000, 1))


if __name__ == "__main__":
    main()
