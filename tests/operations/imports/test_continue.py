"""Is an import that was cancelled or killed continued as it was asked for, and one that failed tried again?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ffe_core.errors import InputError, WorkersLost
from ffe_core.files.plan import Target
from ffe_core.files.profile import Profiles
from ffe_core.operations.console import ConsoleService
from ffe_core.operations.imports.request import ImportRequest, kept_request
from ffe_core.operations.imports.service import Imports, planned, save_profile
from ffe_core.series import Series
from ffe_core.storage.state.runs import NewRun
from tests.files.making import candles, lines, ohlcv

SERIES = Series("BTCUSD", "1h", "files:mine")
TARGET = Target.of("files:mine/BTCUSD/1h")
ANSWERS = {"zone": "UTC", "stamp": "open"}


@pytest.fixture
def console(tmp_path: Path) -> Iterator[ConsoleService]:
    service = ConsoleService({"data_dir": str(tmp_path / "data")})
    yield service
    service.drain()


def candle_file(folder: Path) -> Path:
    path = folder / "candles.csv"
    rows = [f"{one.utc:%Y-%m-%d %H:%M},{ohlcv(one)}" for one in candles("1h")]
    path.write_bytes(lines(rows, "time,open,high,low,close,volume"))
    return path


def cancelled(console: ConsoleService, request: ImportRequest) -> int:
    """The number of an import that was cancelled before it could begin with its series."""
    with console.run_service.stores.lease(SERIES, "a test").acquire():
        plan = planned(request, console.settings)
        run_id = Imports(console.run_service).start(plan, request, "ann", lease_wait=60)
        console.run_service.cancel(run_id, "ann")
        console.run_service.wait(run_id, 30)
    assert console.runs.get(run_id).state == "cancelled"
    return run_id


def state(console: ConsoleService, run_id: int) -> tuple[str, int]:
    console.run_service.wait(run_id, 60)
    [row] = console.runs.series(run_id)
    return row.state, row.records


@pytest.mark.both_servers
def test_a_cancelled_import_is_continued_with_the_answers_it_had(console: ConsoleService, tmp_path: Path) -> None:
    path = candle_file(tmp_path)
    first = cancelled(console, ImportRequest((str(path),), TARGET, answers=ANSWERS))
    looked: list[int] = []
    again = Imports(console.run_service).resume(first, "bob", progress=looked.append)
    assert state(console, again) == ("complete", 24)
    assert looked[-1] == 1
    run = console.runs.get(again)
    assert (run.parent_id, run.actor) == (first, "bob")
    with pytest.raises(InputError, match=f"run {again} went on with what was left of {first}"):
        Imports(console.run_service).resume(first, "bob")


def test_what_lost_its_workers_waits_for_leases_that_they_may_still_hold(
    console: ConsoleService, tmp_path: Path
) -> None:
    first = cancelled(console, ImportRequest((str(candle_file(tmp_path)),), TARGET, answers=ANSWERS))
    console.runs.update(first, error_code=WorkersLost.code)
    lease = console.run_service.stores.lease(SERIES, "a lost worker").acquire()
    again = Imports(console.run_service).resume(first, "bob")
    lease.release()
    assert state(console, again) == ("complete", 24)


def test_it_is_read_by_the_profile_that_it_had_though_another_has_its_name_now(
    console: ConsoleService, tmp_path: Path
) -> None:
    path = candle_file(tmp_path)
    shown = planned(ImportRequest((str(path),), TARGET, answers=ANSWERS), console.settings)
    save_profile(console.settings, "own-one", shown.looks[0].profile)
    first = cancelled(console, ImportRequest((str(path),), TARGET, profile="own-one"))
    save_profile(console.settings, "own-one", shown.looks[0].profile.with_answers(zone="UTC+2"))
    again = Imports(console.run_service).resume(first, "bob")
    assert state(console, again) == ("complete", 24)
    assert console.lake.marks(SERIES).low == candles("1h")[0].at


def test_a_file_that_failed_is_tried_again_as_it_is_now(console: ConsoleService, tmp_path: Path) -> None:
    path = candle_file(tmp_path)
    beside = path.with_name("candles.csv.sha256")
    beside.write_text("0" * 64)
    request = ImportRequest((str(path),), TARGET, answers=ANSWERS)
    first = Imports(console.run_service).start(planned(request, console.settings), request, "ann")
    assert state(console, first) == ("failed", 0)
    beside.unlink()
    assert state(console, Imports(console.run_service).retry_failed(first, "ann")) == ("complete", 24)


def test_paths_are_kept_whole_and_everything_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    asked = ImportRequest(("a.csv",), TARGET, answers={"columns": ("time", "open")}, member="x", again=True)
    kept = kept_request({"request": asked.kept(Profiles(tmp_path / "none"))})
    assert kept.files == (str(tmp_path / "a.csv"),)
    assert (kept.target, kept.member, kept.again) == (asked.target, "x", True)
    assert ImportRequest(tuple(map(str, range(10_001))), TARGET).kept(Profiles(tmp_path / "none")) is None


def test_what_an_earlier_release_has_begun_is_started_again_from_where_it_came(console: ConsoleService) -> None:
    run = NewRun("import", "files:mine", "files", 0, 0, (SERIES,), "ann", "console", "gone", None, {"files": ["a.csv"]})
    run_id = console.runs.add(run)
    console.run_service.adopt_dead_runs()
    with pytest.raises(InputError, match="start it again from where it came from"):
        Imports(console.run_service).resume(run_id, "ann")
    with pytest.raises(InputError, match="no series that is failed"):
        Imports(console.run_service).retry_failed(run_id, "ann")
    with pytest.raises(InputError, match="there is no import 99"):
        Imports(console.run_service).resume(99, "ann")
