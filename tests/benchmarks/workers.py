"""How much sooner is an import of files over with two workers than with one, each worker with one core of its own?

The files are those of `import_files`: a zip a day and pair of 1m klines. PostgreSQL, the head of the cluster, a console
and the workers are real and on this host; a worker and all its processes may use one core, the others any. So with two
cores everything else takes from one of two workers, and from none of one: a host with more cores says more. The clock
runs from the start of a run that is planned to its end, with all workers joined before.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn
from unittest.mock import patch

from ffe_core.files.plan import Target
from ffe_core.operations.imports.request import ImportRequest
from ffe_core.operations.imports.service import Imports, planned
from ffe_core.operations.runs.backfill import BackfillRequest
from ffe_core.operations.runs.service import RunService
from ffe_core.settings import Settings
from ffe_core.storage.state.opening import open_state
from ffe_core.storage.state.runs import COMPLETE
from tests import postgresql
from tests.benchmarks import import_files
from tests.benchmarks.harness import Numbers, Options, Ratio, Verdict, median, run, sample, spread
from tests.workers.cluster import Cluster

GOAL = 1.8
NAMES = ("north", "south")
_JOIN_SECONDS = 240.0


def measure(options: Options) -> Numbers:
    """Seconds of an import of a folder by so many workers, and what was stored."""
    files = Path(options["files"])
    if options["side"] == "make":
        return import_files.make(files, options["days"])
    with tempfile.TemporaryDirectory() as folder, postgresql.running() as server:
        place = {"FFE_DATA_DIR": folder, "FFE_DATABASE_URL": server.database()}
        with _cluster(place, NAMES[: options["workers"]]) as cluster:
            whole = {**cluster.environment, "FFE_RAY_ADDRESS": cluster.address}
            with patch.dict(os.environ, whole), _service() as service:
                _wait_for(service, set(NAMES[: options["workers"]]))
                return _imported(service, files)


@contextmanager
def _cluster(place: dict[str, str], names: Sequence[str]) -> Iterator[Cluster]:
    cluster = Cluster(place)
    everywhere = os.sched_getaffinity(0)
    try:
        cluster.start_head()
        for name, core in zip(names, sorted(everywhere), strict=False):
            os.sched_setaffinity(0, {core})  # whatever is started from here inherits it
            cluster.start_worker(name)
            os.sched_setaffinity(0, everywhere)
        yield cluster
    finally:
        cluster.stop()


@contextmanager
def _service() -> Iterator[RunService]:
    settings = Settings.load()
    database = open_state(settings)
    service = RunService(settings, database)
    try:
        yield service
    finally:
        service.close()
        database.close()


def _wait_for(service: RunService, names: set[str]) -> None:
    """Have small runs worked off until each worker has had a share of one."""
    until = time.monotonic() + _JOIN_SECONDS
    found: set[str | None] = set()
    while found != names:
        if time.monotonic() > until:
            raise SystemExit(f"of {sorted(names)} only {sorted(map(str, found))} work after {_JOIN_SECONDS:g} s")
        pairs = [f"W{time.monotonic_ns() % 10**9}{place}USD" for place in range(4)]
        request = BackfillRequest.of("simulated", pairs, ["1h"], "2024-01-01", "2024-01-02")
        number = service.start(request, "bench")
        service.wait(number)
        found = {row.machine for row in service.runs.series(number)}


def _imported(service: RunService, files: Path) -> Numbers:
    request = ImportRequest((str(files),), Target.of("files:binance"))
    plan = planned(request, service.settings)
    began = time.monotonic()
    number = Imports(service).start(plan, request, "bench")
    service.wait(number)
    took = time.monotonic() - began
    rows = service.runs.series(number)
    if {row.state for row in rows} != {COMPLETE}:
        raise SystemExit(f"the import ended as {sorted({f'{row.state} {row.error or str()}' for row in rows})}")
    most = max(sum(row.machine == name for row in rows) for name in NAMES)
    return {"seconds": took, "rows": sum(row.records for row in rows), "share": most / len(rows)}


def compare(days: int, repetitions: int) -> Verdict:
    """One worker against two."""
    module = "tests.benchmarks.workers"
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        made = sample(module, {"make": {"side": "make", "files": folder, "days": days}}, 1)["make"][0]
        sides = {str(count): {"side": "import", "files": folder, "workers": count} for count in (1, 2)}
        found = sample(module, sides, repetitions)
    took = {name: median(numbers, "seconds") for name, numbers in found.items()}
    table = [["workers", "seconds", "rows a second", "most series on one", "each run"]]
    table += [
        [
            name,
            f"{took[name]:.1f}",
            f"{made['rows'] / took[name]:,.0f}",
            f"{median(numbers, 'share'):.0%}",
            spread(numbers, "seconds", 1),
        ]
        for name, numbers in found.items()
    ]
    faults = [f"{name} workers stored {one['rows']:,.0f} of {made['rows']:,.0f} rows"
              for name, numbers in found.items() for one in numbers if one["rows"] != made["rows"]]  # fmt: skip
    ratio = Ratio("times as fast with two workers as with one", took["1"] / took["2"], GOAL, at_least=True)
    title = f"{import_files.PAIRS * days:,} files, {made['rows']:,.0f} rows; load {load:.1f} at the start"
    return Verdict(title, table, [ratio], faults)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """The command line; ends the process."""
    run(__doc__, measure, compare, arguments, full=(365, 5), quick=(20, 1))


if __name__ == "__main__":
    main()
