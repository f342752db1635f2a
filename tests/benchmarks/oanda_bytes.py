"""How much cpu does a candle of OANDA cost, from the bytes of an answer to commit, against msgspec and one file?

Ours is the whole pipeline over pages of 5,000, each handed over as the bytes that a request would have brought: reading
it, the echo, every validation rule, comparison with the lake, guarded commit, watermark, and the completeness count.
The floor is `bytes_floor`: the same bytes to typed columns and one file, and nothing else; the harder one, with structs
that the garbage collector does not see, stands beside it. A few pages go through before the clock starts, so that what
a library imports at first use is nobody's cost. Cpu seconds are user and system time of all threads.
"""

from __future__ import annotations

import asyncio
import resource
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from typing import NoReturn

from tests.benchmarks.answers import bodies_of, hand, ingest, ingester_of, provider_of
from tests.benchmarks.bytes_floor import floor
from tests.benchmarks.harness import Numbers, Options, Ratio, Verdict, median, run, sample, spread

GOAL = 1.3
_WARM_UP = 25_000
_FLOORS = {"floor": True, "floor without gc": False}


def measure(options: Options) -> Numbers:
    """Cpu seconds of one side for `candles` candles of `provider`."""
    _measured(options["provider"], options["side"], _WARM_UP)
    return _measured(options["provider"], options["side"], options["candles"])


def _measured(name: str, side: str, candles: int) -> Numbers:
    with tempfile.TemporaryDirectory() as folder:
        provider = provider_of(name, folder)
        bodies = bodies_of(provider, candles)
        if side in _FLOORS:
            return _cpu_of(lambda: floor(name, bodies.values(), folder, _FLOORS[side]))
        hand(provider, bodies)
        ingester = ingester_of(provider, folder)
        return _cpu_of(lambda: asyncio.run(ingest(provider, ingester, candles)))


def _cpu_of(work: Callable[[], object]) -> Numbers:
    before = _cpu_seconds()
    work()
    return {"cpu": _cpu_seconds() - before}


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def compared(module: str, provider: str, goal: float, size: int, repetitions: int) -> Verdict:
    """A provider's bytes to commit against the floors; the goal is about the first."""
    sides = {side: {"provider": provider, "side": side, "candles": size} for side in (*_FLOORS, "pipeline")}
    found = sample(module, sides, repetitions)
    cpu = {side: median(numbers, "cpu") for side, numbers in found.items()}
    rows = [
        [
            side,
            f"{cpu[side] * 1e6 / size:.2f}",
            *(f"{cpu[side] / cpu[floor_]:.2f}" for floor_ in _FLOORS),
            spread(numbers, "cpu", 2),
        ]
        for side, numbers in found.items()
    ]
    ratio = Ratio(f"bytes of {provider} to commit", cpu["pipeline"] / cpu["floor"], goal)
    head = ["side", "cpu s a million", *(f"x {floor_}" for floor_ in _FLOORS), "each run"]
    return Verdict(f"From the bytes of answers to commit, {size:,} candles of {provider}", [head, *rows], [ratio])


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """The command line; ends the process."""
    compare = partial(compared, "tests.benchmarks.oanda_bytes", "oanda", GOAL)
    run(__doc__, measure, compare, arguments, full=(1_000_000, 5), quick=(300_000, 1))


if __name__ == "__main__":
    main()
