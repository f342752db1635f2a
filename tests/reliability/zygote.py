"""Zygote: forks every trial from a process that has imported everything and used nothing, and so has one thread.

    LD_PRELOAD=shim.so python -m tests.reliability.zygote SOCKET

Starting Python and importing the core costs 2 s of a processor, a fork 10 ms. A fork is sound while no library has
threads or locks of its own yet: delta-rs starts its runtime at its first use, and panics in a fork made after that, so
it is first used in the fork. That this process has one thread is checked before every fork; the allocators' background
threads are switched off for it by `trials.py`.

Each connection is one trial: a line of JSON says what to run, a line of JSON says how it ended.
"""

from __future__ import annotations

import faulthandler
import gc
import importlib
import json
import os
import pkgutil
import resource
import runpy
import select
import signal
import socket
import sys
import time
import traceback
from contextlib import suppress
from typing import Any, NoReturn

from tests.reliability import shim

_LIBRARIES = (
    "numpy pandas pyarrow pyarrow.compute pyarrow.dataset pyarrow.fs pyarrow.parquet deltalake deltalake.fs httpx"
    " sqlalchemy sqlalchemy.dialects.sqlite alembic.command alembic.config alembic.script exchange_calendars filelock"
    " pydantic"
).split()
_PAGE_BARS = 150
"""Bars a request of the simulated market, records a commit: small, so that a trial has many moments."""


def load() -> None:
    """Import all that a verb can need, and make commits small."""
    for name in _LIBRARIES:
        with suppress(ImportError):
            importlib.import_module(name)
    core = importlib.import_module("ffe_core")
    for module in pkgutil.walk_packages(core.__path__, "ffe_core."):
        if not module.name.endswith("__main__") and ".migrations." not in module.name:  # run by Alembic, not imported
            with suppress(ImportError):  # what needs an extra that is not installed
                importlib.import_module(module.name)
    importlib.import_module("tests.reliability.state")
    _small("ffe_core.ingestion.chunk", "_VALIDATE_RECORDS")
    _small("ffe_core.ingestion.chunk", "_COMMIT_ROWS")
    _small("ffe_core.providers.simulated", "_PAGE_BARS")
    gc.collect()
    gc.freeze()


def _small(module: str, name: str) -> None:
    loaded = importlib.import_module(module)
    assert isinstance(getattr(loaded, name, None), int), f"{module}.{name} is gone: trials need small pages and commits"
    setattr(loaded, name, _PAGE_BARS)


def serve(address: str) -> None:
    """Take trials until standard input ends."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(address)
        listening.listen(128)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while True:
            ready, _, _ = select.select([listening, sys.stdin], [], [])
            if sys.stdin in ready:
                return
            connection, _ = listening.accept()
            threads = len(os.listdir("/proc/self/task"))
            assert threads == 1, f"a fork would not be sound: this process has {threads} threads"
            if os.fork() == 0:
                listening.close()
                _attend(connection)
            connection.close()
            _reap()


def _reap() -> None:
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _attend(connection: socket.socket) -> NoReturn:
    """Fork once more, wait for that with a bound, and tell how it ended."""
    with connection, connection.makefile("rw") as stream:
        trial = json.loads(stream.readline())
        began = time.monotonic()
        pid = os.fork()
        if pid == 0:
            connection.close()
            _become(trial)
        ended = _wait(pid, trial["bound"])
        reply = {**ended, "seconds": time.monotonic() - began}
        with suppress(OSError):
            stream.write(json.dumps(reply) + "\n")
            stream.flush()
    os._exit(0)


def _wait(pid: int, bound: float) -> dict[str, Any]:
    """Status (negative: the signal; None: it hung and was ended) and peak memory in MB."""
    watched = os.pidfd_open(pid)
    hung = not select.select([watched], [], [], bound)[0]
    if hung:
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGABRT)  # says where it hung
        if not select.select([watched], [], [], 5)[0]:
            os.killpg(pid, signal.SIGKILL)
    _, status, usage = os.wait4(pid, 0)
    return {"status": None if hung else os.waitstatus_to_exitcode(status), "peak_mb": usage.ru_maxrss / 1024}


def _become(trial: dict[str, Any]) -> NoReturn:
    os.setsid()
    gc.enable()
    _redirect(trial["folder"])
    os.environ.update(trial["env"])
    faulthandler.enable()
    if limit := trial.get("memory_mb"):
        resource.setrlimit(resource.RLIMIT_AS, (limit << 20, limit << 20))
    how = trial.get("arm")
    shim.arm(shim.Arm(**how) if how else None, trial.get("clock", 0))
    status = 0
    try:
        status = _do(trial)
    except SystemExit as end:
        status = _status_of(end)
    except BaseException:
        traceback.print_exc()
        status = 1
    with suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(status)


def _status_of(end: SystemExit) -> int:
    if end.code is None or isinstance(end.code, int):
        return end.code or 0
    sys.stderr.write(f"{end.code}\n")
    return 1


def _redirect(folder: str) -> None:
    names = (("/dev/null", os.O_RDONLY), (f"{folder}/out", os.O_WRONLY), (f"{folder}/err", os.O_WRONLY))
    for number, (path, flags) in enumerate(names):
        opened = os.open(path, flags | (os.O_CREAT | os.O_TRUNC if number else 0), 0o644)
        os.dup2(opened, number)
        os.close(opened)


def _do(trial: dict[str, Any]) -> int:
    """A verb just as `python -m ffe_core` runs it, or a function `module:name` with texts as arguments."""
    if "function" in trial:
        module, _, name = trial["function"].partition(":")
        return int(getattr(importlib.import_module(module), name)(*trial["arguments"]) or 0)
    sys.argv = ["ffe_core", *trial["arguments"]]
    runpy.run_module("ffe_core", run_name="__main__", alter_sys=True)
    return 0


if __name__ == "__main__":
    load()
    serve(sys.argv[1])
