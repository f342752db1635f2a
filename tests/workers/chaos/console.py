"""A console in a process of its own: all that its server has but the pages; what a person clicks comes by a pipe."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any

from ffe_core.errors import FFEError, InputError
from ffe_core.operations.console import ConsoleService
from ffe_core.operations.runs.backfill import BackfillRequest

ROOT = Path(__file__).parents[3]


class Console:
    """The handle of one, in the process that holds all; `owner` is what its runs are known by, once it is up."""

    def __init__(self, name: str, environment: Mapping[str, str], folder: Path) -> None:
        self.name = name
        self.owner: str | None = None
        self._asked: dict[int, Future[dict[str, Any]]] = {}
        with (folder / f"console-{name}.log").open("ab") as said:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.workers.chaos.console"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, cwd=ROOT, env=dict(environment), text=True,
            )  # fmt: skip
        self._hearing = threading.Thread(target=self._hear, name=f"console {name}", daemon=True)
        self._hearing.start()

    @property
    def is_up(self) -> bool:
        """Whether a person can click there."""
        return self.owner is not None and self._process.poll() is None

    @property
    def has_ended(self) -> bool:
        """Whether its process is over, killed or not."""
        return self._process.poll() is not None

    def ask(self, **verb: Any) -> Future[dict[str, Any]]:
        """Click; the answer holds `run`, or `error` and `code`. ConnectionError when it dies before it answers."""
        answer: Future[dict[str, Any]] = Future()
        number = len(self._asked)
        self._asked[number] = answer
        try:
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps({"number": number, **verb}) + "\n")
            self._process.stdin.flush()
        except OSError:
            self._gone(answer)
        return answer

    def kill(self) -> None:
        """SIGKILL."""
        self._process.kill()
        self.end()

    def end(self, timeout: float | None = 60.0) -> None:
        """Wait for its end, once it was killed or its pipe is closed."""
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._hearing.join()

    def _hear(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            told = json.loads(line)
            if "owner" in told:
                self.owner = told["owner"]
            else:
                self._asked[told["number"]].set_result(told)
        self._process.stdout.close()
        for answer in list(self._asked.values()):
            self._gone(answer)

    def _gone(self, answer: Future[dict[str, Any]]) -> None:
        if not answer.done():
            answer.set_exception(ConnectionError(f"console {self.name} is gone"))


def main() -> None:
    """Be one, until the pipe is closed. A state that cannot be reached is tried again, as a server does."""
    service = _opened()
    _tell(owner=service.run_service._process_lock.owner)
    for line in sys.stdin:
        threading.Thread(target=_answer, args=(service, json.loads(line)), daemon=True).start()
    service.drain()


def _opened() -> ConsoleService:
    while True:
        try:
            return ConsoleService().open()
        except FFEError as error:
            sys.stderr.write(f"not up yet: {error}\n")
            time.sleep(0.5)


def _answer(service: ConsoleService, asked: dict[str, Any]) -> None:
    try:
        _tell(number=asked["number"], run=_done(service, asked))
    except (FFEError, InputError) as error:
        _tell(number=asked["number"], error=str(error), code=error.code)


def _done(service: ConsoleService, asked: dict[str, Any]) -> int:
    runs = service.run_service
    if asked["verb"] == "start":
        return runs.start(BackfillRequest.of(*asked["words"]), asked["actor"])
    again = {"resume": runs.resume, "retry": runs.retry_failed}[asked["verb"]]
    return again(asked["run"], asked["actor"])


def _tell(**what: Any) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
