"""Node of a console in a cluster: the part of Ray that a driver needs on its own machine, which does no work.

A driver is a part of the cluster, not a client of it, and ends with the node that it is on. So it has one of its own:
that of a worker on the same machine may be ended while runs go on elsewhere.
"""

from __future__ import annotations

import ctypes
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

STORE_BYTES = 80 * 2**20
"""Memory that Ray shares between its processes; a little above the least it takes, as candles do not go through it."""
_START_SECONDS = 30.0
"""A node that its head does not know so long after it was started ends itself: Ray's own limit, which no setting moves
(`raylet_start_wait_time_s` in ray/_private/node.py of 2.60). On a busy machine it takes longer."""
_STARTED_SECONDS = 90.0
_REACH_SECONDS = 5.0
_JOIN_SECONDS = 120.0
_END_SECONDS = 10.0
_SET_PDEATHSIG = 1


def start_command(*words: str) -> list[str]:
    """The command line of a node, with `--block`: it ends with its signals, and so does all that it started."""
    fixed = ["--block", "--disable-usage-stats", "--num-cpus", "0", "--object-store-memory", str(STORE_BYTES)]
    return [sys.executable, "-P", "-m", "ray.scripts.scripts", "start", *fixed, *words]


def ran_out_of_time(seconds: float) -> bool:
    """Whether a node that ended so long after its start did so as it took too long, and may be started again.

    One that cannot start at all, such as with another token, ends sooner; one that has worked, later.
    """
    return _START_SECONDS <= seconds < _STARTED_SECONDS


def end_with_parent() -> None:
    """In a child between fork and exec: have the kernel end it when its parent is killed (PR_SET_PDEATHSIG)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SET_PDEATHSIG, signal.SIGTERM)


def new_folder() -> Path:
    """A folder for a node."""
    # The name of a socket has 107 characters at most, and a temporary folder may lie deep.
    return Path(tempfile.mkdtemp(prefix="ffe-ray-", dir="/tmp"))


class ConsoleNode:
    """A node for one driver, known to it by the folder that it keeps its sockets and logs in."""

    def __init__(self, address: str, folder: Path) -> None:
        self._address, self.folder = address, folder
        self._process: subprocess.Popen[bytes] | None = None
        self._began = 0.0

    def join(self) -> str | None:
        """Have this process drive the cluster; why it cannot, None if it does."""
        import ray

        if not _answers(self._address):
            return f"the cluster's head at {self._address} cannot be reached; start it, or put FFE_RAY_ADDRESS right"
        joining = ["--address", self._address, "--temp-dir", str(self.folder), "--include-log-monitor", "false"]
        until = time.monotonic() + _JOIN_SECONDS
        while time.monotonic() < until and self._starts(joining):
            try:
                # The address is always said: without one Ray joins whatever cluster it finds on the machine.
                ray.init(
                    address=self._address, _temp_dir=str(self.folder), log_to_driver=False, configure_logging=False
                )
            except Exception as error:  # whatever it is, there may be a node in a moment
                sys.stderr.write(f"not joined yet: {type(error).__name__}: {error}\n")
                time.sleep(0.5)
            else:
                return None
        return (
            f"the cluster at {self._address} does not let this machine join; give RAY_AUTH_TOKEN the value that it has"
            " there, and see logs/ray-driver.log in the data directory"
        )

    def _starts(self, joining: list[str]) -> bool:
        """Whether the node is there or on its way; False once it cannot be started."""
        if self._process is not None and self._process.poll() is not None:
            if not ran_out_of_time(time.monotonic() - self._began):
                return False
            sys.stderr.write("the node was not known to the head in time; once more\n")
            self._process = None
        if self._process is None:
            self._began = time.monotonic()
            self._process = subprocess.Popen(
                start_command(*joining), stdin=subprocess.DEVNULL, stdout=2, preexec_fn=end_with_parent
            )
        return True

    def leave(self) -> None:
        """End the node, by its number."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(_END_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def _answers(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_REACH_SECONDS).close()
    except OSError:
        return False
    return True
