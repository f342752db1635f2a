"""What does an import of files cost: cpu against polars reading the same files, memory, and a second import of them?

The files are a folder as Binance's archive gives it: a zip a day and pair of 1m klines, twelve columns, checksums
beside them. The floor is what anybody pays who keeps the candles at all: polars reads the unpacked bytes of each file
and writes one Parquet file a pair, in this process, one file after the other. Ours is `ffe import FOLDER`: plan,
checksums, every rule, comparison with the lake, guarded commits, watermarks, completeness. Cpu is user and system time
of all threads.
"""

from __future__ import annotations

import hashlib
import io
import resource
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import numpy as np

from ffe_core.cli import main as command
from tests.benchmarks.harness import Numbers, Options, Ratio, Verdict, median, peak_mb, run, sample, spread

CPU_GOAL, MEMORY_GOAL, AGAIN_GOAL = 1.3, 600.0, 0.25
PAIRS = 20
_MINUTES = 1440
_FIRST_DAY = np.datetime64("2024-01-01")
NAMES = ["time", "open", "high", "low", "close", "volume", *(f"other_{place}" for place in range(6))]


def measure(options: Options) -> Numbers:
    """Cpu seconds and peak MB of one side over the files of a folder."""
    folder = Path(options["folder"])
    if options["side"] == "make":
        return make(folder, options["days"])
    with tempfile.TemporaryDirectory() as place:
        work = {"floor": _floor, "import": _import, "again": _again}[options["side"]]
        used = work(folder, Path(place))
        return {"cpu": used, "peak": peak_mb()}


def make(folder: Path, days: int) -> Numbers:
    """Write the files; how many rows there are in them."""
    for number in range(PAIRS):
        pair = f"A{chr(65 + number)}CUSDT"
        for day in range(days):
            name = f"{pair}-1m-{_FIRST_DAY + day}"
            with zipfile.ZipFile(folder / f"{name}.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
                archive.writestr(f"{name}.csv", _klines(number, day))
            digest = hashlib.sha256((folder / f"{name}.zip").read_bytes()).hexdigest()
            (folder / f"{name}.zip.CHECKSUM").write_text(f"{digest}  {name}.zip\n")
    return {"rows": PAIRS * days * _MINUTES}


def _klines(number: int, day: int) -> str:
    chance = np.random.default_rng(number * 10_000 + day)
    begin = (_FIRST_DAY + day).astype("datetime64[ms]").astype(np.int64)
    times = begin + np.arange(_MINUTES) * 60_000
    close = np.round(1000.0 * (number + 1) + np.cumsum(chance.normal(0, 0.5, _MINUTES)), 2)
    opened = np.concatenate([[close[0]], close[:-1]])
    high, low = np.maximum(opened, close) + 0.5, np.minimum(opened, close) - 0.5
    volume = np.round(chance.exponential(20, _MINUTES), 5)
    rows = zip(times.tolist(), opened, high, low, close, volume, strict=True)
    return "".join(
        f"{at},{o:.8f},{h:.8f},{lo:.8f},{c:.8f},{v:.8f},{at + 59_999},{v * c:.8f},1234,{v / 2:.8f},{v * c / 2:.8f},0\n"
        for at, o, h, lo, c, v in rows
    )


def _floor(folder: Path, place: Path) -> float:
    import polars as pl

    before = _cpu_seconds()
    by_pair: dict[str, list[Path]] = {}
    for path in sorted(folder.glob("*.zip")):
        by_pair.setdefault(path.name.split("-")[0], []).append(path)
    for pair, paths in by_pair.items():
        frames = []
        for path in paths:
            with zipfile.ZipFile(path) as archive:
                content = archive.read(archive.namelist()[0])
            frames.append(pl.read_csv(io.BytesIO(content), has_header=False, new_columns=NAMES, columns=range(6)))
        frame = pl.concat(frames).with_columns(pl.from_epoch("time", time_unit="ms"))
        frame.write_parquet(place / f"{pair}.parquet")
    return _cpu_seconds() - before


def _import(folder: Path, place: Path) -> float:
    before = _cpu_seconds()
    _command(folder, place)
    return _cpu_seconds() - before


def _again(folder: Path, place: Path) -> float:
    _command(folder, place)
    before = _cpu_seconds()
    _command(folder, place)
    return _cpu_seconds() - before


def _command(folder: Path, place: Path) -> None:
    from contextlib import redirect_stderr, redirect_stdout
    from unittest.mock import patch

    said, where = io.StringIO(), {"FFE_DATA_DIR": str(place / "data")}
    with patch.dict("os.environ", where), redirect_stdout(io.StringIO()), redirect_stderr(said):
        status = command(["import", str(folder), "--as", "files:binance"])
    if status:
        raise SystemExit(f"the import ended with {status}: {said.getvalue()[-2000:]}")


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def compare(days: int, repetitions: int) -> Verdict:
    """An import and a second one against the floor."""
    module = "tests.benchmarks.import_files"
    with tempfile.TemporaryDirectory() as folder:
        made = sample(module, {"make": {"side": "make", "folder": folder, "days": days}}, 1)
        rows = made["make"][0]["rows"]
        sides = {name: {"side": name, "folder": folder} for name in ("floor", "import", "again")}
        found = sample(module, sides, repetitions)
    cpu = {name: median(numbers, "cpu") for name, numbers in found.items()}
    table = [
        [name, f"{cpu[name] * 1e6 / rows:.2f}", f"{median(numbers, 'peak'):.0f}", spread(numbers, "cpu", 2)]
        for name, numbers in found.items()
    ]
    ratios = [
        Ratio("cpu of an import against polars", cpu["import"] / cpu["floor"], CPU_GOAL),
        Ratio("cpu of the second import against the first", cpu["again"] / cpu["import"], AGAIN_GOAL),
        Ratio("peak memory of an import, MB", median(found["import"], "peak"), MEMORY_GOAL),
    ]
    head = ["side", "cpu s a million", "MB peak", "each run"]
    return Verdict(f"{PAIRS * days:,} files, {rows:,.0f} rows", [head, *table], ratios)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """The command line; ends the process."""
    run(__doc__, measure, compare, arguments, full=(365, 3), quick=(20, 1))


if __name__ == "__main__":
    main()
