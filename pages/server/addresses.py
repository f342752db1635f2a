"""Addresses of the console: the names it answers under, and the origins it is used from."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from ffe_core.sources import checked_origin

LOOPBACK = ("localhost", "127.0.0.1", "::1")
"""The names of this machine, for a configuration that names none."""

_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9_-]+(?:\.[a-z0-9_-]+)*)\.?(?::([0-9]{1,5}))?")
_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Addresses:
    """`hosts` are names without a port, `*.name` for everything below a name, `*` for all; `origins` are whole."""

    hosts: tuple[str, ...] = LOOPBACK
    origins: frozenset[str] = field(default_factory=frozenset)

    @classmethod
    def of(cls, hosts: Iterable[str], origins: Iterable[str]) -> Addresses:
        """From `server.allowedHosts` and `FFE_CONSOLE__ORIGINS`; without hosts, those of this machine."""
        exact = frozenset(checked_origin(one) for one in origins)
        named = tuple(one.strip().lower().strip("[]").rstrip(".") for one in hosts if one.strip()) or LOOPBACK
        return cls((*named, *(_split(one.partition("://")[2])[0] for one in exact)), exact)

    def answers_to(self, host: str | None) -> bool:
        """Whether a Host header names this console. The port is not looked at: a container's is mapped."""
        name, port = _split(host or "")
        return bool(name) and port <= 65_535 and any(_is_below(name, pattern) for pattern in self.hosts)

    def is_own(self, origin: str, host: str | None) -> bool:
        """Whether a page of this origin is one of the console's, asked under `host`: same scheme, name and port.

        An origin that is named counts whatever the Host; one that is not must be the address that was asked, and is
        refused if it differs from a named one by its scheme alone.
        """
        try:
            known = checked_origin(origin)
        except ValueError:
            return False
        if known in self.origins:
            return True
        scheme, _, place = known.partition("://")
        name, port = _split(host or "", _DEFAULT_PORTS[scheme])
        is_asked = bool(name) and (name, port) == _split(place, _DEFAULT_PORTS[scheme])
        return is_asked and not any(one.partition("://")[2] == place for one in self.origins)


def _split(host: str, default_port: int = 0) -> tuple[str, int]:
    """Name and port of a host as a header writes it; no name for what is none."""
    found = _HOST.fullmatch(host.lower())
    if not found:
        return "", 0
    return found.group(1).strip("[]"), int(found.group(2) or default_port)


def _is_below(name: str, pattern: str) -> bool:
    return pattern == "*" or name == pattern or (pattern.startswith("*.") and name.endswith(pattern[1:]))
