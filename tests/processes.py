"""How does a test run code in processes of its own? Through a fresh interpreter: a fork after Delta was used panics."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests import children

ROOT = Path(__file__).parent.parent


def start(code: str, *arguments: object, data_dir: Path | None = None) -> subprocess.Popen[str]:
    """Start Python code with `sys.argv[1:]` = arguments, the project importable, its output kept.

    Code that works on a data directory of the test is told where its state and its lake lie.
    """
    command = [sys.executable, "-c", code, *map(str, arguments)]
    told = {} if data_dir is None else children.variables(data_dir)
    return subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, **told}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def finish(process: subprocess.Popen[str], timeout: float = 120) -> str:
    """Its standard output; AssertionError with its standard error if it failed."""
    out, err = process.communicate(timeout=timeout)
    assert process.returncode == 0, err[-4000:]
    return out


def until(is_so: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Wait for what a process that goes on brings about; AssertionError with what it said if it has ended."""
    deadline = time.monotonic() + 60
    while not is_so():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def at_once(code: str, arguments: Sequence[Sequence[object]], *, data_dir: Path | None = None) -> list[str]:
    """Run the code once for each list of arguments, all at the same time; their outputs."""
    processes = [start(code, *each, data_dir=data_dir) for each in arguments]
    try:
        return [finish(process) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.communicate()
