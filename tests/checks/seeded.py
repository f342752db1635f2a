"""Do the checks find what was planted, and nothing else? 200 series, 40 faults of every sort, and traps that are none.

    python -m tests.checks.seeded [--seed N] [--keep FOLDER]

The lake is made in a folder of its own, `ffe check` runs over it as a user's does, and the list of faults is compared
with what it printed. Traps: a real fall of a share by half, thin minutes with flat bars and with none, FX over both
clock changes, short Sundays as daily bars.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ffe_core.candles import TIMESTAMP, VALUES
from ffe_core.ingestion.enrich import enrich
from ffe_core.instruments.currencies import COINS
from ffe_core.series import Series, Watermarks
from ffe_core.storage.lake.commits import Batch
from ffe_core.storage.lake.delta_lake_manager import DeltaLakeManager
from ffe_core.times import parse_instant
from tests import children
from tests.checks import faults
from tests.checks.faults import Fault
from tests.checks.markets import Made, another_book, coarser, crash, market, thin

FEWEST_FOUND, MOST_FALSE = 38, 4
_START = 1_672_531_200  # 2023-01-01
ROOT = Path(__file__).parents[2]
FX = ("EURUSD", "USDJPY", "GBPUSD", "AUDUSD", "USDCAD", "NZDUSD", "EURGBP", "EURJPY", "USDCHF", "EURCHF")
ANSWERS = {
    "coarse price": {"timeframes"},
    "coarse volume": {"timeframes"},
    "lost parts": {"lost_parts"},
    "scale between sources": {"provider_scale"},
    "shift between sources": {"provider_shift"},
    "one source off": {"provider_differs"},
    "unit of prices": {"unit_break"},
    "unit of volumes": {"volume_break"},
    "identical bars": {"repeated_bar"},
    "duplicate a bar apart": {"repeated_bar"},
    "stuck price": {"stuck_price"},
    "zero volume": {"zero_volume"},
    "spike": {"spike"},
    "session edge": {"session_edge"},
    "weekend bars": {"closed_market"},
    "off the tick": {"off_tick"},
    "unexplained split": {"split"},
}
"""Which kind of finding names each sort of fault."""


def series_of(rng: np.random.Generator) -> dict[str, list[Made]]:
    """200 series by what can be wrong with them."""
    plain = [_crypto(rng, number, "1h", 300) for number in range(60)]
    # Coins that a name alone tells: files say nothing of what they hold.
    second = [_crypto(rng, coin, "1h", 300) for coin in sorted(COINS)[:20]]
    fine = [_crypto(rng, 200 + number, "1h", 240) for number in range(20)]
    fx = [_fx(rng, pair, "1h") for pair in FX] + [_fx(rng, f"{pair[3:]}{pair[:3]}", "15m") for pair in FX[:5]]
    days = [_fx(rng, pair, "1d", 1500) for pair in (f"{base}SEK" for base in ("USD", "EUR", "GBP", "AUD", "NZD"))]
    shares = [_share(rng, number) for number in range(30)]
    minutes = [thin(rng, _crypto(rng, 300 + number, "1m", 12), 0.6) for number in range(10)]
    return {
        "plain": plain,
        "first source": second,
        "second source": [another_book(rng, one, "files:other") for one in second],
        "fine": fine,
        "coarse": [coarser(one, "4h") for one in fine],
        "fx": fx,
        "days": days,
        "shares": shares,
        "minutes": minutes,
    }


def _crypto(rng: np.random.Generator, coin: int | str, timeframe: str, days: int) -> Made:
    price = float(np.exp(rng.uniform(np.log(5), np.log(60_000))))
    decimals = max(0, 6 - int(np.log10(price) + 1))
    name = coin if isinstance(coin, str) else f"C{coin:03}"
    series = Series.of(f"{name}USD", timeframe, "coinbase")
    return market(rng, series, _START, days, price, decimals, rng.uniform(0.02, 0.06), rng.uniform(5, 900.5))


def _fx(rng: np.random.Generator, pair: str, timeframe: str, days: int = 330) -> Made:
    price, decimals = (140.0, 3) if "JPY" in pair else (1.1, 5)
    series = Series.of(pair, timeframe, "oanda")
    return market(rng, series, _START, days, price, decimals, 0.006, float(rng.integers(500, 4000)))


def _share(rng: np.random.Generator, number: int) -> Made:
    series = Series.of(f"SH{chr(65 + number // 5)}{chr(70 + number % 5)}", "1d", "alpha_vantage")
    made = market(
        rng, series, _START - 900 * 86_400, 1200, rng.uniform(20, 400), 2, 0.02, float(rng.integers(2, 40) * 1e6)
    )
    if number in (0, 1):
        crash(made, int(rng.integers(200, 600)))
    return made


def plant(rng: np.random.Generator, made: dict[str, list[Made]]) -> list[Fault]:
    """Put every fault into a series of its own."""
    anything = [*made["plain"], *made["fx"][:10]]
    places = (
        (faults.OF_COARSE, made["coarse"]),
        (faults.OF_FINE, made["fine"][10:]),
        (faults.OF_SECOND_SOURCE, made["second source"]),
        (faults.OF_FX, made["fx"][10:]),
        (faults.OF_SHARES, made["shares"][2:]),
        (faults.OF_ANY, anything),
    )
    found = []
    for kinds, series in places:
        free = [series[at] for at in rng.permutation(len(series))]
        if kinds is faults.OF_COARSE:
            free = [series[at] for at in rng.permutation(10)]  # the others lose parts
        for act, count in kinds.items():
            for _ in range(count):
                one = free.pop()
                found.append(act(rng, one, int(rng.integers(len(one.open_times) // 4, len(one.open_times) * 3 // 4))))
    return found


def store(lake: DeltaLakeManager, made: Sequence[Made]) -> None:
    """Commit series as the pipeline does, those of a timeframe together."""
    tables: dict[str, list[Batch]] = {}
    for one in made:
        tables.setdefault(one.series.timeframe, []).append(batch(one))
    for batches in tables.values():
        for outcome in lake.commit_all(batches):
            assert not isinstance(outcome, Exception), outcome


def batch(made: Made) -> Batch:
    """A series as it is committed."""
    times = pa.array(made.open_times * 1_000_000).cast(TIMESTAMP)
    table = pa.table({"timestamp": times, **{name: pa.array(made.columns[name]) for name in VALUES}})
    rows = enrich(table, made.series, "seeded", is_mock=False)
    marks = Watermarks(int(made.open_times[-1]), int(made.open_times[0]))
    return Batch(made.series, rows, Watermarks(), marks)


def checked(folder: Path) -> list[dict[str, Any]]:
    """What `ffe check` says of a data folder."""
    command = [sys.executable, "-m", "ffe_core", "check", "--severity", "notice", "--json"]
    env = {**os.environ, **children.variables(folder), "FFE_DATA_DIR": str(folder)}
    done = subprocess.run(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    found: list[dict[str, Any]] = json.loads(done.stdout)["findings"]
    return found


def compared(planted: Sequence[Fault], found: Sequence[dict[str, Any]]) -> tuple[list[bool], list[dict[str, Any]], int]:
    """Which faults were named as what they are, the false alarms, and findings that are about a fault besides."""
    named = [any(row["kind"] in ANSWERS[fault.sort] and _about(row, fault) for row in found) for fault in planted]
    false = [row for row in found if not any(_about(row, fault) for fault in planted)]
    return named, false, len(found) - sum(named) - len(false)


def _about(row: dict[str, Any], fault: Fault) -> bool:
    """Whether a finding is about the pair and the time of a fault."""
    pair = fault.series.split("/")[0]
    start, end = parse_instant(row["start"]), parse_instant(row["end"])
    return bool(row["asset_pair"] == pair and start < fault.end + 7200 and fault.start - 7200 < end)


def report(seed: int, folder: Path) -> bool:
    """Make, check and compare; print the table. Whether the goals are met."""
    rng = np.random.default_rng(seed)
    made = series_of(rng)
    planted = plant(rng, made)
    lake, every = DeltaLakeManager(folder / "lake"), [one for some in made.values() for one in some]
    store(lake, every)
    named, false, besides = compared(planted, checked(folder))
    print(
        f"seed {seed}: {len(every)} series, {sum(len(one.open_times) for one in every):,} bars, {len(planted)} faults"
    )
    for line in _table(planted, named):
        print(line)
    for row in false:
        print(f"false alarm: {row['kind']} {row['asset_pair']} {row['timeframe']} {row['start']}: {row['says']}")
    print(f"found {sum(named)} of {len(planted)}; false alarms {len(false)}; about a fault besides {besides}")
    return sum(named) >= FEWEST_FOUND and len(false) <= MOST_FALSE


def _table(planted: Sequence[Fault], named: Sequence[bool]) -> Iterator[str]:
    yield f"{'sort':24}{'planted':>8}{'found':>7}  not found"
    for sort in ANSWERS:
        own = [(fault, was) for fault, was in zip(planted, named, strict=True) if fault.sort == sort]
        missed = ", ".join(f"{fault.series} at {fault.start}" for fault, was in own if not was)
        yield f"{sort:24}{len(own):8}{sum(was for _, was in own):7}  {missed}"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="make the lake here and leave it")
    chosen = parser.parse_args(arguments)
    if chosen.keep:
        sys.exit(not report(chosen.seed, chosen.keep))
    with tempfile.TemporaryDirectory() as folder:
        sys.exit(not report(chosen.seed, Path(folder)))


if __name__ == "__main__":
    main()
