"""How much sooner is an import of files over with two workers than with one, each worker with as much of a machine?

The files are those of `import_files`: a zip a day and pair of 1m klines. PostgreSQL, the head of the cluster, a console
and the workers are real and on this host. Workers of a cluster have machines of their own: with `half` a worker and all
its processes get half a core's time from the kernel (a cgroup's quota, which root may set), so that on two cores one is
left for everything else, however many work. With `core` each is pinned to a core; then on two cores everything else
takes from one of two workers, and from none of one. The clock runs from the start of a run that is planned to its end,
with all workers joined before, each after a share of a small import: what a worker loads for its first files it loads
once in its life.
"""

from __future__ import annotations

import itertools
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import NoReturn
from unittest.mock import patch

from ffe_core.files.plan import Target
from ffe_core.operations.imports.request import ImportRequest
from ffe_core.operations.imports.service import Imports, planned
from ffe_core.operations.runs.service import RunService
from ffe_core.settings import Settings
from ffe_core.storage.state.opening import open_state
from ffe_core.storage.state.runs import COMPLETE, RunSeries
from tests import postgresql
from tests.benchmarks import import_files
from tests.benchmarks.harness import Numbers, Options, Ratio, Verdict, median, run, sample, spread
from tests.browser.driver import poll
from tests.workers.cluster import Cluster

GOAL = 1.8
HOW = ("half", "core")
_GROUPS = Path("/sys/fs/cgroup/cpu"), Path("/sys/fs/cgroup")
_PERIOD_MICROS = 100_000
NAMES = ("north", "south")
_JOIN_SECONDS = 240.0


def measure(options: Options) -> Numbers:
    """Seconds of an import of a folder by so many workers, and what was stored."""
    files = Path(options["files"])
    if options["side"] == "make":
        import_files.make(Path(options["small"]), days=1)
        return import_files.make(files, options["days"])
    with tempfile.TemporaryDirectory() as folder, postgresql.running() as server:
        place = {"FFE_DATA_DIR": folder, "FFE_DATABASE_URL": server.database()}
        with _cluster(place, NAMES[: options["workers"]], options["how"]) as cluster:
            whole = {**cluster.environment, "FFE_RAY_ADDRESS": cluster.address}
            with patch.dict(os.environ, whole), _service() as service:
                _wait_for(service, set(NAMES[: options["workers"]]), Path(options["small"]))
                return _measured(service, files)


@contextmanager
def _cluster(place: dict[str, str], names: Sequence[str], how: str) -> Iterator[Cluster]:
    cluster = Cluster(place)
    everywhere = sorted(os.sched_getaffinity(0))
    with ExitStack() as groups:
        try:
            cluster.start_head()
            for name, core in zip(names, everywhere, strict=False):
                with groups.enter_context(_half_a_core()) if how == HOW[0] else _pinned(core, everywhere):
                    cluster.start_worker(name)
            yield cluster
        finally:
            cluster.stop()


@contextmanager
def _pinned(core: int, everywhere: Sequence[int]) -> Iterator[None]:
    """Whatever is started in the block has this core alone."""
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, everywhere)


@contextmanager
def _half_a_core() -> Iterator[AbstractContextManager[None]]:
    """A group of processes that have half a core's time together; what is started in the inner block is in it."""
    first, second = _GROUPS
    group = Path(tempfile.mkdtemp(prefix="ffe-", dir=first if first.is_dir() else second))
    half = str(_PERIOD_MICROS // 2)
    try:
        if group.parent == first:
            (group / "cpu.cfs_period_us").write_text(str(_PERIOD_MICROS))
            (group / "cpu.cfs_quota_us").write_text(half)
        else:
            (group / "cpu.max").write_text(f"{half} {_PERIOD_MICROS}")
        yield _inside(group)
    finally:
        poll(lambda: not (group / "cgroup.procs").read_text(), f"the processes in {group} to end")
        group.rmdir()


def possible() -> tuple[str, ...]:
    """How workers can be given their share here: by the kernel's quota only where this process may set one."""
    try:
        with _half_a_core():
            return HOW
    except OSError:
        return HOW[1:]


@contextmanager
def _inside(group: Path) -> Iterator[None]:
    own = str(os.getpid())
    (group / "cgroup.procs").write_text(own)
    try:
        yield
    finally:
        (group.parent / "cgroup.procs").write_text(own)


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


def _wait_for(service: RunService, names: set[str], files: Path) -> None:
    """Have a few files imported, each time as another provider's, until each worker has had a share of one run."""
    until = time.monotonic() + _JOIN_SECONDS
    found: set[str | None] = set()
    for attempt in itertools.count():
        found = {row.machine for row in _imported(service, files, f"files:small{attempt}")[1]}
        if found == names:
            return
        if time.monotonic() > until:
            raise SystemExit(f"of {sorted(names)} only {sorted(map(str, found))} work after {_JOIN_SECONDS:g} s")


def _imported(service: RunService, files: Path, provider: str) -> tuple[float, list[RunSeries]]:
    """Seconds from the start of the planned run to its end, and its series."""
    request = ImportRequest((str(files),), Target.of(provider))
    plan = planned(request, service.settings)
    began = time.monotonic()
    number = Imports(service).start(plan, request, "bench")
    service.wait(number)
    took = time.monotonic() - began
    rows = service.runs.series(number)
    if {row.state for row in rows} != {COMPLETE}:
        raise SystemExit(f"the import ended as {sorted({f'{row.state} {row.error or str()}' for row in rows})}")
    return took, rows


def _measured(service: RunService, files: Path) -> Numbers:
    took, rows = _imported(service, files, "files:binance")
    most = max(sum(row.machine == name for row in rows) for name in NAMES)
    return {"seconds": took, "rows": sum(row.records for row in rows), "share": most / len(rows)}


def compare(days: int, repetitions: int, hows: Sequence[str]) -> Verdict:
    """One worker against two."""
    here = possible()
    hows = [how for how in hows if how in here]
    if not hows:
        raise SystemExit("half a core each needs the right to set a quota for a cgroup; measure with --only core")
    module = "tests.benchmarks.workers"
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as small:
        files = {"files": folder, "small": small}
        made = sample(module, {"make": {"side": "make", "days": days, **files}}, 1)["make"][0]
        sides = {
            f"{count}, {how}": {"side": "import", "workers": count, "how": how, **files}
            for how in hows
            for count in (1, 2)
        }
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
    ratios = [
        Ratio(f"times as fast with two workers as with one, {how}", took[f"1, {how}"] / took[f"2, {how}"], GOAL, True)
        for how in hows
    ]
    title = f"{import_files.PAIRS * days:,} files, {made['rows']:,.0f} rows; load {load:.1f} at the start"
    return Verdict(title, table, ratios, faults)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """The command line; ends the process."""
    run(__doc__, measure, compare, arguments, full=(365, 5), quick=(20, 1), parts=HOW)


if __name__ == "__main__":
    main()
