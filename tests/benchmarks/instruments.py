"""How long does a catalogue of that size take? Milliseconds to resolve a name, and to search as somebody types.

Goals: 50 ms to look a name up and 150 ms for each letter of a search, at 12,722 listed shares beside 9,337 delisted
ones and 1,400 pairs. `--size` is the number of listed shares.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NoReturn

from ffe_core.instruments.model import Instrument
from ffe_core.operations.instruments.service import Instruments
from ffe_core.settings import Settings
from ffe_core.storage.state.database import DATABASE_FILE, Database
from tests.benchmarks.harness import Numbers, Options, Ratio, Verdict, median, run, sample, spread

LOOK_UP_GOAL, SEARCH_GOAL = 50.0, 150.0
_WORDS = "Capital Trust Holdings Energy Pharma Global Income Fund Acquisition Bancorp Mining Technologies".split()
_TYPED = ("c", "ca", "cap", "capi", "capital", "capital tr", "xq", "fund 77", "nothing like it")


def measure(options: Options) -> Numbers:
    """The slowest of many look-ups and of many letters typed, in milliseconds, with the database open."""
    found = Instruments(Settings.load({"data_dir": options["folder"]}), Database(_file(options["folder"])))
    names = [_symbol(number) for number in range(0, options["size"], max(1, options["size"] // 50))]
    found.resolve("alpha_vantage", [names[0], "QQQQY"])  # imports what it needs
    return {
        "look-up": max(_ms(partial(found.resolve, "alpha_vantage", [name])) for name in names),
        "unlisted": _ms(lambda: found.resolve("alpha_vantage", ["QQQQX"])),
        "search": max(_ms(partial(found.search, text, "alpha_vantage")) for text in _TYPED),
    }


def compare(size: int, repetitions: int) -> Verdict:
    """The three against their goals, each repetition in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        database = Database(_file(folder))
        Instruments(Settings.load({"data_dir": folder}), database).store.replace("alpha_vantage", _listed(size))
        database.close()
        [found] = sample("tests.benchmarks.instruments", {"": {"folder": folder, "size": size}}, repetitions).values()
    goals = {"look-up": LOOK_UP_GOAL, "unlisted": LOOK_UP_GOAL, "search": SEARCH_GOAL}
    rows = [[name, f"{median(found, name):.1f}", spread(found, name, 1)] for name in goals]
    ratios = [Ratio(f"{name}, the slowest, in ms", median(found, name), goal) for name, goal in goals.items()]
    return Verdict(f"A catalogue of {size:,} listed shares", [["what", "ms", "each run"], *rows], ratios)


def _ms(step: Callable[[], object]) -> float:
    before = time.perf_counter()
    step()
    return (time.perf_counter() - before) * 1_000


def _file(folder: str) -> Path:
    return Path(folder) / DATABASE_FILE


def _listed(size: int) -> list[Instrument]:
    live = [_share(number, "listed") for number in range(size)]
    gone = [_share(number, "delisted") for number in range(size, size + size * 3 // 4)]
    return live + gone


def _share(number: int, status: str) -> Instrument:
    title = f"{_WORDS[number % 12]} {_WORDS[number // 12 % 12]} {number}"
    symbol = _symbol(number)
    return Instrument("alpha_vantage", symbol, symbol, "equity", title, listed="1999-11-18", status=status)  # type: ignore[arg-type]


def _symbol(number: int) -> str:
    """AAAA, BAAA, ...; one in ten with a hyphen."""
    records = "".join(chr(65 + number // 26**place % 26) for place in range(4))
    return f"{records[:3]}-{records[3]}" if number % 10 == 0 else records


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """The command line; ends the process."""
    run(__doc__, measure, compare, arguments, full=(12_722, 5), quick=(300, 1))


if __name__ == "__main__":
    main()
