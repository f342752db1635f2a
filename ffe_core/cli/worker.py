"""`worker`: have this machine work for the consoles of a Ray cluster, or be the head of one."""

from __future__ import annotations

import argparse
import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from ffe_core.cli import interruption, output
from ffe_core.cli.parser import VERBS
from ffe_core.errors import InputError

_PORT = 6379


def register(verbs: Any) -> None:
    """Add the verb to the parser."""
    parser = verbs.add_parser(
        "worker",
        help=VERBS["worker"],
        description="Have this machine work for the consoles of a Ray cluster, or be its head. Ends with Ctrl-C.",
    )
    parser.add_argument("--address", metavar="HOST:PORT", help="the cluster's head; default FFE_RAY_ADDRESS")
    parser.add_argument("--head", action="store_true", help="be the head; start a worker beside it to work here too")
    parser.add_argument("--port", type=int, default=_PORT, metavar="N", help=f"of the head; default {_PORT}")
    parser.add_argument("--host", metavar="ADDRESS", help="how other machines reach this one; default as Ray finds it")
    parser.add_argument("--name", metavar="NAME", help="what runs call this machine; default its host name")
    parser.add_argument("ray", nargs="*", metavar="-- OPTION", help="options of `ray start`, such as --min-worker-port")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Have Ray's process on this machine run to its end, and once more if it was too slow to start; its exit status."""
    from ffe_core.operations.runs.cluster.needs import ray_environment
    from ffe_core.settings import Settings  # `--help` needs none

    settings = Settings.load()
    environment = ray_environment()
    if arguments.head:
        words = ["--head", "--port", str(arguments.port), "--include-dashboard", "false"]
    else:
        words = _joining(arguments.address or settings.ray_address)
        _check_state(settings)
    with _folder_of_its_own(arguments.ray) as where:
        return _ended([*_start(arguments), *words, *where, *arguments.ray], environment)


def _ended(command: Sequence[str], environment: Mapping[str, str]) -> int:
    from ffe_core.operations.runs.cluster.node import end_with_parent, ran_out_of_time

    while True:
        began = time.monotonic()
        # In a session of its own: a signal of the terminal reaches it once, from here.
        process = subprocess.Popen(command, env=environment, start_new_session=True, preexec_fn=end_with_parent)
        with interruption.winding_down(process.terminate):
            status = process.wait()
        if interruption.came() is not None:
            return interruption.status()
        if status == 0 or not ran_out_of_time(time.monotonic() - began):
            return status if status >= 0 else 128 - status
        output.warn("Ray's process ended before the head knew of it, as this machine is busy; it is started again")


def _joining(address: str) -> list[str]:
    from ffe_core.operations.runs.cluster.needs import RESOURCE
    from ffe_core.ray_address import ray_address

    if not address:
        raise InputError(
            "name the cluster's head, such as --address head.example:6379, or be one with --head", field="--address"
        )
    resources = json.dumps({RESOURCE: 1})
    return ["--address", ray_address(address, "--address"), "--resources", resources, "--include-log-monitor", "false"]


def _start(arguments: argparse.Namespace) -> list[str]:
    from ffe_core.operations.runs.cluster.node import start_command

    where = ["--node-ip-address", arguments.host] if arguments.host else []
    return start_command("--node-name", arguments.name or socket.gethostname(), *where)


@contextmanager
def _folder_of_its_own(given: Sequence[str]) -> Iterator[list[str]]:
    """The option of a folder for one node, unless one is `given`.

    To two workers that start at once in one, Ray gives the same socket, and one fails. A head that finds the folder of
    one that was killed refuses to start while a node of that one is still ending on the same machine.
    """
    from ffe_core.operations.runs.cluster.node import new_folder

    if any(word.split("=")[0] == "--temp-dir" for word in given):
        yield []
        return
    folder = new_folder()
    try:
        yield ["--temp-dir", str(folder)]
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _check_state(settings: Any) -> None:
    """Open the state once, so that what is wrong with it is said here and not on a run's page."""
    from ffe_core.cli.common import state
    from ffe_core.operations.runs.cluster.needs import check_state

    check_state(settings)
    state(settings).close()
