"""A real Ray cluster for tests: a head and workers as processes of their own, each ended by its number.

Whatever ends the tests ends them too: a worker has what it started end with it, and the kernel ends the worker.
"""

from __future__ import annotations

import ctypes
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[2]
_WAIT = 90.0


class Cluster:
    """A head at `address`, and workers by name.

    Ray puts the address of the machine in the place of 127.0.0.1, so this is the one that it listens at.
    """

    def __init__(self, settings: Mapping[str, str]) -> None:
        # A short path: Ray's sockets lie below it, and the name of a socket has 107 characters at most.
        self.folder = Path(tempfile.mkdtemp(prefix="ffe-ray-", dir="/tmp"))
        self.port = _free_port()
        self.address = f"{_own_address()}:{self.port}"
        self.token = secrets.token_hex(16)
        self._settings = settings
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._heads = 0

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a console or a worker of this cluster."""
        plain = {name: value for name, value in os.environ.items() if not name.startswith(("FFE_", "RAY_"))}
        return {**plain, **self._settings, "RAY_AUTH_TOKEN": self.token, "PYTHONPATH": str(ROOT)}

    def start_head(self) -> None:
        """Start the head, and wait until it listens.

        In a folder of its own, as `ffe worker` has it: Ray refuses the folder of one that was killed while any node of
        its is still ending here, such as a console's.
        """
        self._heads += 1
        folder = str(self.folder / f"head{self._heads}")
        self._start("head", "--head", "--port", str(self.port), "--", "--temp-dir", folder)
        until = time.monotonic() + _WAIT
        while not _listens(self.address):
            assert self._processes["head"].poll() is None, self.said("head")
            assert time.monotonic() < until, self.said("head")
            time.sleep(0.1)

    def start_worker(self, name: str, **settings: str) -> None:
        """Start a worker; it has joined a few seconds later."""
        folder = str(self.folder / name)
        self._start(name, "--address", self.address, "--name", name, "--", "--temp-dir", folder, **settings)

    def kill(self, name: str) -> None:
        """Kill a process and all it started, as a power cut would."""
        process = self._processes.pop(name)
        try:
            below = psutil.Process(process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            below = []
        process.kill()
        for one in below:
            with suppress(psutil.NoSuchProcess):
                one.kill()
        process.wait(_WAIT)

    def is_up(self, name: str) -> bool:
        """Whether the process was started and has not ended."""
        return name in self._processes and self._processes[name].poll() is None

    def actors(self, name: str) -> list[psutil.Process]:
        """The processes of our actors on a worker, in the order of their numbers."""
        process = self._processes.get(name)
        try:
            below = [] if process is None else psutil.Process(process.pid).children(recursive=True)
        except psutil.Error:
            below = []
        return sorted((one for one in below if _is_actor(one)), key=lambda one: one.pid)

    def said(self, name: str) -> str:
        """What a process wrote so far."""
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def stop(self) -> None:
        """End every process by its number, and wait for it."""
        for process in self._processes.values():
            process.send_signal(signal.SIGTERM)
        for process in self._processes.values():
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(_WAIT)
        self._processes.clear()
        shutil.rmtree(self.folder, ignore_errors=True)

    def left_over(self) -> list[psutil.Process]:
        """Processes that still know of this cluster by its token."""
        return [one for one in psutil.process_iter() if one.pid != os.getpid() and _knows(one, self.token)]

    def _start(self, name: str, *words: str, **settings: str) -> None:
        with (self.folder / f"{name}.log").open("wb") as said:
            self._processes[name] = subprocess.Popen(
                [sys.executable, "-m", "ffe_core", "worker", *words],
                stdin=subprocess.DEVNULL, stdout=said, stderr=said, cwd=self.folder,
                env={**self.environment, **settings}, preexec_fn=_end_with_parent,
            )  # fmt: skip


def _knows(process: psutil.Process, token: str) -> bool:
    try:
        return process.environ().get("RAY_AUTH_TOKEN") == token and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _is_actor(process: psutil.Process) -> bool:
    try:
        return process.cmdline()[0].startswith("ray::Machine")
    except (psutil.Error, IndexError):
        return False


def _end_with_parent() -> None:
    """Have the kernel end the process when the tests are killed (PR_SET_PDEATHSIG)."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def _listens(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
    except OSError:
        return False
    return True


def _own_address() -> str:
    """The address of this machine as Ray finds it: that of the way out, without a packet sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("8.8.8.8", 80))
            return str(probe.getsockname()[0])
        except OSError:
            return "127.0.0.1"


def _free_port() -> int:
    with socket.create_server(("", 0)) as bound:
        return int(bound.getsockname()[1])
