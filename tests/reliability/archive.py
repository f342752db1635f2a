"""Archive: a year of 1m klines of 20 pairs as Binance gives it, imported by one command that is killed on the way.

    python -m tests.reliability.archive                             # 7,300 zips, 10.5 million rows, ten kills
    python -m tests.reliability.archive --days 12 --kills 3 --seed 5

The files are those of the benchmark `import_files`; in some of them one row breaks a rule and another stands twice. The
command is killed once before anything is committed, then once in each share of the rows, at a random moment of it; what
is committed is read off the table's log. Afterwards each file must come to received = stored + dead lettered + repeats,
the lake, read by polars alone, must hold every good row once as its file has it, and the bad ones must lie among the
dead letters once. The same command once more must find nothing new. The exit code is 1 if anything was wrong.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import random
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.benchmarks.import_files import NAMES, PAIRS, make
from tests.reliability.__main__ import processor, say

_SPOILED_EVERY = 37
_POLL_SECONDS = 0.01
_DAY_ROWS = 1440
_TABLE = "raw_market_data_1m"


@dataclass
class Import:
    """A data directory, and the one command that fills it."""

    files: Path
    data: Path
    _rows: int = 0
    _next: int = 0

    def start(self, out: Any = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
        """The command as a process of its own."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("FFE_")}
        line = [sys.executable, "-m", "ffe_core", "import", str(self.files), "--as", "files:binance", "--json"]
        return subprocess.Popen(
            line, env={**kept, "FFE_DATA_DIR": str(self.data)}, stdout=out, stderr=subprocess.DEVNULL
        )

    def done(self) -> tuple[int, Any]:
        """The exit code and the document of the command, left alone."""
        with tempfile.TemporaryFile() as out:
            status = self.start(out).wait()
            out.seek(0)
            return status, json.loads(out.read() or b"null")

    @property
    def version(self) -> int:
        """The newest commit; -1 if there is none."""
        self.rows()
        return self._next - 1

    def rows(self) -> int:
        """How many rows are committed."""
        while (commit := self.data / "lake" / _TABLE / "_delta_log" / f"{self._next:020}.json").exists():
            actions = map(json.loads, commit.read_text().splitlines())
            self._rows += sum(json.loads(one["add"]["stats"])["numRecords"] for one in actions if "add" in one)
            self._next += 1
        return self._rows


@dataclass
class Found:
    """What came of it."""

    killed: int = 0
    """Runs that were under way when they were killed."""
    faults: list[str] = field(default_factory=list)

    def expect(self, is_so: bool, words: str) -> None:
        """A fault where it is not so."""
        if not is_so:
            self.faults.append(words)


def run(files: Path, data: Path, days: int, kills: int, chance: random.Random) -> Found:
    """Make the files, import them, and compare."""
    make(files, days)
    received = dict(_spoiled(files))
    bad, found, work = sum(rows > _DAY_ROWS for rows in received.values()), Found(), Import(files, data)
    say(f"{len(received):,} files, {sum(received.values()):,} rows, {bad:,} of them bad and {bad:,} twice")
    _kill(work, found, kills, PAIRS * days * _DAY_ROWS, chance)
    began = time.monotonic()
    status, document = work.done()
    say(f"left alone: ended with {status} after {time.monotonic() - began:.1f} s, {work.rows():,} rows committed")
    found.expect(status == 0, f"the last run ended with {status}")
    _compare_files(found, document, received)
    _compare_lake(found, work)
    _compare_letters(found, data, bad)
    before = work.version
    status, document = work.done()
    found.expect((status, work.version) == (0, before), f"once more, it ended with {status} and wrote something")
    again = [file for result in document["results"] for file in result["files"]]
    found.expect(all(one["repeats"] == one["received"] for one in again), "once more, it found something new")
    return found


def _spoiled(files: Path) -> Iterator[tuple[str, int]]:
    """Break a row of some files and have another twice; each file's name and how many rows it has then."""
    for place, path in enumerate(sorted(files.glob("*.zip"))):
        if place % _SPOILED_EVERY:
            yield path.name, _DAY_ROWS
            continue
        with zipfile.ZipFile(path) as archive:
            [name] = archive.namelist()
            lines = archive.read(name).decode().splitlines(keepends=True)
        cells = lines[700].split(",")
        lines[700] = ",".join([*cells[:2], "0.00000000", *cells[3:]])
        lines.insert(11, lines[10])
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            archive.writestr(name, "".join(lines))
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        path.with_name(f"{path.name}.CHECKSUM").write_text(f"{digest}  {path.name}\n")
        yield path.name, len(lines)


def _kill(work: Import, found: Found, kills: int, rows: int, chance: random.Random) -> None:
    """The first kill falls before the first commit or about it, each other one when its share of rows is committed."""
    for number in range(kills):
        wanted = int(rows * (number - 1 + chance.random()) / (kills - 1)) if number else 0
        began, process = time.monotonic(), work.start()
        while work.rows() < wanted and process.poll() is None:
            time.sleep(_POLL_SECONDS)
        try:
            process.wait(chance.uniform(0, 0.2 if number else 3))
        except subprocess.TimeoutExpired:
            process.kill()
        is_killed = process.wait() == -9
        found.killed += is_killed
        how = "killed" if is_killed else f"had ended with {process.returncode}"
        took = time.monotonic() - began
        say(f"run {number + 1}: {how} after {took:.1f} s, {work.rows():,} of {rows:,} rows committed")
    found.expect(found.killed == kills, f"only {found.killed} of {kills} runs were still under way when killed")


def _compare_files(found: Found, document: Any, received: dict[str, int]) -> None:
    files = [one for result in document["results"] for one in result["files"]]
    named = {Path(one["file"]).name: one["received"] for one in files}
    found.expect(len(files) == len(received), f"{len(files):,} files are told of, not {len(received):,}")
    found.expect(named == received, "a file has other rows than it was made with")
    for one in files:
        sums = one["stored"] + one["dead_lettered"] + one["repeats"]
        found.expect(one["received"] == sums, f"{one['file']}: received {one['received']}, found {sums}")


def _compare_lake(found: Found, work: Import) -> None:
    """Every good row once and as its file has it, read pair by pair by polars alone."""
    import polars as pl
    from deltalake import DeltaTable

    names, pairs = NAMES[:6], dict[str, list[Path]]()
    stored = DeltaTable(str(work.data / "lake" / _TABLE)).file_uris()
    for path in sorted(work.files.glob("*.zip")):
        pairs.setdefault(path.name.partition("-")[0], []).append(path)
    for pair, paths in pairs.items():
        rows = pl.concat(
            [pl.read_csv(io.BytesIO(_content(path)), has_header=False, columns=range(6)) for path in paths]
        )
        rows.columns = names
        good = rows.filter(pl.col("high") >= pl.col("low")).unique().sort("time")
        own = [path for path in stored if f"partition_asset_pair={pair}/" in path]
        columns = ["timestamp", *names[1:]]
        held = pl.read_parquet(own, columns=columns, hive_partitioning=False).sort("timestamp")
        held = held.with_columns(pl.col("timestamp").dt.epoch("ms")).rename({"timestamp": "time"})
        lost, doubled = good.join(held, "time", "anti").height, held.height - held["time"].n_unique()
        found.expect(good.equals(held), f"{pair}: {lost} lost, {doubled} doubled, or other values than the files have")


def _content(path: Path) -> bytes:
    with zipfile.ZipFile(path) as archive:
        return archive.read(archive.namelist()[0])


def _compare_letters(found: Found, data: Path, bad: int) -> None:
    records = [one for path in (data / "dlq").glob("*.json") for one in json.loads(path.read_text())["records"]]
    found.expect(len(records) == bad, f"{len(records)} dead letters, not {bad}")
    found.expect(len({json.dumps(one, sort_keys=True) for one in records}) == bad, "a dead letter is there twice")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; 1 if anything was wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.reliability.archive", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--days", type=int, default=365, metavar="N", help="days, each a file a pair (default 365)")
    parser.add_argument("--kills", type=int, default=10, metavar="N", help="kills on the way (default 10)")
    parser.add_argument("--seed", type=int, default=random.randrange(2**32), metavar="S")
    chosen = parser.parse_args(arguments)
    began = time.monotonic()
    say(f"seed {chosen.seed}, {os.cpu_count()} processors, {processor()}")
    with tempfile.TemporaryDirectory() as folder:
        files = Path(folder) / "files"
        files.mkdir()
        found = run(files, Path(folder) / "data", chosen.days, chosen.kills, random.Random(chosen.seed))
    for fault in found.faults:
        say(f"fault: {fault}")
    say(f"{found.killed} killed, {len(found.faults)} faults, {time.monotonic() - began:.0f} s in all")
    return int(bool(found.faults))


if __name__ == "__main__":
    sys.exit(main())
