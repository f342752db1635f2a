"""`console`: start the web console, from an installed package as from a checkout."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Any, NoReturn

from ffe_core.cli.parser import VERBS
from ffe_core.errors import InputError

LOOPBACK = ("localhost", "127.0.0.1")
_PORT = 8501
_ROOT = Path(__file__).parents[2]
# An installed package keeps the console in a folder of its own; in a checkout it lies beside ffe_core.
_PLACES = (_ROOT / "ffe_console" / "app.py", _ROOT / "app.py")


def register(verbs: Any) -> None:
    """Add the verb to the parser."""
    parser = verbs.add_parser(
        "console",
        help=VERBS["console"],
        description="Start the web console on the data directory of this folder.",
    )
    parser.add_argument("--port", type=_port, default=_PORT, metavar="N", help=f"default {_PORT}")
    parser.add_argument(
        "--host", default=LOOPBACK[1], metavar="ADDRESS", help="listen there; default this machine only"
    )
    parser.add_argument(
        "--allowed-host", action="append", default=[], metavar="NAME", help="a name it is reached by; again for several"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> NoReturn:
    """Become the server: signals and the exit status are its own. InputError before that for a host without names."""
    from ffe_core.settings import Settings  # `--help` needs none

    origins = Settings.load().console.origins
    command = server_command(arguments.host, arguments.port, arguments.allowed_host, origins)
    sys.stdout.flush()
    os.execv(command[0], command)


def server_command(host: str, port: int, names: Sequence[str], origins: Sequence[str] = ()) -> list[str]:
    """The command line of the server; who may reach it is said here, so that no settings file widens it unseen."""
    if not (_is_this_machine(host) or names or origins):
        raise InputError(
            f"--host {host} serves other machines: the console has no log-in of its own, so put a proxy that has one"
            " before it, and give the name people reach it by as --allowed-host NAME, or its whole address as"
            " FFE_CONSOLE__ORIGINS"
        )
    allowed = [part for name in (*LOOPBACK, *names) for part in ("--server.allowedHosts", name)]
    # -P: a folder that happens to hold modules of the same names is not what is started.
    python = [sys.executable, "-P", "-m", "streamlit", "run", str(app_file())]
    return [*python, "--server.address", host, "--server.port", str(port), *allowed]


def app_file() -> Path:
    """Where the console's server file lies. InputError if only the core is there."""
    for place in _PLACES:
        if place.is_file():
            return place
    raise InputError(f"the console is not installed beside {_ROOT / 'ffe_core'}: pip install ffe-console brings both")


def _is_this_machine(host: str) -> bool:
    try:
        return host == LOOPBACK[0] or ip_address(host).is_loopback
    except ValueError:
        return False


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port; give a number from 1 to 65535, for example {_PORT}")
    return int(text)
