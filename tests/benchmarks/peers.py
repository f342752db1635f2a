"""What do others take for the same dicts: dlt (Arrow into Delta) and ArcticDB, neither of which validates anything?

The dicts are those of `ingest_cpu`, with text prices, made before the clock starts. A peer gets them as its users would
hand them over: typed Arrow columns for dlt's filesystem destination with Delta, a typed frame for ArcticDB on LMDB.
Ours is the whole pipeline with every check. A hundred thousand candles go through first, so that nobody pays for
imports; cpu seconds are user and system time of the process and its children. The peers are installed into a temporary
environment (`peers.txt`), or are those of the interpreter that FFE_PEERS_PYTHON names.
"""

from __future__ import annotations

import os
import pickle
import resource
import subprocess
import sys
import tempfile
import venv
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from tests.benchmarks.harness import PYTHON, Numbers, Options, Ratio, Verdict, median, run, sample, spread

_MODULE = "tests.benchmarks.peers"
_WANTED = Path(__file__).with_name("peers.txt")
_FIELDS = ("open", "high", "low", "close", "volume")
_WARM_UP = 100_000
_PAGE = 5_000
Records = list[dict[str, Any]]


def measure(options: Options) -> Numbers:
    """Cpu seconds of one side for `candles` candles."""
    if options["side"] == "ours":
        from tests.benchmarks import ingest_cpu

        ingest_cpu.measure({"side": "pipeline", "candles": _WARM_UP, "page_size": _PAGE})
        return ingest_cpu.measure({"side": "pipeline", "candles": options["candles"], "page_size": _PAGE})
    records: Records = pickle.loads(Path(options["records"]).read_bytes())
    write = {"dlt": _with_dlt, "ArcticDB": _with_arcticdb}[options["side"]]
    with tempfile.TemporaryDirectory() as folder:
        write(records[:_WARM_UP], f"{folder}/warm")
        before = _cpu_seconds()
        write(records, f"{folder}/measured")
        return {"cpu": _cpu_seconds() - before}


def _with_dlt(records: Records, folder: str) -> None:
    import dlt
    import pyarrow as pa

    columns = {"timestamp": pa.array([one["date"] for one in records]).cast(pa.timestamp("us", tz="UTC"))}
    for name in _FIELDS:
        columns[name] = pa.array([one[name] for one in records]).cast(pa.float64())
    resource_ = dlt.resource(pa.table(columns), name="candles", table_format="delta", write_disposition="append")
    place = dlt.destinations.filesystem(bucket_url=f"file://{folder}/lake")
    pipeline = dlt.pipeline("candles", pipelines_dir=f"{folder}/dlt", destination=place, dataset_name="lake")
    pipeline.run(resource_).raise_on_failed_jobs()


def _with_arcticdb(records: Records, folder: str) -> None:
    import arcticdb
    import pandas as pd

    frame = pd.DataFrame.from_records(records, columns=["date", *_FIELDS])
    frame.index = pd.to_datetime(frame.pop("date"), utc=True)
    frame = frame.astype("float64").sort_index()
    os.makedirs(folder)
    store = arcticdb.Arctic(f"lmdb://{folder}")
    store.get_library("lake", create_if_missing=True).write("BTCUSD", frame)


def _cpu_seconds() -> float:
    used = [resource.getrusage(which) for which in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def compare(size: int, repetitions: int) -> Verdict:
    """The three in turns."""
    with tempfile.TemporaryDirectory() as name:
        python = os.environ.get("FFE_PEERS_PYTHON") or _installed(Path(name) / "environment")
        kept = Path(name) / "records"
        kept.write_bytes(pickle.dumps(_records(size)))
        sides: dict[str, Options] = {"ours": {"side": "ours", "candles": size}}
        for side in ("dlt", "ArcticDB"):
            sides[side] = {"side": side, "records": str(kept), PYTHON: python}
        found = sample(_MODULE, sides, repetitions)
    ours = median(found["ours"], "cpu")
    rows = [
        [side, f"{median(numbers, 'cpu') * 1e6 / size:.2f}", spread(numbers, "cpu", 2)]
        for side, numbers in found.items()
    ]
    ratios = [Ratio(f"ours to {side}", ours / median(found[side], "cpu"), 1.0) for side in ("dlt", "ArcticDB")]
    head = ["side", "cpu s a million", "each run"]
    return Verdict(f"The same dicts with text prices, {size:,} candles", [head, *rows], ratios)


def _installed(folder: Path) -> str:
    venv.create(folder, with_pip=True)
    python = str(folder / "bin" / "python")
    subprocess.run([python, "-m", "pip", "install", "-q", "-r", str(_WANTED)], check=True, stdout=sys.stderr)
    return python


def _records(size: int) -> Records:
    from ffe_core.timeframes import seconds
    from tests.benchmarks.candles import START, TIMEFRAME, records

    return records(START, START + size * seconds(TIMEFRAME), seconds(TIMEFRAME))


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """The command line; ends the process."""
    run(__doc__, measure, compare, arguments, full=(1_000_000, 5), quick=(300_000, 1))


if __name__ == "__main__":
    main()
