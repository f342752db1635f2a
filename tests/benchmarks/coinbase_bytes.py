"""How much cpu does a candle of Coinbase cost, from the bytes of an answer to commit, against msgspec and one file?

As `oanda_bytes`, over pages of 300: what a page costs beside its candles counts seventeen times as much here.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NoReturn

from tests.benchmarks.harness import run
from tests.benchmarks.oanda_bytes import compared, measure

GOAL = 2.0


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """The command line; ends the process."""
    compare = partial(compared, "tests.benchmarks.coinbase_bytes", "coinbase", GOAL)
    run(__doc__, measure, compare, arguments, full=(1_000_000, 5), quick=(300_000, 1))


if __name__ == "__main__":
    main()
