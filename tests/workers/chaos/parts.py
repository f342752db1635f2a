"""The parts of one place that can die: started, killed, and started again a while later as whoever runs them would."""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests import postgresql
from tests.workers.chaos.console import Console
from tests.workers.chaos.proxy import Cable
from tests.workers.cluster import Cluster

WORKERS = ("north", "south")
CONSOLES = ("a", "b")
KINDS = {
    "worker": 60,
    "actor": 30,
    "console": 36,
    "server": 46,
    "cut": 18,
    "head": 10,
}
"""What is done to a part, and how often of two hundred: a head takes everything with it."""
_AGAIN_SECONDS = 3.0
_END_SECONDS = 20.0
_QUICK = {"RAY_gcs_rpc_server_reconnect_timeout_s": "4"}
"""A minute otherwise, for which what lost its head goes on."""


@dataclass(frozen=True)
class Blow:
    """One thing done to one part, `after` seconds from the one before; it is mended `away` seconds later."""

    after: float
    kind: str
    part: str
    away: float
    chance: float


def planned(kills: int, luck: random.Random, gaps: tuple[float, float] = (2.0, 9.0)) -> list[Blow]:
    """So many blows, each kind by its share but at least once, in an order that chance says."""
    counts = {kind: max(1, round(share * kills / sum(KINDS.values()))) for kind, share in KINDS.items()}
    counts["worker"] += kills - sum(counts.values())
    kinds = [kind for kind, count in counts.items() for _ in range(count)]
    luck.shuffle(kinds)
    return [_blow(kind, luck, gaps) for kind in kinds]


def _blow(kind: str, luck: random.Random, gaps: tuple[float, float]) -> Blow:
    part = {"console": luck.choice(CONSOLES), "worker": luck.choice(WORKERS), "actor": luck.choice(WORKERS)}
    away = {"cut": luck.uniform(2.0, 25.0), "server": luck.uniform(0.2, 4.0)}.get(kind, luck.uniform(0.0, 2.0))
    if kind == "server" and luck.random() < 0.1:
        away = luck.uniform(15.0, 25.0)  # longer than any lease
    return Blow(luck.uniform(*gaps), kind, part.get(kind, "south" if kind == "cut" else kind), away, luck.random())


class Parts:
    """All of them. One thread calls it, as what it starts ends with that."""

    def __init__(self, folder: Path, server: postgresql.Server, url: str, settings: Mapping[str, str]) -> None:
        self.folder, self._server = folder, server
        self._cable = Cable(server.port)
        self._urls = {"north": url, "south": url.replace(f":{server.port}/", f":{self._cable.port}/")}
        self._settings = {**settings, "FFE_DATABASE_URL": url}
        self._cluster = Cluster({**self._settings, **_QUICK})
        self.consoles: dict[str, Console] = {}
        self._away: dict[str, tuple[float, Callable[[], None]]] = {}

    def start(self) -> None:
        """Start the head, the workers and the consoles; the workers join by themselves."""
        self._start_cluster()
        for name in CONSOLES:
            self._start_console(name)

    def stop(self) -> list[psutil.Process]:
        """End all of them; what is left over, which is nothing."""
        for console in self.consoles.values():
            console.end()
        for log in self._cluster.folder.glob("*.log"):
            shutil.copy(log, self.folder)
        self._cluster.stop()
        self._cable.close()
        return psutil.wait_procs(self._cluster.left_over(), timeout=_END_SECONDS)[1]

    def strike(self, blow: Blow) -> bool:
        """Do it; False if the part is not there now."""
        kill, start = {
            "worker": (lambda: self._cluster.kill(blow.part), lambda: self._start_worker(blow.part)),
            "console": (lambda: self.consoles[blow.part].kill(), lambda: self._start_console(blow.part)),
            "server": (self._server.kill, self._server.start),
            "head": (lambda: self._cluster.kill("head"), self._start_cluster),
            "cut": (self._cable.cut, lambda: self._cable.mend(forget=blow.chance < 0.5)),
            "actor": (lambda: None, lambda: None),
        }[blow.kind]
        key = "cut" if blow.kind == "cut" else blow.part
        if key in self._away or (blow.kind in ("worker", "head") and not self._cluster.is_up(blow.part)):
            return False
        if blow.kind == "actor":
            return self._killed_actor(blow)
        kill()
        self._away[key] = time.monotonic() + blow.away, start
        return True

    def mend(self, *, all_of_it: bool = False) -> None:
        """Start again what has been away long enough, and what has ended by itself."""
        for key, (until, start) in sorted(self._away.items(), key=lambda one: one[1][0]):
            if all_of_it or until <= time.monotonic():
                self._away.pop(key)
                start()
        if not self._cluster.is_up("head") and "head" not in self._away:
            self._away["head"] = time.monotonic() + _AGAIN_SECONDS, self._start_cluster
        for name in WORKERS:
            if not self._cluster.is_up(name) and name not in self._away and "head" not in self._away:
                self._away[name] = time.monotonic() + _AGAIN_SECONDS, lambda name=name: self._start_worker(name)
        for name, console in self.consoles.items():
            if console.has_ended and name not in self._away:
                self._away[name] = time.monotonic() + _AGAIN_SECONDS, lambda name=name: self._start_console(name)

    def _killed_actor(self, blow: Blow) -> bool:
        actors = self._cluster.actors(blow.part)
        if actors:
            with suppress(psutil.NoSuchProcess):
                actors[int(blow.chance * len(actors))].kill()
        return bool(actors)

    def _start_cluster(self) -> None:
        """Start the head, and each worker anew: what has lost its head does not come back to another."""
        for name in WORKERS:
            self._away.pop(name, None)
            if self._cluster.is_up(name):
                self._cluster.kill(name)
        if self._cluster.is_up("head"):
            self._cluster.kill("head")
        try:
            self._cluster.start_head()
        except AssertionError:  # on a busy machine it ends by itself, or the one before has not let go of its port
            self._away["head"] = time.monotonic() + _AGAIN_SECONDS, self._start_cluster
            return
        for name in WORKERS:
            self._start_worker(name)

    def _start_worker(self, name: str) -> None:
        self._cluster.start_worker(name, FFE_DATABASE_URL=self._urls[name], FFE_DATA_DIR=str(self.folder / name))

    def _start_console(self, name: str) -> None:
        own = {"FFE_DATA_DIR": str(self.folder / name), "FFE_RAY_ADDRESS": self._cluster.address}
        if (before := self.consoles.get(name)) is not None:
            before.end()
        self.consoles[name] = Console(name, {**self._cluster.environment, **own}, self.folder)
