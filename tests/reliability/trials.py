"""Trials: run verbs on data directories of their own, and tell how they ended."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.reliability import shim
from tests.reliability.shim import Arm, Call

ROOT = Path(__file__).parents[2]
BOUND = 30.0
"""Seconds within which every verb on these small directories ends, failing or not, on a busy machine."""
LEASE_WAIT = 2
BROKEN = 0.03
"""Share of the simulated market's records that are broken."""
_ENVIRONMENT = {
    "FFE_SIMULATED__BROKEN_RECORDS": str(BROKEN),
    "FFE_RETRY__ATTEMPTS": "2",
    "FFE_RETRY__BASE_DELAY_SECONDS": "0.01",
    "FFE_LEASE_WAIT_SECONDS": str(LEASE_WAIT),
}
_ONE_THREAD = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
    "_RJEM_MALLOC_CONF": "background_thread:false",
    "PYTHONDONTWRITEBYTECODE": "1",
}


@dataclass(frozen=True)
class Outcome:
    """How a trial ended: `status` is the exit status, negative for a signal, None if it hung."""

    status: int | None
    seconds: float
    peak_mb: float
    out: str
    err: str

    @property
    def was_killed(self) -> bool:
        """Whether SIGKILL ended it."""
        return self.status == -9


class Place:
    """A folder for one data directory and what its trials said."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.data = folder, folder / "data"

    @property
    def log(self) -> Path:
        """Where storage calls are listed."""
        return self.folder / "calls"

    def arm(self, at: int = -1, action: int = shim.COUNT, code: int = 0, under: str = "") -> Arm:
        """An arm for this data directory, or for what begins with `under` in it; its calls are listed anew."""
        self.log.unlink(missing_ok=True)
        return Arm(str(self.data / under if under else self.data), at, action, code, str(self.log))

    def calls(self) -> list[Call]:
        """The storage calls since the last arm was made."""
        return shim.trace(self.log) if self.log.exists() else []

    def met(self, at: int) -> str:
        """The call of this number, which may be another than in an undisturbed run: threads take turns as they like."""
        return next((str(call) for call in self.calls() if call.number == at), f"call {at}, never made")


class Trials:
    """Runs trials; a context manager that starts and ends what they are forked from, and removes their folders."""

    def __init__(self) -> None:
        self._base = Path(tempfile.mkdtemp(prefix="ffe-reliability-", dir=_fast_folder()))
        self._socket = str(self._base / "zygote")
        self._made = 0
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("FFE_")}
        environment = {**kept, **_ONE_THREAD, "LD_PRELOAD": str(shim.library()), "PYTHONPATH": str(ROOT)}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.reliability.zygote", self._socket],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        if self._process.stdout.readline() != "ready\n":
            self._end()
            raise RuntimeError("what trials are forked from did not start; its words are above")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def _end(self) -> None:
        if self._process is not None:
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            self._process.stdin.close()
            self._process.stdout.close()
            self._process.wait(10)
        shutil.rmtree(self._base, ignore_errors=True)

    @contextmanager
    def place(self, source: Path | None = None, within: Path | None = None) -> Iterator[Place]:
        """A folder of its own, its data directory a copy of `source` if given; removed afterwards."""
        place = Place(Path(tempfile.mkdtemp(prefix="t", dir=within or self._base)))
        try:
            if source is not None:
                shutil.copytree(source, place.data, symlinks=True)
            yield place
        finally:
            shutil.rmtree(place.folder, ignore_errors=True)

    def beside(self, place: Place) -> Place:
        """The same data directory, for another process whose words go into a folder of its own."""
        folder = Path(tempfile.mkdtemp(prefix="p", dir=place.folder))
        other = Place(folder)
        other.data = place.data
        return other

    def keep(self) -> Place:
        """A folder that stays until the end."""
        return Place(Path(tempfile.mkdtemp(prefix="k", dir=self._base)))

    def verb(
        self,
        place: Place,
        *arguments: str,
        env: Mapping[str, str] | None = None,
        arm: Arm | None = None,
        clock: int = 0,
        bound: float = BOUND,
    ) -> Outcome:
        """Run `python -m ffe_core` with these arguments on the place's data directory."""
        return self._run({"arguments": arguments}, place, env, arm, clock, bound)

    def function(self, place: Place, name: str, *arguments: str, bound: float = 60.0) -> Outcome:
        """Call `module:name` with these texts."""
        return self._run({"function": name, "arguments": arguments}, place, None, None, 0, bound)

    def state(self, place: Place) -> dict[str, Any]:
        """What the data directory holds, as `state.py` reads it; `unreadable` says why it cannot be."""
        target = place.folder / "state.json"
        target.unlink(missing_ok=True)
        outcome = self.function(place, "tests.reliability.state:write", str(place.data), str(target))
        if outcome.status != 0 or not target.exists():
            return {"unreadable": outcome.err[-1500:] or f"status {outcome.status}"}
        found: dict[str, Any] = json.loads(target.read_text())
        return found

    def _run(
        self,
        what: dict[str, Any],
        place: Place,
        env: Mapping[str, str] | None,
        arm: Arm | None,
        clock: int,
        bound: float,
    ) -> Outcome:
        trial = {
            **what,
            "folder": str(place.folder),
            "env": {**_ENVIRONMENT, "FFE_DATA_DIR": str(place.data), **(env or {})},
            "arm": arm.as_dict() if arm else None,
            "clock": clock,
            "bound": bound,
        }
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(self._socket)
            with connection.makefile("rw") as stream:
                stream.write(json.dumps(trial) + "\n")
                stream.flush()
                answer = json.loads(stream.readline())
        said = [_text(place.folder / name) for name in ("out", "err")]
        return Outcome(answer["status"], answer["seconds"], answer["peak_mb"], *said)


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except FileNotFoundError:
        return ""


def _fast_folder() -> str | None:
    """Memory where there is enough of it: a trial's syncs would wear a disk for nothing."""
    shared = Path("/dev/shm")
    return str(shared) if shared.is_dir() and shutil.disk_usage(shared).free > 1 << 30 else None


def expect(outcome: Outcome, *statuses: int) -> Outcome:
    """The outcome, if it ended with one of these; AssertionError with its words otherwise."""
    assert outcome.status in (statuses or (0,)), f"status {outcome.status}: {outcome.out[-2000:]}{outcome.err[-4000:]}"
    return outcome


def in_threads() -> int:
    """How many trials run at once: one a processor and one more, as some wait."""
    return (os.cpu_count() or 1) + 1


def texts(values: Sequence[object]) -> list[str]:
    """Values as a command line has them."""
    return [str(value) for value in values]
