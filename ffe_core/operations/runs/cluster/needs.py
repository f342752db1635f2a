"""Preconditions of workers: what has to be set and installed before a process of Ray is started or asked."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from ffe_core.errors import InputError, PackageMissing
from ffe_core.redaction import register
from ffe_core.settings import Settings, variable

RESOURCE = "ffe_worker"
"""What Ray calls a machine that works for us; each has one, of which every console's actor takes a small part."""
_TOKEN = "RAY_AUTH_TOKEN"
_TOKEN_FILE = "RAY_AUTH_TOKEN_PATH"
_ROOT = Path(__file__).parents[4]


def check_state(settings: Settings) -> None:
    """InputError if the state is a file, which other machines cannot share."""
    if not settings.database_url:
        raise InputError(
            "workers on other machines need the state in PostgreSQL, and none is named; set it on this machine and on"
            f" every worker, or leave {variable('ray_address')} away",
            field=variable("database_url"),
        )


def ray_environment(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment of a process of Ray: with a token, telling nobody of its use, and with this program's modules.

    PackageMissing without Ray; InputError without a token, as whoever reaches a port of Ray runs code there.
    """
    if find_spec("ray") is None:
        raise PackageMissing("Ray", "cluster")
    if not _has_token(environment):
        raise InputError(
            "whoever reaches a port of Ray runs code on the machine, and no token is set; set one long random text, the"
            " same for head, workers and consoles: python3 -c 'import secrets; print(secrets.token_hex(32))'",
            field=_TOKEN,
        )
    register(environment.get(_TOKEN, ""))
    paths = [str(_ROOT), *filter(None, [environment.get("PYTHONPATH")])]
    fixed = {"RAY_AUTH_MODE": "token", "RAY_USAGE_STATS_ENABLED": "0", "PYTHONPATH": os.pathsep.join(paths)}
    return {**environment, **fixed}


def _has_token(environment: Mapping[str, str]) -> bool:
    if environment.get(_TOKEN, "").strip():
        return True
    named = environment.get(_TOKEN_FILE)
    file = Path(named) if named else Path("~/.ray/auth_token").expanduser()
    try:
        return bool(file.read_text(encoding="utf-8").strip())
    except (OSError, ValueError):
        return False
