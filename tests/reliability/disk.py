"""Disk trials: run verbs on a real small file system that is full, fills up, or is remounted read-only.

It is a tmpfs that the suite mounts; that needs root.
"""

from __future__ import annotations

import os
import random
import re
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.reliability.trials import Outcome, Place, Trials
from tests.reliability.verbs import VERBS, Bases, Verb
from tests.reliability.verdict import Fault, Tally, of_ending, of_state

_SIZE_MB = 16
_ROOM = (0, 4, 12, 40, 120, 400)
"""Kilobytes left when a verb begins."""
_WORDS = re.compile("no space|disk is full|disk full|full|os error 28", re.IGNORECASE)
_READ_ONLY = re.compile("read-only|readonly|os error 30", re.IGNORECASE)


@dataclass(frozen=True)
class Disk:
    """A verb, and the disk it meets: `room` kilobytes left, full so many `seconds` after the start, or read-only."""

    verb: Verb
    room: int | None = None
    seconds: float | None = None

    def __str__(self) -> str:
        if self.room is not None:
            return f"{self.verb.name}: {self.room} KB left on the disk"
        how = "the disk is read-only" if self.seconds is None else f"the disk is full after {self.seconds:.1f} s"
        return f"{self.verb.name}: {how}"


def run(trials: Trials, bases: Bases, tally: Tally, count: int, chance: random.Random) -> None:
    """So many disks over all verbs; a note instead where none can be mounted."""
    every = [Disk(verb, room) for verb in VERBS for room in _ROOM] + [Disk(verb) for verb in VERBS]
    every += [Disk(verb, seconds=chance.uniform(0, 0.6)) for verb in VERBS for _ in range(3)]
    these(trials, bases, tally, chance.sample(every * -(-count // len(every)), count))


def these(trials: Trials, bases: Bases, tally: Tally, disks: Sequence[Disk]) -> None:
    """Just these, one after the other."""
    if not can_mount():
        assert not os.environ.get("CI"), "a small file system cannot be mounted: run as root"
        tally.note("disk: not tried, as a small file system cannot be mounted; run as root")
        return
    with tally.timed("disk"):
        for disk in disks:
            tally.add("disk", 1, one(trials, bases, disk))


def one(trials: Trials, bases: Bases, disk: Disk) -> list[Fault]:
    """Run on that disk, then again where there is room."""
    tried, verb = str(disk), disk.verb
    reference = bases.reference(verb)
    with (
        trials.place() as outer,
        mounted(outer.folder / "disk") as mount,
        trials.place(bases.paths[verb.base], within=mount) as place,
    ):
        _say_apart(place)
        arguments = verb.arguments(place.data)
        outcome = _on(trials, place, mount, disk, arguments)
        faults = of_ending(tried, outcome) + _of_words(tried, disk, outcome)
        again = trials.verb(place, *arguments, env=verb.env)
        faults += of_ending(f"{tried}, and again", again)
        return faults + of_state(f"{tried}, and again", trials.state(place), reference)


def _on(trials: Trials, place: Place, mount: Path, disk: Disk, arguments: Sequence[str]) -> Outcome:
    filler, env = mount / "filler", disk.verb.env
    if disk.room is not None:
        fill(filler, disk.room * 1024)
        outcome = trials.verb(place, *arguments, env=env)
    elif disk.seconds is not None:
        timer = threading.Timer(disk.seconds, fill, (filler, 0))
        timer.start()
        outcome = trials.verb(place, *arguments, env=env)
        timer.join()
    else:
        subprocess.run(["mount", "-o", "remount,ro", mount], check=True)
        outcome = trials.verb(place, *arguments, env=env)
        subprocess.run(["mount", "-o", "remount,rw", mount], check=True)
    filler.unlink(missing_ok=True)
    return outcome


def _say_apart(place: Place) -> None:
    """What a verb says goes to another file system, so that it can be read."""
    for name in ("out", "err"):
        (place.folder / name).symlink_to(place.folder.parent.parent / f"{place.folder.name}.{name}")


def _of_words(tried: str, disk: Disk, outcome: Outcome) -> list[Fault]:
    """A verb that failed for want of room says so."""
    wanted = _READ_ONLY if disk.room is None and disk.seconds is None else _WORDS
    if outcome.status in (1, 2) and not wanted.search(outcome.out + outcome.err):
        return [Fault("exit", tried, f"does not say that the disk was to blame: {(outcome.err or outcome.out)[-300:]}")]
    return []


def fill(filler: Path, room: int) -> None:
    """Write until so many bytes are left."""
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                found = os.statvfs(filler.parent)
                left = found.f_bavail * found.f_frsize - room
                if left <= 0:
                    return
                file.write(b"\0" * min(left, 1 << 20))
        except OSError:
            return


@contextmanager
def mounted(folder: Path) -> Iterator[Path]:
    """A small file system, until the end."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={_SIZE_MB}m", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def can_mount() -> bool:
    """Whether this process may mount a file system."""
    probe = ["unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    return os.geteuid() == 0 and subprocess.run(probe, capture_output=True, check=False).returncode == 0
